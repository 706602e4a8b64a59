"""Worker processes on this machine: what is started, what is left, what is refused."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from pathlib import Path
from socket import AddressFamily
from urllib.request import urlopen

import dask.array as da
import distributed
import pytest

from mumott_dask import ScanError, align, cluster, simulate


def _threads_of_numba() -> int:
    import numba

    return numba.config.NUMBA_NUM_THREADS


def test_local_starts_the_workers_asked_for_as_processes(client):
    assert sorted(client.nthreads().values()) == [1, 1]
    processes = set(client.run(os.getpid).values())
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_local_is_the_active_client_until_closed():
    with cluster.local(workers=1, threads=1, dashboard_address=None) as local:
        assert distributed.default_client() is local
        value = da.ones(10, chunks=5).sum().compute()
        assert value == 10
        pid = next(iter(local.run(os.getpid).values()))
    assert local.status == "closed"
    assert local.cluster.status is distributed.core.Status.closed
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_numba_and_blas_keep_to_one_thread_a_task(client):
    assert set(client.run(_threads_of_numba).values()) == {1}
    assert set(client.run(lambda: os.environ["OPENBLAS_NUM_THREADS"]).values()) == {
        os.environ.get("OPENBLAS_NUM_THREADS", "1")
    }


def _seconds_by_thread():
    """Time that each thread of a process was busy, by the name that Python knows it by, and of all others."""
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    busy = {"unknown to Python": 0.0}
    for task in Path("/proc/self/task").iterdir():
        user, system = (task / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
        name = known.get(int(task.name), "unknown to Python")
        busy[name] = busy.get(name, 0.0) + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return busy


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(cluster.local, id="ours"),
        pytest.param(
            partial(distributed.Client, processes=True), id="as others start them", marks=pytest.mark.slow
        ),
    ],
)
def test_a_worker_computes_on_its_threads_and_no_others(start):
    settings = {"n_workers": 1, "threads_per_worker": 2} if start is not cluster.local else {}
    with start(**settings or {"workers": 1, "threads": 2}, dashboard_address=None) as client:
        align(simulate(shape=(26, 24), tilts=2, rotations=12).chunk(projection=4))
        (busy,) = client.run(_seconds_by_thread).values()
        assert busy.pop("unknown to Python") == 0
        tasks = [seconds for name, seconds in busy.items() if "Dask-Default-Threads" in name]
        assert len(tasks) == 2
        assert sum(tasks) > 0
        assert not any(client.run(_has_threads_of_numba).values())


def test_an_alignment_that_is_a_task_keeps_to_its_thread():
    """A worker that imports numba with the script that starts it knows nothing of how many there may be."""
    scan = simulate(shape=(26, 24), tilts=2, rotations=12)
    with cluster.local(workers=1, threads=2, dashboard_address=None) as client:
        result = client.submit(align, scan, iterations=2).result()
        assert result.sizes["iteration"] == 2
        assert not any(client.run(_has_threads_of_numba).values())


def _has_threads_of_numba():
    from numba.np.ufunc import parallel

    return parallel._is_initialized


def test_workers_outlive_an_interrupt(client):
    before = client.run(os.getpid)
    for pid in before.values():
        os.kill(pid, signal.SIGINT)
    assert client.submit(sum, (1, 2)).result() == 3
    assert client.run(os.getpid) == before


def test_the_dashboard_is_served(client):
    from urllib.request import urlopen

    with urlopen(client.dashboard_link) as page:
        assert page.status == 200


@pytest.mark.parametrize("number", [0, -1, 1.5, "two"])
def test_a_number_of_workers_that_is_none_is_refused(number):
    with pytest.raises(ScanError, match=f"workers is {number!r}, expected a positive whole number"):
        cluster.local(workers=number)


def test_the_dashboard_is_for_this_machine_alone():
    with cluster.local(workers=1, threads=1) as client:
        (listening,) = {
            socket.getsockname()[0]
            for server in [client.cluster.scheduler.http_server]
            for socket in server._sockets.values()
            if socket.family is AddressFamily.AF_INET
        }
        assert listening == "127.0.0.1"
        with urlopen(client.dashboard_link) as page:
            assert page.status == 200
