"""Memory is a count: what an alignment holds at most, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import peak  # beside the benchmarks
import pytest

import mumott_dask as md

SHAPE = (1200, 90, 90)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the peak that Linux keeps")
def test_an_alignment_holds_three_times_the_absorbances_and_six_times_the_volume(tmp_path):
    md.align(md.simulate((24, 20), tilts=1, rotations=8, jumps=0, jitter=0.1), iterations=1)  # compiles
    peak.write(tmp_path / "scan.h5", SHAPE)
    arguments = [sys.executable, peak.__file__, "align", str(tmp_path / "scan.h5")]
    outcome = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert int(outcome.stdout) <= peak.aim(SHAPE)
