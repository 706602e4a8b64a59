"""Progress as it is shown: lines where nobody looks, a bar on a terminal, in words that tell the work."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import time
from collections.abc import Iterator

import dask.array as da
import pytest

from mumott_dask import align, cluster, monitor, reconstruct, simulate
from mumott_dask.monitor.display import Pace, display


@pytest.fixture(scope="module")
def scan():
    return simulate(shape=(14, 12), tilts=1, rotations=12, jitter=0.3, jumps=0.0, drift=0.0)


@pytest.fixture
def terminal() -> Iterator[tuple[io.TextIOWrapper, int]]:
    """File that is a terminal, and the descriptor from which what it shows is read."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as file:
        yield file, leader
    os.close(leader)


def _shown(leader: int) -> str:
    """All that was shown: a terminal hands out a few kilobytes a read."""
    shown = b""
    while select.select([leader], [], [], 0.2)[0]:
        shown += os.read(leader, 2**20)
    return shown.decode()


def test_an_alignment_is_a_line_an_iteration(scan):
    file = io.StringIO()
    with monitor.watch_alignment(file) as watch:
        result = align(scan, iterations=3, watch=watch)
    lines = file.getvalue().splitlines()
    assert len(lines) == result.sizes["iteration"] == 3
    assert f"iteration 3/3  largest step {float(result['largest_step'][-1]):.4f} px" in lines[-1]
    assert f"residual {float(result['residual'][-1]):.5f}" in lines[-1]
    assert lines[-1].startswith(str(result["stage"].values[-1]))


def test_a_reconstruction_is_a_line_an_iteration(scan):
    file = io.StringIO()
    with monitor.watch_reconstruction(file) as watch:
        reconstruct(scan, iterations=4, watch=watch)
    lines = file.getvalue().splitlines()
    assert [line.split("  ")[1] for line in lines] == [f"iteration {n}/4" for n in (1, 2, 3, 4)]
    assert all(re.search(r"  loss [\d.e+-]+", line) for line in lines)


def test_a_terminal_gets_a_bar_that_goes_away(scan, terminal):
    file, leader = terminal
    with monitor.watch_alignment(file) as watch:
        align(scan, iterations=2, watch=watch)
        file.flush()
        time.sleep(0.3)  # the bar is drawn ten times a second
    shown = _shown(leader)
    assert "━" in shown
    assert "iteration 2/2" in shown
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


def test_a_computation_is_a_line_for_each_tenth():
    file = io.StringIO()
    with monitor.watch_computation("adding", file=file):
        da.ones(1000, chunks=1).sum().compute()
    lines = file.getvalue().splitlines()
    assert 9 <= len(lines) <= 11
    shares = [int(re.fullmatch(r"adding +(\d+)%.*", line)[1]) for line in lines]
    assert shares == sorted(shares)
    assert shares[-1] >= 90


def test_several_computations_count_as_one_piece_of_work():
    file = io.StringIO()
    with monitor.watch_computation("adding", computations=4, file=file):
        for _ in range(4):
            da.ones(10, chunks=5).sum().compute()
    shares = [int(re.search(r"(\d+)%", line)[1]) for line in file.getvalue().splitlines()]
    assert shares[0] <= 10
    assert shares == sorted(shares)
    assert shares[-1] > 85


def test_work_on_a_cluster_is_watched_too():
    file = io.StringIO()
    with (
        cluster.local(workers=1, threads=1, dashboard_address=None),
        monitor.watch_computation("waiting", file=file),
    ):
        da.ones(40, chunks=1).map_blocks(_slow, dtype=float).sum().compute()
    shares = [int(re.search(r"(\d+)%", line)[1]) for line in file.getvalue().splitlines()]
    assert len(shares) >= 2
    assert shares == sorted(shares)


def _slow(block):
    time.sleep(0.06)
    return block


def test_nothing_is_watched_after_the_block(scan):
    file = io.StringIO()
    with monitor.watch_computation("adding", file=file):
        pass
    da.ones(10, chunks=5).sum().compute()
    assert file.getvalue() == ""


def test_the_time_left_follows_the_last_step(monkeypatch):
    times = iter([0.0, 1.0, 3.0, 63.0, 3663.0])
    monkeypatch.setattr("mumott_dask.monitor.display.time.monotonic", lambda: next(times))
    pace = Pace(of_last_step=True)
    left = [pace.time_left(step, 10) for step in (1, 2, 3, 4, 5)]
    assert left == [
        "",
        "at most 8 s left",
        "at most 14 s left",
        "at most 6 min 00 s left",
        "at most 5 h 00 min left",
    ]


def test_brackets_in_a_text_are_shown_as_they_are(terminal):
    file, leader = terminal
    with display("[bold]label[/bold]", file=file) as shown:
        shown.show("[red]projection[/red]", 1, 2)
        time.sleep(0.3)
    assert "[red]projection[/red]" in _shown(leader)
