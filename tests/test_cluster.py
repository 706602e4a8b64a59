"""Clusters on this machine and elsewhere: what they start, what they leave, what they refuse."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from inspect import signature
from pathlib import Path

import dask.array as da
import distributed
import pytest
from distributed.client import AllExit

from mumott_dask import ScanError, ScanWarning, align, cluster, simulate
from mumott_dask.devices import missing_gpu


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    with cluster.local(workers=2, threads=1, dashboard_address=":0") as client:
        yield client


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
    [cluster.local, partial(distributed.Client, processes=True)],
    ids=["ours", "as others start them"],
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


def test_connect_works_on_the_scheduler_and_leaves_it_running(client):
    address = client.scheduler.address
    with cluster.connect(address) as other:
        assert distributed.default_client() is other
        assert other.submit(sum, (1, 2)).result() == 3
    assert client.submit(sum, (3, 4)).result() == 7


def test_connect_refuses_a_worker(client):
    worker = next(iter(client.nthreads()))
    with pytest.raises(ScanError, match="is a Dask worker, expected a scheduler"):
        cluster.connect(worker)


def test_connect_warns_of_a_scheduler_without_workers():
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty,
        pytest.warns(ScanWarning, match="the scheduler has no workers yet"),
        cluster.connect(empty.scheduler_address),
    ):
        pass


@pytest.mark.parametrize(
    "address", ["", "scheduler", "tcp://10.0.0.1", "10.0.0.1:port", "nonsense://10.0.0.1:1", 8786]
)
def test_an_address_that_is_none_is_refused_at_once(address):
    with pytest.raises(ScanError, match=r"expected one such as 'tcp://10.0.0.1:8786'") as caught:
        cluster.connect(address)
    assert "\n" not in str(caught.value)


class _Page(BaseHTTPRequestHandler):
    timeout = 0.2  # of a request that never ends

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def web_server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_nothing_listens(recwarn):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        ScanError, match=f"tcp://127.0.0.1:{port}: no Dask scheduler answers there within 0.5 s"
    ):
        cluster.connect(f"tcp://127.0.0.1:{port}", timeout=0.5)
    assert not recwarn.list


def test_something_else_listens(web_server):
    with pytest.raises(ScanError, match="no Dask scheduler answers there within"):
        cluster.connect(f"127.0.0.1:{web_server}", timeout=0.5)


def test_waits_that_an_interrupt_left_behind_are_not_logged(caplog):
    complain = logging.getLogger("asyncio").error
    for error in (AllExit(), RuntimeError("no such luck")):
        complain("Task exception was never retrieved", exc_info=(type(error), error, None))
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]


def test_capacity_is_that_of_all_threads_and_of_the_smallest_share(client):
    limits = [worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()]
    assert cluster.capacity() == cluster.capacity(client) == (2, min(limits))


def test_capacity_without_a_limit_and_without_workers():
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=3, processes=False, memory_limit=0, dashboard_address=None
        ) as some,
        distributed.Client(some) as client,
    ):
        assert cluster.capacity(client) == (3, float("inf"))
        some.scale(0)
        while client.nthreads():
            pass
        with pytest.raises(ScanError, match="the scheduler has no workers yet"):
            cluster.capacity(client)


def test_the_options_of_a_cluster_of_gpus_are_those_that_there_are():
    """Against the real signatures; the cluster itself needs GPUs, see tests/gpu."""
    dask_cuda = pytest.importorskip("dask_cuda")
    known = signature(dask_cuda.LocalCUDACluster).parameters
    passed_on = signature(distributed.LocalCluster).parameters
    for options in (
        cluster.cuda_options(None, [0, 1, 2, 3]),
        cluster.cuda_options(2, [4, 5, 6], "8GiB", "60GiB", None),
    ):
        unknown = [name for name in options if name not in known and name not in passed_on]
        assert unknown == ["preload"]  # which LocalCluster hands to the workers
        assert "preload" in signature(distributed.Worker).parameters


def test_one_worker_for_each_gpu_that_is_chosen():
    assert cluster.cuda_options(None, [2, 5])["CUDA_VISIBLE_DEVICES"] == [2, 5]
    assert cluster.cuda_options(2, [2, 5, 7])["CUDA_VISIBLE_DEVICES"] == [2, 5]
    assert cluster.cuda_options([7, 2], [2, 5, 7])["CUDA_VISIBLE_DEVICES"] == [7, 2]
    assert cluster.cuda_options([7, 2], [2, 5, 7])["n_workers"] == 2
    for wrong in (0, 4, [3], [], [2, 3]):
        with pytest.raises(
            ScanError, match=r"gpus is .*, expected some of the 3 that are there: \[2, 5, 7\]"
        ):
            cluster.cuda_options(wrong, [2, 5, 7])


def test_no_cluster_of_gpus_without_any(monkeypatch):
    if missing_gpu() is None:  # where there is one, it is hidden
        monkeypatch.setattr(cluster, "missing_gpu", lambda: "hidden")
    with pytest.raises(ScanError, match="no GPU to start workers for: "):
        cluster.cuda()
