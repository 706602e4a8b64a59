"""Forward, adjoint and spline kernels for CUDA devices, compiled by numba-cuda.

One thread a pixel, or a few voxels, of up to four channels, which it keeps in registers. Their
number is all that is fixed when a kernel is compiled. Threads that run together have neighbours along the
fastest axis, so that what they load lies side by side. The arithmetic of rays is that of the CPU's kernels.
Kernels take arrays as bare pointers: to take an array apart costs several times what it costs to start them.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
from numba import cuda, float32, int32, types, uint32, uint64

from .rays import bilinear, cubic, position, reach
from .splines import AFTER, BEFORE

THREADS = (32, 8)
"""Of a block: along the fastest axis (channels, then k or z) and along the next (j or y)."""

COMPILED = {"fastmath": True, "launch_bounds": (THREADS[0] * THREADS[1], 4)}
"""How kernels are compiled: with registers for many loads under way rather than for many threads, as what
takes time is to wait for loads; four blocks run on a multiprocessor at a time."""

VOXELS = 4
"""Voxels that a thread of the adjoint works on, neighbours along x."""

MOST_HELD = 4
"""Channels that a thread keeps, at most."""

HELD = 64
"""Projections whose parameters a block of the adjoint holds at a time."""

RAYS = 11
"""Numbers that tell of a projection's rays: start, by_j, by_k and by_slice along a, the same along b, the
length of a step, the projection's number, and how many pixels along j a thread is ahead of the one before."""

LANDING = 8
"""Numbers that tell where voxels land: start, by_x, by_y and by_z along j and along k."""

TOGETHER = 8
"""Projections whose rays a block of the forward kernels follows through some slices, one after the other."""

_Pointer = types.CPointer(float32)

FORWARD = (_Pointer, int32, int32, int32, int32, _Pointer, int32, _Pointer, int32, int32)
"""Arguments of the kernels that sum along rays: slices (slice, a, b, channel) in their border, sides of
it, the number of the first slice and the one after the last; rays (projection, 11), how many; images
(projection, j, k, channel) to add to, sides of them."""

ADJOINT = (_Pointer, uint32, uint32, int32, int32, _Pointer, int32, _Pointer, int32, int32, int32)
"""Arguments of the adjoint: pixels of images in a border of zeros, one before and two after, numbers of
them from image to image and along j, sides of an image without border; where voxels land (projection, 8),
on how many projections; the volume (x, y, z, channel) to add to, its sides."""

BORDER = 2
"""Zeros around a slice of the forward kernel: what a ray may read that enters or leaves it, and rounding."""

numba.config.CUDA_LOW_OCCUPANCY_WARNINGS = False  # type: ignore[attr-defined]  # small scans are no fault of anybody's


def channels_held(channels: int) -> int:
    """Channels that a thread works on: the largest divisor of their number up to four."""
    return max(n for n in range(1, MOST_HELD + 1) if channels % n == 0)


@numba.njit(inline="always")
def parted(place):  # type: ignore[no-untyped-def]
    """The whole part of a place that is not negative, and the rest."""
    whole = int32(place)
    return uint32(whole), place - float32(whole)


@numba.njit(inline="always")
def leaning(upright, lean, lane, side_j):  # type: ignore[no-untyped-def]
    """The j of a thread, so many lanes from the first of its row, in an image whose ends meet."""
    j = int32(upright + int32(math.floor(lean * float32(lane))))
    j = int32(j + side_j) if j < 0 else j
    return int32(j - side_j) if j >= side_j else j


@cache
def compiled(kernel: Any, arguments: tuple[Any, ...]) -> Any:
    """A kernel for the devices of this process."""
    options = {} if numba.config.ENABLE_CUDASIM else COMPILED  # type: ignore[attr-defined]
    return cuda.jit(types.void(*arguments), **options)(kernel)


@cache
def forward_kernel(channels: int) -> Any:
    """Line sums of slices of so many channels; its arguments are `FORWARD`."""
    held = channels_held(channels)
    groups, to_next = int32(channels // held), uint64(channels)

    def forward(slices, side_a, side_b, begin, end, rays, count, out, side_j, side_k):  # type: ignore[no-untyped-def]
        i, upright = cuda.grid(2)
        i, upright, lane = int32(i), int32(upright), int32(cuda.threadIdx.x // groups)
        k, first = int32(i // groups), uint32(i % groups * held)
        if upright >= side_j or k >= side_k:
            return
        along_k, border = float32(k), float32(BORDER)
        by_j = uint32(uint32(side_k) * uint32(channels))
        by_image = uint32(uint32(side_j) * by_j)
        end_a, end_b = float32(int32(side_a - 2 * BORDER)), float32(int32(side_b - 2 * BORDER))
        from_begin, to_end = float32(begin), float32(end)
        by_a = uint32(uint32(side_b) * uint32(channels))
        by_slice = uint32(uint32(side_a) * by_a)
        total = cuda.local.array(held, float32)
        n = int32(cuda.blockIdx.z * TOGETHER)
        last = int32(min(int32(n + TOGETHER), count))
        while n < last:
            ray = int32(n * RAYS)
            j = leaning(upright, rays[ray + 10], lane, side_j)
            along_j = float32(j)
            start_a = position(position(rays[ray], rays[ray + 1], along_j), rays[ray + 2], along_k)
            start_b = position(position(rays[ray + 4], rays[ray + 5], along_j), rays[ray + 6], along_k)
            slope_a, slope_b = rays[ray + 3], rays[ray + 7]
            low, high = reach(start_a, slope_a, float32(-1), end_a, from_begin, to_end)
            low, high = reach(start_b, slope_b, float32(-1), end_b, low, high)
            s, end_s = int32(math.ceil(min(low, to_end))), int32(max(high, from_begin))
            if s < end_s:
                start_a, start_b = start_a + border, start_b + border
                for c in range(held):
                    total[c] = float32(0)
                place, base = float32(s), uint32(uint32(int32(s - begin)) * by_slice + first)
                while s < end_s:
                    a, b = position(start_a, slope_a, place), position(start_b, slope_b, place)
                    (ia, fa), (ib, fb) = parted(a), parted(b)
                    at = uint32(base + ia * by_a + ib * uint32(channels))
                    here, there = uint64(at), uint64(uint32(at + by_a))
                    for c in range(held):
                        near, near_b = slices[here], slices[here + to_next]
                        far, far_b = slices[there], slices[there + to_next]
                        total[c] += bilinear(near, near_b, far, far_b, fa, fb)
                        here, there = here + uint64(1), there + uint64(1)
                    s = int32(s + int32(1))
                    place += float32(1)
                    base = uint32(base + by_slice)
                pixel = uint32(uint32(j) * by_j + uint32(uint32(k) * uint32(channels)) + first)
                at_image = uint64(uint32(int32(rays[ray + 9]))) * uint64(by_image)
                for c in range(held):
                    out[at_image + uint64(pixel) + uint64(c)] += total[c] * rays[ray + 8]
            n = int32(n + int32(1))

    return forward


@cache
def adjoint_kernel(channels: int) -> Any:
    """Sums of what lands on images of so many channels; its arguments are `ADJOINT`."""
    held = channels_held(channels)
    groups, to_next = int32(channels // held), uint64(channels)

    def adjoint(pixels, by_image, by_j, side_j, side_k, landing, projections, out, side_x, side_y, side_z):  # type: ignore[no-untyped-def]
        shared = cuda.shared.array((HELD, LANDING), float32)
        total = cuda.local.array((VOXELS, held), float32)
        for v in range(VOXELS):
            for c in range(held):
                total[v, c] = float32(0)
        i, y = cuda.grid(2)
        z, first, x0 = i // groups, i % groups * held, cuda.blockIdx.z * VOXELS
        along_x, along_y, along_z = float32(int32(x0)), float32(int32(y)), float32(int32(z))
        end_j, end_k = float32(side_j + 1), float32(side_k + 1)
        thread = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        threads = cuda.blockDim.x * cuda.blockDim.y
        image = uint32(first)
        for begin in range(0, projections, HELD):
            count = int32(min(HELD, projections - begin))
            cuda.syncthreads()
            for at in range(thread, count * LANDING, threads):
                shared[at // LANDING, at % LANDING] = landing[begin * LANDING + at]
            cuda.syncthreads()
            n = int32(0)
            while n < count:
                j0 = position(position(shared[n, 0], shared[n, 2], along_y), shared[n, 3], along_z)
                k0 = position(position(shared[n, 4], shared[n, 6], along_y), shared[n, 7], along_z)
                j0, k0 = j0 + float32(1), k0 + float32(1)
                for v in range(VOXELS):
                    x = along_x + float32(v)
                    j = min(max(position(j0, shared[n, 1], x), float32(0)), end_j)
                    k = min(max(position(k0, shared[n, 5], x), float32(0)), end_k)
                    (ij, fj), (ik, fk) = parted(j), parted(k)
                    at = uint32(image + ij * by_j + ik * uint32(channels))
                    here, there = uint64(at), uint64(uint32(at + by_j))
                    for c in range(held):
                        total[v, c] += bilinear(
                            pixels[here],
                            pixels[here + to_next],
                            pixels[there],
                            pixels[there + to_next],
                            fj,
                            fk,
                        )
                        here, there = here + uint64(1), there + uint64(1)
                image = uint32(image + by_image)
                n += int32(1)
        if y < side_y and z < side_z:
            for v in range(VOXELS):
                if x0 + v < side_x:
                    row = (uint64(x0 + v) * uint64(side_y) + uint64(y)) * uint64(side_z)
                    voxel = (row + uint64(z)) * to_next + uint64(first)
                    for c in range(held):
                        out[voxel + uint64(c)] += total[v, c]

    return adjoint


@cache
def spline_kernel() -> Any:
    """Line sums of cubic splines; see `splines`.

    Its arguments are `FORWARD`, of one channel, with coefficients in the border of `splines` for voxels.
    """

    def reproject(coefficients, side_a, side_b, begin, end, rays, count, out, side_j, side_k):  # type: ignore[no-untyped-def]
        k, upright = cuda.grid(2)
        k, upright, lane = int32(k), int32(upright), int32(cuda.threadIdx.x)
        if upright >= side_j or k >= side_k:
            return
        along_k, before = float32(k), float32(BEFORE - 1)
        by_image = uint32(uint32(side_j) * uint32(side_k))
        end_a, end_b = float32(int32(side_a - AFTER)), float32(int32(side_b - AFTER))
        from_begin, to_end = float32(begin), float32(end)
        by_a = uint32(side_b)
        by_slice = uint32(uint32(side_a) * by_a)
        lines = cuda.local.array(4, float32)
        n = int32(cuda.blockIdx.z * TOGETHER)
        last = int32(min(int32(n + TOGETHER), count))
        while n < last:
            ray = int32(n * RAYS)
            j = leaning(upright, rays[ray + 10], lane, side_j)
            along_j = float32(j)
            start_a = position(position(rays[ray], rays[ray + 1], along_j), rays[ray + 2], along_k)
            start_b = position(position(rays[ray + 4], rays[ray + 5], along_j), rays[ray + 6], along_k)
            slope_a, slope_b = rays[ray + 3], rays[ray + 7]
            start_a, start_b = start_a + before, start_b + before
            low, high = reach(start_a, slope_a, float32(0), end_a, from_begin, to_end)
            low, high = reach(start_b, slope_b, float32(0), end_b, low, high)
            s, end_s = int32(math.ceil(min(low, to_end))), int32(max(high, from_begin))
            if s < end_s:
                total, place = float32(0), float32(s)
                base = uint32(uint32(int32(s - begin)) * by_slice)
                while s < end_s:
                    a = min(max(position(start_a, slope_a, place), float32(0)), end_a)
                    b = min(max(position(start_b, slope_b, place), float32(0)), end_b)
                    (ia, fa), (ib, fb) = parted(a), parted(b)
                    at = uint32(base + ia * by_a + ib)
                    for line in range(4):
                        here = uint64(at)
                        lines[line] = cubic(
                            coefficients[here],
                            coefficients[here + uint64(1)],
                            coefficients[here + uint64(2)],
                            coefficients[here + uint64(3)],
                            fb,
                        )
                        at = uint32(at + by_a)
                    total += cubic(lines[0], lines[1], lines[2], lines[3], fa)
                    s = int32(s + int32(1))
                    place += float32(1)
                    base = uint32(base + by_slice)
                pixel = uint32(uint32(j) * uint32(side_k) + uint32(k))
                at_image = uint64(uint32(int32(rays[ray + 9]))) * uint64(by_image)
                out[at_image + uint64(pixel)] += total * rays[ray + 8] / float32(36)
            n = int32(n + int32(1))

    return reproject
