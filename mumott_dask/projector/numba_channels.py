"""Forward and adjoint kernels on NumPy arrays of several channels, compiled by numba.

Like `numba_cpu`, but a lane is a sample of one ray or one voxel: its place and weights are computed once for
all channels that lie together (`layout.groups`): blocks of eight, or of four where there are no more.
"""

from __future__ import annotations

import numba
import numpy as np

from .compiling import OPTIONS
from .lanes import (
    LANES,
    add_block,
    add_few,
    add_four_blocks,
    add_three_blocks,
    add_two_blocks,
    as_floats,
    clamped,
    counting,
    load,
    store,
    whole,
)
from .layout import CHANNELS, FEW
from .numba_cpu import CACHED
from .rays import position, reach

TILE = 8
"""Rows of rays that a forward kernel takes at a time; columns of voxels, in x and y, in an adjoint one."""

LAID_OUT = 8 * 2**20
"""Bytes of these channels of projections that are laid out for an adjoint kernel at a time."""

SLAB = 16 * 2**20
"""Bytes of the volume that are laid out for a forward kernel at a time: it adds to images once for each."""


@numba.njit(inline="always")
def _place(n, image, size, a, b, end_a, end_b, stride, width, at, fractions):  # type: ignore[no-untyped-def]
    """Note as number n where to find the corners of samples at (a, b), each in another image."""
    a, b = clamped(a, np.float32(0), end_a), clamped(b, np.float32(0), end_b)
    ia, ib = whole(a), whole(b)
    store(at, n * LANES, image * size + (ia * stride + ib * width))
    store(fractions[0], n * LANES, a - as_floats(ia))
    store(fractions[1], n * LANES, b - as_floats(ib))


@numba.njit(inline="always")
def _images(last):  # type: ignore[no-untyped-def]
    """0, 1, 2, ... but at most `last`: the image of zeros."""
    return whole(clamped(counting(), np.float32(0), np.float32(last)))


@numba.njit(inline="always")
def _add(n, totals, t, count, width, flat, base, stride, at, fractions):  # type: ignore[no-untyped-def]
    """Add the samples noted as number n to the totals of `count` blocks, from ``totals[t]`` on."""
    fa, fb, place = load(fractions[0], n * LANES), load(fractions[1], n * LANES), n * LANES
    if width == FEW:
        add_few(totals, t, flat, base, at, place, stride, fa, fb)
    elif count == 4:
        add_four_blocks(totals, t, flat, base, at, place, stride, fa, fb)
    elif count == 3:
        add_three_blocks(totals, t, flat, base, at, place, stride, fa, fb)
    elif count == 2:
        add_two_blocks(totals, t, flat, base, at, place, stride, fa, fb)
    else:
        add_block(totals, t, flat, base, at, place, stride, fa, fb)


@numba.njit(inline="always")
def _write(sums, place, channels, totals, t, count, width, scale, begin):  # type: ignore[no-untyped-def]
    """Put the totals of `count` blocks, from ``totals[t]`` on, into `channels` of ``sums[place]`` and on.

    They are scaled, and added to what is there unless these are the first.
    """
    for block in range(count):
        near, here, left = t + block * 2 * width, place + block * width, channels - block * width
        if width == LANES and left >= LANES:
            total = (load(totals, near) + load(totals, near + width)) * scale
            store(sums, here, load(sums, here) + total if begin else total)
        else:
            for c in range(min(left, width)):
                before = sums[here + c] if begin else np.float32(0)
                sums[here + c] = before + (totals[near + c] + totals[near + width + c]) * scale


@numba.njit(nogil=True, **OPTIONS)
def _forward_rows(tile, group, channel, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of a group (slice, a, b, channel) along some rows of projections `numbers` of `out`.

    They are added to those of the slices before, if there are any: `begin` is the number of the first here.
    Some slices at a time for all rays of the tile: neighbours read the same voxels while they are at hand.
    """
    flat, pixel = group.reshape(-1), np.int32(group.shape[3])
    width = min(group.shape[3], CHANNELS)
    stride = np.int32(group.shape[2] * pixel)
    size = np.int32(group.shape[1] * stride)
    end_a, end_b = np.float32(group.shape[1] - 2), np.float32(group.shape[2] - 2)
    columns, across = out.shape[2], tiles_across(out.shape[1])
    n, j0, slices = numbers[tile // across], tile % across * TILE, len(group) - 1
    rays = min(TILE, out.shape[1] - j0) * columns
    starts, within = np.empty((2, rays), np.float32), np.empty((2, rays), np.int64)
    at, fractions = np.empty(columns * LANES, np.int32), np.empty((2, columns * LANES), np.float32)
    crossing = np.empty(columns, np.int64)
    count, span = pixel // width, 2 * pixel
    totals = np.zeros(rays * span, np.float32)
    for ray in range(rays):
        j, k = np.float32(j0 + ray // columns), np.float32(ray % columns)
        a0 = position(position(first[n, 0] + np.float32(1), first[n, 1], j), first[n, 2], k)
        b0 = position(position(second[n, 0] + np.float32(1), second[n, 1], j), second[n, 2], k)
        low, high = reach(a0, first[n, 3], np.float32(0), end_a, np.float32(0), np.float32(slices))
        low, high = reach(b0, second[n, 3], np.float32(0), end_b, low, high)
        starts[0, ray], starts[1, ray], within[0, ray], within[1, ray] = a0, b0, int(low), int(high)
    for s in range(0, slices, LANES):
        places, images = counting() + np.float32(s), _images(slices - s)
        for row in range(0, rays, columns):
            seen = 0
            for ray in range(row, row + columns):
                if within[0, ray] < s + LANES and s < within[1, ray]:
                    a = position(starts[0, ray], first[n, 3], places)
                    b = position(starts[1, ray], second[n, 3], places)
                    _place(seen, images, size, a, b, end_a, end_b, stride, pixel, at, fractions)
                    crossing[seen] = ray
                    seen += 1
            for i in range(seen):
                t, base = crossing[i] * span, s * np.int64(size)
                _add(i, totals, t, count, width, flat, base, stride, at, fractions)
    sums, channels = out.reshape(-1), out.shape[3]
    first_pixel = (n * out.shape[1] + j0) * np.int64(columns)
    for ray in range(rays):
        place, t = (first_pixel + ray) * channels + channel, ray * span
        _write(sums, place, channels - channel, totals, t, count, width, step[n], begin)


@numba.njit(nogil=True, **OPTIONS)
def _adjoint_tile(tile, group, channel, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on a group (image, j, k, channel) to a tile of columns of `out`.

    Some images at a time for all voxels of the tile: neighbours land on the same pixels while they are at
    hand. Landing parameters beyond the last image move all into the border.
    """
    flat, pixel = group.reshape(-1), np.int32(group.shape[3])
    images, width = len(group) - 1, min(group.shape[3], CHANNELS)
    stride = np.int32(group.shape[2] * pixel)
    size = np.int32(group.shape[1] * stride)
    j_end, k_end = np.float32(group.shape[1] - 2), np.float32(group.shape[2] - 2)
    heights, channels, sums = out.shape[2], out.shape[3], out.reshape(-1)
    at, fractions = np.empty(heights * LANES, np.int32), np.empty((2, heights * LANES), np.float32)
    count, span = pixel // width, 2 * pixel
    totals = np.empty(heights * span, np.float32)
    across = tiles_across(out.shape[1])
    x0, y0 = tile // across * TILE, tile % across * TILE
    # A little more than stay at hand: every pass over the tile costs as much as some images.
    at_once = int(max(1, CACHED // (TILE // 2 * 4 * int(stride)) // LANES)) * LANES
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
                    _place(z, here, size, j, k, j_end, k_end, stride, pixel, at, fractions)
                for z in range(heights):
                    base = n * np.int64(size)
                    _add(z, totals, z * span, count, width, flat, base, stride, at, fractions)
            voxel = (x * out.shape[1] + y) * np.int64(heights)
            for z in range(heights):
                place, t = (voxel + z) * channels + channel, z * span
                _write(sums, place, channels - channel, totals, t, count, width, np.float32(1), 1)


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
def forward_threaded(group, channel, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of a group into the projections `numbers` of `out`, on all threads; see `_forward_rows`."""
    for tile in numba.prange(len(numbers) * tiles_across(out.shape[1])):
        _forward_rows(np.int64(tile), group, channel, begin, numbers, first, second, step, out)


@numba.njit(nogil=True, **OPTIONS)
def forward_serial(group, channel, begin, numbers, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of a group into the projections `numbers` of `out`, in one thread; see `_forward_rows`."""
    for tile in range(len(numbers) * tiles_across(out.shape[1])):
        _forward_rows(tile, group, channel, begin, numbers, first, second, step, out)


@numba.njit(parallel=True, nogil=True, **OPTIONS)
def adjoint_threaded(group, channel, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on a group to `out`, from its first channel on, over all threads."""
    for tile in numba.prange(tiles_across(out.shape[0]) * tiles_across(out.shape[1])):
        _adjoint_tile(np.int64(tile), group, channel, landing_j, landing_k, out)


@numba.njit(nogil=True, **OPTIONS)
def adjoint_serial(group, channel, landing_j, landing_k, out):  # type: ignore[no-untyped-def]
    """Add what lands on a group to `out`, from its first channel on, in one thread."""
    for tile in range(tiles_across(out.shape[0]) * tiles_across(out.shape[1])):
        _adjoint_tile(tile, group, channel, landing_j, landing_k, out)
