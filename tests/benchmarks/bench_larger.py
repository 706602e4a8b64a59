"""A scan ten times larger than the memory limit of all workers: what a worker takes to align it."""

import re
import time
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import cluster
from mumott_dask.alignment import Stage

LIMIT = 512 * 2**20  # bytes; of these, imports take half
TIMES = 10
J, K, SEGMENTS = 48, 40, 64
ONE_STEP = (Stage("coarse", 1, 1.5, 1, 2, 1, 0.0),)


def write(path):
    """Segments that are all alike, so that disk is no matter: a blob that circles in noise."""
    count = TIMES * LIMIT // (4 * J * K * SEGMENTS) + 1
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    j, k = ((np.arange(side) - (side - 1) / 2) / side for side in (J, K))
    images = np.random.default_rng(0).normal(0, 0.01, (count, J, K)).astype(np.float32)
    for image, angle in zip(images, angles, strict=True):
        image += np.outer(np.exp(-50 * (j - 0.1 * np.cos(angle)) ** 2), np.exp(-50 * k**2))
    scan = md.make_scan(images, angles, signal="additive", name="sum")
    data = da.broadcast_to(da.from_array(images, chunks=(128, -1, -1))[..., None], (count, J, K, SEGMENTS))
    scan = scan.assign(data=(("projection", "j", "k", "segment"), data))
    md.write_scan(scan.assign_coords(detector_angle=("segment", np.arange(SEGMENTS) * 0.1)), path)


def peak():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the peak that Linux keeps")
def test_a_scan_ten_times_larger_than_the_workers(figure, tmp_path):
    """One outer iteration, from the segments: pixels of which there are many and kernels have little to do."""
    write(tmp_path / "scan.zarr")
    with cluster.local(workers=1, threads=1, memory_limit=LIMIT, dashboard_address=None) as client:
        scan = md.open_scan(tmp_path / "scan.zarr", chunks=cluster.capacity())
        assert scan["data"].nbytes > TIMES * LIMIT
        begin = time.monotonic()
        md.align(scan, method="optical-flow", start="zero", variable="data", stages=ONE_STEP)
        seconds = time.monotonic() - begin
        (held,) = client.run(peak).values()
    note = f"largest resident size; {scan['data'].nbytes / 1e9:.1f} GB read again and again, {seconds:.0f} s"
    what = f"worker memory, aligning a scan of {TIMES} times its limit"
    figure("Dask", what, held / 2**20, "MiB", LIMIT / 2**20, note=note)
