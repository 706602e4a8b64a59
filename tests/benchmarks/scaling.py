"""How long an iteration of MITRA takes on many workers: its real graph, played through by a model of the rest.

The graph is the one that the operator makes for so many workers, with the worker that each task asks for. The model
gives every task the time of its kernel, every array that goes from a worker to another the time that it takes
through one link of each, one after the other, and the scheduler a time for each task that ends. What a worker asks
for comes from the worker that made it: all ask at once, before any other has a copy.
"""

import heapq
from dataclasses import dataclass
from unittest import mock

import numpy as np
from scipy.spatial.transform import Rotation

from mumott_dask import Projector, arrays, placement
from mumott_dask.projector import dask_blocks

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Costs:
    """Seconds, as measured."""

    forward: float  #: of a voxel and projection, on a thread
    adjoint: float
    added: float  #: of a voxel of two volumes that are added
    updated: float  #: of a voxel that MITRA updates
    task: float  #: what a task takes of its worker besides
    scheduled: float  #: what it takes of scheduler and client


@dataclass(frozen=True)
class Cluster:
    """Workers that are all alike."""

    workers: int
    threads: int
    bandwidth: float  #: bytes/s, of each worker's link, both ways at once


@dataclass(frozen=True)
class Scan:
    """So many projections of side x side pixels; the volume has the same sides."""

    projections: int
    side: int


@dataclass(frozen=True)
class Iteration:
    """What an iteration took."""

    seconds: float
    tasks: int
    received: float  #: bytes, mean over workers
    slabs: int


def iteration(scan, cluster, costs, slabs=1):
    """One iteration of a scan that is in memory, as the model has it."""
    tasks, depends, places, weights = _graph(scan, cluster, slabs)
    needed = {key: set() for key in tasks}
    for key, before in depends.items():
        for one in before:
            needed.setdefault(one, set()).add(key)
    missing = {key: len(before) for key, before in depends.items()}
    out, into = (np.zeros(cluster.workers) for _ in range(2))
    threads = {w: [0.0] * cluster.threads for w in range(cluster.workers)}
    there, ended, received, scheduler = {}, {}, np.zeros(cluster.workers), 0.0
    events = [(0.0, n, key) for n, key in enumerate(tasks) if not missing[key]]
    heapq.heapify(events)
    asked, number = set(), len(tasks)
    while events:
        now, _, key = heapq.heappop(events)
        here = places[key]
        if key not in asked:  # told to start: fetch what is elsewhere, run when it is there
            asked.add(key)
            for one in depends[key]:
                source = places[one]
                if source != here and (one, here) not in there:
                    size = FLOAT * _voxels(one, scan, slabs)
                    begin = max(now, out[source], into[here])
                    out[source] = into[here] = there[one, here] = begin + size / cluster.bandwidth
                    received[here] += size
                now = max(now, there.get((one, here), now))
            begin = max(now, heapq.heappop(threads[here]))
            end = (
                begin + costs.task + _kernel(key, costs, scan, slabs, weights.get(key, 0), len(depends[key]))
            )
            heapq.heappush(threads[here], end)
            ended[key] = end
            number += 1
            heapq.heappush(events, (end, number, key))
            continue
        scheduler = max(scheduler, now) + costs.scheduled
        for following in needed.get(key, ()):
            missing[following] -= 1
            if not missing[following]:
                number += 1
                heapq.heappush(events, (scheduler, number, following))
    return Iteration(max(ended.values()), len(tasks), float(received.mean()), slabs)


def best(scan, cluster, costs, choices=(1, 4, 16)):
    """The iteration with the number of slabs that makes it shortest."""
    return min((iteration(scan, cluster, costs, slabs) for slabs in choices), key=lambda each: each.seconds)


def _graph(scan, cluster, slabs):
    """Tasks of a gradient, what each waits for, the worker of each, and the projections that it works on."""
    workers = tuple(placement.Worker(str(n), cluster.threads, 0) for n in range(cluster.workers))
    chunks = min(scan.projections, cluster.workers * cluster.threads)
    lengths = [len(part) for part in np.array_split(np.arange(scan.projections), chunks)]
    turns = Rotation.from_rotvec(np.outer(np.linspace(0, np.pi, scan.projections), [0, 0, 1])).as_matrix()
    sides, zeros = (scan.side,) * 3, np.zeros(scan.projections)
    projector = Projector(turns, zeros, zeros, sides, sides[1:], slabs=slabs)
    with mock.patch.object(placement, "workers", return_value=workers):
        volume = arrays.constant(1, sides, projector.slab_lengths)
        data = arrays.constant(1, projector.shape, lengths)
        gradient, _ = dask_blocks.gradient(projector, volume, data, data, 0)
        owners = [int(worker.address) for worker in placement.owners(slabs)]
    tasks, places = {}, {}
    for layer in gradient.dask.layers.values():
        where = (layer.annotations or {}).get("workers")
        for key, task in layer.items():
            if where is not None:
                tasks[key], places[key] = task, int(where(key)[0])
    given = {(volume.name, s, 0, 0): owner for s, owner in enumerate(owners)}
    places |= given
    known = set(places)
    depends = {key: set(task.dependencies) & known for key, task in tasks.items()}
    tasks |= dict.fromkeys(given)
    depends |= {key: set() for key in given}
    weights = {key: lengths[key[-1] if "part" in key[0] else key[1]] for key in tasks if _works_on_chunk(key)}
    weights |= {key: lengths[key[2]] for key in tasks if key[0].startswith("seen")}
    return tasks, depends, places, weights


def _works_on_chunk(key):
    return key[0].startswith(("gradient-part", "residual"))


def _voxels(key, scan, slabs):
    """Numbers in what a task makes, if it travels."""
    return 2 if key[0].startswith(("gradient-summed", "loss")) else scan.side**3 / slabs


def _kernel(key, costs, scan, slabs, projections, terms):
    """Seconds of what a task computes."""
    name, voxels = key[0], scan.side**3 / slabs
    if name.startswith(("seen", "residual")):
        return costs.forward * voxels * projections
    if name.startswith("gradient-part"):
        return ((costs.forward if slabs == 1 else 0) + costs.adjoint) * voxels * projections
    if name.startswith("gradient-summed"):
        return 0.0
    if name.startswith("gradient-sum"):
        return costs.added * voxels * (terms - 1)
    if name.startswith("gradient"):
        return (costs.added * (terms - 1) + costs.updated) * voxels
    return 0.0
