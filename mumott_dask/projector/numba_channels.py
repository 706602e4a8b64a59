"""Forward and adjoint kernels on NumPy arrays of several channels, compiled by numba.

Like `numba_cpu`, but a lane is a sample of one ray or one voxel: its place and weights are computed once for
all channels, which lie in blocks of four (`layout.blocks`).
"""

from __future__ import annotations

import numba
import numpy as np

from .lanes import LANES, as_floats, clamped, counting, load, store, whole, with_blocks
from .layout import CHANNELS
from .numba_cpu import OPTIONS, images_at_once
from .rays import column, position, reach


@numba.njit(inline="always")
def _add(totals, flat, block_size, base, last, size, stride, a, b, end_a, end_b):  # type: ignore[no-untyped-def]
    """Add the samples at (a, b) of an image each, from `base` on and at most `last` further, to `totals`."""
    a, b = clamped(a, np.float32(0), end_a), clamped(b, np.float32(0), end_b)
    ia, ib = whole(a), whole(b)
    fa, fb = a - as_floats(ia), b - as_floats(ib)
    image = whole(clamped(counting(), np.float32(0), np.float32(last)))
    at = image * size + (ia * stride + ib * np.int32(CHANNELS))
    for block in range(len(totals) // LANES):
        total = load(totals, block * LANES)
        total = with_blocks(total, flat, block * block_size + base, at, stride, fa, fb)
        store(totals, block * LANES, total)


@numba.njit(nogil=True, **OPTIONS)
def _forward_row(row, blocks, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `blocks` (block, slice, a, b, 4) along one row of rays of the projections `numbers`."""
    flat = blocks.reshape(-1)
    slices = blocks.shape[1] - 1
    stride = np.int32(blocks.shape[3] * CHANNELS)
    size = np.int32(blocks.shape[2] * stride)
    block_size = blocks.shape[1] * np.int64(size)
    end_a, end_b = np.float32(blocks.shape[2] - 2), np.float32(blocks.shape[3] - 2)
    rows = out.shape[1]
    n, j = numbers[row // rows], row % rows
    a_row = position(first[n, 0] + np.float32(1), first[n, 1], np.float32(j))
    b_row = position(second[n, 0] + np.float32(1), second[n, 1], np.float32(j))
    totals = np.empty(blocks.shape[0] * LANES, np.float32)
    for k in range(out.shape[2]):
        a0, b0 = position(a_row, first[n, 2], np.float32(k)), position(b_row, second[n, 2], np.float32(k))
        low, high = reach(a0, first[n, 3], np.float32(0), end_a, 0, slices)
        low, high = reach(b0, second[n, 3], np.float32(0), end_b, low, high)
        totals[:] = 0
        for s in range(low, high, LANES):
            crossed = counting() + np.float32(s)
            a, b = position(a0, first[n, 3], crossed), position(b0, second[n, 3], crossed)
            _add(totals, flat, block_size, s * np.int64(size), slices - s, size, stride, a, b, end_a, end_b)
        for c in range(out.shape[3]):
            at = c // CHANNELS * LANES + c % CHANNELS
            out[n, j, k, c] = (totals[at] + totals[at + CHANNELS]) * step[n]


@numba.njit(nogil=True, **OPTIONS)
def _adjoint_plane(x, blocks, start, count, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `count` images of `blocks` (block, image, j, k, 4), from `start` on, to a plane."""
    flat = blocks.reshape(-1)
    images = blocks.shape[1] - 1
    stride = np.int32(blocks.shape[3] * CHANNELS)
    size = np.int32(blocks.shape[2] * stride)
    block_size = blocks.shape[1] * np.int64(size)
    j_end, k_end = np.float32(blocks.shape[2] - 2), np.float32(blocks.shape[3] - 2)
    padded = -(-count // LANES) * LANES
    j_line, k_line = np.full(padded, -1, np.float32), np.full(padded, -1, np.float32)
    j_by_z, k_by_z = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    j_by_z[:count] = landing_j[3, start : start + count]
    k_by_z[:count] = landing_k[3, start : start + count]
    totals = np.empty(blocks.shape[0] * LANES, np.float32)
    for y in range(out.shape[1]):
        for n in range(count):
            j_line[n] = column(landing_j, start + n, x, y) + np.float32(1)
            k_line[n] = column(landing_k, start + n, x, y) + np.float32(1)
        for z in range(out.shape[2]):
            totals[:] = 0
            for n in range(0, count, LANES):
                j = position(load(j_line, n), load(j_by_z, n), np.float32(z))
                k = position(load(k_line, n), load(k_by_z, n), np.float32(z))
                base, last = (start + n) * np.int64(size), images - start - n
                _add(totals, flat, block_size, base, last, size, stride, j, k, j_end, k_end)
            for c in range(out.shape[3]):
                at = c // CHANNELS * LANES + c % CHANNELS
                out[x, y, z, c] += totals[at] + totals[at + CHANNELS]


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def forward_threaded(blocks, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `blocks` into the projections `numbers` of `out`, over all threads."""
    for row in numba.prange(len(numbers) * out.shape[1]):
        _forward_row(np.int64(row), blocks, numbers, first, second, step, out)


@numba.njit(nogil=True, **OPTIONS)
def forward_serial(blocks, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `blocks` into the projections `numbers` of `out`, in one thread."""
    for row in range(len(numbers) * out.shape[1]):
        _forward_row(row, blocks, numbers, first, second, step, out)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def adjoint_threaded(blocks, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `blocks` to `out`, over all threads."""
    images = blocks.shape[1] - 1
    at_once = images_at_once(blocks.nbytes // (images + 1))
    for start in range(0, images, at_once):
        count = min(at_once, images - start)
        for x in numba.prange(out.shape[0]):
            _adjoint_plane(np.int64(x), blocks, start, count, landing_j, landing_k, out)


@numba.njit(nogil=True, **OPTIONS)
def adjoint_serial(blocks, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `blocks` to `out`, in one thread."""
    images = blocks.shape[1] - 1
    at_once = images_at_once(blocks.nbytes // (images + 1))
    for start in range(0, images, at_once):
        count = min(at_once, images - start)
        for x in range(out.shape[0]):
            _adjoint_plane(x, blocks, start, count, landing_j, landing_k, out)
