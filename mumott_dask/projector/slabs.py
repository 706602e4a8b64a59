"""Into how many slabs a volume is cut, for workers that are too small for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from mumott_dask import placement
from mumott_dask.errors import ScanError

from .operator import Projector

VolumeChunks = int | Literal["auto"] | None

_STATE = 5  # volumes that a solver holds: tomogram, momentum, where it looks ahead, preconditioner, gradient
_ON_ITS_WAY = 7  # slabs that a thread has at hand: so far summed, 3 received, joined, 2 copied to be updated
_SHARE = 0.4  # of a worker's memory for all of these; the rest is for images, and Dask pauses it at 0.8


def with_slabs(projector: Projector, volume_chunks: VolumeChunks) -> Projector:
    """The projector with volumes in slabs along x.

    Parameters
    ----------
    projector : Projector
    volume_chunks : int, "auto" or None
        Thickness of the slabs, voxels; one that the workers' memory has room for; or the volume as a whole.
        For scans in memory, volumes are always whole.

    Returns
    -------
    Projector

    Raises
    ------
    ScanError
        Where `volume_chunks` is something else.
    """
    if volume_chunks is None:
        return replace(projector, slabs=1)
    if volume_chunks == "auto":
        found = placement.workers()
        memory = [worker.memory for worker in found]
        return replace(projector, slabs=slab_count(projector.volume_shape, memory, found[0].threads))
    whole = isinstance(volume_chunks, int | np.integer) and not isinstance(volume_chunks, bool)
    if not whole or volume_chunks < 1:
        raise ScanError(f"volume_chunks is {volume_chunks!r}, expected a number of voxels, 'auto' or None")
    return replace(projector, slabs=math.ceil(projector.volume_shape[0] / volume_chunks))


def slab_count(volume_shape: tuple[int, int, int], memory: Sequence[int], threads: int) -> int:
    """Number of slabs for workers of so much memory, bytes each (0: no limit), and so many threads.

    One, if a worker has room for the solver's state and what its threads work on; else as many for each
    worker as leave room for them.
    """
    limits = [limit for limit in memory if limit]
    if not limits:
        return 1
    volume, room = 4 * math.prod(volume_shape), _SHARE * min(limits)
    if volume * (_STATE + _ON_ITS_WAY * threads) <= room:
        return 1
    state = volume * _STATE / len(limits)
    left = max(room - state, room / 4)
    least = math.ceil(volume * _ON_ITS_WAY * threads / left)
    rounds = math.ceil(max(least, len(limits)) / len(limits))
    return min(rounds * len(limits), volume_shape[0])
