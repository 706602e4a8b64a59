"""What an alignment holds at most, in a process of its own.

`peak.py write SCAN P J K` writes a scan of P projections of J x K pixels; `peak.py align SCAN [angles]` runs the
command on it, all stages but each cut short, and prints the largest resident size in bytes. That is what Linux
keeps of this very process: getrusage would count the one that started it as well.
"""

import re
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np

import mumott_dask as md
from mumott_dask.alignment import settings
from mumott_dask.cli import main

FIXED = 300e6  # bytes: of these, imports take 220 MB and kernels 50


def aim(shape):
    """Bytes: three times the absorbances, six times the volume, and what does not depend on the scan."""
    projections, j, k = shape
    return 4 * (3 * projections * j * k + 6 * j * j * k) + FIXED


def write(path, shape):
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, shape[0], endpoint=False)
    j, k = ((np.arange(side) - (side - 1) / 2) / side for side in shape[1:])
    images = random.normal(0, 200, shape).astype(np.float32)
    for image, angle in zip(images, angles, strict=True):
        across = np.exp(-50 * (j - 0.1 * np.cos(angle)) ** 2)
        image += 40_000 * 10 ** -np.outer(across, np.exp(-50 * k**2))
    md.write_scan(md.make_scan(images, angles), path)


def align(path, angles):
    whole = settings.default_stages

    def short(*arguments):
        stages = whole(*arguments)
        return tuple(replace(stage, iterations=1, first_iterations=1, inner_iterations=1) for stage in stages)

    settings.default_stages = short
    options = ["--refine-angles"] if angles else []
    with redirect_stdout(sys.stderr):
        main(["align", path, "--output", f"{path}.aligned.zarr", *options], standalone_mode=False)
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], tuple(map(int, sys.argv[3:])))
    else:
        align(sys.argv[2], sys.argv[3:] == ["angles"])
