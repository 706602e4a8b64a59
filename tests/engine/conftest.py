"""A cluster of two worker processes, and what its scheduler and its workers have done."""

from collections import Counter

import pytest
from dask.utils import key_split
from distributed.diagnostics.plugin import SchedulerPlugin

import mumott_dask as md
from mumott_dask import cluster


class Finished(SchedulerPlugin):
    """Counts the tasks that finish, by their kind and by their worker."""

    name = "finished"

    def __init__(self):
        self.kinds, self.workers = Counter(), Counter()

    def transition(self, key, start, finish, *_, worker=None, **__):
        if start == "processing" and finish == "memory":
            self.kinds[key_split(key)] += 1
            self.workers[key_split(key), worker] += 1


def start_counting(dask_scheduler):
    dask_scheduler.add_plugin(Finished(), name="finished")


def counted(dask_scheduler):
    plugin = dask_scheduler.plugins["finished"]
    found = plugin.kinds, plugin.workers
    plugin.kinds, plugin.workers = Counter(), Counter()
    return found


def received(dask_worker):
    kinds = Counter()
    for transfer in dask_worker.transfer_incoming_log:
        for key, size in transfer["keys"].items():
            kinds[key_split(key)] += size
    dask_worker.transfer_incoming_log.clear()
    return kinds


class Watched:
    """A client, and what has happened on its cluster since it was last asked."""

    def __init__(self, client):
        self.client = client
        client.run_on_scheduler(start_counting)

    def finished(self):
        """Tasks by kind."""
        return self.client.run_on_scheduler(counted)[0]

    def finished_by(self, kind, worker):
        """Tasks of a kind that a worker has finished."""
        return self.client.run_on_scheduler(counted)[1][kind, worker]

    def received(self):
        """Bytes by kind, each worker's."""
        return list(self.client.run(received).values())


@pytest.fixture(scope="module")
def client():
    with cluster.local(workers=2, threads=1, dashboard_address=None) as client:
        yield client


@pytest.fixture(scope="module")
def watched(client):
    return Watched(client)


@pytest.fixture(scope="package")
def scan():
    """32 projections of 24 x 20 pixels at two tilts."""
    return md.simulate((24, 20), tilts=2, rotations=16, seed=1)
