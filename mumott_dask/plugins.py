"""What is mended in Dask's scheduler and workers while they work for us (floor 1).

Imported where there is a client alone: it imports distributed.
"""

from __future__ import annotations

from typing import Any

from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin


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


def register(client: Client) -> None:
    """Have both where a client computes."""
    client.register_plugin(LooseTasks())
    client.register_plugin(SpentTasks())
