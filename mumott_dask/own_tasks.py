"""What makes a chunk's blocks and is of no use to any other, to be done within its own task (floor 1).

So images that are not held by workers, because they have no room for them, are read where they are needed and
forgotten at once. As tasks of their own they would be read ahead, and pile up.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import dask.array as da
from dask import config
from dask.array.optimization import optimize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, GraphNode, Task
from dask.utils import ensure_dict


def own_tasks(*stacks: da.Array) -> list[list[GraphNode]]:
    """The tasks of each chunk's own, for arrays that are chunked alike, along their first axis alone."""
    rows = range(stacks[0].numblocks[0])
    chunks = [tuple((stack.name, i, *(0,) * (stack.ndim - 1)) for stack in stacks) for i in rows]
    if not any(_is_task(stack.dask[key]) for stack, key in zip(stacks, chunks[0], strict=True)):
        return [[] for _ in chunks]
    with config.set({"optimization.fuse.active": False}):
        graph = optimize(
            HighLevelGraph.merge(*(stack.dask for stack in stacks)), [key for each in chunks for key in each]
        )
    tasks = {key: _unlinked(task) for key, task in ensure_dict(graph).items() if _is_task(task)}
    needed = [_needed(tasks, chunk) for chunk in chunks]
    uses = Counter(key for each in needed for key in each)
    return [[tasks[key] for key in each if uses[key] == 1] for each in needed]


def after(_: Any, call: Any, *arguments: Any) -> Any:
    """The call, once the task before it on its line is done."""
    return call(*arguments)


def _is_task(node: Any) -> bool:
    return isinstance(node, GraphNode) and not isinstance(node, DataNode)


def _unlinked(task: GraphNode) -> GraphNode:
    """The task without what it is only to come after."""
    return Task(task.key, *task.args[1:]) if isinstance(task, Task) and task.func is after else task


def _needed(tasks: dict[Any, GraphNode], keys: tuple[Any, ...]) -> dict[Any, None]:
    """Keys of all tasks that lead to some, in the order in which they are met."""
    found: dict[Any, None] = {}
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key in tasks and key not in found:
            found[key] = None
            waiting += tasks[key].dependencies
    return found
