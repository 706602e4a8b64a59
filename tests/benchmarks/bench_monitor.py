"""What the dashboard's page costs the alignment that it shows."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import monitor
from mumott_dask.monitor.plugin import NAME

GROUP = "Watching"
PAGES, TURNS = 50, 4


@pytest.fixture(scope="module")
def client(compiled):
    with md.cluster.local(workers=1, threads=1, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture
def pages(client):
    """Pages that are open, held by a process of their own."""
    command = [sys.executable, Path(__file__).with_name("browsers.py"), monitor.page(client), str(PAGES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield lambda: int(process.communicate()[0])
        process.kill()


def recorded(scan, runs):
    """What an alignment tells of itself: seconds since it began, and the event."""
    told, began, take = [], time.perf_counter(), runs.take
    runs.take = lambda event: told.append((time.perf_counter() - began, event))
    with monitor.watch_alignment(name="recorded", show=False) as watch:
        md.align(scan, watch=watch)
    runs.take = take
    return told


async def work(runs, told, name):
    """Seconds of processor time that the thread of scheduler and dashboard takes while events arrive as they did."""
    began, worked = time.perf_counter(), time.thread_time()
    for at, event in told:
        await asyncio.sleep(max(0, at - (time.perf_counter() - began)))
        runs.take({**event, "run": name})
    return time.thread_time() - worked


def test_fifty_open_pages(figure, client, pages):
    """The scheduler's thread is all that an alignment shares with them."""
    runs = client.cluster.scheduler.plugins[NAME].runs
    told = recorded(md.simulate().chunk(projection=41), runs)
    listeners, duration = runs._listeners, told[-1][0]
    assert len(listeners) == PAGES

    def seconds(turn):
        playing = work(runs, told, f"turn {turn}")
        return asyncio.run_coroutine_threadsafe(playing, client.loop.asyncio_loop).result()

    runs._listeners = set()
    without = np.median([seconds(turn) for turn in range(TURNS)])
    runs._listeners = listeners
    added = [100 * (seconds(TURNS + turn) - without) / duration for turn in range(TURNS)]
    sent = pages() / TURNS / 1e6
    figure(
        GROUP,
        f"scheduler's work for {PAGES} open pages, of the alignment's time",
        np.median(added),
        "%",
        1.0,
        note=f"{min(added):.2f} to {max(added):.2f}; {len(told)} events in {duration:.0f} s, {sent:.1f} MB sent",
    )
