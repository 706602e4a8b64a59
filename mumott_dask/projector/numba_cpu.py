"""Forward and adjoint kernels on NumPy arrays, compiled by numba.

Each kernel exists twice from one source: over all threads of numba, for a process that has the machine to
itself, and in one thread without the interpreter's lock, for a task on a Dask worker.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .rays import position, reach

ADJOINT_BATCH = 64
"""Projections that one call of an adjoint kernel sums over: what a voxel touches stays in the cache."""


@numba.njit(inline="always")
def _guarded(flat, base, row, stride_a, stride_b, a, b, side_a, side_b):  # type: ignore[no-untyped-def]
    """Bilinear value at (a, b), zero outside: for the few samples at an edge."""
    ia, ib = int(np.floor(a)), int(np.floor(b))
    fa, fb = a - np.float32(ia), b - np.float32(ib)
    total = np.float32(0)
    for da in range(2):
        for db in range(2):
            if 0 <= ia + da < side_a and 0 <= ib + db < side_b:
                weight = (fa if da else np.float32(1) - fa) * (fb if db else np.float32(1) - fb)
                total += weight * flat[base + (ia + da) * stride_a + (ib + db) * stride_b + row]
    return total


@numba.njit(inline="always")
def _bilinear(flat, at, stride_a, stride_b, fa, fb):  # type: ignore[no-untyped-def]
    near = flat[at] + fb * (flat[at + stride_b] - flat[at])
    far = flat[at + stride_a] + fb * (flat[at + stride_a + stride_b] - flat[at + stride_a])
    return near + fa * (far - near)


def _forward(volume, axes, first, second, step, out):  # type: ignore[no-untyped-def]
    """Line sums of `volume` (x, y, z, channel) into `out` (projection, j, k, channel)."""
    flat = volume.reshape(-1)
    channels = volume.shape[3]
    strides = (volume.shape[1] * volume.shape[2] * channels, volume.shape[2] * channels, channels)
    projections, rows, columns, _ = out.shape
    for row in numba.prange(projections * rows):
        n, j = row // rows, row % rows
        sides = axes[n, 0], axes[n, 1], axes[n, 2]
        slices, side_a, side_b = volume.shape[sides[0]], volume.shape[sides[1]], volume.shape[sides[2]]
        stride, stride_a, stride_b = strides[sides[0]], strides[sides[1]], strides[sides[2]]
        slope_a, slope_b = first[n, 3], second[n, 3]
        for k in range(columns):
            a0 = position(position(first[n, 0], first[n, 1], j), first[n, 2], k)
            b0 = position(position(second[n, 0], second[n, 1], j), second[n, 2], k)
            low, high = reach(a0, slope_a, np.float32(-1), np.float32(side_a), 0, slices)
            low, high = reach(b0, slope_b, np.float32(-1), np.float32(side_b), low, high)
            inner, outer = reach(a0, slope_a, np.float32(0), np.float32(side_a - 1), low, high)
            inner, outer = reach(b0, slope_b, np.float32(0), np.float32(side_b - 1), inner, outer)
            outer = max(outer, inner)
            for c in range(channels):
                total = np.float32(0)
                for s in range(inner, outer):
                    a, b = position(a0, slope_a, s), position(b0, slope_b, s)
                    ia, ib = int(a), int(b)
                    at = s * stride + ia * stride_a + ib * stride_b + c
                    total += _bilinear(flat, at, stride_a, stride_b, a - np.float32(ia), b - np.float32(ib))
                for edge in range(low, high - (outer - inner)):
                    s = edge if edge < inner else edge + outer - inner
                    a, b = position(a0, slope_a, s), position(b0, slope_b, s)
                    total += _guarded(flat, s * stride, c, stride_a, stride_b, a, b, side_a, side_b)
                out[n, j, k, c] = total * step[n]


def _adjoint(bordered, first, j_landing, k_landing, out):  # type: ignore[no-untyped-def]
    """Add what lands on some projections to each voxel of `out` (x, y, z, channel).

    `bordered` (projection, j, k, channel) holds the projections from number `first` on, in the border that
    `with_border` gives them: a position outside is moved to the border, where all is zero, so the sum over
    projections has no branch, and is vectorised.
    """
    flat = bordered.reshape(-1)
    count, rows, columns, channels = bordered.shape
    size, stride_j, stride_k = rows * columns * channels, columns * channels, channels
    outside, j_end, k_end = np.float32(0), np.float32(rows - 2), np.float32(columns - 2)
    for x in numba.prange(out.shape[0]):
        j_line, k_line = np.empty(count, np.float32), np.empty(count, np.float32)
        for y in range(out.shape[1]):
            for n in range(count):
                j, k = j_landing[:, first + n], k_landing[:, first + n]
                j_line[n] = position(position(j[0], j[1], x), j[2], y) + np.float32(1)
                k_line[n] = position(position(k[0], k[1], x), k[2], y) + np.float32(1)
            for z in range(out.shape[2]):
                for c in range(channels):
                    total = np.float32(0)
                    for n in range(count):
                        j = min(max(position(j_line[n], j_landing[3, first + n], z), outside), j_end)
                        k = min(max(position(k_line[n], k_landing[3, first + n], z), outside), k_end)
                        ij, ik = np.int32(j), np.int32(k)
                        at = n * size + ij * stride_j + ik * stride_k + c
                        total += _bilinear(
                            flat, at, stride_j, stride_k, j - np.float32(ij), k - np.float32(ik)
                        )
                    out[x, y, z, c] += total


def with_border(projections: NDArray[np.float32]) -> NDArray[np.float32]:
    """Projections (projection, j, k, channel) with one zero pixel before and two after, in j and in k."""
    return np.pad(projections, ((0, 0), (1, 2), (1, 2), (0, 0)))


OPTIONS: dict[str, Any] = {
    "cache": True,
    "fastmath": {"contract", "reassoc", "nsz"},
    "boundscheck": False,
    "error_model": "numpy",
}
forward_threaded = numba.njit(parallel=True, nogil=True, **OPTIONS)(_forward)
adjoint_threaded = numba.njit(parallel=True, nogil=True, **OPTIONS)(_adjoint)
forward_serial = numba.njit(nogil=True, **OPTIONS)(_forward)
adjoint_serial = numba.njit(nogil=True, **OPTIONS)(_adjoint)
