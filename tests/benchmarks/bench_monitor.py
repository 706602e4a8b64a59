"""What the dashboard's page costs the alignment that it shows."""

import asyncio
import multiprocessing
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

import mumott_dask as md
from mumott_dask import monitor

GROUP = "Watching"
PAGES, TURNS, RUNS = 50, 4, 3


@pytest.fixture(scope="module")
def client(compiled):
    with md.cluster.local(workers=1, threads=1, dashboard_address="127.0.0.1:0") as client:
        yield client


async def hold(address, ready, done):
    """Be so many browsers: connected, and reading what they are sent."""
    connections = []
    for _ in range(PAGES):
        token = urllib.request.urlopen(address).read().decode().split('"token":"')[1].split('"')[0]
        headers = {"Origin": address.removesuffix("/alignment")}
        request = HTTPRequest(address.replace("http", "ws") + "/ws", headers=headers)
        connections.append(await websocket_connect(request, subprotocols=["bokeh", token]))
    readers = [asyncio.create_task(read(connection)) for connection in connections]
    ready.set()
    await asyncio.to_thread(done.wait)
    for reader in readers:
        reader.cancel()


async def read(connection):
    while await connection.read_message() is not None:
        pass


def browse(*arguments):
    asyncio.run(hold(*arguments))


@contextmanager
def pages(address):
    """Fifty pages that are open, held by a process of their own, as long as the block runs."""
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    process = spawn.Process(target=browse, args=(address, ready, done))
    process.start()
    assert ready.wait(120)
    yield
    done.set()
    process.join(30)


def seconds(scan):
    """Seconds of the iterations of an alignment, without its first, in the quickest of some runs."""
    return min(_seconds(scan) for _ in range(RUNS))


def _seconds(scan):
    with monitor.watch_alignment(name="watched", show=False) as watch:
        result = md.align(scan, method="optical-flow", tolerance=1e-9, iterations=15, watch=watch)
    return float(result["seconds"][1:].sum())


def test_fifty_open_pages(figure, client):
    scan = md.simulate((60, 52), tilts=3, rotations=40).chunk(projection=60)
    address = monitor.page(client)
    seconds(scan)
    ratios = []
    for _ in range(TURNS):
        without = seconds(scan)
        with pages(address):
            ratios.append(seconds(scan) / without)
    low, high = np.percentile(ratios, [25, 75])
    note = f"{TURNS} turns, half of them between {low:.3f} and {high:.3f}"
    figure(
        GROUP,
        f"an alignment with {PAGES} pages open, over one without",
        np.median(ratios),
        "",
        1.01,
        note=note,
    )
