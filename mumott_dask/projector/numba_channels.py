"""Forward and adjoint kernels on NumPy arrays of several channels, compiled by numba.

Like `numba_cpu`, but a lane is a sample of one ray or one voxel: its place and weights are computed once for
all channels, which lie in blocks of four (`layout.blocks`).
"""

from __future__ import annotations

import numba
import numpy as np

from .compiling import OPTIONS
from .lanes import LANES, as_floats, clamped, counting, load, store, whole, with_blocks
from .layout import CHANNELS
from .numba_cpu import CACHED
from .rays import position, reach

TILE = 8
"""Rows of rays that a forward kernel takes at a time; columns of voxels, in x and y, in an adjoint one."""

SLAB = 8 * 2**20
"""Bytes of the volume that are laid out for a forward kernel at a time: less than the last cache of most."""


@numba.njit(inline="always")
def _place(n, image, size, a, b, end_a, end_b, stride, at, fractions):  # type: ignore[no-untyped-def]
    """Note as number n where to find the corners of samples at (a, b), each in another image."""
    a, b = clamped(a, np.float32(0), end_a), clamped(b, np.float32(0), end_b)
    ia, ib = whole(a), whole(b)
    store(at, n * LANES, image * size + (ia * stride + ib * np.int32(CHANNELS)))
    store(fractions[0], n * LANES, a - as_floats(ia))
    store(fractions[1], n * LANES, b - as_floats(ib))


@numba.njit(inline="always")
def _images(last):  # type: ignore[no-untyped-def]
    """0, 1, 2, ... but at most `last`: the image of zeros."""
    return whole(clamped(counting(), np.float32(0), np.float32(last)))


@numba.njit(inline="always")
def _add(n, totals, flat, base, block_size, stride, at, fractions):  # type: ignore[no-untyped-def]
    """Add the samples noted as number n to the totals, (block, lane), of all channels."""
    fa, fb = load(fractions[0], n * LANES), load(fractions[1], n * LANES)
    for block in range(len(totals) // LANES):
        total = load(totals, block * LANES)
        total = with_blocks(total, flat, base + block * block_size, at, n * LANES, stride, fa, fb)
        store(totals, block * LANES, total)


@numba.njit(nogil=True, **OPTIONS)
def _forward_rows(tile, blocks, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `blocks` (block, slice, a, b, 4) along some rows of the projections `numbers` of `out`.

    They are added to those of the slices before, if there are any: `begin` is the number of the first here.
    Some slices at a time for all rays of the tile: neighbours read the same voxels while they are at hand.
    """
    flat = blocks.reshape(-1)
    stride = np.int32(blocks.shape[3] * CHANNELS)
    size = np.int32(blocks.shape[2] * stride)
    block_size = blocks.shape[1] * np.int64(size)
    end_a, end_b = np.float32(blocks.shape[2] - 2), np.float32(blocks.shape[3] - 2)
    columns, across = out.shape[2], tiles_across(out.shape[1])
    n, j0, slices = numbers[tile // across], tile % across * TILE, blocks.shape[1] - 1
    rays = min(TILE, out.shape[1] - j0) * columns
    starts, within = np.empty((2, rays), np.float32), np.empty((2, rays), np.int64)
    at, fractions = np.empty(columns * LANES, np.int32), np.empty((2, columns * LANES), np.float32)
    crossing = np.empty(columns, np.int64)
    totals = np.zeros((rays, blocks.shape[0] * LANES), np.float32)
    for ray in range(rays):
        j, k = np.float32(j0 + ray // columns), np.float32(ray % columns)
        a0 = position(position(first[n, 0] + np.float32(1), first[n, 1], j), first[n, 2], k)
        b0 = position(position(second[n, 0] + np.float32(1), second[n, 1], j), second[n, 2], k)
        low, high = reach(a0, first[n, 3], np.float32(0), end_a, 0, slices)
        low, high = reach(b0, second[n, 3], np.float32(0), end_b, low, high)
        starts[0, ray], starts[1, ray], within[0, ray], within[1, ray] = a0, b0, low, high
    for s in range(0, slices, LANES):
        places, images = counting() + np.float32(s), _images(slices - s)
        for row in range(0, rays, columns):
            count = 0
            for ray in range(row, row + columns):
                if within[0, ray] < s + LANES and s < within[1, ray]:
                    a = position(starts[0, ray], first[n, 3], places)
                    b = position(starts[1, ray], second[n, 3], places)
                    _place(count, images, size, a, b, end_a, end_b, stride, at, fractions)
                    crossing[count] = ray
                    count += 1
            for i in range(count):
                _add(i, totals[crossing[i]], flat, s * np.int64(size), block_size, stride, at, fractions)
    for ray in range(rays):
        for c in range(out.shape[3]):
            place = c // CHANNELS * LANES + c % CHANNELS
            total = totals[ray, place] + totals[ray, place + CHANNELS]
            before = out[n, j0 + ray // columns, ray % columns, c] if begin else np.float32(0)
            out[n, j0 + ray // columns, ray % columns, c] = before + total * step[n]


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
    heights = out.shape[2]
    at, fractions = np.empty(heights * LANES, np.int32), np.empty((2, heights * LANES), np.float32)
    totals = np.empty((heights, blocks.shape[0] * LANES), np.float32)
    across = tiles_across(out.shape[1])
    x0, y0 = tile // across * TILE, tile % across * TILE
    at_once = max(1, CACHED // (2 * TILE * 4 * stride * blocks.shape[0]) // LANES) * LANES
    for start in range(0, images, at_once):
        for column in range(TILE * TILE):
            x, y = x0 + column // TILE, y0 + column % TILE
            if x >= out.shape[0] or y >= out.shape[1]:
                continue
            totals[:] = 0
            for n in range(start, min(start + at_once, images), LANES):
                j_line, k_line = column_of_lanes(landing_j, n, x, y), column_of_lanes(landing_k, n, x, y)
                j_by_z, k_by_z = load(landing_j[3], n), load(landing_k[3], n)
                here = _images(images - n)
                for z in range(heights):
                    j = position(j_line, j_by_z, np.float32(z)) + np.float32(1)
                    k = position(k_line, k_by_z, np.float32(z)) + np.float32(1)
                    _place(z, here, size, j, k, j_end, k_end, stride, at, fractions)
                for z in range(heights):
                    _add(z, totals[z], flat, n * np.int64(size), block_size, stride, at, fractions)
            for z in range(heights):
                for c in range(out.shape[3]):
                    place = c // CHANNELS * LANES + c % CHANNELS
                    out[x, y, z, c] += totals[z, place] + totals[z, place + CHANNELS]


@numba.njit(inline="always")
def column_of_lanes(landing, n, x, y):  # type: ignore[no-untyped-def]
    """Where voxel (x, y, 0) lands on projection n and those after it, along one axis of the detector."""
    along_x = position(load(landing[0], n), load(landing[1], n), np.float32(x))
    return position(along_x, load(landing[2], n), np.float32(y))


@numba.njit(inline="always")
def tiles_across(side):  # type: ignore[no-untyped-def]
    """Tiles along a side of the volume."""
    return -(-side // TILE)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def forward_threaded(blocks, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `blocks` into the projections `numbers` of `out`, on all threads; see `_forward_rows`."""
    for tile in numba.prange(len(numbers) * tiles_across(out.shape[1])):
        _forward_rows(np.int64(tile), blocks, begin, numbers, first, second, step, out)


@numba.njit(nogil=True, **OPTIONS)
def forward_serial(blocks, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `blocks` into the projections `numbers` of `out`, in one thread; see `_forward_rows`."""
    for tile in range(len(numbers) * tiles_across(out.shape[1])):
        _forward_rows(tile, blocks, begin, numbers, first, second, step, out)


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
