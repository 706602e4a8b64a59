"""Which worker holds which chunk: one rule for all that is chunked alike (floor 1).

Chunk i of n belongs to the same worker in every array of n chunks, so images, masks and weights of the same
projections meet without travelling. The rule follows from the list of workers alone: nothing is remembered,
and a worker that joins gets its share from the next iteration on. Where a worker is gone or paused, its tasks
run on the others.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from dask import annotate, config  # type: ignore[attr-defined]
from dask.base import get_scheduler
from dask.system import CPU_COUNT

_LOOKED_UP = 1.0  # seconds for which the list of workers is taken to be what it was


class Worker(NamedTuple):
    """A worker as far as placement goes."""

    address: str | None  #: None for the threads of this process
    threads: int
    memory: int  #: bytes, 0 where no limit is set


_known: WeakKeyDictionary[Any, tuple[float, tuple[Worker, ...]]] = WeakKeyDictionary()


def client() -> Any:
    """The client that Dask would compute with, or None where it would use threads of this process."""
    if "distributed" not in sys.modules:  # nobody can have made one; Dask would import it to look
        return None
    found = getattr(get_scheduler(), "__self__", None)
    return found if hasattr(found, "scheduler_info") else None


def in_a_task() -> bool:
    """Whether this is a task on a worker, whose other threads and neighbours have the other cores."""
    distributed = sys.modules.get("distributed")  # without it there are no workers
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def workers() -> tuple[Worker, ...]:
    """All workers, by name: a worker that is started again after a fault gets its old place.

    The scheduler is asked no more than once a second.
    """
    active = client()
    if active is None:
        return (Worker(None, config.get("num_workers", None) or CPU_COUNT, 0),)
    if active not in _known:
        from . import plugins

        plugins.register(active)
    asked, found = _known.get(active, (-np.inf, ()))
    if not found or time.monotonic() - asked > _LOOKED_UP:
        found = workers_of(active)
        _known[active] = time.monotonic(), found
    return found


def told_by_workers(function: Callable[[], Any]) -> dict[str, Any]:
    """What a function returns on each worker, by address, or in this process where it is the worker.

    Workers that are lost meanwhile say nothing.
    """
    active = client()
    return {"this process": function()} if active is None else dict(active.run(function, on_error="ignore"))


def workers_of(active: Any) -> tuple[Worker, ...]:
    """All workers of a client's cluster, by name, as its scheduler knows them now."""
    info = active.scheduler_info(n_workers=-1)  # of all: in some releases it tells of five
    if "workers" not in info:  # the client has lost its scheduler, and tries to reach it again
        from distributed.comm.core import CommClosedError

        raise CommClosedError("the scheduler can't be reached")
    listed = info["workers"]
    return tuple(
        Worker(address, entry["nthreads"], entry["memory_limit"] or 0)
        for address, entry in sorted(listed.items(), key=lambda item: (str(item[1]["name"]), item[0]))
    )


def owners(count: int) -> list[Worker]:
    """The worker of each of so many chunks, neighbours together, shares as the workers' threads are."""
    found = workers() or (Worker(None, 1, 0),)
    ends = np.cumsum([worker.threads for worker in found])
    places = (np.arange(count) + 0.5) * ends[-1] / count
    return [found[n] for n in np.searchsorted(ends, places)]


def pinned(places: Mapping[Hashable, Worker]) -> dict[str, Any]:
    """Annotations that ask for a worker for some tasks; loosely, so that none waits for one in vain."""
    addresses: defaultdict[Hashable, tuple[str, ...]] = defaultdict(tuple)
    addresses |= {key: (worker.address,) for key, worker in places.items() if worker.address is not None}
    return {"workers": addresses.__getitem__, "allow_other_workers": True} if addresses else {}


def pinning(places: Mapping[Hashable, Worker]) -> AbstractContextManager[None]:
    """What is computed in this context asks for its workers; see `pinned`."""
    return annotate(**pinned(places))
