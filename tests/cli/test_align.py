"""``mumott-dask align``: what it writes, what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mumott_dask import align, cluster, compare, open_alignment, open_scan
from mumott_dask.scan import read_geometry

SMALL = ["--shape", "30x28", "--tilts", 3, "--rotations", 14, "--jitter", 0.5, "--jumps", 1, "--drift", 0.3]
UNNEEDED = ("distributed", "bokeh", "matplotlib", "h5py", "tifffile", "mrcfile", "rich")


@pytest.fixture(scope="module")
def scan(scan_path):
    return open_scan(scan_path)


def test_without_a_cluster_it_imports_none_and_no_format_but_the_scans(scan_path, tmp_path):
    arguments = ["align", str(scan_path), "--output", str(tmp_path / "result.zarr"), "--iterations", "1"]
    code = f"""
import sys
from mumott_dask.cli import main
main({arguments!r}, standalone_mode=False)
print(sorted(set({UNNEEDED!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_finds_the_true_offsets_and_says_so(command, scan, scan_path, tmp_path):
    output = tmp_path / "result.zarr"
    done = command("align", scan_path, "--output", output)
    assert done.returncode == 0, done.stderr
    result = open_alignment(output)
    compared = compare(result, "truth", scan)
    assert compared.attrs["rms"] < 0.05
    assert result.attrs["converged"]
    names = (
        "converged",
        "iterations",
        "last step",
        "residual",
        "offsets",
        "their error",
        "wrong",
        "time",
        "truth",
    )
    for name in names:
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
    options += ["--background", "linear", "--refine-angles", "--refine-geometry"]
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
        background="linear",
        refine_angles=True,
        refine_geometry=True,
    )
    result = open_alignment(output)
    np.testing.assert_array_equal(result["j_offset"], expected["j_offset"])
    assert result.attrs == expected.attrs


def _facts(shown):
    return {line[:14].strip(): line[14:] for line in shown.splitlines() if line[:14].strip()}


@pytest.fixture(scope="module")
def refined(invoke, tmp_path_factory):
    """A scan with all kinds of faults, its alignment, and what the command said of it."""
    folder = tmp_path_factory.mktemp("refined")
    scan, output = folder / "scan.h5", folder / "result.zarr"
    faults = ["--angle-error", 0.5, "--axis-error", "2,0", "--background", 0.03, "--wrong", 2]
    invoke("simulate", scan, *SMALL, *faults, "--photons", 3000)
    asked = ["--background", "linear", "--refine-angles", "--refine-geometry", "--iterations", 45]
    return scan, output, invoke("align", scan, "-o", output, "--quiet", *asked).stdout


def test_the_summary_says_what_was_found_besides_offsets(invoke, refined):
    path, output, shown = refined
    scan, result, facts = open_scan(path), open_alignment(output), _facts(shown)
    wrong = result.attrs["wrong"]
    right = ~np.isin(result["projection"], wrong)
    assert wrong
    assert facts["wrong"] == ", ".join(map(str, wrong))
    errors = np.stack([result[f"{axis}_offset_std"].values[right] for axis in "jk"])
    assert facts["their error"].startswith(
        f"{np.sqrt(np.mean(errors**2)):.4f} pixel RMS, {np.median(errors):.4f} "
    )
    constant = result["background"].values[:, 0]
    assert facts["background"].startswith(
        f"constant {constant.min():.4f} to {constant.max():.4f}, slope along j "
    )
    assert facts["rotations"].startswith("refined of each projection and of the instrument, standard error ")
    assert float(facts["turned by"].split("°")[0]) == pytest.approx(2.1, abs=0.5)
    assert float(facts["instrument"].split()[2][:-1]) == pytest.approx(2, abs=0.5)
    assert facts["rotations"].count("°") == 1
    expected = compare(result, "truth", scan).attrs
    assert set(wrong) <= set(expected["wrong"])
    assert f"rotations: RMS {np.degrees(expected['angle_rms']):.3g}° apart (mean rotation taken out)" in shown
    assert f"wrong projections, which count for nothing: {expected['wrong'][0]}, " in shown
    told = _facts(invoke("info", output).stdout)
    for name in ("converged", "their error", "wrong", "background", "rotations"):
        assert told[name] == facts[name]


def test_compare_says_the_same_of_rotations_and_wrong_projections(invoke, refined):
    path, output, shown = refined
    told = invoke("compare", output, "truth", "--scan", path).stdout.splitlines()
    assert told[0].startswith("RMS ")
    assert [line.strip() for line in shown.splitlines()[-2:]] == told[1:]


def test_refined_rotations_go_back_to_mumott(invoke, refined, tmp_path):
    path, result, _ = refined
    expected = open_alignment(result)
    for name in ("aligned.h5", "linked.h5", "aligned.mumott", "aligned.zarr"):
        link = ["--link"] if name == "linked.h5" else []
        invoke("convert", path, tmp_path / name, "--alignment", result, "--quiet", *link)
    geometry = read_geometry(tmp_path / "aligned.mumott")
    scans = [open_scan(tmp_path / name) for name in ("aligned.h5", "linked.h5", "aligned.zarr")]
    for written in (geometry, *scans):
        np.testing.assert_array_equal(written["rotation"], expected["rotation"])
        np.testing.assert_array_equal(written["j_offset"], expected["j_offset"])
        assert not {"inner_angle", "outer_angle", "inner_axis", "outer_axis"} & set(written.coords)
    with h5py.File(tmp_path / "aligned.h5") as file:
        np.testing.assert_array_equal(file["projections/7/rotation_matrix"], expected["rotation"][7])
        assert not {"inner_angle", "outer_angle"} & set(file["projections/7"])
        assert "inner_axis" not in file


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
        ("--background", "quadratic", "'quadratic' is not one of"),
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
    workers, chunks = done.stderr.splitlines()
    assert workers.startswith("mumott-dask: 2 workers, dashboard at http://")
    assert chunks.startswith(f"mumott-dask: {scan_path}: ")
    assert " chunks of " in chunks
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
    assert f"mumott-dask: interrupted: the last whole iteration is in {output}, not converged; " in errors
    assert "Traceback" not in errors
    result = open_alignment(output)
    assert not result.attrs["converged"]
    assert result.attrs["reason"] == "interrupted"
    assert 2 <= result.sizes["iteration"] < 20
    np.testing.assert_array_equal(result["j_offset"], result["j_offset_history"][-1])
    assert "converged     NO: interrupted" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["result.zarr"]
