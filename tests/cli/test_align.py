"""``mumott-dask align``: what it writes, what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mumott_dask import align, cluster, compare, open_alignment, open_scan


@pytest.fixture(scope="module")
def scan(scan_path):
    return open_scan(scan_path)


def test_it_finds_the_true_offsets_and_says_so(command, scan, scan_path, tmp_path):
    output = tmp_path / "result.zarr"
    done = command("align", scan_path, "--output", output)
    assert done.returncode == 0, done.stderr
    result = open_alignment(output)
    compared = compare(result, "truth", scan)
    assert compared.attrs["rms"] < 0.05
    assert result.attrs["converged"]
    for name in ("converged", "iterations", "last step", "residual", "offsets", "time", "truth"):
        assert f"\n{name}  " in done.stdout
    assert f"alignment     {output}\n" in done.stdout
    assert f"RMS {compared.attrs['rms']:.4g} pixel" in done.stdout
    assert "converged     yes: " in done.stdout
    assert len(done.stderr.splitlines()) == result.sizes["iteration"]


def test_quiet_is_quiet_and_the_output_is_named_after_the_scan(command, scan_path):
    done = command("align", scan_path.name, "--quiet", "--iterations", 2, cwd=scan_path.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "converged     NO: " in done.stdout
    assert open_alignment(scan_path.with_name("scan.aligned.zarr")).sizes["iteration"] == 2


def test_every_option_reaches_the_alignment(invoke, scan, scan_path, tmp_path):
    start = tmp_path / "start.zarr"
    invoke("align", scan_path, "-o", start, "--method", "line", "--quiet")
    output = tmp_path / "result.zarr"
    options = [
        "--method",
        "optical-flow",
        "--start",
        start,
        "--exclude",
        "3,7-9",
        "--fixed",
        "0",
        "--directions",
        "j",
    ]
    options += [
        "--window",
        "2:22,:",
        "--gauge",
        "keep",
        "--variable",
        "diode",
        "--iterations",
        "4",
        "--tolerance",
        "0.5",
    ]
    invoke("align", scan_path, "-o", output, "--quiet", *options)
    expected = align(
        scan,
        "optical-flow",
        start,
        exclude=(3, 7, 8, 9),
        fixed=(0,),
        directions="j",
        window=((2, 22), (None, None)),
        gauge="keep",
        variable="diode",
        iterations=4,
        tolerance=0.5,
    )
    result = open_alignment(output)
    np.testing.assert_array_equal(result["j_offset"], expected["j_offset"])
    assert result.attrs == expected.attrs


def test_a_place_for_the_sample(invoke, scan_path, tmp_path):
    invoke(
        "align",
        scan_path,
        "-o",
        tmp_path / "result.zarr",
        "--quiet",
        "--gauge",
        "1,-0.5,2",
        "--iterations",
        2,
    )
    assert list(open_alignment(tmp_path / "result.zarr").attrs["gauge"]) == [1.0, -0.5, 2.0]


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--exclude", "3;4", "expected one such as 3,17-20"),
        ("--fixed", "a-b", "expected one such as 3,17-20"),
        ("--window", "1:2", "expected one such as 5:60,:40"),
        ("--window", "1,2", "expected one such as 5:60,:40"),
        ("--gauge", "centre", "expected auto, keep, mass or x,y,z"),
        ("--gauge", "1,2", "expected auto, keep, mass or x,y,z"),
        ("--chunks", "many", "expected one, or auto"),
        ("--method", "magic", "'magic' is not one of"),
    ],
)
def test_an_option_that_makes_no_sense(invoke, scan_path, option, value, expected):
    assert expected in invoke("align", scan_path, option, value, code=2).stderr


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--exclude", "99", "exclude names projection 99, the scan has 0 to 29"),
        ("--tolerance", "0", "tolerance is 0.0 pixels, expected more than 0"),
        ("--variable", "phase", "the scan has no signal 'phase'"),
        ("--start", "missing.zarr", "missing.zarr: no such Zarr store"),
    ],
)
def test_a_setting_that_the_scan_refuses(invoke, scan_path, tmp_path, option, value, expected):
    result = invoke("align", scan_path, "-o", tmp_path / "result.zarr", option, value, code=2)
    assert result.stderr.startswith("mumott-dask: ")
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_workers_and_a_scheduler_find_the_same(command, scan_path, result_path, tmp_path):
    expected = open_alignment(result_path)
    done = command("align", scan_path, "-o", tmp_path / "workers.zarr", "--quiet", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("mumott-dask: 2 workers, dashboard at http://")
    with cluster.local(workers=1, threads=2, dashboard_address=None) as client:
        address = client.scheduler.address
        done = command(
            "align", scan_path, "-o", tmp_path / "scheduler.zarr", "--quiet", "--scheduler", address
        )
        assert done.returncode == 0, done.stderr
    for name in ("workers", "scheduler"):
        found = open_alignment(tmp_path / f"{name}.zarr")
        np.testing.assert_allclose(found["j_offset"], expected["j_offset"], atol=2e-4)
        np.testing.assert_allclose(found["k_offset"], expected["k_offset"], atol=2e-4)


def test_chunks_work_without_a_cluster(invoke, scan_path, result_path, tmp_path):
    invoke("align", scan_path, "-o", tmp_path / "chunked.zarr", "--quiet", "--chunks", 8)
    expected = open_alignment(result_path)
    np.testing.assert_allclose(
        open_alignment(tmp_path / "chunked.zarr")["j_offset"], expected["j_offset"], atol=2e-4
    )


def _interrupted(arguments: list[str], after_iteration: int) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that gets a Ctrl-C as terminals send it, to all processes."""
    line = [sys.executable, "-m", "mumott_dask", *arguments]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        errors = []
        for text in process.stderr:
            errors.append(text)
            if f"iteration {after_iteration}/" in text:
                os.killpg(process.pid, signal.SIGINT)
                break
        output, rest = process.communicate(timeout=120)
    return process.returncode, output, "".join(errors) + rest


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_an_interrupt_writes_the_last_whole_iteration(scan_path, tmp_path, options):
    output = tmp_path / "result.zarr"
    arguments = ["align", str(scan_path), "-o", str(output), "--method", "tutorial", *options]
    code, shown, errors = _interrupted(arguments, after_iteration=2)
    assert code == 130, errors
    assert f"mumott-dask: interrupted: the last whole iteration is in {output}, not converged\n" in errors
    assert "Traceback" not in errors
    result = open_alignment(output)
    assert not result.attrs["converged"]
    assert result.attrs["reason"] == "interrupted"
    assert 2 <= result.sizes["iteration"] < 20
    np.testing.assert_array_equal(result["j_offset"], result["j_offset_history"][-1])
    assert "converged     NO: interrupted" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["result.zarr"]
