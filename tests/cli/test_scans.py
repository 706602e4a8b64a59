"""``mumott-dask info`` and ``convert``."""

from __future__ import annotations

import resource
import shutil

import h5py
import numpy as np
import pytest
import xarray as xr

from mumott_dask import open_scan, reconstruct, with_offsets, write_scan, write_tomogram
from mumott_dask.scan import read_geometry


def _facts(shown: str) -> dict[str, str]:
    return {line[:14].strip(): line[14:] for line in shown.splitlines() if line[:14].strip()}


def test_info_tells_what_a_scan_is(invoke, scan_path):
    facts = _facts(invoke("info", scan_path).stdout)
    assert facts["scan"] == str(scan_path)
    assert facts["projections"] == "30, labelled 0 to 29"
    assert facts["detector"] == "24 x 20 pixels (j x k), 25 µm each"
    assert facts["volume"] == "24 x 24 x 20 voxels (x, y, z)"
    assert facts["2 tilts"] == "   0.0°  15 projections, rotated 0.0° to 168.0°"
    assert facts["offsets"] == "none held, all are 0"
    assert facts["true offsets"].startswith("j -")
    assert facts["chunks"] == "1, of up to 30 projections"
    assert facts["source"].startswith("simulate(shape=(24, 20)")
    assert "diode         30 x 24 x 20  float32  57.6 kB  transmission" in facts["variables"]
    assert "masked" not in facts


def test_info_reads_pixels_only_when_asked(invoke, scan_path, tmp_path):
    path = tmp_path / "damaged.zarr"
    shutil.copytree(scan_path, path)
    for file in (path / "diode" / "c").rglob("*"):
        if file.is_file():
            file.write_bytes(b"no pixels")
    invoke("info", path)
    assert "cannot be read, the store is damaged" in invoke("info", path, "--pixels", code=2).stderr


def test_info_of_pixels(invoke, scan_path, tmp_path):
    scan = open_scan(scan_path)
    scan["weights"][:3] = 0
    write_scan(scan, tmp_path / "masked.zarr")
    facts = _facts(invoke("info", tmp_path / "masked.zarr", "--pixels").stdout)
    assert facts["masked"] == "10.00% of the pixels"
    low, high = (float(number) for number in facts["diode"].split(",")[0].split(" to "))
    assert (low, high) == pytest.approx((float(scan["diode"].min()), float(scan["diode"].max())), rel=1e-4)


def test_info_tells_what_an_alignment_is(invoke, result_path):
    facts = _facts(invoke("info", result_path).stdout)
    assert facts["alignment"] == str(result_path)
    assert facts["converged"].startswith("yes: largest step ")
    assert facts["method"] == "auto"
    assert facts["projections"] == "30"
    assert int(facts["iterations"].split()[0]) > 2


def test_info_tells_what_a_tomogram_is(invoke, scan_path, tmp_path):
    write_tomogram(reconstruct(str(scan_path), iterations=1), tmp_path / "bone.zarr")
    facts = _facts(invoke("info", tmp_path / "bone.zarr").stdout)
    assert facts["tomogram"] == str(tmp_path / "bone.zarr")
    assert (facts["volume"], facts["voxel"]) == ("24 x 24 x 20 voxels (x, y, z)", "25 µm")


def test_info_without_angles_and_with_many_tilts(invoke, scan_path, tmp_path):
    scan = open_scan(scan_path)
    bare = scan.drop_vars(["inner_angle", "outer_angle", "inner_axis", "outer_axis"])
    write_scan(bare, tmp_path / "bare.zarr")
    facts = _facts(invoke("info", tmp_path / "bare.zarr").stdout)
    assert facts["tilts"] == "unknown, the scan holds rotation matrices alone"
    spread = scan.assign_coords(outer_angle=("projection", np.linspace(0, 1, 30)))
    write_scan(spread, tmp_path / "spread.zarr")
    facts = _facts(invoke("info", tmp_path / "spread.zarr").stdout)
    assert facts["tilts"] == "30, 0.0° to 57.3°"


def test_there_and_back_loses_nothing(command, scan_path, tmp_path):
    there, back = tmp_path / "scan.h5", tmp_path / "back.zarr"
    assert command("convert", scan_path, there).returncode == 0
    done = command("convert", there, back)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"writing {back}  100%" in done.stderr
    xr.testing.assert_identical(
        open_scan(back).drop_attrs(deep=False), open_scan(scan_path).drop_attrs(deep=False)
    )


def test_an_alignment_goes_back_to_mumott(invoke, scan_path, hdf5_path, result_path, tmp_path):
    expected = with_offsets(open_scan(scan_path), str(result_path))
    for name in ("aligned.h5", "aligned.mumott", "linked.h5"):
        link = ["--link"] if name == "linked.h5" else []
        done = invoke("convert", hdf5_path, tmp_path / name, "--alignment", result_path, "--quiet", *link)
        assert done.output == ""
    with h5py.File(tmp_path / "aligned.h5") as file:
        assert file["projections/7/j_offset"][()] == float(expected["j_offset"][7])
    geometry = read_geometry(tmp_path / "aligned.mumott")
    np.testing.assert_array_equal(geometry["k_offset"], expected["k_offset"])
    linked = open_scan(tmp_path / "linked.h5")
    np.testing.assert_array_equal(linked["j_offset"], expected["j_offset"])
    np.testing.assert_array_equal(linked["diode"], expected["diode"])
    assert isinstance(
        h5py.File(tmp_path / "linked.h5").get("projections/0/diode", getlink=True), h5py.ExternalLink
    )


def test_workers_convert(command, scan_path, hdf5_path, tmp_path):
    done = command("convert", hdf5_path, tmp_path / "scan.zarr", "--workers", 1)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(open_scan(tmp_path / "scan.zarr")["diode"], open_scan(scan_path)["diode"])


@pytest.mark.parametrize(
    ("out", "options", "expected"),
    [
        ("scan.tif", [], "scan.tif: expected a name that ends in .zarr or .h5 or .hdf5 or .mumott"),
        ("no/folder.zarr", [], "there is no folder"),
        ("there.h5", [], "there.h5: exists already, expected a new name, or --overwrite to replace it"),
        ("out.zarr", ["--link"], "--link needs an HDF5 output"),
        ("out.h5", ["--workers", "2"], "workers need a .zarr output"),
        ("out.zarr", ["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "exclude each other"),
        ("out.zarr", ["--scheduler", "nonsense"], "'nonsense' is no scheduler's address"),
        ("out.zarr", ["--alignment", "missing.zarr"], "missing.zarr: no such Zarr store"),
    ],
)
def test_an_output_that_cannot_be(invoke, scan_path, tmp_path, out, options, expected):
    (tmp_path / "there.h5").touch()
    result = invoke("convert", scan_path, tmp_path / out, *options, code=2)
    assert expected in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.h5"]


def test_what_is_read_is_never_replaced(invoke, hdf5_path, scan_path):
    for command in (
        ["convert", hdf5_path, hdf5_path, "--link"],
        ["convert", scan_path, scan_path],
        ["align", scan_path, "--output", scan_path],
        ["reconstruct", hdf5_path, "--output", hdf5_path],
    ):
        result = invoke(*command, "--overwrite", code=2)
        assert "is what is read here, expected another name for the output" in result.stderr


def test_overwrite_replaces(invoke, scan_path, tmp_path):
    out = tmp_path / "scan.h5"
    out.write_text("something else")
    invoke("convert", scan_path, out, "--overwrite", "--quiet")
    assert open_scan(out).sizes["projection"] == 30


def _no_more_than_10_kilobytes() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


def test_a_full_disk_is_one_line_and_leaves_nothing(command, scan_path, tmp_path):
    out = tmp_path / "out.zarr"
    done = command("convert", scan_path, out, "--quiet", preexec_fn=_no_more_than_10_kilobytes)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mumott-dask: {out}: the disk is full")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["missing.h5", "text.h5", "empty.h5"])
def test_a_scan_that_is_none_is_one_line(command, tmp_path, name):
    (tmp_path / "text.h5").write_text("projections")
    (tmp_path / "empty.h5").touch()
    done = command("info", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"mumott-dask: {tmp_path / name}: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_warning_is_one_line(command, scan_path, tmp_path):
    scan = open_scan(scan_path)
    scan["diode"][4] = 7.0
    write_scan(scan, tmp_path / "flat.zarr")
    done = command(
        "reconstruct", tmp_path / "flat.zarr", "-o", tmp_path / "bone.tif", "--quiet", "--iterations", 1
    )
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("mumott-dask: warning: ")
    assert "4" in line
