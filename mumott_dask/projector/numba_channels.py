"""Forward and adjoint kernels on NumPy arrays of several channels, compiled by numba.

Like `numba_cpu`, but a lane is a sample of one ray or one voxel: its place and weights are computed once for
all channels, which lie in blocks of four (`layout.blocks`).
"""

from __future__ import annotations

import numba
import numpy as np

from .lanes import LANES, as_floats, clamped, counting, load, store, whole, with_blocks
from .layout import CHANNELS
from .numba_cpu import CACHED, OPTIONS
from .rays import position, reach

TILE = 8
"""Rows of rays that a forward kernel takes at a time; columns of voxels, in x and y, in an adjoint one."""

SLAB = 8 * 2**20
"""Bytes of the volume that a forward kernel takes at a time: less than the last cache of most machines."""


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
def _forward_rows(tile, blocks, slab, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Add the line sums of `blocks` (block, slice, a, b, 4) within a slab along some rows of rays to `out`.

    Some slices at a time for all rays of the tile: neighbours read the same voxels while they are at hand.
    """
    flat = blocks.reshape(-1)
    slices = blocks.shape[1] - 1
    stride = np.int32(blocks.shape[3] * CHANNELS)
    size = np.int32(blocks.shape[2] * stride)
    block_size = blocks.shape[1] * np.int64(size)
    end_a, end_b = np.float32(blocks.shape[2] - 2), np.float32(blocks.shape[3] - 2)
    columns, across = out.shape[2], tiles_across(out.shape[1])
    n, j0 = numbers[tile // across], tile % across * TILE
    rays = min(TILE, out.shape[1] - j0) * columns
    starts, within = np.empty((2, rays), np.float32), np.empty((2, rays), np.int64)
    totals = np.zeros((rays, blocks.shape[0] * LANES), np.float32)
    for ray in range(rays):
        j, k = np.float32(j0 + ray // columns), np.float32(ray % columns)
        a0 = position(position(first[n, 0] + np.float32(1), first[n, 1], j), first[n, 2], k)
        b0 = position(position(second[n, 0] + np.float32(1), second[n, 1], j), second[n, 2], k)
        low, high = reach(a0, first[n, 3], np.float32(0), end_a, slab[0], slab[1])
        low, high = reach(b0, second[n, 3], np.float32(0), end_b, low, high)
        starts[0, ray], starts[1, ray], within[0, ray], within[1, ray] = a0, b0, low, high
    for s in range(slab[0], slab[1], LANES):
        crossed, base, last = counting() + np.float32(s), s * np.int64(size), slices - s
        for ray in range(rays):
            if within[0, ray] < s + LANES and s < within[1, ray]:
                a = position(starts[0, ray], first[n, 3], crossed)
                b = position(starts[1, ray], second[n, 3], crossed)
                _add(totals[ray], flat, block_size, base, last, size, stride, a, b, end_a, end_b)
    for ray in range(rays):
        for c in range(out.shape[3]):
            at = c // CHANNELS * LANES + c % CHANNELS
            total = totals[ray, at] + totals[ray, at + CHANNELS]
            out[n, j0 + ray // columns, ray % columns, c] += total * step[n]


@numba.njit(nogil=True, **OPTIONS)
def _adjoint_tile(tile, blocks, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `blocks` (block, image, j, k, 4) to one tile of columns of `out` (x, y, z, channel).

    Some images at a time for all voxels of the tile: neighbours land on the same pixels while they are at
    hand. Landing parameters beyond the last image move all into the border.
    """
    flat = blocks.reshape(-1)
    images = blocks.shape[1] - 1
    stride = np.int32(blocks.shape[3] * CHANNELS)
    size = np.int32(blocks.shape[2] * stride)
    block_size = blocks.shape[1] * np.int64(size)
    j_end, k_end = np.float32(blocks.shape[2] - 2), np.float32(blocks.shape[3] - 2)
    totals = np.empty(blocks.shape[0] * LANES, np.float32)
    across = tiles_across(out.shape[1])
    x0, y0 = tile // across * TILE, tile % across * TILE
    at_once = max(1, CACHED // (2 * TILE * 4 * stride * blocks.shape[0]) // LANES) * LANES
    j_line, k_line = np.empty(at_once, np.float32), np.empty(at_once, np.float32)
    for start in range(0, images, at_once):
        count = min(at_once, images - start)
        for column in range(TILE * TILE):
            x, y = x0 + column // TILE, y0 + column % TILE
            if x >= out.shape[0] or y >= out.shape[1]:
                continue
            for n in range(0, count, LANES):
                store(j_line, n, column_of_lanes(landing_j, start + n, x, y) + np.float32(1))
                store(k_line, n, column_of_lanes(landing_k, start + n, x, y) + np.float32(1))
            for z in range(out.shape[2]):
                totals[:] = 0
                for n in range(0, count, LANES):
                    j = position(load(j_line, n), load(landing_j[3], start + n), np.float32(z))
                    k = position(load(k_line, n), load(landing_k[3], start + n), np.float32(z))
                    base, last = (start + n) * np.int64(size), images - start - n
                    _add(totals, flat, block_size, base, last, size, stride, j, k, j_end, k_end)
                for c in range(out.shape[3]):
                    at = c // CHANNELS * LANES + c % CHANNELS
                    out[x, y, z, c] += totals[at] + totals[at + CHANNELS]


@numba.njit(inline="always")
def column_of_lanes(landing, n, x, y):  # type: ignore[no-untyped-def]
    """Where voxel (x, y, 0) lands on projection n and those after it, along one axis of the detector."""
    along_x = position(load(landing[0], n), load(landing[1], n), np.float32(x))
    return position(along_x, load(landing[2], n), np.float32(y))


@numba.njit(inline="always")
def tiles_across(side):  # type: ignore[no-untyped-def]
    """Tiles along a side of the volume."""
    return -(-side // TILE)


@numba.njit(inline="always")
def slabs(blocks):  # type: ignore[no-untyped-def]
    """Ranges of slices that all projections run through while they are at hand, (slab, 2)."""
    slices = blocks.shape[1] - 1
    thick = max(1, SLAB // (blocks.nbytes // blocks.shape[1]) // LANES) * LANES
    starts = np.arange(0, slices, thick)
    return np.stack((starts, np.minimum(starts + thick, slices)), axis=1)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def forward_threaded(blocks, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Add the line sums of `blocks` to the projections `numbers` of `out`, over all threads."""
    for slab in slabs(blocks):
        for tile in numba.prange(len(numbers) * tiles_across(out.shape[1])):
            _forward_rows(np.int64(tile), blocks, slab, numbers, first, second, step, out)


@numba.njit(nogil=True, **OPTIONS)
def forward_serial(blocks, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Add the line sums of `blocks` to the projections `numbers` of `out`, in one thread."""
    for slab in slabs(blocks):
        for tile in range(len(numbers) * tiles_across(out.shape[1])):
            _forward_rows(tile, blocks, slab, numbers, first, second, step, out)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def adjoint_threaded(blocks, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `blocks` to `out`, over all threads."""
    for tile in numba.prange(tiles_across(out.shape[0]) * tiles_across(out.shape[1])):
        _adjoint_tile(np.int64(tile), blocks, landing_j, landing_k, out)


@numba.njit(nogil=True, **OPTIONS)
def adjoint_serial(blocks, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on `blocks` to `out`, in one thread."""
    for tile in range(tiles_across(out.shape[0]) * tiles_across(out.shape[1])):
        _adjoint_tile(tile, blocks, landing_j, landing_k, out)
