"""What is mended in Dask's scheduler and workers while they work for us (floor 1).

Imported where there is a client alone: it imports distributed.
"""

from __future__ import annotations

import math
import pickle
import time
from functools import partial
from typing import Any

from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from . import pages
from .errors import ScanWarning

_WAIT = 0.0005  # seconds
_LOOKS, _FULL_FOR = 2.0, 20.0  # seconds between looks at workers that are full, and after which it is told
_OF_MEMORY = 1024  # its part that is kept
_LEAST_KEPT, _MOST_KEPT = 2**20, 2**24  # bytes


class LooseTasks(SchedulerPlugin):
    """Lets tasks that would rather run on a worker that is gone run on the one that joins.

    Tasks that asked for workers loosely go to any, but not where there was none at that moment: then they
    wait for the very addresses, though workers that are started again have others, and the run never ends.
    """

    idempotent = True
    name = "mumott-dask-loose-tasks"

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Forget what they asked for, right before the scheduler looks for tasks that the worker may run."""
        for task in scheduler.unrunnable:
            if task.loose_restrictions:
                task.worker_restrictions = None


class PromptScheduler(SchedulerPlugin):
    """Sends workers their tasks at once; Dask collects what it sends each of them for 5 ms.

    The tasks of an iteration come of each other, and take no longer than that but for the gradient's.
    """

    idempotent = True
    name = "mumott-dask-prompt-scheduler"

    async def start(self, scheduler: Scheduler) -> None:
        """See to the workers that are there."""
        for worker in scheduler.workers:
            self.add_worker(scheduler, worker)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """See to one more; Dask has no setting for it."""
        scheduler.stream_comms[worker].interval = _WAIT


class FullWorkers(SchedulerPlugin):
    """Tells the clients that work stands still, because all workers have paused for want of memory.

    They take up no task until they have given some back, and what they hold by themselves they never do.
    """

    idempotent = True
    name = "mumott-dask-full-workers"

    async def start(self, scheduler: Scheduler) -> None:
        """Look at them from now on."""
        self._since: float | None = None
        look = PeriodicCallback(partial(self._look, scheduler), 1e3 * _LOOKS)
        scheduler.periodic_callbacks[self.name] = look
        look.start()

    def _look(self, scheduler: Scheduler) -> None:
        workers = scheduler.workers.values()
        wanted = scheduler.unrunnable or scheduler.queued or any(each.processing for each in workers)
        if not (workers and wanted and all(each.status is Status.paused for each in workers)):
            self._since = None
            return
        before = self._since = self._since or time.monotonic()
        if time.monotonic() - before > _FULL_FOR:
            self._since = math.inf  # once, until one of them goes on
            limit = min(each.memory_limit for each in workers) / 2**20
            told = (
                f"all {len(workers)} Dask workers have paused for want of memory ({limit:.0f} MiB for the "
                "smallest), and work stands still: it takes more for each of them, or smaller chunks"
            )
            message = {"message": pickle.dumps(told), "category": pickle.dumps(ScanWarning)}
            scheduler.log_event("warn", message)


class SpentTasks(WorkerPlugin):
    """Lets a worker forget what a task was called with, once it is done.

    A worker keeps a task for as long as one that came of it, and those of a line of chunks, or of iterations,
    come of each other: thousands of them would hold the geometry of a scan many times.
    """

    idempotent = True
    name = "mumott-dask-spent-tasks"

    def setup(self, worker: Worker) -> None:
        """Learn whose tasks they are."""
        self._tasks = worker.state.tasks

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Should the task be wanted once more, the scheduler sends its call again."""
        if finish in ("memory", "released") and key in self._tasks:
            self._tasks[key].run_spec = None


class PromptWorker(WorkerPlugin):
    """Lets a worker tell of its results at once, and keep the memory of small volumes for the next.

    Dask collects what it tells for 2 ms, and has the C library hand back all memory beyond 64 KiB a thread:
    with volumes of a mebibyte, asking for it anew is a fifth of an iteration's time. What is kept goes with
    the worker's memory, and is 16 MiB at most. Where that would be less than a mebibyte, Dask is left to it:
    what lies between the arrays that are gone adds up to tens of them, which a small worker is short of.
    """

    idempotent = True
    name = "mumott-dask-prompt-worker"

    def setup(self, worker: Worker) -> None:
        """Set both."""
        worker.batched_stream.interval = _WAIT
        limit = worker.memory_manager.memory_limit or math.inf
        size = int(min(limit / _OF_MEMORY, _MOST_KEPT))
        if size >= _LEAST_KEPT:
            pages.keep(smaller_than=size, up_to=size)


def register(client: Client) -> None:
    """Have them where a client computes."""
    for plugin in (LooseTasks(), PromptScheduler(), FullWorkers(), SpentTasks(), PromptWorker()):
        client.register_plugin(plugin)
