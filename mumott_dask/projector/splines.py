"""Forward projection with cubic splines instead of linear interpolation, compiled by numba.

What linear interpolation does to an image depends on where its rays pass between the voxels; that the spread
is lopsided looks like a shift of up to a hundredth of a pixel where all rays of a projection pass alike. A
spline has no such preference. The volume is spread first as much as linear interpolation spreads it on
average, for the tomogram has been fitted through that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from mumott_dask import devices

from .beam import ParallelBeam
from .compiling import OPTIONS
from .lanes import LANES, corners, counting, lane, load, zeros
from .layout import slabs
from .numba_cpu import SLAB, place
from .rays import cubic, position, reach_of_rays

Floats = NDArray[np.float32]

_SPREAD = np.array([1, 10, 1]) / 12  # what linear interpolation spreads over, on average
HALO = 12
"""Planes of its neighbours that a slab needs for its coefficients: they fade by 0.27 a plane, to 1e-7."""

BEFORE, AFTER = 3, 4
"""Zeros around a slice: as far as a spline reaches beyond it."""


def reproject(beam: ParallelBeam, volume: Floats, halo: tuple[int, int] = (0, 0)) -> Floats:
    """Line integrals of a volume (x, y, z), (projection, j, k).

    So many planes of the volume's neighbours along x come before and after it.
    """
    out = np.zeros(beam.shape, np.float32)
    kernel = _forward_threaded if beam.threads else _forward_serial
    for bent, *rays in bent_slabs(beam, volume, halo, SLAB):
        kernel(bent, *rays, out)
    return out


def bent_slabs(
    beam: ParallelBeam, volume: Any, halo: tuple[int, int], size: int
) -> Iterator[tuple[Any, ...]]:
    """`layout.slabs` of about `size` bytes, coefficients of splines in the place of voxels."""
    own = volume[halo[0] : volume.shape[0] - halo[1]]
    for across, bent in ((True, (0, 0)), (False, halo)):  # splines bend along x in slices that x lies in
        wanted = (beam.rays.axes[:, 0] == 0) == across
        for slices, *rays in slabs(beam, own if across else volume, size, wanted):
            yield coefficients(slices, bent), *rays


def coefficients(slices: Any, halo: tuple[int, int] = (0, 0)) -> Any:
    """Coefficients of the cubic B-splines that pass through slices (slice, a, b), in a border of zeros.

    Those of the halo, so many lines before and after along a, are left out.
    """
    filters, (spread,) = devices.filters(slices), devices.beside(slices, _SPREAD)
    result = slices
    for axis in (1, 2):
        if slices.shape[axis] > 1:
            result = filters.correlate1d(result, spread, axis, np.float32, mode="constant")
            result = filters.spline_filter1d(result, 3, axis, np.float32, mode="mirror")
    result = result[:, halo[0] : result.shape[1] - halo[1]]
    count, side_a, side_b = result.shape
    xp, around = devices.namespace(slices), BEFORE + AFTER
    bordered = xp.zeros((count, side_a + around, side_b + around), dtype=np.float32)
    bordered[:, BEFORE:-AFTER, BEFORE:-AFTER] = result
    return bordered


@numba.njit(nogil=True, **OPTIONS)
def _line(n, flat, base, at, fractions):  # type: ignore[no-untyped-def]
    near, first, second, far = corners(flat, base, at, n * LANES)
    return cubic(near, first, second, far, load(fractions[1], n * LANES))


@numba.njit(nogil=True, **OPTIONS)
def _forward_row(row, slices, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `slices` along one row of rays of the projections `numbers` of `out`.

    They are added to those of the slices before, if there are any: `begin` is the number of the first here.
    """
    flat = slices.reshape(-1)
    size, stride = slices.shape[1] * slices.shape[2], np.int32(slices.shape[2])
    end_a, end_b = np.float32(slices.shape[1] - 4), np.float32(slices.shape[2] - 4)
    at, fractions = np.empty(len(slices) * LANES, np.int32), np.empty((2, len(slices) * LANES), np.float32)
    rows, columns = out.shape[1], out.shape[2]
    n, j = numbers[row // rows], row % rows
    # Places are counted from the first of the four coefficients that a sample needs.
    a_row = position(first[n, 0] + np.float32(2), first[n, 1], np.float32(j))
    b_row = position(second[n, 0] + np.float32(2), second[n, 1], np.float32(j))
    a_by_k, a_by_slice, b_by_k, b_by_slice = first[n, 2], first[n, 3], second[n, 2], second[n, 3]
    for k in range(0, columns, LANES):
        a0, b0 = position(a_row, a_by_k, np.float32(k)), position(b_row, b_by_k, np.float32(k))
        low, high = reach_of_rays(
            a0, a_by_k, a_by_slice, LANES, end_a, np.float32(0), np.float32(len(slices))
        )
        low, high = reach_of_rays(b0, b_by_k, b_by_slice, LANES, end_b, low, high)
        a_rays, b_rays = position(a0, a_by_k, counting()), position(b0, b_by_k, counting())
        for s in range(int(low), int(high)):
            a, b = (position(a_rays, a_by_slice, np.float32(s)), position(b_rays, b_by_slice, np.float32(s)))
            place(s, a, b, end_a, end_b, stride, np.int32(1), at, fractions)
        total = zeros()
        for s in range(int(low), int(high)):
            base = s * size
            total += cubic(
                _line(s, flat, base, at, fractions),
                _line(s, flat, base + stride, at, fractions),
                _line(s, flat, base + 2 * stride, at, fractions),
                _line(s, flat, base + 3 * stride, at, fractions),
                load(fractions[0], s * LANES),
            )
        total *= step[n] / np.float32(36)
        for i in range(min(LANES, columns - k)):
            before = out[n, j, k + i] if begin else np.float32(0)
            out[n, j, k + i] = before + lane(total, i)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def _forward_threaded(slices, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    for row in numba.prange(len(numbers) * out.shape[1]):
        _forward_row(np.int64(row), slices, begin, numbers, first, second, step, out)


@numba.njit(nogil=True, **OPTIONS)
def _forward_serial(slices, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    for row in range(len(numbers) * out.shape[1]):
        _forward_row(row, slices, begin, numbers, first, second, step, out)
