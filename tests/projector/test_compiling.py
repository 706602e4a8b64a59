"""Kernels compile and are kept wherever the package is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mumott_dask
import mumott_dask as md

PROJECT = """
import numba, numpy as np
from mumott_dask import Projector
A = Projector(np.eye(3)[None], [0.0], [0.0], (4, 5, 6), (4, 6))
assert A.forward(np.ones((4, 5, 6), np.float32))[0, 2, 3] == 5
print(numba.config.CACHE_DIR)
"""


def without_a_say(command):
    """Root may write anywhere; without that capability it is a user like others."""
    if os.getuid():
        return command
    if not shutil.which("setpriv"):
        pytest.fail("setpriv (util-linux) is needed to run this test as root")
    return ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *command]


@pytest.fixture
def read_only_install(tmp_path):
    package = tmp_path / "site" / "mumott_dask"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(mumott_dask.__file__).parent, package, ignore=ignored)
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "scratch").mkdir()
    folders = [home, *(folder for folder in package.rglob("*") if folder.is_dir()), package]
    for folder in folders:
        folder.chmod(0o555)
    yield tmp_path
    for folder in folders:
        folder.chmod(0o755)


def test_kernels_are_kept_in_scratch_where_install_and_home_are_read_only(read_only_install):
    scratch = read_only_install / "scratch"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(read_only_install / "home"),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(read_only_install / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = without_a_say([sys.executable, "-c", PROJECT])
    outcome = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert Path(outcome.stdout.strip()).parent == scratch
    assert list(scratch.rglob("*.nbi"))


@pytest.mark.slow
def test_a_shared_read_only_install_aligns_on_workers(read_only_install):
    scratch = read_only_install / "scratch"
    md.write_scan(md.simulate((24, 20), tilts=2, rotations=15, seed=1), scratch / "scan.zarr")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(read_only_install / "home"),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(read_only_install / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    line = [sys.executable, "-m", "mumott_dask", "align", "scan.zarr", "--workers", "2", "--quiet"]
    command = without_a_say([*line, "--method", "optical-flow", "--iterations", "2"])
    outcome = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert (scratch / "scan.aligned.zarr").is_dir()
    assert not list((read_only_install / "home").iterdir())
