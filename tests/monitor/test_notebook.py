"""An alignment in a notebook's output cell, with a stand-in for IPython's display that keeps what it shows."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

import mumott_dask as md
from mumott_dask import monitor


@pytest.fixture
def shown(monkeypatch):
    """What the cell has shown, one text after another."""
    texts: list[str] = []
    shell = type("ZMQInteractiveShell", (), {})()
    module, displayed = ModuleType("IPython"), ModuleType("IPython.display")
    module.get_ipython = lambda: shell
    displayed.HTML = str

    def display(text, display_id):
        assert display_id is True
        texts.append(text)
        return SimpleNamespace(update=texts.append)

    displayed.display = display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", displayed)
    return texts


def test_a_cell_changes_as_the_alignment_goes(shown):
    scan = md.simulate(shape=(14, 12), tilts=1, rotations=12, jitter=0.3, jumps=0.0, drift=0.0)
    with monitor.watch_alignment() as watch:
        result = md.align(scan, iterations=3, watch=watch)
    assert "aligning" in shown[0]
    last = shown[-1]
    assert "iteration 3/3" in last
    assert f"residual {float(result['residual'][-1]):.5f}" in last
    assert 'value="1.000"' in last
    words = re.findall(r'aria-label="([^"]+)"', last)
    assert words[0].startswith("offsets j and k")
    assert words[1].startswith(f"largest step by iteration, {float(result['largest_step'][0]):.3g}")
    assert last.count("h0") == 2 * scan.sizes["projection"]
