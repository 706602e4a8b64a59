"""Drivers that outlive the login: submitted, watched, stopped, killed, and started again."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.cluster.folders import SCHEDULER, read_scheduler

SITE = """
cores: 1
memory: 1GB
partition: long
interface: lo
shared: {shared}
driver: {{cores: 1, memory: 1GB}}
walltime: 0:{minutes}:00
"""


@pytest.fixture
def command(queue, tmp_path):
    """Run ``mumott-dask`` in a folder of the test's, its home."""

    def run(*arguments):
        line = [sys.executable, "-m", "mumott_dask", *map(str, arguments)]
        environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(Path(md.__file__).parents[1])}
        return subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.fixture
def submit(command, scan, tmp_path):
    """Submit an alignment of so many iterations; the cluster's folder."""
    md.write_scan(scan, tmp_path / "scan.zarr")

    def submitted(iterations, minutes=30):
        (tmp_path / "site.yaml").write_text(SITE.format(shared=tmp_path / "shared", minutes=minutes))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = command(
            "align", "scan.zarr", "--output", "result.zarr", "--method", "optical-flow", "--tolerance", "1e-9",
            "--iterations", iterations, "--chunks", 8, "--cluster", "site.yaml", "--submit",
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        # Ten seconds of an idle machine; this one may be busy, and what is asked of it counts.
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
        assert not (tmp_path / "result.zarr").exists()
        (folder,) = (tmp_path / "shared").iterdir()
        assert f"mumott-dask attach {folder} shows" in done.stderr
        return folder

    return submitted


def test_a_submitted_alignment_is_watched_to_its_end(submit, command, scan, tmp_path, everything):
    folder = submit(3)
    done = command("attach", folder)
    assert done.returncode == 0, done.stdout
    assert "dashboard at http://localhost:" in done.stdout
    assert re.search(r"^alignment +result.zarr", done.stdout, re.MULTILINE)
    expected = md.align(scan, method="optical-flow", iterations=3)
    for name in ("j_offset", "k_offset"):
        found = md.open_alignment(tmp_path / "result.zarr")[name]
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-4)
    assert not everything()
    assert {path.suffix for path in folder.iterdir() if path.name != "status"} == {".log"}


def kill(folder, command):
    os.kill(read_scheduler(folder)[0]["pid"], signal.SIGKILL)


def cancel(folder, command):
    subprocess.run(["scancel", f"--name={folder.name}-driver"], check=True)


def stop(folder, command):
    done = command("stop", folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("end", [stop, kill, cancel])
def test_a_driver_that_ends_leaves_no_jobs(submit, command, everything, wait_until, end):
    folder = submit(1000)
    wait_until((folder / SCHEDULER).exists)
    wait_until(lambda: len(everything()) == 2)
    end(folder, command)
    wait_until(lambda: not everything(), 60)
    assert not (folder / SCHEDULER).exists()
    assert not (folder / "credentials.pem").exists()
    assert command("attach", folder).returncode not in (0, None)


@pytest.mark.slow
def test_a_requeued_driver_goes_on_from_its_checkpoint(submit, command, everything, tmp_path, wait_until):
    folder = submit(1000)
    log = folder / "driver.log"
    wait_until((tmp_path / "result.zarr").exists)
    time.sleep(2)
    (driver,) = (job.split()[0] for job in everything() if job.split()[1].endswith("-driver"))
    subprocess.run(["scontrol", "requeue", driver], check=True)
    wait_until(lambda: re.search(r"result.zarr: goes on after iteration \d+", log.read_text()), 120)
    stop(folder, command)
    wait_until(lambda: not everything(), 60)
