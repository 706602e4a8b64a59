"""Forward, adjoint and spline kernels for CUDA devices, compiled by numba-cuda.

One thread a pixel, or a few voxels, of up to four channels, which it keeps in registers. Their
number is all that is fixed when a kernel is compiled. Threads that run together have neighbours along the
fastest axis, so that what they load lies side by side. The arithmetic of rays is that of the CPU's kernels.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import cuda, float32, int32, uint32, uint64

from .rays import bilinear, cubic, position, reach
from .splines import AFTER, BEFORE

THREADS = (32, 8)
"""Of a block: along the fastest axis (channels, then k or z) and along the next (j or y)."""

VOXELS = 4
"""Voxels that a thread of the adjoint works on, neighbours along x."""

MOST_HELD = 4
"""Channels that a thread keeps, at most."""

HELD = 64
"""Projections whose parameters a block of the adjoint holds at a time."""

LANDING = 8
"""Numbers that tell where voxels land: start, by_x, by_y and by_z along j and along k."""

numba.config.CUDA_LOW_OCCUPANCY_WARNINGS = False  # type: ignore[attr-defined]  # small scans are no fault of anybody's

_INSIDE = np.float32(0.01)  # voxels: more than what rounding may move a position by


def channels_held(channels: int) -> int:
    """Channels that a thread works on: the largest divisor of their number up to four."""
    return max(n for n in range(1, MOST_HELD + 1) if channels % n == 0)


@numba.njit(inline="always")
def parted(place):  # type: ignore[no-untyped-def]
    """The whole part of a place that is not negative, and the rest."""
    whole = int32(place)
    return uint32(whole), place - float32(whole)


@cache
def forward_kernel(channels: int) -> Any:
    """Line sums of volumes of so many channels.

    The kernel's arguments: voxels (x, y, z, channel) as one line, after them, if some slices lie across z,
    those in the order z, x, y, so that neighbours within a slice lie side by side; sides of the volume; rays
    (projection, 10): start, by_j, by_k and by_slice along both axes of a slice, the length of a step, the
    dominant axis; images (projection, j, k, channel) to fill.
    """
    held = channels_held(channels)
    groups, to_next = int32(channels // held), uint64(channels)

    @cuda.jit(fastmath=True)
    def forward(voxels, x, y, z, rays, out):  # type: ignore[no-untyped-def]
        i, j = cuda.grid(2)
        k, first, n = i // groups, i % groups * held, cuda.blockIdx.z
        if j >= out.shape[1] or k >= out.shape[2]:
            return
        ray = rays[n]
        main = int32(ray[9])
        slices, side_a, side_b, order = x, y, z, uint64(0)
        by_slice, by_a = uint64(uint32(y)) * uint64(uint32(z)) * to_next, uint32(z) * uint32(channels)
        if main == 1:
            slices, side_a = y, x
            by_slice, by_a = uint64(by_a), uint32(by_slice)
        elif main == 2:
            order = uint64(uint32(x)) * by_slice
            slices, side_a, side_b = z, x, y
            by_slice, by_a = uint64(uint32(x)) * uint64(uint32(y)) * to_next, uint32(y) * uint32(channels)
        slope_a, slope_b = ray[3], ray[7]
        start_a = position(position(ray[0], ray[1], float32(j)), ray[2], float32(k))
        start_b = position(position(ray[4], ray[5], float32(j)), ray[6], float32(k))
        end_a, end_b = float32(side_a), float32(side_b)
        low, high = reach(start_a, slope_a, float32(-1), end_a, 0, slices)
        low, high = reach(start_b, slope_b, float32(-1), end_b, low, high)
        # Of these slices, those where all four neighbours are voxels; none where a side has but one.
        near, far = reach(start_a, slope_a, _INSIDE, end_a - float32(1) - _INSIDE, low, high)
        near, far = reach(start_b, slope_b, _INSIDE, end_b - float32(1) - _INSIDE, near, far)
        near, far = near + 1, far - 1
        if near >= far or side_a < 2 or side_b < 2:
            near = far = high
        total = cuda.local.array(held, float32)
        for c in range(held):
            total[c] = float32(0)
        low, near, far, high = int32(low), int32(near), int32(far), int32(high)
        for part in range(2):
            for s in range(low if part == 0 else far, near if part == 0 else high):
                a, b = position(start_a, slope_a, float32(s)), position(start_b, slope_b, float32(s))
                ia, ib = int32(math.floor(a)), int32(math.floor(b))
                fa, fb = a - float32(ia), b - float32(ib)
                for corner in range(4):
                    va, vb = ia + corner // 2, ib + corner % 2
                    if 0 <= va < side_a and 0 <= vb < side_b:
                        weight_a = fa if corner // 2 else float32(1) - fa
                        weight_b = fb if corner % 2 else float32(1) - fb
                        at = order + uint64(s) * by_slice + uint64(va) * uint64(by_a) + uint64(vb) * to_next
                        for c in range(held):
                            total[c] += weight_a * weight_b * voxels[at + uint64(first + c)]
        s, place, base = near, float32(near), order + uint64(near) * by_slice + uint64(first)
        while s < far:
            a, b = position(start_a, slope_a, place), position(start_b, slope_b, place)
            (ia, fa), (ib, fb) = parted(a), parted(b)
            at = base + uint64(ia) * uint64(by_a) + uint64(ib) * to_next
            beyond = at + uint64(by_a)
            for c in range(held):
                here, there = at + uint64(c), beyond + uint64(c)
                total[c] += bilinear(
                    voxels[here], voxels[here + to_next], voxels[there], voxels[there + to_next], fa, fb
                )
            s += int32(1)
            place += float32(1)
            base += by_slice
        for c in range(held):
            out[n, j, k, first + c] = total[c] * ray[8]

    return forward


@cache
def adjoint_kernel(channels: int) -> Any:
    """Sums of what lands on images of so many channels.

    The kernel's arguments: pixels of images in a border of zeros, one before and two after, as one line;
    numbers of them from image to image and along j; sides of an image without border; where voxels land
    (projection, 8); the volume (x, y, z, channel) to add to.
    """
    held = channels_held(channels)
    groups, to_next = int32(channels // held), uint64(channels)

    @cuda.jit(fastmath=True)
    def adjoint(pixels, by_image, by_j, side_j, side_k, landing, out):  # type: ignore[no-untyped-def]
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
        image = uint64(first)
        for begin in range(0, landing.shape[0], HELD):
            count = int32(min(HELD, landing.shape[0] - begin))
            cuda.syncthreads()
            for at in range(thread, count * LANDING, threads):
                shared[at // LANDING, at % LANDING] = landing[begin + at // LANDING, at % LANDING]
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
                    at = image + uint64(ij) * uint64(by_j) + uint64(ik) * to_next
                    beyond = at + uint64(by_j)
                    for c in range(held):
                        here, there = at + uint64(c), beyond + uint64(c)
                        total[v, c] += bilinear(
                            pixels[here],
                            pixels[here + to_next],
                            pixels[there],
                            pixels[there + to_next],
                            fj,
                            fk,
                        )
                image += by_image
                n += int32(1)
        if y < out.shape[1] and z < out.shape[2]:
            for v in range(VOXELS):
                if x0 + v < out.shape[0]:
                    for c in range(held):
                        out[x0 + v, y, z, first + c] += total[v, c]

    return adjoint


@cache
def spline_kernel() -> Any:
    """Line sums of cubic splines; see `splines`.

    The kernel's arguments: coefficients (slice, a, b) in their border, as one line; sides of a slice with
    border; number of slices; rays (projection, 10) as above, but last a projection's number; images
    (projection, j, k) to add to.
    """

    @cuda.jit(fastmath=True)
    def reproject(coefficients, side_a, side_b, slices, rays, out):  # type: ignore[no-untyped-def]
        k, j = cuda.grid(2)
        if j >= out.shape[1] or k >= out.shape[2]:
            return
        ray = rays[cuda.blockIdx.z]
        slope_a, slope_b = ray[3], ray[7]
        start_a = position(position(ray[0] + float32(BEFORE - 1), ray[1], float32(j)), ray[2], float32(k))
        start_b = position(position(ray[4] + float32(BEFORE - 1), ray[5], float32(j)), ray[6], float32(k))
        end_a, end_b = float32(side_a - AFTER), float32(side_b - AFTER)
        low, high = reach(start_a, slope_a, float32(0), end_a, 0, slices)
        low, high = reach(start_b, slope_b, float32(0), end_b, low, high)
        by_a, by_slice = uint32(side_b), uint64(uint32(side_a)) * uint64(uint32(side_b))
        s, place, base, high = int32(low), float32(int32(low)), uint64(low) * by_slice, int32(high)
        total, lines = float32(0), cuda.local.array(4, float32)
        while s < high:
            a = min(max(position(start_a, slope_a, place), float32(0)), end_a)
            b = min(max(position(start_b, slope_b, place), float32(0)), end_b)
            (ia, fa), (ib, fb) = parted(a), parted(b)
            at = base + uint64(ia) * uint64(by_a) + uint64(ib)
            for line in range(4):
                lines[line] = cubic(
                    coefficients[at],
                    coefficients[at + uint64(1)],
                    coefficients[at + uint64(2)],
                    coefficients[at + uint64(3)],
                    fb,
                )
                at += uint64(by_a)
            total += cubic(lines[0], lines[1], lines[2], lines[3], fa)
            s += int32(1)
            place += float32(1)
            base += by_slice
        out[int32(ray[9]), j, k] += total * ray[8] / float32(36)

    return reproject
