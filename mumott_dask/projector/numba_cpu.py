"""Forward and adjoint kernels on NumPy arrays of one channel, compiled by numba.

Each kernel exists twice around one body: over all threads of numba, for a process that has the machine to
itself, and in one thread without the interpreter's lock, for a task on a Dask worker. (They must be two
functions: two compilations of one function would find each other's code in numba's cache.) A lane is a ray
in a row of the detector (forward), or a voxel in a column (adjoint); `layout` lays out what they read.
"""

from __future__ import annotations

import numba
import numpy as np

from .compiling import OPTIONS
from .lanes import LANES, as_floats, clamped, corners, counting, lane, load, store, whole, zeros
from .rays import bilinear, column, position, reach_of_rays

SLAB = 4 * 2**20
"""Bytes of the volume that are laid out for a forward kernel at a time, so that copies take little memory."""

LAID_OUT = 2**20
"""Bytes of projections that are laid out for an adjoint kernel at a time, likewise."""

CACHED = 512 * 1024
"""Bytes of projections that an adjoint kernel sums over at a time: about half of a core's cache."""

PLANES = 2
"""Planes of the volume that share these bytes; with more of them, threads would wait longer at the end."""


@numba.njit(inline="always")
def place(n, a, b, end_a, end_b, by_a, by_b, at, fractions):  # type: ignore[no-untyped-def]
    """Note as number n where to find the corners of the samples at (a, b), moved into the border if outside.

    Apart from `_fetched`: a processor runs ahead further in two short chains of work than in a long one.
    """
    a, b = clamped(a, np.float32(0), end_a), clamped(b, np.float32(0), end_b)
    ia, ib = whole(a), whole(b)
    store(at, n * LANES, ia * by_a + ib * by_b)
    store(fractions[0], n * LANES, a - as_floats(ia))
    store(fractions[1], n * LANES, b - as_floats(ib))


@numba.njit(inline="always")
def _fetched(n, flat, base, at, fractions):  # type: ignore[no-untyped-def]
    """Values of the samples noted as number n, in the image of `layout.pairs` that begins at `base`."""
    near, far, near_b, far_b = corners(flat, base, at, n * LANES)
    return bilinear(near, near_b, far, far_b, load(fractions[0], n * LANES), load(fractions[1], n * LANES))


@numba.njit(nogil=True, **OPTIONS)
def _forward_row(row, pairs, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `pairs` (slice, a, b, 2) along one row of rays of the projections `numbers` of `out`.

    They are added to those of the slices before, if there are any: `begin` is the number of the first here.
    """
    flat = pairs.reshape(-1)
    size, stride = pairs.shape[1] * pairs.shape[2] * 2, np.int32(pairs.shape[2] * 2)
    end_a, end_b = np.float32(pairs.shape[1] - 1), np.float32(pairs.shape[2] - 2)
    at, fractions = np.empty(len(pairs) * LANES, np.int32), np.empty((2, len(pairs) * LANES), np.float32)
    rows, columns = out.shape[1], out.shape[2]
    n, j = numbers[row // rows], row % rows
    a_row = position(first[n, 0] + np.float32(1), first[n, 1], np.float32(j))
    b_row = position(second[n, 0] + np.float32(1), second[n, 1], np.float32(j))
    a_by_k, a_by_slice, b_by_k, b_by_slice = first[n, 2], first[n, 3], second[n, 2], second[n, 3]
    for k in range(0, columns, LANES):
        a0, b0 = position(a_row, a_by_k, np.float32(k)), position(b_row, b_by_k, np.float32(k))
        low, high = reach_of_rays(a0, a_by_k, a_by_slice, LANES, end_a, np.float32(0), np.float32(len(pairs)))
        low, high = reach_of_rays(b0, b_by_k, b_by_slice, LANES, end_b, low, high)
        a_rays, b_rays = position(a0, a_by_k, counting()), position(b0, b_by_k, counting())
        for s in range(int(low), int(high)):
            a, b = (position(a_rays, a_by_slice, np.float32(s)), position(b_rays, b_by_slice, np.float32(s)))
            place(s, a, b, end_a, end_b, stride, np.int32(2), at, fractions)
        total = zeros()
        for s in range(int(low), int(high)):
            total += _fetched(s, flat, s * size, at, fractions)
        total *= step[n]
        for i in range(min(LANES, columns - k)):
            before = out[n, j, k + i] if begin else np.float32(0)
            out[n, j, k + i] = before + lane(total, i)


@numba.njit(nogil=True, **OPTIONS)
def _adjoint_plane(x, pairs, start, count, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `count` images of `pairs` (image, j, k, 2), from `start` on, to the plane x of `out`.

    The landing parameters are those of the images.
    """
    flat = pairs.reshape(-1)
    size, stride = pairs.shape[1] * pairs.shape[2] * 2, np.int32(pairs.shape[2] * 2)
    j_end, k_end = np.float32(pairs.shape[1] - 1), np.float32(pairs.shape[2] - 2)
    at, fractions = np.empty(count * LANES, np.int32), np.empty((2, count * LANES), np.float32)
    j_line, k_line = np.empty(count, np.float32), np.empty(count, np.float32)
    j_by_z, k_by_z = landing_j[3, start : start + count].copy(), landing_k[3, start : start + count].copy()
    for y in range(out.shape[1]):
        for n in range(count):
            j_line[n] = column(landing_j, start + n, x, y) + np.float32(1)
            k_line[n] = column(landing_k, start + n, x, y) + np.float32(1)
        for z in range(0, out.shape[2], LANES):
            total, heights = zeros(), counting() + np.float32(z)
            for n in range(count):
                j, k = position(j_line[n], j_by_z[n], heights), position(k_line[n], k_by_z[n], heights)
                place(n, j, k, j_end, k_end, stride, np.int32(2), at, fractions)
            for n in range(count):
                total += _fetched(n, flat, (start + n) * size, at, fractions)
            for i in range(min(LANES, out.shape[2] - z)):
                out[x, y, z + i] += lane(total, i)


@numba.njit(nogil=True, **OPTIONS)
def _adjoint_planes(tile, pairs, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `pairs` to a few planes of `out`: some images at a time, while they are at hand."""
    at_once = max(1, CACHED // pairs[0].nbytes)
    for start in range(0, len(pairs), at_once):
        for x in range(tile * PLANES, min((tile + 1) * PLANES, out.shape[0])):
            count = min(at_once, len(pairs) - start)
            _adjoint_plane(x, pairs, start, count, landing_j, landing_k, out)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def forward_threaded(pairs, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `pairs` into the projections `numbers` of `out`, on all threads; see `_forward_row`."""
    for row in numba.prange(len(numbers) * out.shape[1]):
        _forward_row(np.int64(row), pairs, begin, numbers, first, second, step, out)


@numba.njit(nogil=True, **OPTIONS)
def forward_serial(pairs, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `pairs` into the projections `numbers` of `out`, in one thread; see `_forward_row`."""
    for row in range(len(numbers) * out.shape[1]):
        _forward_row(row, pairs, begin, numbers, first, second, step, out)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def adjoint_threaded(pairs, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `pairs` to `out`, over all threads."""
    for tile in numba.prange(-(-out.shape[0] // PLANES)):
        _adjoint_planes(np.int64(tile), pairs, landing_j, landing_k, out)


@numba.njit(nogil=True, **OPTIONS)
def adjoint_serial(pairs, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `pairs` to `out`, in one thread."""
    for tile in range(-(-out.shape[0] // PLANES)):
        _adjoint_planes(tile, pairs, landing_j, landing_k, out)
