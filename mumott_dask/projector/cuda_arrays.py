"""The projector on arrays of a CUDA device: parameters sent there once, then the kernels of numba-cuda.

CuPy's arrays are handed over as they are, and kernels run on CuPy's current stream.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array
from numba import cuda

from mumott_dask import devices

from . import cuda_kernels, splines
from .beam import ParallelBeam
from .cuda_kernels import BORDER, THREADS, TOGETHER, VOXELS, channels_held
from .cuda_rays import Bundle, bundles
from .residuals import weighted_residual

Array = Any  #: on the device

CACHED = 28 * 2**20
"""Bytes of slices that all rays are followed through before the next are: a device's cache holds them."""

AT_A_STEP = 4
"""Slices that the compiled kernels follow a ray through in one turn of their loop."""

AT_ONCE = 2**30
"""Bytes that are copied into a border of zeros, or bent into splines, at a time."""


def forward(beam: ParallelBeam, volume: Array) -> Array:
    """Line integrals of a volume (x, y, z[, channel])."""
    xp, channels = devices.namespace(volume), math.prod(volume.shape[3:])
    out = xp.zeros((*beam.shape, channels), dtype=np.float32)
    kernel, voxels = cuda_kernels.forward_kernel(channels), volume.reshape(*beam.volume_shape, channels)
    for axes, rays in beam.kept("rays", lambda: _rays_by_axis(beam, volume)):
        slices = voxels.transpose(*axes, 3)
        sides = [side + 2 * BORDER for side in slices.shape[1:3]]
        thick = _at_a_time(*sides, channels)
        bordered = xp.zeros((min(thick, len(slices)), *sides, channels), dtype=np.float32)
        for begin in range(0, len(slices), thick):
            some = slices[begin : begin + thick]
            bordered[: len(some), BORDER:-BORDER, BORDER:-BORDER] = some
            _sum_slices(kernel, bordered[: len(some)], begin, rays, out)
    return out.reshape(*beam.shape, *volume.shape[3:])


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
    out = devices.namespace(volume).zeros((*beam.shape, 1), dtype=np.float32)
    for bent, _, numbers, first, second, step in splines.bent_slabs(beam, volume, halo, AT_ONCE):
        rays = bundles(beam, volume, numbers, first, second, step)
        thick = _at_a_time(*bent.shape[1:])
        for begin in range(0, len(bent), thick):
            some = bent[begin : begin + thick, ..., None]
            _sum_slices(cuda_kernels.spline_kernel(), some, begin, rays, out)
    return out[..., 0]


def _rays_by_axis(beam: ParallelBeam, beside: Array) -> list[tuple[Any, list[Bundle]]]:
    """Order of the axes and parameters of the rays, for each dominant axis that there is."""
    axes, *parameters = beam.rays
    mains = axes[:, 0]
    having = [np.flatnonzero(mains == main) for main in np.unique(mains)]
    return [(axes[numbers[0]].tolist(), bundles(beam, beside, numbers, *parameters)) for numbers in having]


def _at_a_time(*sides: int) -> int:
    """Slices of these sides that a device's cache holds, a multiple of those of a step."""
    return max(1, round(CACHED / (4 * AT_A_STEP * math.prod(sides)))) * AT_A_STEP


def _sum_slices(kernel: Any, slices: Array, begin: int, rays: list[Bundle], out: Array) -> None:
    """Add line sums of slices (slice, a, b, channel) in their border to images: `cuda_kernels.FORWARD`."""
    _, side_j, side_k, channels = out.shape
    for some, turned in rays:
        laid_out = devices.namespace(slices).ascontiguousarray(slices.swapaxes(1, 2)) if turned else slices
        grid = _grid(side_k * (channels // channels_held(channels)), side_j, -(-len(some) // TOGETHER))
        numbers = *laid_out.shape[1:3], begin, begin + len(slices)
        _run(kernel, cuda_kernels.FORWARD, grid, laid_out, *numbers, some, len(some), out, side_j, side_k)


def _add_adjoint(beam: ParallelBeam, projections: Array, out: Array) -> None:
    channels = math.prod(projections.shape[3:])
    kernel, groups = cuda_kernels.adjoint_kernel(channels), channels // channels_held(channels)
    landing = beam.kept("landing", lambda: _landing(beam, projections))
    sides = beam.detector_shape[0] + 3, beam.detector_shape[1] + 3
    by_image, by_j = math.prod(sides) * channels, sides[1] * channels
    x, y, z = beam.volume_shape
    grid = _grid(z * groups, y, -(-x // VOXELS))
    at_once = max(1, AT_ONCE // (4 * by_image))
    for begin in range(0, len(beam), at_once):
        pixels = _bordered(projections[begin : begin + at_once].reshape(-1, *beam.detector_shape, channels))
        images = by_image, by_j, *beam.detector_shape
        landings = landing[begin : begin + at_once]
        _run(kernel, cuda_kernels.ADJOINT, grid, pixels, *images, landings, len(landings), out, x, y, z)


def _landing(beam: ParallelBeam, beside: Array) -> Array:
    """Where voxels land, on the device: `cuda_kernels.LANDING`."""
    (sent,) = devices.beside(beside, np.ascontiguousarray(np.concatenate(beam.landing).T))
    return sent


def _bordered(images: Array) -> Array:
    """Images (n, j, k, channel) in a border of zeros, one before and two after."""
    n, j, k, channels = images.shape
    bordered = devices.namespace(images).zeros((n, j + 3, k + 3, channels), dtype=np.float32)
    bordered[:, 1:-2, 1:-2] = images
    return bordered


def _grid(fastest: int, next_to_it: int, slowest: int) -> tuple[int, int, int]:
    """Blocks along each axis, for so many threads along the first two of them."""
    return -(-fastest // THREADS[0]), -(-next_to_it // THREADS[1]), slowest


def _run(kernel: Any, signature: tuple[Any, ...], grid: tuple[int, int, int], *arguments: Any) -> None:
    """Start a kernel on the stream that its arrays are made on, and wait for nothing."""
    started = cuda_kernels.compiled(kernel, signature)
    if is_cupy_array(arguments[0]):
        import cupy

        bare = (each.data.ptr if is_cupy_array(each) else each for each in arguments)
        started[grid, THREADS, _stream(cupy.cuda.get_current_stream().ptr)](*bare)
    else:  # in numba's simulator, which takes NumPy arrays
        started[grid, THREADS](*(each if isinstance(each, int) else each.reshape(-1) for each in arguments))


@cache
def _stream(pointer: int) -> Any:
    """A stream of CuPy's, as numba knows it."""
    return cuda.external_stream(pointer)
