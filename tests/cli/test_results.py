"""``mumott-dask reconstruct``, ``compare`` and ``demo``: what is made of an alignment."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.image import imread

from mumott_dask import compare, open_alignment, open_scan, reconstruct, with_offsets, write_alignment
from mumott_dask.scan.tomogram_files import read_tomogram


@pytest.mark.parametrize("suffix", [".zarr", ".h5", ".hdf5", ".tif", ".tiff", ".mrc"])
def test_a_tomogram_is_written_with_its_voxel_size(invoke, scan_path, result_path, tmp_path, suffix):
    output = tmp_path / f"bone{suffix}"
    shown = invoke(
        "reconstruct", scan_path, "-o", output, "--alignment", result_path, "--iterations", 3, "-q"
    ).stdout
    tomogram = read_tomogram(output)
    expected = reconstruct(with_offsets(open_scan(scan_path), result_path), iterations=3)
    np.testing.assert_array_equal(tomogram, expected)
    assert tomogram.attrs["voxel_size"] == pytest.approx(25)
    assert "24 x 24 x 20 voxels (x, y, z)" in shown


def test_progress_and_options_of_a_reconstruction(command, scan_path, tmp_path):
    output = tmp_path / "bone.tif"
    options = ["--iterations", 30, "--tolerance", 0.05, "--negative", "--variable", "diode"]
    done = command("reconstruct", scan_path, "-o", output, *options)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert 1 < len(lines) < 30
    assert all(re.match(r"reconstructing  iteration \d+/30  loss ", line) for line in lines)
    assert float(read_tomogram(output).min()) < 0


def test_workers_reconstruct_the_same(command, scan_path, tmp_path):
    done = command(
        "reconstruct", scan_path, "-o", tmp_path / "bone.h5", "--quiet", "--workers", 2, "--chunks", 7
    )
    assert done.returncode == 0, done.stderr
    expected = reconstruct(open_scan(scan_path))
    np.testing.assert_allclose(read_tomogram(tmp_path / "bone.h5"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "expected"),
    [("bone.png", "bone.png: expected a name that ends in .zarr or "), ("no/bone.tif", "there is no folder")],
)
def test_an_output_that_cannot_be_is_said_before_the_work(invoke, tmp_path, output, expected):
    assert expected in invoke("reconstruct", tmp_path / "missing.h5", "-o", tmp_path / output, code=2).stderr


def test_compare_with_the_truth_and_draw(invoke, scan_path, result_path, tmp_path):
    picture = tmp_path / "difference.png"
    shown = invoke("compare", result_path, "truth", "--scan", scan_path, "--plot", picture).stdout
    expected = compare(open_alignment(result_path), "truth", open_scan(scan_path))
    assert f"RMS {expected.attrs['rms']:.4g} pixel, largest {expected.attrs['largest']:.4g} pixel" in shown
    assert imread(picture).std() > 0
    assert "exists already" in invoke("compare", scan_path, "truth", "--plot", picture, code=2).stderr
    invoke("compare", scan_path, "truth", "--plot", picture, "--overwrite")


def test_compare_takes_the_gauge_out(invoke, scan_path, result_path, tmp_path):
    from mumott_dask import geometry
    from mumott_dask.scan.schema import scan_basis

    moved = open_alignment(result_path)
    for name, shift in zip(
        ("j_offset", "k_offset"),
        geometry.gauge_offsets([1.0, -2.0, 3.0], scan_basis(open_scan(scan_path))),
        strict=True,
    ):
        moved[name] = moved[name] + shift
    write_alignment(moved, tmp_path / "moved.zarr")
    shown = invoke("compare", tmp_path / "moved.zarr", result_path, "--scan", scan_path).stdout
    rms, largest = (float(number) for number in re.findall(r"[\d.e-]+(?= pixel)", shown))
    assert rms <= largest < 1e-6


def test_compare_needs_a_scan(invoke, result_path, hdf5_path):
    assert (
        "say with --scan which one was aligned" in invoke("compare", result_path, result_path, code=2).stderr
    )
    assert "RMS" in invoke("compare", hdf5_path, result_path).stdout


def test_the_demo_goes_the_whole_way(command, tmp_path):
    done = command("demo", "--small", "--output", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    before, after = (
        float(re.search(rf"RMS error {when}: +([\d.]+) pixel", done.stdout)[1])
        for when in ("before", "after")
    )
    assert before > 1
    assert after < 0.02
    for part in ("simulated", "aligned", "reconstructed", "drawn"):
        assert re.search(rf"^{part} in [\d.]+ s$", done.stdout, re.MULTILINE)
    written = {path.name for path in (tmp_path / "demo").iterdir()}
    assert written == {"scan.zarr", "alignment.zarr", "offsets.png", "before_and_after.png"}
    assert all(imread(tmp_path / "demo" / name).std() > 0 for name in written if name.endswith(".png"))
    again = command("demo", "--small", "--output", tmp_path / "demo")
    assert again.returncode == 2
    assert "exists already, expected a new name, or --overwrite to replace it" in again.stderr
