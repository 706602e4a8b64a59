"""What is mended in Dask: calls that workers keep, memory that they ask for anew, and messages that wait."""

import resource
import sys
from collections import Counter

import numpy as np
import pytest

import mumott_dask as md


def calls_kept(dask_worker):
    """Tasks whose call a worker still has, though it needs it no more, and all that are done."""
    done = [task for task in dask_worker.state.tasks.values() if task.state in ("memory", "released")]
    return Counter(kept=sum(task.run_spec is not None for task in done), done=len(done))


def test_workers_keep_no_calls_of_what_is_done(client, scan):
    kept = Counter()

    def watch(step):
        kept.update(sum(client.run(calls_kept).values(), Counter()))

    md.align(scan.chunk(projection=4), method="optical-flow", iterations=3, watch=watch)
    assert kept["done"] > 0
    assert kept["kept"] == 0


@pytest.fixture
def used(client, scan):
    """A client that something was computed with."""
    md.align(scan.chunk(projection=4), method="line")
    return client


def pages_asked_for():
    """While a hundred arrays of a mebibyte come and go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(2**17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's memory")
def test_workers_keep_the_memory_of_what_comes_and_goes(used):
    assert max(used.run(pages_asked_for).values()) < 100 * 2**20 / resource.getpagesize() / 5


def test_messages_wait_for_no_others(used):
    def to_workers(dask_scheduler):
        return [messages.interval for messages in dask_scheduler.stream_comms.values()]

    def from_worker(dask_worker):
        return dask_worker.batched_stream.interval

    waits = [*used.run_on_scheduler(to_workers), *used.run(from_worker).values()]
    assert len(waits) == 4
    assert max(waits) < 1e-3
