"""``mumott-dask align`` killed, interrupted and begun again: processes as they run at a beamline."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mumott_dask import open_alignment

METHOD = ("--method", "tutorial", "--iterations", "17")


@pytest.fixture(scope="module")
def never_stopped(command, scan_path):
    path = scan_path.with_name("never_stopped.zarr")
    assert command("align", scan_path, "-o", path, "--quiet", *METHOD).returncode == 0
    return open_alignment(path)


def stopped(
    arguments, iteration: int, number: signal.Signals, everybody: bool = False
) -> tuple[int, str, int]:
    """Exit code and errors of a command that gets a signal after an iteration, and its process group."""
    line = [sys.executable, "-m", "mumott_dask", *map(str, arguments)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        errors = []
        for text in process.stderr:
            errors.append(text)
            if f"iteration {iteration}/" in text:
                (os.killpg if everybody else os.kill)(process.pid, number)
                break
        rest = process.communicate(timeout=120)[1]
    return process.returncode, "".join(errors) + rest, process.pid


def living(group: int) -> bool:
    """Whether any process of a group is there, some seconds later."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def first_iteration(errors: str) -> int:
    (line,) = [line for line in errors.splitlines() if ": goes on after iteration " in line]
    return int(line.rsplit(" ", 1)[1])


here_and_on_workers = pytest.mark.parametrize(
    "workers",
    [pytest.param((), id="here"), pytest.param(("--workers", 2), id="on workers", marks=pytest.mark.slow)],
)


@here_and_on_workers
def test_a_killed_command_goes_on(command, scan_path, never_stopped, tmp_path, workers):
    output = tmp_path / "result.zarr"
    arguments = ("align", scan_path, "-o", output, *METHOD, *workers)
    begun = 0
    for iteration in (15,) if workers else (1, 15):
        code, errors, group = stopped(arguments, iteration, signal.SIGKILL)
        assert code == -signal.SIGKILL, errors
        assert not living(group)
        shown = command("info", output).stdout
        assert "finished      NO: the command that began it goes on with it" in shown
        assert int(shown.split("iterations    ")[1].split()[0]) >= iteration
        if begun:
            assert first_iteration(errors) >= begun
        begun = iteration
    done = command(*arguments, "--quiet")
    assert done.returncode == 0, done.stderr
    assert first_iteration(done.stderr) >= 15
    found = open_alignment(output)
    for name in ("j_offset", "k_offset", "j_offset_history"):
        np.testing.assert_allclose(found[name], never_stopped[name], atol=1e-4 if workers else 1e-6, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["result.zarr"]


@here_and_on_workers
def test_an_interrupted_command_goes_on_from_the_last_whole_iteration(
    command, scan_path, never_stopped, tmp_path, workers
):
    output = tmp_path / "result.zarr"
    arguments = ("align", scan_path, "-o", output, *METHOD, *workers)
    code, errors, group = stopped(arguments, 2, signal.SIGINT, everybody=True)
    assert code == 130, errors
    assert not living(group)
    whole = open_alignment(output).sizes["iteration"]
    done = command(*arguments, "--quiet")
    assert done.returncode == 0, done.stderr
    assert f"mumott-dask: {output}: goes on after iteration {whole}\n" in done.stderr
    found = open_alignment(output)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(found[name], never_stopped[name], atol=1e-4 if workers else 1e-6, rtol=0)


def test_what_cannot_be_gone_on_with_is_refused_in_one_line(command, scan_path, tmp_path):
    output = tmp_path / "result.zarr"
    code, errors, _ = stopped(("align", scan_path, "-o", output, *METHOD), 1, signal.SIGKILL)
    assert code == -signal.SIGKILL, errors
    before = {file: file.stat().st_mtime_ns for file in (output, *output.rglob("*"))}
    done = command("align", scan_path, "-o", output, "--quiet", *METHOD, "--tolerance", "0.01")
    expected = f"{output}: was begun with tolerance 0.001, not 0.01: expected the same, a new name, or to overwrite it"
    assert (done.returncode, done.stderr) == (2, f"mumott-dask: {expected}\n")
    assert {file: file.stat().st_mtime_ns for file in (output, *output.rglob("*"))} == before
    other = command("align", scan_path, "-o", output, "--quiet", "--method", "line", "--overwrite")
    assert other.returncode == 0, other.stderr
    assert open_alignment(output).attrs["method"] == "line"
    again = command("align", scan_path, "-o", output, "--quiet", "--method", "line")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert "exists already, expected a new name, or --overwrite" in again.stderr


def test_a_damaged_checkpoint_is_named(command, scan_path, tmp_path):
    output = tmp_path / "result.zarr"
    stopped(("align", scan_path, "-o", output, *METHOD), 1, signal.SIGKILL)
    shutil.rmtree(Path(output) / "tomogram" / "c")
    done = command("align", scan_path, "-o", output, "--quiet", *METHOD)
    assert done.returncode == 2
    assert f"{output}: 'tomogram' has 0 chunk files, expected 1: the store is damaged" in done.stderr
