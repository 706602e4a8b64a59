"""MITRA's update of a volume, in as few passes and tasks as its kind of array allows (floor 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import dask.array as da
import numpy as np
from array_api_compat import is_cupy_array
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import GraphNode, Task, TaskRef

from . import arrays, devices, placement

Volume = Any  #: (x, y, z[, channel]) float32

_STEP = "elementwise"  # what its results are called


def elementwise(function: Callable[..., tuple[Any, ...]], count: int, *volumes: Any) -> tuple[Any, ...]:
    """As many arrays as said from ``function(*volumes)``; of chunked ones block by block, in one task each.

    A block that one task is still to make, a sum say, is made within that task: that costs less than to wait
    for the scheduler. What tasks give is taken apart by others, which cost nothing.

    Parameters
    ----------
    function : callable
        Gives a tuple of arrays of the shape and the type of its first argument. It may change its arguments
        but the last: tasks hand it copies of what others may need.
    count : int
        The length of the tuple.
    *volumes : arrays
        All in memory, or Dask in the chunks of the first.
    """
    first = volumes[0]
    if not arrays.is_chunked(first):
        return function(*volumes)
    every, owners = arrays.new_name(_STEP), placement.owners(first.numblocks[0])
    steps: dict[tuple[int, ...], GraphNode] = {}
    for index in np.ndindex(first.numblocks):
        keys = [(volume.name, *index) for volume in volumes]
        nodes = [_to_be_made(*each) for each in zip(volumes, keys, strict=True)]
        within = [node for node in nodes if node]
        shared = [i for i, node in enumerate(nodes[:-1]) if not node]
        task = Task((every, *index), _all_of, function, shared, *map(TaskRef, keys))
        steps[index] = Task.fuse(*within, task) if within else task
    before = HighLevelGraph.from_collections(every, _pinned_first(every, steps, owners), dependencies=volumes)
    layers, names = dict(before.layers), [arrays.new_name(_STEP) for _ in range(count)]
    for n, name in enumerate(names):
        parts = {index: Task((name, *index), itemgetter(n), TaskRef((every, *index))) for index in steps}
        layers[name] = _pinned_first(name, parts, owners)
    graph = HighLevelGraph(layers, {**before.dependencies, **{name: {every} for name in names}})
    return tuple(da.Array(graph, name, first.chunks, meta=first._meta) for name in names)


def _pinned_first(
    name: str, tasks: Mapping[tuple[int, ...], GraphNode], owners: Sequence[placement.Worker]
) -> MaterializedLayer:
    """Tasks of blocks for the owners of these, to be done before what comes after."""
    pins = placement.pinned({(name, *index): owners[index[0]] for index in tasks}) | {"priority": 1}
    return MaterializedLayer({(name, *index): task for index, task in tasks.items()}, annotations=pins)


def _to_be_made(volume: da.Array, key: tuple[Any, ...]) -> Task | None:
    """The task that makes a block, where it stands in the graph by itself, but no earlier step's result."""
    if volume.name.startswith(_STEP):
        return None
    layer = volume.dask.layers[volume.name]
    node = layer[key] if isinstance(layer, MaterializedLayer) else None
    return node if isinstance(node, Task) else None


def _all_of(function: Callable[..., tuple[Any, ...]], shared: Sequence[int], *blocks: Any) -> Any:
    own = list(devices.together(*blocks))
    for i in shared:
        own[i] = own[i].copy()
    return function(*own)


def accelerated_step(
    ahead: Volume,
    momentum: Volume,
    gradient: Volume,
    preconditioner: Volume,
    nesterov_weight: float,
    nonnegative: bool,
) -> tuple[Volume, Volume]:
    """Where the next gradient is to be taken, and momentum, whose sum is the tomogram.

    The first three arrays may be overwritten.

    Parameters
    ----------
    ahead : array
        Where the gradient was taken.
    momentum, gradient, preconditioner : array
        In the host's memory or, any of them, on a device.
    nesterov_weight : float
        Share of the momentum that goes on.
    nonnegative : bool
        Whether the tomogram is kept from going below zero.
    """
    ahead, momentum, gradient, preconditioner = devices.together(ahead, momentum, gradient, preconditioner)
    if devices.on_host(gradient):
        gradient *= preconditioner
        momentum += gradient
        tomogram = np.subtract(ahead, gradient, out=ahead)
        if nonnegative:
            np.maximum(tomogram, 0, out=tomogram)
        momentum *= np.float32(nesterov_weight)
        return np.subtract(tomogram, momentum, out=tomogram), momentum
    if is_cupy_array(gradient):
        least = 0.0 if nonnegative else -np.inf
        return _in_one_kernel()(gradient, preconditioner, nesterov_weight, least, ahead, momentum)
    step = gradient * preconditioner
    tomogram = ahead - step
    if nonnegative:
        tomogram = devices.namespace(step).maximum(tomogram, 0.0)
    momentum = (momentum + step) * nesterov_weight
    return tomogram - momentum, momentum


@cache
def _in_one_kernel() -> Any:
    """Called with what it reads, then with two arrays that it reads and writes."""
    import cupy

    return cupy.ElementwiseKernel(
        "float32 gradient, float32 preconditioner, float32 share, float32 least",
        "float32 ahead, float32 momentum",
        """
        const float step = gradient * preconditioner;
        momentum = (momentum + step) * share;
        ahead = max(ahead - step, least) - momentum;
        """,
        "mumott_dask_accelerated_step",
    )
