import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mumott_dask.errors import ScanError
from mumott_dask.scan.atomic import recover, replacing, uninterrupted, working_on
from mumott_dask.scan.zarr_store import write_dataset


def put(path, text, folder):
    if folder:
        path.mkdir()
        path = path / "zarr.json"
    path.write_text(text)


def held(path):
    return (path / "zarr.json" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("folder", [False, True])
def test_output_appears_when_it_is_whole(tmp_path, folder):
    final = tmp_path / "out"
    with replacing(final) as partial:
        put(partial, "new", folder)
        assert not final.exists()
    assert held(final) == "new"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("folder", [False, True])
def test_existing_output_is_refused(tmp_path, folder):
    final = tmp_path / "out"
    put(final, "old", folder)
    with pytest.raises(ScanError, match=r"out: exists already.*overwrite=True"), replacing(final):
        pytest.fail("the block must not run")
    assert held(final) == "old"


@pytest.mark.parametrize("old_folder", [False, True])
@pytest.mark.parametrize("new_folder", [False, True])
def test_overwriting_replaces_at_the_end(tmp_path, old_folder, new_folder):
    final = tmp_path / "out"
    put(final, "old", old_folder)
    with replacing(final, overwrite=True) as partial:
        put(partial, "new", new_folder)
        assert held(final) == "old"
    assert held(final) == "new"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_what_was_there(tmp_path, folder, fault):
    final = tmp_path / "out"
    put(final, "old", folder)

    def write_half():
        with replacing(final, overwrite=True) as partial:
            put(partial, "half", folder)
            raise fault

    with pytest.raises(fault):
        write_half()
    assert held(final) == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_failing_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    final = tmp_path / "out"
    put(final, "old", True)
    rename = Path.rename

    def failing(self, target):
        if "partial" in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt), replacing(final, overwrite=True) as partial:
        put(partial, "new", folder=True)
    assert held(final) == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_output_that_comes_up_meanwhile_is_kept(tmp_path):
    final = tmp_path / "out"

    def write_at_once():
        with replacing(final) as partial:
            put(partial, "new", False)
            put(final, "another's", False)

    with pytest.raises(ScanError, match="exists already"):
        write_at_once()
    assert held(final) == "another's"


def test_folder_that_is_no_store_is_never_replaced(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.tex").write_text("years")
    with (
        pytest.raises(ScanError, match=r"results: is a folder that is no Zarr store"),
        replacing(tmp_path / "results", True),
    ):
        pytest.fail("the block must not run")


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(ScanError, match=r"there is no folder .*nowhere"), replacing(tmp_path / "nowhere/out"):
        pytest.fail("the block must not run")


def test_link_to_an_output_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("real")
    with replacing(link, overwrite=True) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line(tmp_path, number):

    def write():
        with replacing(tmp_path / "out"):
            try:
                raise OSError(number, "full")
            except OSError as error:
                raise RuntimeError("wrapped") from error

    with pytest.raises(ScanError, match=r"out: the disk is full") as caught:
        write()
    assert "\n" not in str(caught.value)


KILLED = """
import os, signal, sys
from pathlib import Path
from mumott_dask.scan import atomic

if sys.argv[2] == "between the names":
    Path.rename = lambda path, to, rename=Path.rename: (rename(path, to), os.kill(os.getpid(), signal.SIGKILL))
with atomic.replacing(sys.argv[1], overwrite=True) as partial:
    partial.mkdir()
    (partial / "zarr.json").write_text("new")
    if sys.argv[2] == "while it wrote":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["while it wrote", "between the names"])
def test_what_a_killed_writer_left_is_put_right(tmp_path, when):
    final, other = tmp_path / "out.zarr", tmp_path / ".out.other.123456789abc.partial.zarr"
    put(final, "old", True)
    put(other, "of another output, out.other.zarr", True)
    outcome = subprocess.run([sys.executable, "-c", KILLED, str(final), when], timeout=60, check=False)
    assert outcome.returncode == -9
    assert final.exists() == (when == "while it wrote")
    assert len(list(tmp_path.iterdir())) == 3
    recover(final)
    assert held(final) == "old"
    assert set(tmp_path.iterdir()) == {final, other}


FULL_DISK = """
import resource, subprocess, sys
from pathlib import Path
import numpy as np, xarray as xr
from mumott_dask.errors import ScanError
from mumott_dask.scan import zarr_layout
from mumott_dask.scan.hdf5_writer import write_hdf5
from mumott_dask.scan.tomogram_files import write_tomogram
from mumott_dask.scan.zarr_store import open_dataset, write_dataset

zarr_layout.INNER_BYTES, zarr_layout.SHARD_BYTES = 2**16, 2**17
source, disk = Path(sys.argv[1]), Path(sys.argv[2])
scan = open_dataset(source, chunks=4)
tomogram = xr.DataArray(np.random.default_rng(0).random((80, 80, 80), np.float32), dims=("x", "y", "z"))
mount = subprocess.run(["sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0"', disk], capture_output=True)
if mount.returncode:  # no right to mount: the largest file that may be written is as hard a limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
try:
    tomograms = [f"tomogram{suffix}" for suffix in (".zarr", ".h5", ".tif", ".mrc")]
    for name in ("lazy.zarr", "numpy.zarr", "scan.h5", *tomograms):
        try:
            if name == "lazy.zarr":
                write_dataset(scan, disk / name)
            elif name == "numpy.zarr":
                write_dataset(scan.compute(), disk / name)
            elif name == "scan.h5":
                write_hdf5(scan, disk / name)
            else:
                write_tomogram(tomogram, disk / name)
            print("written", name)
        except ScanError as error:
            print(error, "| left:", len(list(disk.iterdir())))
finally:
    if not mount.returncode:
        subprocess.run(["umount", "--lazy", disk], check=True)
"""


def test_writers_on_a_full_disk_say_so_and_leave_nothing(tmp_path, example_scan):
    write_dataset(example_scan(projections=40, j=120, k=120), tmp_path / "scan.zarr")
    disk = tmp_path / "disk"
    disk.mkdir()
    arguments = [sys.executable, "-c", FULL_DISK, str(tmp_path / "scan.zarr"), str(disk)]
    outcome = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    lines = outcome.stdout.splitlines()
    assert len(lines) == 7, outcome.stderr
    for line in lines:
        assert re.fullmatch(r"\S+/disk/\S+: the disk is full, .* \| left: 0", line), outcome.stdout


def test_an_output_is_worked_on_by_one_at_a_time(tmp_path):
    path = tmp_path / "out.zarr"
    with working_on(path):
        refused = rf"out.zarr: is being worked on \(process {os.getpid()} on .+\)$"
        with pytest.raises(ScanError, match=refused), working_on(path):
            pytest.fail("the block must not run")
        with working_on(tmp_path / "other.zarr"):
            pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), working_on(path):
        raise KeyError
    with working_on(path):
        pass


def test_who_is_killed_lets_go(tmp_path):
    path = tmp_path / "out.zarr"
    lines = (
        "import sys, time",
        "from mumott_dask.scan.atomic import working_on",
        "with working_on(sys.argv[1]):",
        "    print(flush=True)",
        "    time.sleep(60)",
    )
    with subprocess.Popen([sys.executable, "-c", "\n".join(lines), path], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(ScanError, match=f"process {other.pid} on"), working_on(path):
            pytest.fail("the block must not run")
        other.kill()
    with working_on(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_has_no_room_for_a_lock_goes_on_without(tmp_path):
    lines = (
        "import resource, sys",
        "from mumott_dask.scan.atomic import working_on",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
        "with working_on(sys.argv[1]):",
        "    print('went on')",
    )
    command = [sys.executable, "-c", "\n".join(lines), tmp_path / "out.zarr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("went on\n", 0), done.stderr
    assert list(tmp_path.iterdir()) == []


def interrupted(path, text):
    with uninterrupted(), replacing(path) as partial:
        os.kill(os.getpid(), signal.SIGINT)
        partial.write_text(text)


def test_an_interrupt_waits_until_an_output_is_whole(tmp_path):
    final, handler = tmp_path / "out", signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupted(final, "whole")
    assert final.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [final]
    with pytest.raises(TypeError):  # which it does not hide
        interrupted(tmp_path / "another", None)
    assert list(tmp_path.iterdir()) == [final]
    assert signal.getsignal(signal.SIGINT) is handler
