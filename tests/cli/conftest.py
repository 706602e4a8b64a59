"""The real command on a small simulated scan, both made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mumott_dask.cli import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]

SMALL = [
    "--shape",
    "24x20",
    "--tilts",
    "2",
    "--rotations",
    "15",
    "--jitter",
    "0.5",
    "--jumps",
    "1",
    "--drift",
    "0.3",
]


@pytest.fixture(scope="session")
def command() -> Command:
    """Run ``mumott-dask`` in a process of its own."""

    def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "mumott_dask", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, **options)

    return run


@pytest.fixture(scope="session")
def invoke() -> Callable[..., Result]:
    """Run ``mumott-dask`` in this process; what is wrong with it is raised."""

    def run(*arguments: Any, code: int = 0) -> Result:
        result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture(scope="session")
def scan_path(tmp_path_factory: pytest.TempPathFactory, invoke: Callable[..., Result]) -> Path:
    """Small simulated scan, a Zarr store."""
    path = tmp_path_factory.mktemp("scan") / "scan.zarr"
    invoke("simulate", path, *SMALL, "--pixel-size", "25")
    return path


@pytest.fixture(scope="session")
def hdf5_path(scan_path: Path, invoke: Callable[..., Result]) -> Path:
    """The same scan as mumott's HDF5."""
    path = scan_path.with_suffix(".h5")
    invoke("convert", scan_path, path, "--quiet")
    return path


@pytest.fixture(scope="session")
def result_path(scan_path: Path, invoke: Callable[..., Result]) -> Path:
    """Its alignment."""
    path = scan_path.with_name("result.zarr")
    invoke("align", scan_path, "--output", path, "--quiet")
    return path
