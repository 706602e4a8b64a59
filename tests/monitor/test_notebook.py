"""An alignment in a notebook's output cell: what a real kernel sends to whoever has the notebook open."""

from __future__ import annotations

import re

import pytest
from jupyter_client.manager import start_new_kernel

CELL = """
import mumott_dask as md
scan = md.simulate(shape=(14, 12), tilts=1, rotations=12, jitter=0.3, jumps=0.0, drift=0.0)
with md.monitor.watch_alignment() as watch:
    result = md.align(scan, iterations=3, watch=watch)
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def executed(kernel, code):
    """What a cell sends, in order, but for how it stands."""
    sent = []
    reply = kernel.execute_interactive(code, timeout=120, output_hook=sent.append)
    assert reply["content"]["status"] == "ok", reply["content"]
    return [each for each in sent if each["msg_type"] not in ("status", "execute_input")]


def test_a_cell_changes_as_the_alignment_goes(kernel):
    sent = executed(kernel, CELL)
    first, *later = sent
    assert first["msg_type"] == "display_data"
    assert {each["msg_type"] for each in later} == {"update_display_data"}
    assert len({each["content"]["transient"]["display_id"] for each in sent}) == 1
    assert "aligning" in first["content"]["data"]["text/html"]
    last = later[-1]["content"]["data"]["text/html"]
    (told,) = executed(kernel, 'print(*result["largest_step"].values, *result["residual"].values)')
    numbers = [float(each) for each in told["content"]["text"].split()]
    assert "iteration 3/3" in last
    assert f"residual {numbers[-1]:.5f}" in last
    assert 'value="1.000"' in last
    words = re.findall(r'aria-label="([^"]+)"', last)
    assert words[0].startswith("offsets j and k")
    assert words[1].startswith(f"largest step by iteration, {numbers[0]:.3g}")
    assert last.count("h0") == 2 * 12


def test_a_result_shows_itself(kernel):
    (sent,) = executed(kernel, "result")
    assert "j_offset" in sent["content"]["data"]["text/html"]
