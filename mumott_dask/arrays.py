"""What NumPy and Dask arrays spell differently (floor 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count
from operator import itemgetter
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
from array_api_compat import is_dask_array
from dask import config
from dask.array.core import finalize
from dask.array.optimization import optimize
from dask.base import compute, is_dask_collection, persist
from dask.core import flatten
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from numpy.typing import NDArray

from . import devices, placement
from .own_tasks import own_tasks

is_chunked = is_dask_array

_LARGE = "distributed.admin.large-graph-warning-threshold"  # volumes travel in graphs

_ROOM = 0.1  # of the workers' memory, for images that are made at once

_PROCESS, _numbers = uuid4().hex, count()

_AXES = "pjks"  # projection, j, k, segment

BATCH, BATCH_BYTES = 16, 2**19
"""Projections of a NumPy stack that are worked on at a time, at most: what is made on the way stays small."""

SMALL_BATCH_BYTES = 2**17
"""The same where many arrays of that size are made: glibc maps larger ones anew each time."""

DEVICE_BATCH = 2**26
"""Pixels of a stack on a device, which wants much to do at a time."""


def materialise(*arrays: Any) -> tuple[Any, ...]:
    """Arrays in this process's memory: Dask ones are computed together, others are handed back."""
    if not any(map(is_dask_collection, arrays)):  # Dask would hold them until garbage is collected
        return arrays
    if placement.client() is None:
        return compute(*arrays)
    # Fetched block by block: Dask would join them on one worker, and that may be too small.
    held = keep_on_workers(*arrays)
    blocks = compute(*(_to_fetch(a) if is_chunked(a) else a for a in held))
    return tuple(finalize(b) if is_chunked(a) else b for a, b in zip(held, blocks, strict=True))


def _to_fetch(array: da.Array) -> Any:
    """Its blocks, off the devices of workers: there may be none here."""
    to_host = delayed(devices.to_host, pure=True)
    blocks = array.to_delayed(optimize_graph=False)
    return np.vectorize(lambda block: to_host(block), otypes=[object])(blocks).tolist()


def keep_on_workers(*arrays: Any) -> tuple[Any, ...]:
    """Chunked arrays computed once and held where they belong (see `placement`); others as they are."""
    chunked = [array for array in arrays if is_chunked(array) and not _is_held(array)]
    if not chunked:
        return arrays
    if placement.client() is None:
        held = iter(persist(*chunked))
    else:
        places: dict[Any, placement.Worker] = {}
        for array in filter(np.ndim, chunked):
            owners = placement.owners(array.numblocks[0])
            places |= {key: owners[key[1]] for key in flatten(array.__dask_keys__())}
        wanted = _optimized(chunked)
        with placement.pinning(places), config.set({_LARGE: "1TiB"}):
            held = iter(persist(*wanted, optimize_graph=False))
    made = {array.name: each for array, each in zip(chunked, held, strict=True)}
    return tuple(made.get(array.name, array) if is_chunked(array) else array for array in arrays)


def _is_held(array: da.Array) -> bool:
    """Whether workers hold or make all of its blocks, and the graph is of them alone."""
    layers = array.dask.layers.values()
    return all(
        isinstance(layer, MaterializedLayer) and all(isinstance(node, TaskRef) for node in layer.values())
        for layer in layers
    )


def keep_images(*arrays: Any) -> tuple[Any, ...]:
    """Chunked images held by the workers where they have room for them; else to be made again when needed.

    A scan's images, masks and weights take several times what these do, and half of the memory is for work.
    """
    room = _ROOM * sum(worker.memory for worker in placement.workers()) if any(map(is_chunked, arrays)) else 0
    if room and sum(array.nbytes for array in arrays if is_chunked(array)) > room:
        return arrays
    return keep_on_workers(*arrays)


def _optimized(arrays: Sequence[da.Array]) -> list[da.Array]:
    """Arrays of fewer tasks, but without Dask's low-level fusion, which forgets where tasks are to run."""
    graph = HighLevelGraph.merge(*(array.dask for array in arrays))
    if all(isinstance(layer, MaterializedLayer) for layer in graph.layers.values()):
        return list(arrays)
    keys = list(flatten([array.__dask_keys__() for array in arrays]))
    with config.set({"optimization.fuse.active": False}):
        graph = optimize(graph, keys)
    return [da.Array(graph, array.name, array.chunks, meta=array._meta) for array in arrays]


def new_name(kind: str) -> str:
    """A name that no other tasks will have; to hash what they work on would take longer than the tasks."""
    return f"{kind}-{_PROCESS}{next(_numbers):x}"


def constant(
    value: float, shape: Sequence[int], chunks: Sequence[int] | None = None, beside: Any = None
) -> Any:
    """An array of one value, float32, not to be changed.

    Dask where chunks along its first axis are given; else on the device, if any, that `beside` lives on.
    """
    if chunks is not None:
        return da.full(shape, value, dtype=np.float32, chunks=(tuple(chunks), *((n,) for n in shape[1:])))
    if devices.on_device(beside):
        xp = devices.namespace(beside)
        return xp.full(tuple(shape), value, dtype=xp.float32, device=devices.device_of(beside))
    return np.broadcast_to(np.float32(value), shape)


def zeros(shape: Sequence[int], chunks: Sequence[int] | None = None, beside: Any = None) -> Any:
    """An array of zeros, float32; Dask, made by the workers, where chunks are given. See `constant`."""
    if chunks is None and not devices.on_device(beside):
        return np.zeros(shape, np.float32)
    return constant(0, shape, chunks, beside)


def without_past(*arrays: Any) -> tuple[Any, ...]:
    """Arrays held by workers, cut off from what they were made of; others as they are.

    A scheduler knows all tasks that led to a result that is held, however many iterations ago (distributed,
    issue 809): to make it again when its worker is lost. Here it goes through this process, so that it is
    data of the next graph and needs no past; what a lost worker costs are the iterations since.
    """
    if placement.client() is None:
        return arrays
    values = materialise(*arrays)
    return tuple(
        in_slabs(v, a.chunks[0]) if is_chunked(a) else a for a, v in zip(arrays, values, strict=True)
    )


def in_slabs(volume: NDArray[Any], slabs: Sequence[int] | None) -> Any:
    """A volume of this process as a Dask array, in slabs of the given lengths along its first axis, if any.

    It travels as part of the graph, so that the scheduler can send it again when the worker that had it is
    lost. (What is scattered is lost with its worker, and copies that `replicate` makes are soon dropped.)
    """
    if slabs is None:
        return volume
    name, rest = new_name("volume"), (0,) * (volume.ndim - 1)
    parts = np.split(volume, np.cumsum(slabs)[:-1])
    layer: dict[Any, DataNode] = {
        (name, s, *rest): DataNode((name, s, *rest), part) for s, part in enumerate(parts)
    }
    owners = placement.owners(len(parts))
    pins = placement.pinned({key: owners[key[1]] for key in layer})
    graph = HighLevelGraph({name: MaterializedLayer(layer, annotations=pins)}, {name: set()})
    return da.Array(graph, name, (tuple(slabs), *((n,) for n in volume.shape[1:])), meta=volume[:0])


def percentile(array: Any, q: float) -> Any:
    """Percentile over the whole array, exact; of a chunked one by gathering it in one task."""
    if not is_chunked(array):
        return np.percentile(array, q)
    return delayed(np.percentile)(delayed(array.rechunk(-1)), q)


def of_each_projection(
    function: Callable[..., NDArray[np.float64]], images: Any, *others: Any
) -> NDArray[np.float64]:
    """Few numbers of each projection, gathered: ``function(*blocks)`` gives (projection, ...) of any block.

    Parameters
    ----------
    function : callable
    images : (projection, ...) array
        NumPy, or Dask in the chunks that the function is to be called on.
    *others : (projection, ...) arrays
        Further arguments of the function, block by block.
    """
    if not is_chunked(images):
        return devices.numbers(in_batches(function, images, *materialise(*others)))
    lengths, name = images.chunks[0], new_name("numbers")
    whole = [da.asarray(stack).rechunk((lengths, *stack.shape[1:])) for stack in (images, *others)]
    tasks: dict[Any, GraphNode] = {}
    for i, own in enumerate(own_tasks(*whole)):
        blocks = (TaskRef((stack.name, i, *(0,) * (stack.ndim - 1))) for stack in whole)
        task = Task((name, i), _numbers_of, function, *blocks)
        tasks[name, i] = Task.fuse(*own, task) if own else task
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=whole)
    found = da.Array(graph, name, (lengths,), meta=np.empty(0))
    return np.concatenate(compute(*found.to_delayed(optimize_graph=False)))


def _numbers_of(function: Callable[..., Any], *blocks: Any) -> NDArray[np.float64]:
    return devices.numbers(in_batches(function, *devices.together(*blocks)))


def in_batches(
    function: Callable[..., Any], *stacks: Any, out: NDArray[Any] | None = None, size: int = BATCH_BYTES
) -> Any:
    """``function(*stacks)`` of a few projections of NumPy stacks at a time; of chunked ones in one call.

    Parameters
    ----------
    function : callable
        Gives an array, or a tuple of arrays, whose first axis is that of the stacks.
    *stacks : arrays
        The first has an axis of projections. So have the others that have as many axes, unless they are one
        long there; what has fewer axes is the same for all projections.
    out : array, optional
        Where to put the one array that NumPy stacks give: the first of them, if it is not needed any more.
    size : int, bytes
        Of the first stack's part that is worked on at a time, at most.
    """
    first = stacks[0]
    if is_chunked(first):
        return function(*stacks)
    results: list[Any] = [] if out is None else [out]
    single = False
    for some in batches(first, size):
        parts = function(*(_part(stack, some, first.ndim) for stack in stacks))
        single = not isinstance(parts, tuple)
        parts = (parts,) if single else parts
        if some.stop >= first.shape[0] and not results:  # all at once
            return parts[0] if single else parts
        results = results or [_room_for(first.shape[0], part) for part in parts]
        for result, part in zip(results, parts, strict=True):
            result[some, ...] = part
    return results[0] if single else tuple(results)


def _part(stack: Any, some: slice, ndim: int) -> Any:
    """Some of the projections of a stack, or what is the same for all of them."""
    return stack[some, ...] if getattr(stack, "ndim", 0) == ndim and stack.shape[0] > 1 else stack


def _room_for(count: int, part: Any) -> Any:
    return devices.namespace(part).empty(
        (count, *part.shape[1:]), dtype=part.dtype, device=devices.device_of(part)
    )


def batches(stack: Any, size: int = BATCH_BYTES) -> Iterator[slice]:
    """Projections of a stack (projection, ...) that are worked on at a time."""
    pixels = max(1, math.prod(stack.shape[1:]))
    if devices.on_host(stack):
        at_once = min(BATCH, max(1, size // (pixels * stack.itemsize)))
    else:
        at_once = max(1, DEVICE_BATCH // pixels)
    for start in range(0, stack.shape[0], at_once):
        yield slice(start, min(start + at_once, stack.shape[0]))


def map_images(function: Callable[[NDArray[Any]], NDArray[Any]], images: Any) -> Any:
    """Images of the same shape and type from ``function(block)`` of any block of whole images."""
    some = partial(in_batches, function, size=SMALL_BATCH_BYTES)
    if not is_chunked(images):
        return some(images)
    whole = images.rechunk(dict.fromkeys(range(1, images.ndim), -1))
    return whole.map_blocks(some, dtype=images.dtype, meta=whole._meta)


def images_of(
    function: Callable[..., tuple[Any, ...]], types: Sequence[Any], *stacks: Any
) -> tuple[Any, ...]:
    """Stacks of images (projection, j, k), one of each of the types, from ``function(*blocks)``.

    It is called a few projections at a time, in one task a chunk, where the chunk is: what it makes on the
    way stays small.

    Parameters
    ----------
    function : callable
        Gives a tuple of so many (projection, j, k) arrays.
    types : sequence of dtype
    *stacks : (projection, j, k[, segment]) arrays
        NumPy, or the first of them Dask; the others may be one long but for their projections, or a number.
    """
    first = stacks[0]
    if not is_chunked(first):
        return tuple(in_batches(function, *stacks))
    lengths = first.chunks[0]
    whole = [da.asarray(s).rechunk((lengths, *s.shape[1:])) if np.ndim(s) else s for s in stacks]
    along = (_AXES[: np.ndim(stack)] or None for stack in whole)
    made: Any = da.blockwise(
        partial(_images_of_block, function),
        _AXES[:3],
        *chain.from_iterable(zip(whole, along, strict=True)),
        align_arrays=False,  # what is one long is the same for all pixels
        meta=np.empty((0, 0, 0)),
    )
    return tuple(
        made.map_blocks(itemgetter(n), dtype=dtype, meta=np.empty((0, 0, 0), dtype))
        for n, dtype in enumerate(types)
    )


def _images_of_block(function: Callable[..., tuple[Any, ...]], *blocks: Any) -> Any:
    # Dask hands over in lists what has more axes than the result: to join them itself, it would copy.
    whole = (block[0] if isinstance(block, list) else block for block in blocks)
    return in_batches(function, *devices.together(*whole))


def scaled(images: Any, factors: NDArray[Any]) -> Any:
    """Images (projection, j, k) times a number for each projection, (projection,), of their type."""
    factors = factors[:, None, None]
    if not is_chunked(images):
        return _scaled(images, factors)
    factors = da.from_array(factors, chunks=(images.chunks[0], 1, 1))
    return da.map_blocks(_scaled, images, factors, dtype=images.dtype, meta=images._meta)


def _scaled(images: Any, factors: Any) -> Any:
    (factors,) = devices.beside(images, factors)
    return images * devices.namespace(images).astype(factors, images.dtype)


def chunked_like(array: Any, model: Any) -> Any:
    """The array in the chunks of a Dask array of equal shape."""
    return array.rechunk(model.chunks) if is_chunked(array) else da.from_array(array, chunks=model.chunks)


def chunk_lengths(array: Any) -> tuple[int, ...] | None:
    """Chunks of a Dask array along its first axis; None for an array in memory."""
    return array.chunks[0] if is_chunked(array) else None
