"""Clusters that run already: what is joined, what is refused, what they have to offer."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import distributed
import pytest
from distributed.client import AllExit

from mumott_dask import ScanError, ScanWarning, cluster


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
