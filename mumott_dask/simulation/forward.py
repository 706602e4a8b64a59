"""What a detector sees of a phantom: the phantom turned into each projection's frame, summed along the rays.

Independent of the projector on purpose: the phantom is resampled on a grid that lies along the rays and the
sub-pixels of the detector, by interpolation in three dimensions between the finer samples of a spline, and
the detector averages intensity.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from dask.base import compute
from dask.delayed import delayed
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from mumott_dask.geometry import Basis

Volume = NDArray[np.float32]
Floats = NDArray[np.float64]

REFINEMENT = 2
"""Samples for each sub-voxel: cubic splines make them once, projections interpolate linearly between them.

Linear interpolation blurs differently from one projection to the next. With two samples along a voxel's
side this looks like shifts of 0.002 pixel RMS, with four like 0.0003, at a third of a cubic spline's cost.
"""

MARGIN = 2
"""Empty sub-voxels put around the phantom, where the interpolation fades out."""


EDGE = 1.00001
"""A sample from the far end, and a little: from there on, nothing lies beyond to interpolate to."""


class Sampled(NamedTuple):
    """A phantom sampled finely, and the outermost places where it is not empty ((n, 3), voxels)."""

    values: Volume
    outermost: Floats
    oversampling: int


def sampled(phantom: Volume, oversampling: int) -> Sampled:
    """Prepare a phantom for interpolation.

    Parameters
    ----------
    phantom : (x, y, z) float32, absorbance per voxel
        Values at the centres of sub-voxels; the centre of the array is the centre of the volume.
    oversampling : int
        Sub-voxels along the side of a voxel.
    """
    padded = np.pad(phantom, MARGIN)
    outermost = _outermost(padded != 0) / oversampling
    x, y, z = (_spline(size) for size in padded.shape)
    values = np.tensordot(x, np.matmul(y, np.matmul(padded, z.T)), axes=1)
    return Sampled(np.ascontiguousarray(values), outermost, oversampling)


def _spline(size: int) -> Volume:
    """Cubic spline through `size` values as a matrix that gives its finer samples, (fine, size)."""
    fine = (np.arange(size * REFINEMENT) + 0.5) / REFINEMENT - 0.5
    return np.asarray(make_interp_spline(np.arange(size), np.eye(size))(fine), dtype=np.float32)


def _outermost(filled: NDArray[np.bool_]) -> Floats:
    """Return the first and the last filled place of every column along z, from the centre of the array."""
    columns = np.argwhere(filled.any(axis=2))
    along = filled[columns[:, 0], columns[:, 1]]
    first, last = along.argmax(axis=1), filled.shape[2] - 1 - along[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.column_stack([columns, first]), np.column_stack([columns, last])])
    return np.asarray(ends - (np.array(filled.shape) - 1) / 2, dtype=np.float64)


def transmission(
    phantom: Sampled, axes: Basis, j_offset: Floats, k_offset: Floats, shape: tuple[int, int]
) -> Volume:
    """Return the transmitted fraction of the intensity in every pixel of every projection.

    Parameters
    ----------
    phantom : Sampled
    axes : Basis
        Ray direction and detector axes of each projection, sample's frame.
    j_offset, k_offset : (projection,) float, pixels
    shape : (J, K)

    Returns
    -------
    (projection, j, k) float32
        The mean over each pixel of ``10 ** -absorbance``.
    """
    views = zip(axes.p, axes.u, axes.w, j_offset, k_offset, strict=True)
    images = [delayed(_image)(phantom, np.array(view[:3]), view[3:], shape) for view in views]
    return np.stack(compute(*images, scheduler="threads"))


def _image(phantom: Sampled, axes: Floats, offset: tuple[float, float], shape: tuple[int, int]) -> Volume:
    """Return the transmitted fraction in one projection, (j, k)."""
    image = np.ones(shape, dtype=np.float32)
    if not len(phantom.outermost):
        return image
    fine = phantom.oversampling
    seen = phantom.outermost @ axes.T
    first, last = seen.min(axis=0) - MARGIN / fine, seen.max(axis=0) + MARGIN / fine
    # Pixels that see the phantom; along the ray, voxels counted from the centre of the volume.
    middle = np.array([0.0, shape[0] / 2 - offset[0], shape[1] / 2 - offset[1]])
    start, stop = np.floor(first + middle).astype(int), np.ceil(last + middle).astype(int)
    start[1:], stop[1:] = np.maximum(start[1:], 0), np.minimum(stop[1:], shape)
    if np.any(stop <= start):
        return image
    # From (ray, j, k) on the grid of sub-voxels and sub-pixels to a place among the samples.
    turned = np.ascontiguousarray(axes.T) * REFINEMENT
    corner = turned @ ((start - middle) * fine + 0.5) + (np.array(phantom.values.shape) - 1) / 2
    steps, rows, columns = ((stop - start) * fine).tolist()
    path = _paths(phantom.values, turned, corner, steps, rows, columns) / fine
    pixels = stop[1:] - start[1:]
    intensity = (10**-path).reshape(pixels[0], fine, pixels[1], fine).mean(axis=(1, 3))
    image[start[1] : stop[1], start[2] : stop[2]] = intensity
    return image


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _paths(values: Volume, turned: Floats, corner: Floats, steps: int, rows: int, columns: int) -> Floats:
    """Sum of the samples along each ray, trilinear between them and 0 outside, (rows, columns)."""
    nx, ny, nz = values.shape
    flat = values.reshape(-1)
    # Unsigned indices: numba would ask of each signed one whether it counts from the end.
    x_stride, y_stride, one = np.uint64(ny * nz), np.uint64(nz), np.uint64(1)
    dx, dy, dz = turned[0, 0], turned[1, 0], turned[2, 0]
    sums = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            x0 = corner[0] + turned[0, 1] * row + turned[0, 2] * column
            y0 = corner[1] + turned[1, 1] * row + turned[1, 2] * column
            z0 = corner[2] + turned[2, 1] * row + turned[2, 2] * column
            first, last = _inside(x0, dx, nx - EDGE, 0, steps - 1)
            first, last = _inside(y0, dy, ny - EDGE, first, last)
            first, last = _inside(z0, dz, nz - EDGE, first, last)
            total = 0.0
            for step in range(first, last + 1):
                x, y, z = x0 + step * dx, y0 + step * dy, z0 + step * dz
                i, j, k = np.uint64(x), np.uint64(y), np.uint64(z)
                x, y, z = x - i, y - j, z - k
                near = i * x_stride + j * y_stride + k
                low = _bilinear(flat, near, y_stride, one, y, z)
                total += low + x * (_bilinear(flat, near + x_stride, y_stride, one, y, z) - low)
            sums[row, column] = total
    return sums


@numba.njit(inline="always")
def _bilinear(
    flat: Volume, corner: np.uint64, y_stride: np.uint64, one: np.uint64, y: float, z: float
) -> float:
    across = corner + y_stride
    low = flat[corner] + z * (flat[corner + one] - flat[corner])
    high = flat[across] + z * (flat[across + one] - flat[across])
    return low + y * (high - low)


@numba.njit(inline="always")
def _inside(start: float, step: float, end: float, first: int, last: int) -> tuple[int, int]:
    """Narrow a range of steps to those at which ``start + n * step`` lies within 0 and `end`."""
    if abs(step) < 1e-12:
        return (first, last) if 0 <= start <= end else (0, -1)
    one, other = -start / step, (end - start) / step
    return max(first, int(np.ceil(min(one, other)))), min(last, int(np.floor(max(one, other))))
