"""mumott's tutorial on optical flow runs with its imports changed and nothing else."""

from __future__ import annotations

import ast
import re
import runpy
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mumott_dask import ScanWarning, compare, simulate, write_scan

ROOT = Path(__file__).parents[2]
TEXT = ROOT.parent / "shared" / "tutorial_optical_flow_alignment.txt"
REDUCED = {"shape": (37, 31), "tilts": 4, "rotations": 21, "jumps": 2.0, "jitter": 0.5, "drift": 0.5}


def code_of(page: str) -> str:
    """Code of a notebook that was printed as text: after each ``[n]:`` the most lines that are Python."""
    cells = re.split(r"^\[\d+\]:$", page, flags=re.MULTILINE)[1:]
    return "\n".join(_code(cell.splitlines()) for cell in cells)


def _code(lines: list[str]) -> str:
    for end in range(len(lines), 0, -1):
        code = "\n".join(lines[:end])
        try:
            ast.parse(code)
        except SyntaxError:
            continue
        return code
    return ""


@pytest.fixture
def aligned(tmp_path, monkeypatch):
    """Run the tutorial on a scan: RMS error of its offsets in pixels, its figures, seconds of all cores."""
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")

    def run(settings):
        scan = simulate(**settings)
        write_scan(scan, tmp_path / "trabecular_bone_9.h5")
        code = code_of(TEXT.read_text()).replace("from mumott", "from mumott_dask.compat")
        (tmp_path / "tutorial.py").write_text(code)
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScanWarning)  # use_gpu=True
            geo = runpy.run_path(str(tmp_path / "tutorial.py"))["geo"]
        seconds = time.process_time() - start
        j, k = np.array(geo.j_offsets), np.array(geo.k_offsets)
        found = scan.assign_coords(j_offset=("projection", j), k_offset=("projection", k))
        return compare(found, "truth", scan).attrs["rms"], len(plt.get_fignums()), seconds

    yield run
    plt.close("all")


present = pytest.mark.skipif(not TEXT.is_file(), reason="the tutorial's text is not here")


@present
def test_it_runs_to_its_end_on_a_smaller_scan(aligned):
    error, figures, _ = aligned(REDUCED)
    assert error < 0.05
    assert figures == 9


@present
@pytest.mark.slow
def test_it_runs_to_its_end_on_a_scan_of_its_own_size(aligned):
    error, figures, seconds = aligned({})
    print(f"tutorial: {error:.4f} pixel RMS, {seconds:.0f} s of the cores' time")
    assert error < 0.05
    assert figures == 9
    assert seconds < 120  # a minute on two cores


@pytest.mark.skipif(TEXT.is_file(), reason="the tutorial itself is run")
def test_a_script_that_does_the_same_ends_with_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    script = runpy.run_path(str(ROOT / "examples" / "tutorial_two_stages.py"))
    plt.close("all")
    assert compare(script["found"], "truth", script["scan"]).attrs["rms"] < 0.05
