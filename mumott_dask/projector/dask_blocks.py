"""The projector on Dask arrays: the call for NumPy arrays, one task a chunk along projection.

A thread of a worker gets a *line* of tasks: its chunks, one after the other, each adding to what those before
have summed. So partial gradients are joined before they travel, a worker holds one of them a thread, and no
task waits in a queue from which an idle worker would take it, with its projections. What the lines end with
is summed in a tree. Lines run side by side, so a task computes in one thread.

Volumes come in slabs along x. A slab is a volume whose centre is displaced, which the gauge turns into other
offsets: the kernels are the same. Interpolation is linear in the voxels, so a ray's sum over slabs is what it
is over the volume. A line goes through slab after slab, with all its chunks, so that a worker holds a slab or
two at a time and not the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, groupby
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import GraphNode, Task, TaskRef

from mumott_dask import arrays, devices, placement
from mumott_dask.own_tasks import after, own_tasks

from .residuals import weighted_residual
from .splines import HALO

Projector = Any  #: it stands above this file, and is called by its methods alone

_JOINED = 4  # partial sums joined by one task
_ARRAYS = ("projections", "adjoint", "gradient", "loss", "numbers")  # layers that stand for arrays
_AHEAD = 2  # slabs that a line may be ahead of the slowest, when it sums back


def forward(projector: Projector, volume: Any, chunks: Sequence[int] | None) -> da.Array:
    """Line integrals as a Dask array in the given chunks along projection (one chunk by default)."""
    lengths = tuple(chunks) if chunks is not None else (len(projector),)
    volume = in_slabs(projector, volume)
    tasks = _Tasks(projector, lengths, volume.chunks[0], volume.shape[3:])
    tasks.project("projections", _blocks(volume), [()] * len(lengths), _forward, zeros=volume.ndim - 1)
    sides = (*projector.detector_shape, *volume.shape[3:])
    return tasks.array("projections", (lengths, *((n,) for n in sides)), np.float32, volume)


def adjoint(projector: Projector, projections: da.Array) -> da.Array:
    """Adjoint summed over chunks."""
    projections = _whole(projections)
    tasks = _Tasks(projector, projections.chunks[0], projector.slab_lengths, projections.shape[3:])
    images = [(image,) for image in _blocks(projections)]
    tasks.sum_back("adjoint", _adjoint, images, own_tasks(projections))
    return tasks.volume("adjoint", projections)


def gradient(
    projector: Projector, volume: Any, data: da.Array, weights: da.Array, background: int
) -> tuple[da.Array, da.Array]:
    """Gradient and loss summed over chunks."""
    data, volume = _whole(data), in_slabs(projector, volume)
    weights = _whole(weights.rechunk(data.chunks))
    tasks = _Tasks(projector, data.chunks[0], volume.chunks[0], data.shape[3:])
    own = own_tasks(data, weights)
    measured = [(*pair, background) for pair in zip(_blocks(data), _blocks(weights), strict=True)]
    if volume.numblocks[0] == 1:
        (whole,) = _blocks(volume)
        tasks.sum_back("gradient", _gradient, [(whole, *each) for each in measured], own)
    else:
        residuals = tasks.project("residual", _blocks(volume), measured, _forward, _residual, own)
        tasks.sum_back("gradient", _adjoint, [(each,) for each in residuals])
    inputs = data, weights, volume
    return tasks.volume("gradient", *inputs), tasks.array("loss", (), np.float64, *inputs)


def map_projections(
    projector: Projector,
    function: Callable[..., Any],
    volume: Any,
    *images: da.Array,
    turns: bool,
    **settings: Any,
) -> da.Array:
    """Few numbers a projection, (projection, number), from the chunk that each lives in."""
    stacks, slabs = [_whole(stack) for stack in images], projector.slab_lengths
    tasks = _Tasks(projector, stacks[0].chunks[0], slabs)
    pieces, around = _with_halos(volume, slabs)
    rows, call = list(zip(*map(_blocks, stacks), strict=True)), partial(_few, function, settings)
    see, then = (
        (_itself, call)
        if len(slabs) == 1
        else (partial(_reprojected, around, turns), partial(_numbers, call))
    )
    tasks.project(
        "numbers", [ref for piece in pieces for ref in _blocks(piece)], rows, see, then, own_tasks(*stacks), 1
    )
    return tasks.array("numbers", (stacks[0].chunks[0], (np.nan,)), np.float64, *pieces, *stacks)


def in_slabs(projector: Projector, volume: Any) -> da.Array:
    """A volume in slabs along its first axis: those that it has, or for one in memory the projector's."""
    if arrays.is_chunked(volume):
        return _whole(volume)
    return arrays.in_slabs(volume, projector.slab_lengths)


class _Around(NamedTuple):
    """What a slab comes with, and where it lies."""

    halo: tuple[int, int]  #: planes before and after it
    centre: float  #: the plane, counted from the first of them, that the volume's centre lies in


def _with_halos(volume: Any, slabs: Sequence[int]) -> tuple[list[da.Array], list[_Around]]:
    """Slabs with the planes around them that splines need, one block each."""
    side, pieces, around = sum(slabs), [], []
    for end, n in zip(np.cumsum(slabs).tolist(), slabs, strict=True):
        halo = min(HALO, end - n), min(HALO, side - end)
        first = end - n - halo[0]
        around.append(_Around(halo, (side - 1) / 2 - first))
        planes = volume[first : end + halo[1]]
        if arrays.is_chunked(volume):
            pieces.append(planes.rechunk(-1))
        else:
            pieces.append(arrays.in_slabs(planes, [len(planes)]))
    return pieces, around


class _Sum(NamedTuple):
    """A partial sum, and where it is made."""

    worker: placement.Worker
    task: TaskRef


class _Tasks:
    """The tasks of one call, layer by layer, and the workers that they are asked to run on.

    Names are new for each call. (A hash of the arguments would cost more than the tasks.)
    """

    def __init__(
        self,
        projector: Projector,
        lengths: Sequence[int],
        slabs: Sequence[int],
        channels: tuple[int, ...] = (),
    ) -> None:
        self._token = arrays.new_name("")
        self._layers: dict[str, dict[Any, GraphNode]] = {}
        self._places: dict[Any, placement.Worker] = {}
        self._slabs = tuple(slabs)
        self._rest = (*projector.volume_shape[1:], *channels)
        self._owners = placement.owners(len(slabs))
        self.parts = _parts(projector, lengths, slabs)
        self.lines = _lines(placement.owners(len(lengths)))

    def add(
        self,
        name: str,
        index: Sequence[int],
        worker: placement.Worker,
        *call: Any,
        own: Sequence[GraphNode] = (),
    ) -> TaskRef:
        """One task more: a function and its arguments, some of which it makes by tasks of its own."""
        key: Any = (f"{name}{self._token}", *index)
        task = Task(key, *call)
        self._layers.setdefault(key[0], {})[key] = Task.fuse(*own, task) if own else task
        self._places[key] = worker
        return TaskRef(key)

    def project(
        self,
        name: str,
        slabs: list[Any],
        rest: list[Any],
        see: Any,
        then: Any = None,
        own: Sequence[Sequence[GraphNode]] = (),
        zeros: int = 2,
    ) -> list[Any]:
        """What each chunk sees of all slabs, summed; ``then(part, images, *rest)`` of the sum, if given.

        ``see(s, part, slab)`` makes images of slab s. The last tasks of the chunks become the layer `name`,
        their keys of so many zeros, and do what is the chunks' own.
        """
        if len(slabs) > 1:  # under names of their own, so that workers let them go when all have seen them
            slabs = [self.add("slab", (s,), self._owners[s], _same, slab) for s, slab in enumerate(slabs)]
        seen: list[Any] = [None] * len(rest)
        for worker, line in self.lines:
            before = None
            for s, slab in enumerate(slabs):
                for i in line:
                    what = see, s, self.parts[s][i], slab, seen[i]
                    if s < len(slabs) - 1:
                        before = self.add("seen", (s, i), worker, after, before, _seen, *what)
                    else:
                        index = (i, *(0,) * zeros)
                        call = after, before, _seen, *what, then, *rest[i]
                        before = self.add(name, index, worker, *call, own=own[i] if own else ())
                    seen[i] = before
        return seen

    def sum_back(
        self, name: str, function: Any, rest: list[Any], own: Sequence[Sequence[GraphNode]] = ()
    ) -> None:
        """Sums over chunks of what ``function(part, so far, *rest)`` adds, pairs of a slab and a number.

        The slabs become the layer `name`; the number, which all slabs have alike, the layer "loss".
        """
        before: list[Any] = [None] * len(self.lines)
        summed: list[TaskRef] = []
        for s, parts in enumerate(self.parts):
            sums, owner = [], self._owners[s]
            for n, (worker, line) in enumerate(self.lines):
                total: Any = None
                for i in line:
                    call: tuple[Any, ...] = after, before[n], function, parts[i], total, *rest[i]
                    if total is None and s >= _AHEAD:  # or sums of what is fast would pile up
                        call = after, summed[s - _AHEAD], *call
                    mine = own[i] if own else ()
                    total = before[n] = self.add(f"{name}-part", (s, i), worker, *call, own=mine)
                sums.append(_Sum(worker, total))
            terms = self._joined(f"{name}-sum", s, sums)
            self.add(name, (s, *(0 for _ in self._rest)), owner, _sum_of, 0, *terms)
            if s == 0:
                self.add("loss", (), owner, _sum_of, 1, *terms)
            if s + _AHEAD < len(self.parts):
                summed.append(self.add(f"{name}-summed", (s,), owner, _sum_of, 1, *terms))

    def _joined(self, name: str, slab: int, sums: list[_Sum]) -> list[TaskRef]:
        """A few sums of sums: of those of a worker first, then of several workers', a few at a time."""
        numbers = count()

        def joined(sums: list[_Sum]) -> list[_Sum]:
            return [self._join(name, (slab, next(numbers)), some) for some in _few_at_a_time(sums)]

        groups = [list(group) for _, group in groupby(sums, key=lambda each: each.worker)]
        while max(map(len, groups)) > _JOINED:
            groups = [joined(group) for group in groups]
        while len(groups) > 1:
            groups = _few_at_a_time([one for group in groups for one in joined(group)])
        return [each.task for each in groups[0]]

    def _join(self, name: str, index: Sequence[int], sums: list[_Sum]) -> _Sum:
        if len(sums) == 1:
            return sums[0]
        where = sums[index[0] % len(sums)].worker  # of each slab another, or one worker would hold them all
        return _Sum(where, self.add(name, index, where, _totals, *(each.task for each in sums)))

    def volume(self, name: str, *inputs: da.Array) -> da.Array:
        """The array of slabs that stands in a layer."""
        return self.array(name, (self._slabs, *((n,) for n in self._rest)), np.float32, *inputs)

    def array(self, name: str, chunks: tuple[Any, ...], dtype: Any, *inputs: da.Array) -> da.Array:
        """The array that stands in a layer."""
        layers: dict[str, Any] = {}
        needs: dict[str, set[str]] = {}
        for each in inputs:
            layers |= each.dask.layers
            needs |= each.dask.dependencies
        stands = dict.fromkeys(self._layers, f"inner{self._token}")
        stands |= {layer: layer for layer in stands if layer.removesuffix(self._token) in _ARRAYS}
        mine: dict[str, dict[Any, GraphNode]] = {}
        for layer, tasks in self._layers.items():
            mine.setdefault(stands[layer], {}).update(tasks)
        for layer, tasks in mine.items():
            pins = placement.pinned({key: self._places[key] for key in tasks})
            first = {key: int(getattr(task, "func", None) in _SUMS) for key, task in tasks.items()}
            layers[layer] = MaterializedLayer(tasks, annotations=pins | {"priority": first.__getitem__})
            before = {key[0] for task in tasks.values() for key in task.dependencies}
            needs[layer] = {stands.get(each, each) for each in before} - {layer}
        whole = f"{name}{self._token}"
        return da.Array(HighLevelGraph(layers, needs), whole, chunks, dtype=dtype)


def _few_at_a_time(sums: list[_Sum]) -> list[list[_Sum]]:
    return [sums[i : i + _JOINED] for i in range(0, len(sums), _JOINED)]


def _lines(owners: list[placement.Worker]) -> list[tuple[placement.Worker, list[int]]]:
    """Chunks that a thread of a worker goes through, for each thread that gets any."""
    lines = []
    for worker, chunks in groupby(range(len(owners)), key=owners.__getitem__):
        parts = np.array_split(list(chunks), worker.threads)
        lines += [(worker, part.tolist()) for part in parts if part.size]
    return lines


def _parts(projector: Projector, lengths: Sequence[int], slabs: Sequence[int]) -> list[list[Projector]]:
    """The projector of each slab and chunk, in one thread: the worker's others have tasks of their own."""
    ends, whole = np.cumsum(lengths), projector.single_threaded()
    return [
        [slab[end - n : end] for end, n in zip(ends, lengths, strict=True)]
        for slab in (whole.slab(start, n) for start, n in zip(np.cumsum([0, *slabs]), slabs, strict=False))
    ]


def _whole(array: da.Array) -> da.Array:
    """The array, chunked along its first axis alone."""
    return array.rechunk(dict.fromkeys(range(1, array.ndim), -1))


def _blocks(array: da.Array) -> list[TaskRef]:
    return [TaskRef((array.name, i, *(0,) * (array.ndim - 1))) for i in range(array.numblocks[0])]


def _same(slab: Any) -> Any:
    return slab


def _seen(see: Any, s: int, part: Projector, slab: Any, seen: Any, then: Any = None, *rest: Any) -> Any:
    images = see(s, part, slab)
    if seen is not None:
        images += seen
    return images if then is None else then(part, images, *rest)


def _forward(_: int, part: Projector, slab: Any) -> Any:
    return part.forward(slab)


def _reprojected(slabs: list[_Around], turns: bool, s: int, part: Projector, slab: Any) -> Any:
    """Images, and their derivatives by rotations if wanted, (image, projection, j, k)."""
    halo, centre = slabs[s]
    images = part.reproject(slab, halo)
    if not turns:
        return images[None, ...]
    return devices.namespace(images).stack([images, *part.turns(slab, halo, centre)])


def _itself(_: int, __: Projector, volume: Any) -> Any:
    return volume


def _residual(_: Projector, images: Any, data: Any, weights: Any, background: int) -> tuple[Any, Any]:
    return weighted_residual(images, data, weights, background)


class _Reprojected(NamedTuple):
    """What stands for a projector where no task has the whole volume, but all its slabs have been seen."""

    images: Any  #: (image, projection, j, k), see `_reprojected`

    def reproject(self, volume: None) -> Any:
        """The reprojected images."""
        return self.images[0]

    def turns(self, volume: None) -> list[Any]:
        """Their derivatives by rotations."""
        return list(self.images[1:])


def _few(function: Callable[..., Any], settings: dict[str, Any], part: Any, volume: Any, *images: Any) -> Any:
    """What a function makes of images, in the host's memory: few numbers."""
    return devices.numbers(function(part, volume, *devices.together(*images), **settings))


def _numbers(function: Callable[..., Any], _: Projector, images: Any, *measured: Any) -> Any:
    return function(_Reprojected(images), None, *measured)


def _adjoint(part: Projector, so_far: Any, images: Any) -> tuple[Any, Any]:
    images, loss = images if isinstance(images, tuple) else (images, np.float64(0))
    return _more(so_far, part.adjoint(images), loss)


def _gradient(
    part: Projector, so_far: Any, volume: Any, data: Any, weights: Any, background: int
) -> tuple[Any, Any]:
    return _more(so_far, *part.gradient(volume, data, weights, background))


def _more(so_far: tuple[Any, Any] | None, slab: Any, loss: Any) -> tuple[Any, Any]:
    """What has been summed so far, added to a new slab in its place."""
    if so_far is None:
        return slab, loss
    slab += so_far[0]
    return slab, loss + so_far[1]


def _totals(*pairs: tuple[Any, Any]) -> tuple[Any, Any]:
    return _sum_of(0, *pairs), _sum_of(1, *pairs)


def _sum_of(n: int, first: tuple[Any, Any], *others: tuple[Any, Any]) -> Any:
    """The sum of the n-th of pairs, in a new array."""
    total = first[n] + others[0][n] if others else first[n].copy()
    for other in others[1:]:
        total += other[n]
    return total


_SUMS = _totals, _sum_of  # what workers do first, since their terms wait for it
