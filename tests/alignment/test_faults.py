"""What goes wrong on real workers, and with real files: nothing is left, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import numpy as np
import pytest

import mumott_dask as md

SETTINGS = {"method": "tutorial", "iterations": 5}


@pytest.fixture(scope="module")
def scan_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.zarr"
    md.write_scan(md.simulate(shape=(26, 24), tilts=2, rotations=12, jitter=0.5, jumps=1, drift=0.3), path)
    return path


@pytest.fixture(scope="module")
def undisturbed(scan_path):
    return md.align(scan_path, **SETTINGS)


@pytest.fixture(scope="module")
def client():
    with md.cluster.local(workers=2, threads=1, dashboard_address=None) as client:
        yield client


def tasks_left(client: distributed.Client) -> int:
    """Tasks that the scheduler holds, once it had the time to hear that they are not wanted."""

    def held(dask_scheduler):
        return len(dask_scheduler.tasks)

    for _ in range(50):
        left = client.run_on_scheduler(held)
        if not left:
            break
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_an_interrupt_leaves_no_tasks(client, scan_path, delay):
    def watch(step):
        if step.iteration == 2:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()

    found = md.align(
        md.open_scan(scan_path, chunks=4), watch=watch, **SETTINGS | {"iterations": 20, "tolerance": 1e-9}
    )
    assert found.attrs["reason"] == "interrupted"
    assert 2 <= found.sizes["iteration"] < 20
    assert tasks_left(client) == 0
    assert client.submit(sum, (1, 2)).result() == 3


class Failures(distributed.WorkerPlugin):
    """Counts the tasks that failed on a worker."""

    name = "failures"

    def setup(self, worker):
        self.keys = []

    def transition(self, key, start, finish, **_):
        if finish == "error":
            self.keys.append(key)


def failures(dask_worker):
    return dask_worker.plugins["failures"].keys


def test_a_corrupt_chunk_is_named_and_read_once(client, scan_path, tmp_path):
    path = tmp_path / "scan.zarr"
    scan = md.open_scan(scan_path)
    md.write_scan(scan, path)
    (file,) = [file for file in (path / "diode" / "c").rglob("*") if file.is_file()]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    client.register_plugin(Failures())
    with pytest.raises(md.ScanError) as caught:
        md.align(md.open_scan(path, chunks=4), checkpoint=tmp_path / "result.zarr", **SETTINGS)
    message = str(caught.value)
    assert message.startswith(f"{path}: 'diode' of projection ")
    assert "cannot be read, the store is damaged" in message
    assert "\n" not in message
    failed = [key for keys in client.run(failures).values() for key in keys]
    assert failed
    assert len(failed) == len(set(failed)) <= scan.sizes["projection"] // 4
    client.unregister_worker_plugin("failures")
    assert tasks_left(client) == 0
    assert not (tmp_path / "result.zarr").exists()


FULL_DISK = """
import resource, subprocess, sys
from pathlib import Path
import numpy as np
import mumott_dask as md

scan, disk, whole, settings = sys.argv[1], Path(sys.argv[2]), md.open_alignment(sys.argv[3]), eval(sys.argv[4])
mount = subprocess.run(["sh", "-c", 'mount -t tmpfs -o size=2m tmpfs "$0"', disk], capture_output=True)
tmpfs = not mount.returncode

def fill(step):
    if step.iteration != 2:
        return
    if tmpfs:
        with (disk / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(2**12))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**12, resource.RLIM_INFINITY))

def make_room():
    (disk / "filler").unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def watch(step):
    try:
        fill(step)
    except OSError:
        pass

numbers = []
try:
    try:
        md.align(scan, checkpoint=disk / "result.zarr", watch=watch, **settings)
    except md.ScanError as error:
        print(error)
    make_room()
    left = [path.name for path in disk.iterdir()]
    found = md.align(
        scan, checkpoint=disk / "result.zarr", watch=lambda step: numbers.append(step.iteration), **settings
    )
    print(left, numbers, np.abs(found["j_offset"] - whole["j_offset"]).max().item() < 1e-6)
finally:
    if tmpfs:
        subprocess.run(["umount", "--lazy", disk], check=True)
"""


def test_a_full_disk_costs_the_iteration_that_it_could_not_take(scan_path, undisturbed, tmp_path):
    md.write_alignment(undisturbed, tmp_path / "undisturbed.zarr")
    disk = tmp_path / "disk"
    disk.mkdir()
    arguments = [str(scan_path), str(disk), str(tmp_path / "undisturbed.zarr"), repr(SETTINGS)]
    outcome = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told, found = outcome.stdout.splitlines() or [outcome.stderr, ""]
    assert told.startswith(f"{disk}/result.zarr: the disk is full, or a quota used up; nothing was written")
    assert found == "['result.zarr'] [3, 4, 5] True", outcome.stderr


def align_command(scan, output, address):
    line = [sys.executable, "-m", "mumott_dask", "align", scan, "-o", output, "--scheduler", address]
    line += ["--method", SETTINGS["method"], "--iterations", SETTINGS["iterations"], "--chunks", 4]
    return subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, iteration):
    return next(line for line in process.stderr if f"iteration {iteration}/" in line)


def check(path: Path, undisturbed):
    found = md.open_alignment(path)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], undisturbed[name], atol=1e-4, rtol=0)


def test_a_killed_client_is_forgotten_by_its_scheduler_and_gone_on_with(
    client, scan_path, undisturbed, tmp_path
):
    with align_command(scan_path, tmp_path / "result.zarr", client.scheduler.address) as process:
        wait_for(process, 2)
        process.kill()
    assert tasks_left(client) == 0
    numbers = []
    scan = md.open_scan(scan_path, chunks=6)
    md.align(
        scan, checkpoint=tmp_path / "result.zarr", watch=lambda s: numbers.append(s.iteration), **SETTINGS
    )
    assert not numbers or numbers[0] > 2
    check(tmp_path / "result.zarr", undisturbed)


SCHEDULER = """
import time, distributed
settings = dict(threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0")
with distributed.LocalCluster(n_workers=2, **settings) as cluster:
    print(cluster.scheduler_address, flush=True)
    time.sleep(300)
"""


def test_a_killed_scheduler_is_told_in_one_line_and_the_work_gone_on_with(scan_path, undisturbed, tmp_path):
    shown, numbers = [], []
    for kill in (True, False):
        line = [sys.executable, "-c", SCHEDULER]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as scheduler:
            address = scheduler.stdout.readline().strip()
            with align_command(scan_path, tmp_path / "result.zarr", address) as process:
                if kill:
                    wait_for(process, 2)
                    scheduler.kill()
                shown.append(process.communicate(timeout=60)[1])
                numbers.append(process.returncode)
            scheduler.kill()
    assert numbers == [2, 0], shown
    assert shown[0].splitlines()[-1].startswith("mumott-dask: the Dask cluster that worked on it was lost")
    assert "mumott_dask/" not in shown[0], "a traceback of ours"
    assert "goes on after iteration " in shown[1]
    check(tmp_path / "result.zarr", undisturbed)


def test_an_interrupt_that_python_drops_ends_it_all_the_same(scan_path):
    """As it does where one comes in a callback of the garbage collector."""

    def watch(step):
        if step.iteration == 2:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    found = md.align(scan_path, watch=watch, **SETTINGS | {"iterations": 20, "tolerance": 1e-9})
    assert found.attrs["reason"] == "interrupted"
    assert found.sizes["iteration"] == 2
    assert signal.getsignal(signal.SIGINT) is before
