"""The projector on arrays of a CUDA device: parameters sent there once, then the kernels of numba-cuda.

CuPy's arrays are handed over as they are, and kernels run on CuPy's current stream.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array
from numba import cuda

from mumott_dask import devices

from . import cuda_kernels, splines
from .beam import ParallelBeam
from .cuda_kernels import THREADS, VOXELS, channels_held
from .residuals import weighted_residual

Array = Any  #: on the device

AT_ONCE = 2**30
"""Bytes that are copied into a border of zeros, or bent into splines, at a time."""


def forward(beam: ParallelBeam, volume: Array) -> Array:
    """Line integrals of a volume (x, y, z[, channel])."""
    shape, channels = (*beam.shape, *volume.shape[3:]), math.prod(volume.shape[3:])
    xp = devices.namespace(volume)
    out = xp.zeros((*beam.shape, channels), dtype=np.float32)
    voxels = volume.reshape(-1)
    if (beam.rays.axes[:, 0] == 2).any():
        in_order_zxy = volume.reshape(*beam.volume_shape, channels).transpose(2, 0, 1, 3)
        voxels = xp.concat([voxels, in_order_zxy.reshape(-1)])
    rays = beam.kept("rays", lambda: _sent(_side_by_side(*beam.rays[1:], beam.rays.axes[:, 0]), volume))
    groups = channels // channels_held(channels)
    grid = _grid(beam.detector_shape[1] * groups, beam.detector_shape[0], len(beam))
    sides = map(np.int32, beam.volume_shape)
    kernel = cuda_kernels.forward_kernel(channels)
    _run(kernel, grid, voxels, *sides, rays, out)
    return out.reshape(shape)


def adjoint(beam: ParallelBeam, projections: Array) -> Array:
    """Sum over projections (projection, j, k[, channel]) of what lands where each voxel does."""
    out = devices.namespace(projections).zeros((*beam.volume_shape, *projections.shape[3:]), dtype=np.float32)
    _add_adjoint(beam, projections, out)
    return out


def gradient(
    beam: ParallelBeam, volume: Array, data: Array, weights: Array, background: int
) -> tuple[Array, Array]:
    """Adjoint of the weighted residual, and the loss, a batch at a time; see `Projector.gradient`."""
    xp = devices.namespace(data)
    out, loss = xp.zeros((*beam.volume_shape, *data.shape[3:]), dtype=np.float32), 0.0
    for some, part in beam.batches():
        residual, more = weighted_residual(forward(part, volume), data[some], weights[some], background)
        _add_adjoint(part, residual, out)
        loss = loss + more
    return out, loss


def reproject(beam: ParallelBeam, volume: Array, halo: tuple[int, int]) -> Array:
    """Line integrals with cubic splines in the slices; see `splines.reproject`."""
    out = devices.namespace(volume).zeros(beam.shape, dtype=np.float32)
    for pieces, _, numbers, first, second, step in splines.bent_slabs(beam, volume, halo, AT_ONCE):
        parameters = _side_by_side(first[numbers], second[numbers], step[numbers], numbers)
        rays = _sent(parameters, volume)
        sides = (np.int32(side) for side in (*pieces.shape[1:], pieces.shape[0]))
        grid = _grid(beam.detector_shape[1], beam.detector_shape[0], len(rays))
        _run(cuda_kernels.spline_kernel(), grid, pieces.reshape(-1), *sides, rays, out)
    return out


def _add_adjoint(beam: ParallelBeam, projections: Array, out: Array) -> None:
    channels = math.prod(projections.shape[3:])
    kernel, groups = cuda_kernels.adjoint_kernel(channels), channels // channels_held(channels)
    landing = beam.kept("landing", lambda: _sent(np.concatenate(beam.landing).T, projections))
    sides = beam.detector_shape[0] + 3, beam.detector_shape[1] + 3
    by_image, by_j = np.uint64(math.prod(sides) * channels), np.uint32(sides[1] * channels)
    x, y, z = beam.volume_shape
    grid = _grid(z * groups, y, -(-x // VOXELS))
    at_once = max(1, AT_ONCE // (4 * math.prod(sides) * channels))
    volume, inside = out.reshape(*beam.volume_shape, channels), tuple(map(np.int32, beam.detector_shape))
    for begin in range(0, len(beam), at_once):
        some = slice(begin, begin + at_once)
        pixels = _bordered(projections[some].reshape(-1, *beam.detector_shape, channels))
        _run(kernel, grid, pixels.reshape(-1), by_image, by_j, *inside, landing[some], volume)


def _bordered(images: Array) -> Array:
    """Images (n, j, k, channel) in a border of zeros, one before and two after."""
    n, j, k, channels = images.shape
    bordered = devices.namespace(images).zeros((n, j + 3, k + 3, channels), dtype=np.float32)
    bordered[:, 1:-2, 1:-2] = images
    return bordered


def _side_by_side(first: Any, second: Any, *others: Any) -> Any:
    """Parameters of some projections, (projection, 10): see `cuda_kernels.forward_kernel`."""
    return np.concatenate([first, second, *(each[:, None] for each in others)], axis=1)


def _sent(parameters: Any, beside: Array) -> Array:
    (sent,) = devices.beside(beside, np.ascontiguousarray(parameters, np.float32))
    return _handed(sent)


def _handed(array: Any) -> Any:
    """An array as numba takes it, without waiting for what it is made of."""
    return cuda.as_cuda_array(array, sync=False) if is_cupy_array(array) else array


def _grid(fastest: int, next_to_it: int, slowest: int) -> tuple[int, int, int]:
    """Blocks along each axis, for so many threads along the first two of them."""
    return -(-fastest // THREADS[0]), -(-next_to_it // THREADS[1]), slowest


def _run(kernel: Any, grid: tuple[int, int, int], *arguments: Any) -> None:
    """Start a kernel on the stream that its arrays are made on, and wait for nothing."""
    if any(map(is_cupy_array, arguments)):
        import cupy

        stream = cuda.external_stream(cupy.cuda.get_current_stream().ptr)
        kernel[grid, THREADS, stream](*map(_handed, arguments))
    else:  # in numba's simulator, which takes NumPy arrays
        kernel[grid, THREADS](*arguments)
