"""How rays are dealt out to the threads of a CUDA device, so that what neighbours load lies side by side.

Threads that run together follow the rays of pixels in a line along k. Where these cross the rows of a slice,
each load is from another row: so slices are laid out along one axis or the other, and where that is not
enough the line leans.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mumott_dask import devices

from .beam import ParallelBeam
from .cuda_kernels import THREADS, TOGETHER

FEW = TOGETHER
"""Projections that are followed through slices laid out as suits the others: to lay them out again and to
start a kernel for no more than a block takes costs more than loads from many rows."""

_LEAST_LEAN, _MOST_LEAN = 0.1, 1.5
"""Pixels along j for each along k: less is not worth writes to many rows, more spreads rays along b."""


class Bundle(NamedTuple):
    """Rays that follow slices laid out alike."""

    rays: Any  #: (projection, 11), on the device: `cuda_kernels.RAYS`
    turned: bool  #: through slices (slice, b, a, channel), of which `rays` take b to be the first axis


def bundles(
    beam: ParallelBeam, beside: Any, numbers: Any, first: Any, second: Any, step: Any
) -> list[Bundle]:
    """Rays of the projections `numbers`, on the device of `beside`; see `layout.slabs` for the parameters."""
    across = np.abs(first[numbers, 2]) > np.abs(second[numbers, 2])
    if min(np.sum(across), np.sum(~across)) <= FEW:
        across[:] = np.mean(across) > 0.5
    made = []
    for turned in (False, True):
        some = numbers[across == turned]
        if len(some):
            a, b = (second[some], first[some]) if turned else (first[some], second[some])
            parts = a, b, step[some, None], some[:, None], _lean(beam.detector_shape[0], a)[:, None]
            rays = np.ascontiguousarray(np.concatenate(parts, axis=1), np.float32)
            made.append(Bundle(devices.beside(beside, rays)[0], turned))
    return made


def _lean(side_j: int, a: Any) -> Any:
    """By how many pixels along j a thread is ahead of the one before it, (projection,), to stay at one a."""
    _, by_j, by_k, _ = a.T
    lean = -by_k / np.where(by_j == 0, np.inf, by_j)
    worth_it = (np.abs(lean) > _LEAST_LEAN) & (np.abs(lean) < _MOST_LEAN)
    most = side_j / THREADS[0]  # no thread leaves the image by more than its height
    return np.where(worth_it, np.clip(lean, -most, most), 0)
