"""Workers that die, join or pause while a scan is aligned: the offsets are those of an undisturbed run."""

import os
import random
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from distributed.core import Status

import mumott_dask as md
from mumott_dask import cluster, placement, plugins

OPTIONS = {"method": "optical-flow", "iterations": 5}
CHUNK = 4
FIRST = 10  # iterations of MITRA in the longest outer iteration, the first of the coarse stage


@pytest.fixture(scope="module")
def client():
    with cluster.local(workers=3, threads=1, memory_limit="1GiB", dashboard_address=None) as client:
        yield client
        wait_for_all(client, len(client.cluster.workers))


@pytest.fixture(scope="module")
def undisturbed(scan):
    return md.align(scan, **OPTIONS)


@pytest.fixture(scope="module")
def duration(client, scan, undisturbed):
    """Seconds of a run on the cluster, once everything is compiled there."""
    for _ in range(2):
        begin = time.monotonic()
        assert_equal(md.align(scan.chunk(projection=CHUNK), **OPTIONS), undisturbed)
    return time.monotonic() - begin


def assert_equal(found, expected):
    """To a ten-thousandth of a pixel, with as many outer iterations."""
    assert found.sizes["iteration"] == expected.sizes["iteration"]
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4)


def wait_for_all(client, count=3):
    """Wait until so many workers run, and their nannies know it.

    A nanny whose worker dies while it starts never learns of the next one, and can't be closed.
    """
    client.cluster.scale(count)
    for _ in range(600):
        nannies = client.cluster.workers.values()
        known = client.scheduler_info(n_workers=-1)["workers"]
        running = [each.process.status == Status.running and each.worker_address in known for each in nannies]
        if len(running) == count and all(running):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{sum(running)} of {count} workers run")


def kill(client, count, choose):
    """Kill worker processes without a warning, and wait until their nannies have seen it and start others."""
    workers = sorted(client.cluster.workers.items())
    killed = [(nanny.process, nanny.process.process) for _, nanny in choose.sample(workers, count)]
    for _, process in killed:
        os.kill(process.pid, signal.SIGKILL)
    while any(nanny.process is process for nanny, process in killed):
        time.sleep(0.01)


def align_while(what, scan):
    """The alignment of a scan during which something else is done, by another thread."""
    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(what)
        found = md.align(scan.chunk(projection=CHUNK), **OPTIONS)
        other.result()
    return found


def check_kill(client, watched, scan, undisturbed, duration, count, seed):
    wait_for_all(client)
    watched.finished()
    choose = random.Random(seed)
    moment = choose.uniform(0, duration)

    def disturb():
        time.sleep(moment)
        kill(client, count, choose)

    assert_equal(align_while(disturb, scan), undisturbed)
    return watched.finished()["gradient-part"]


def test_a_worker_that_is_killed_costs_an_outer_iteration_at_most(
    client, watched, scan, undisturbed, duration
):
    chunks = scan.sizes["projection"] // CHUNK
    watched.finished()
    md.align(scan.chunk(projection=CHUNK), **OPTIONS)
    usual = watched.finished()["gradient-part"]
    assert usual > FIRST * chunks
    took = check_kill(client, watched, scan, undisturbed, duration, 1, seed=0)
    assert took <= usual + FIRST * chunks


def test_two_workers_killed_at_once(client, watched, scan, undisturbed, duration):
    check_kill(client, watched, scan, undisturbed, duration, 2, seed=1)


def test_all_workers_killed_at_once(client, watched, scan, undisturbed, duration):
    """Their tasks wait for workers of other addresses than those that they had asked for."""
    check_kill(client, watched, scan, undisturbed, duration, 3, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_workers_killed_at_any_moment(client, watched, scan, undisturbed, duration, count, seed):
    check_kill(client, watched, scan, undisturbed, duration, count, seed)


def test_a_worker_that_joins_gets_work(client, watched, scan, undisturbed):
    """Two of the eight chunks, in each iteration from then on."""
    wait_for_all(client)
    before = set(client.scheduler_info()["workers"])

    def watch(step):
        if step.iteration == 2:
            client.cluster.scale(4)
            client.wait_for_workers(4)
            time.sleep(1.1)  # the list of workers is looked up once a second

    found = md.align(scan.chunk(projection=CHUNK), watch=watch, **OPTIONS)
    assert_equal(found, undisturbed)
    (new,) = set(client.scheduler_info()["workers"]) - before
    later = OPTIONS["iterations"] - 2
    assert watched.finished_by("gradient-part", new) >= 2 * later


def fill(dask_worker):
    """Take memory until the worker pauses."""
    limit = dask_worker.memory_manager.memory_limit
    free = 0.87 * limit - dask_worker.monitor.get_process_memory()
    dask_worker.ballast = np.ones(int(free), np.uint8)


def empty(dask_worker):
    dask_worker.ballast = None


def status(dask_worker):
    return dask_worker.status


def test_a_worker_that_pauses_for_want_of_memory(client, scan, undisturbed, duration, wait_until):
    wait_for_all(client, len(client.cluster.workers))
    full = min(client.scheduler_info()["workers"])
    seen = []

    def paused():
        seen.extend(client.run(status, workers=[full]).values())
        return seen[-1] == Status.paused

    def disturb():
        time.sleep(duration / 4)
        client.run(fill, workers=[full])
        try:
            wait_until(paused)
            time.sleep(1)
        finally:
            client.run(empty, workers=[full])

    assert_equal(align_while(disturb, scan), undisturbed)
    assert Status.paused in seen


def test_workers_that_have_all_paused_are_told_of(client, scan, undisturbed, monkeypatch, wait_until):
    monkeypatch.setattr(plugins, "_FULL_FOR", 1.0)
    wait_for_all(client, len(client.cluster.workers))
    placement.workers()  # at which the plugins are registered
    client.run(fill)
    wait_until(lambda: set(client.run(status).values()) == {Status.paused})

    def disturb():
        try:
            wait_until(lambda: told)
        finally:  # or the alignment would never end
            client.run(empty)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", md.ScanWarning)
        assert_equal(align_while(disturb, scan), undisturbed)
    (line,) = {str(warning.message) for warning in told}
    assert f"all {len(client.cluster.workers)} Dask workers have paused for want of memory (1024 MiB" in line
