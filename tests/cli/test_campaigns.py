"""``mumott-dask campaign``: run, killed, gone on with, looked at."""

import os
import signal
import subprocess
import sys

import pytest

from mumott_dask import open_alignment


@pytest.fixture
def manifest(tmp_path, scan_path, hdf5_path):
    """Three samples, the last of which is broken."""
    (tmp_path / "broken.h5").write_text("nothing")
    path = tmp_path / "bones.yaml"
    path.write_text(
        f"samples:\n- {{path: {scan_path}, name: bone}}\n- {hdf5_path}\n- broken.h5\nalign: {{iterations: 3}}"
    )
    return path


def test_a_campaign_is_run_and_looked_at(invoke, manifest):
    before = invoke("campaign", "status", manifest).output
    assert before.endswith("3 samples: 3 waiting\n")
    said = invoke("campaign", "run", manifest)
    assert "3 samples: 2 look, 1 failed: " in said.output
    assert "3/3 samples, 1 failed  broken" in said.output
    lines = invoke("campaign", "status", manifest).output.splitlines()
    assert lines[0].split() == [
        "sample",
        "status",
        "verdict",
        "iterations",
        "residual",
        "error",
        "bar",
        "seconds",
    ]
    assert lines[1].split()[:4] == ["bone", "done", "look", "3"]
    assert f"{manifest.parent}/broken.h5: is not an HDF5 file" in lines[3]
    assert invoke("campaign", "run", manifest, "--quiet").output.startswith("3 samples: 2 look, 1 failed: ")


def test_what_failed_is_tried_again(invoke, manifest, hdf5_path):
    invoke("campaign", "run", manifest, "--quiet")
    (manifest.parent / "broken.h5").unlink()
    (manifest.parent / "broken.h5").symlink_to(hdf5_path)
    said = invoke("campaign", "retry", manifest, "--failed")
    assert "1/1 samples, 0 failed  broken" in said.output
    assert "3 samples: 3 look" in said.output


def test_a_mistake_in_a_manifest_is_one_line(command, manifest):
    manifest.write_text("samples: [a.h5]\nalign:\n  tolerance: -1\n")
    done = command("campaign", "run", manifest)
    expected = f"mumott-dask: {manifest}:3: tolerance is -1 pixels, expected more than 0\n"
    assert (done.returncode, done.stderr) == (2, expected)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_campaign_that_was_stopped_goes_on(command, manifest, number):
    line = [sys.executable, "-m", "mumott_dask", "campaign", "run", str(manifest), "--workers", "1"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        told = next(text for text in process.stderr if text.startswith("1/3 samples"))
        os.kill(process.pid, number)
        rest = process.communicate(timeout=120)[1]
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), told + rest
    if number == signal.SIGINT:
        assert "interrupted: 3 samples: " in rest
    done = command("campaign", "run", manifest, "--quiet")
    assert done.stdout.startswith("3 samples: 2 look, 1 failed: "), done.stderr
    assert open_alignment(manifest.with_suffix(".campaign") / "samples" / "bone.zarr").sizes["iteration"] == 3
