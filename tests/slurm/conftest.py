"""A real SLURM of the tests' own, and sites on it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mumott_dask as md
from mumott_dask.cluster import Jobs, Site

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("running_slurm", HERE / "running.py")
running = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(running)


@pytest.fixture(scope="session")
def queue(lacking):
    """SLURM runs, and its commands in this process and its children find it."""
    why = running.missing()
    if why is not None:
        lacking(f"no SLURM: {why}")
    before = dict(os.environ)
    with running.running_slurm() as environment:
        os.environ.update(environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def site(queue, tmp_path):
    """A partition of the tests' SLURM: jobs of one worker with one thread."""
    return Site(
        cores=1,
        memory=2**30,
        partition="long",
        interface="lo",
        shared=str(tmp_path / "shared"),
        python=sys.executable,
        start_timeout=120,
        jobs=Jobs(1, 1),
    )


@pytest.fixture(scope="session")
def scan():
    """32 projections of 24 x 20 pixels at two tilts."""
    return md.simulate((24, 20), tilts=2, rotations=16, seed=1)


@pytest.fixture
def without_gpus(tmp_path):
    """An interpreter whose `dask_cuda` does not ask for a driver."""
    path = tmp_path / "python"
    path.write_text(
        f'#!/bin/sh\nshift 2  # -m dask_cuda.cli\nexec {sys.executable} {HERE}/cuda_worker_without_gpus.py "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def everything():
    """Jobs of anyone in the queue, as a function."""

    def listed():
        return subprocess.run(
            ["squeue", "--noheader", "--format=%A %j %T", "--states=PENDING,RUNNING"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()

    return listed
