"""What is mended in Dask's scheduler and workers while they work for us (floor 1).

Imported where there is a client alone: it imports distributed.
"""

from __future__ import annotations

import math
from typing import Any

from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin

from . import pages

_WAIT = 0.0005  # seconds
_OF_MEMORY, _MOST_KEPT = 1024, 2**24  # a part, and bytes


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
    the worker's memory, and is 16 MiB at most.
    """

    idempotent = True
    name = "mumott-dask-prompt-worker"

    def setup(self, worker: Worker) -> None:
        """Set both."""
        worker.batched_stream.interval = _WAIT
        limit = worker.memory_manager.memory_limit or math.inf
        size = int(min(max(limit / _OF_MEMORY, pages.IMAGES), _MOST_KEPT))
        pages.keep(smaller_than=size, up_to=size)


def register(client: Client) -> None:
    """Have them where a client computes."""
    for plugin in (LooseTasks(), PromptScheduler(), SpentTasks(), PromptWorker()):
        client.register_plugin(plugin)
