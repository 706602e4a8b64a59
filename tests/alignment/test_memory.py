"""Memory is a count: what an alignment holds at most, in a process of its own."""

import re
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md

SHAPE, VOLUME = (1200, 90, 90), (90, 90, 90)
BAR = 4 * (3 * prod(SHAPE) + 6 * prod(VOLUME)) + 300e6  # of those 300, imports take 210 and kernels 50

# All stages, each cut short. The peak is what Linux keeps of this very process: getrusage would count the one
# that started it as well.
ALIGN = """
import sys
from dataclasses import replace
from pathlib import Path
import mumott_dask as md
from mumott_dask.alignment import settings

def short_stages(*arguments, of=settings.default_stages):
    return tuple(replace(stage, iterations=1, first_iterations=1, inner_iterations=1) for stage in of(*arguments))

settings.default_stages = short_stages
found = md.align(sys.argv[1])
print(found.sizes["iteration"], "iterations")
print(Path("/proc/self/status").read_text())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the peak that Linux keeps")
def test_an_alignment_holds_three_times_the_absorbances_and_six_times_the_volume(tmp_path):
    md.align(md.simulate((24, 20), tilts=1, rotations=8, jumps=0, jitter=0.1), iterations=1)  # compiles
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, SHAPE[0], endpoint=False)
    place = (np.arange(SHAPE[1]) - (SHAPE[1] - 1) / 2) / SHAPE[1]
    across = np.exp(-50 * (place - 0.1 * np.cos(angles)[:, None]) ** 2)
    images = 40_000 * 10 ** -(across[:, :, None] * np.exp(-50 * place**2)).astype(np.float32)
    md.write_scan(md.make_scan(images + random.normal(0, 200, SHAPE), angles), tmp_path / "scan.h5")
    arguments = [sys.executable, "-c", ALIGN, str(tmp_path / "scan.h5")]
    outcome = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("3 iterations")
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", outcome.stdout)[1]) * 1024
    assert peak <= BAR, f"{peak / 1e6:.0f} MB, at most {BAR / 1e6:.0f} MB"
