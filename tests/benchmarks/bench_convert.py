"""Memory and time to convert a scan of 4 GB from HDF5 to Zarr."""

import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

PROJECTIONS, J, K, SEGMENTS = 1000, 250, 250, 15  # 3.75 GB of data, 0.25 GB of diode
LIMIT = 1024**3

CONVERT = """
import resource, sys
from mumott_dask.scan.opening import open_scan
from mumott_dask.scan.writing import write_scan

if __name__ == "__main__":
    write_scan(open_scan(sys.argv[1], chunks="auto"), sys.argv[2])
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("convert") / "scan.h5"
    random = np.random.default_rng(0)
    counts = random.poisson(1000, (J, K, SEGMENTS)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["detector_angles"] = np.linspace(0, np.pi, SEGMENTS, endpoint=False)
        file["volume_shape"] = [J, J, K]
        for i in range(PROJECTIONS):
            group = file.create_group(f"projections/{i}")
            group["data"] = np.roll(counts, i)
            group["diode"] = np.roll(counts[..., 0], i)
            group["inner_angle"], group["outer_angle"] = np.pi * i / PROJECTIONS, 0.0
    yield path
    path.unlink()


def test_memory_of_conversion(benchmark, scan_file, tmp_path):
    arguments = [sys.executable, "-c", CONVERT, str(scan_file), str(tmp_path / "scan.zarr")]
    outcome = benchmark.pedantic(
        subprocess.run, (arguments,), {"capture_output": True, "text": True, "check": True}, rounds=1
    )
    shutil.rmtree(tmp_path / "scan.zarr")
    peak = int(re.search(r"peak (\d+)", outcome.stdout)[1])
    benchmark.extra_info["peak_bytes"] = peak
    sys.stdout.write(f"\n{scan_file.stat().st_size / 1e9:.2f} GB converted, peak {peak / 1e6:.0f} MB\n")
    assert peak <= LIMIT
