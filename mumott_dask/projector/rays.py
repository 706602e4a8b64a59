"""The arithmetic of a ray and of a voxel's landing place, shared by kernels of every kind.

A projection is described by one row of parameters (see `ray_parameters` and `landing_parameters`): an affine
map from (j, k, slice) to a position in the slice, or from (x, y, z) to a position on the detector. Positions
are in samples: the centre of the first voxel or pixel is 0. The inlined functions are `numba.njit` with
``inline="always"`` because plain device functions would keep a CUDA kernel from compiling without a driver.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from mumott_dask import geometry

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_LEAST_SLOPE = np.float32(1e-7)  # of a step: none that matters, and none to divide by that is zero


class RayParameters(NamedTuple):
    """What the forward kernels need of each projection.

    The ray of pixel (j, k) crosses slice s of the dominant axis at
    ``start + j by_j + k by_k + s by_slice`` in each of the two other axes.
    """

    axes: Integers  #: (projection, 3): dominant axis, first and second axis within the slice
    first: Floats  #: (projection, 4): start, by_j, by_k, by_slice along the first axis
    second: Floats  #: (projection, 4): the same along the second
    step: Floats  #: (projection,): length of the path through one slice, voxels


class LandingParameters(NamedTuple):
    """What the adjoint kernels need: voxel (x, y, z) lands at ``start + x by_x + y by_y + z by_z``."""

    j: Floats  #: (4, projection): start, by_x, by_y, by_z
    k: Floats  #: (4, projection)


def ray_parameters(
    axes: geometry.Basis,
    j_offset: NDArray[np.float64],
    k_offset: NDArray[np.float64],
    volume_shape: tuple[int, int, int],
    detector_shape: tuple[int, int],
) -> RayParameters:
    """Parameters of the rays of every projection (design: dominant axis by the first maximum in float64)."""
    main = geometry.dominant_axis(axes.p)
    order = np.stack([main, np.where(main == 0, 1, 0), np.where(main == 2, 1, 2)], axis=1)
    p, u, w = (np.take_along_axis(v, order, axis=1) for v in axes)
    sides = np.asarray(volume_shape, dtype=np.float64)[order]
    j_start, k_start = (
        0.5 + offset - side / 2 for offset, side in zip((j_offset, k_offset), detector_shape, strict=True)
    )

    def along(axis: int) -> Floats:
        by_slice = p[:, axis] / p[:, 0]
        by_j = u[:, axis] - by_slice * u[:, 0]
        by_k = w[:, axis] - by_slice * w[:, 0]
        centre = (sides[:, axis] - 1) / 2 - by_slice * (sides[:, 0] - 1) / 2
        start = centre + j_start * by_j + k_start * by_k
        return np.stack([start, by_j, by_k, by_slice], axis=1).astype(np.float32)

    first, second = along(1), along(2)
    slopes = (p[:, 1:] / p[:, :1]) ** 2
    return RayParameters(order, first, second, np.sqrt(1 + slopes.sum(axis=1)).astype(np.float32))


def landing_parameters(
    axes: geometry.Basis,
    j_offset: NDArray[np.float64],
    k_offset: NDArray[np.float64],
    volume_shape: tuple[int, int, int],
    detector_shape: tuple[int, int],
) -> LandingParameters:
    """Parameters of where the voxels' centres land on the detector, for every projection."""
    first_voxel = (1 - np.asarray(volume_shape, dtype=np.float64)) / 2

    def on(axis: NDArray[np.float64], offset: NDArray[np.float64], side: int) -> Floats:
        start = axis @ first_voxel - offset + (side - 1) / 2
        return np.concatenate([start[None], axis.T]).astype(np.float32)

    return LandingParameters(on(axes.u, j_offset, detector_shape[0]), on(axes.w, k_offset, detector_shape[1]))


@numba.njit(inline="always")
def position(start, slope, n):  # type: ignore[no-untyped-def]
    """Position of the n-th sample; n is float32 or lanes of it (an integer would make it float64)."""
    return start + slope * n


@numba.njit(inline="always")
def column(landing, n, x, y):  # type: ignore[no-untyped-def]
    """Where voxel (x, y, 0) lands on projection n, along one axis of the detector."""
    along_x = position(landing[0, n], landing[1, n], np.float32(x))
    return position(along_x, landing[2, n], np.float32(y))


@numba.njit(inline="always")
def reach(start, slope, low, high, first, last):  # type: ignore[no-untyped-def]
    """Narrow the samples [first, last), as floats, to those whose position lies in (low, high).

    Whole parts count; where the second is not above the first there are none. Rounding, and what is cut off
    the first, may let one in or out at either end: interpolation fades to zero there, so it does not matter.
    """
    steep = slope if abs(slope) > _LEAST_SLOPE else _LEAST_SLOPE
    middle = (np.float32(0.5) * (low + high) - start) / steep
    half = abs(np.float32(0.5) * (high - low) / steep)
    return max(middle - half, first), min(middle + half + np.float32(1), last)


@numba.njit(inline="always")
def bilinear(near, near_b, far, far_b, fa, fb):  # type: ignore[no-untyped-def]
    """Value between four neighbours, at fractions of the way along the first and the second axis."""
    near += fb * (near_b - near)
    far += fb * (far_b - far)
    return near + fa * (far - near)


@numba.njit(inline="always")
def cubic(near, first, second, far, f):  # type: ignore[no-untyped-def]
    """Value of a cubic spline a fraction f past the second of four coefficients, times six."""
    g = np.float32(1) - f
    bump_f = (f * f) * (f - np.float32(2)) * np.float32(3) + np.float32(4)
    bump_g = (g * g) * (g - np.float32(2)) * np.float32(3) + np.float32(4)
    return (g * g * g) * near + bump_f * first + bump_g * second + (f * f * f) * far


@numba.njit(inline="always")
def reach_of_rays(start, by_ray, by_slice, count, end, first, last):  # type: ignore[no-untyped-def]
    """`reach` of some rays in a row together: to where one of them is between 0 and `end`."""
    width = by_ray * np.float32(count - 1)
    return reach(start, by_slice, -max(width, np.float32(0)), end - min(width, np.float32(0)), first, last)
