"""How many projections a chunk holds, for the threads that work on a scan and the memory that they have."""

from __future__ import annotations

import logging
import math
from typing import Literal, NamedTuple

import dask
from dask.utils import format_bytes, parse_bytes

log = logging.getLogger(__name__)

_CHUNKS_A_THREAD = 4  # so that one that takes longer keeps the others waiting for a quarter of the time
_SMALLEST = 4 * 2**20  # bytes: below, tasks are so short that handing them out tells
_FEWEST = 8  # projections: each task sums them up in a volume of its own, which has a price as well
_WORKED_IN = 16  # times its own size that a chunk may need while it is worked on
_PROCESS = 2**28  # bytes that a worker takes before it has work, but no more than half of a small one


class Capacity(NamedTuple):
    """What there is to work with."""

    threads: int  #: on all workers together
    memory: float = math.inf  #: bytes for each of them


Chunks = int | Literal["auto"] | Capacity | None
"""Projections in a chunk; `Capacity` to choose them for, "auto" for any; None for a scan in memory."""


def chunk_length(projections: int, size: float, capacity: Capacity, where: str = "scan") -> int:
    """Projections in each chunk, so that threads have work alike, and memory for it.

    As many chunks for one thread as for another: four where they hold some megabytes and eight projections
    each, else fewer, but one at least; and more where a chunk would be larger than a sixteenth of a thread's
    memory, less what Python takes, or than Dask's ``array.chunk-size``.

    Parameters
    ----------
    projections : int
    size : float
        Bytes of one.
    capacity : Capacity
    where : str
        What the log calls the scan.
    """
    memory = max(capacity.memory - _PROCESS, capacity.memory / 2)
    largest = max(1, int(min(memory / _WORKED_IN, parse_bytes(dask.config.get("array.chunk-size"))) / size))
    a_thread = projections / capacity.threads
    most = min(_CHUNKS_A_THREAD, int(a_thread / max(_FEWEST, _SMALLEST / size)))
    chunks = max(1, most, math.ceil(a_thread / largest))
    length = math.ceil(a_thread / chunks)
    log.info(
        "%s: %d chunks of %d projections (%s) for %d threads",
        where,
        math.ceil(projections / length),
        length,
        format_bytes(int(length * size)),
        capacity.threads,
    )
    return length
