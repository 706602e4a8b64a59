"""Phase matching and the detector's segments on the command line: every option reaches the library."""

from __future__ import annotations

import numpy as np
import pytest

from mumott_dask import align, open_alignment, open_scan, reconstruct, write_scan
from mumott_dask.scan.tomogram_files import read_tomogram


@pytest.fixture(scope="module")
def segments_path(scan_path, tmp_path_factory):
    """The simulated scan with two segments of what scatters in proportion to the absorbance."""
    scan = open_scan(scan_path)
    fraction = scan["diode"].values / scan["diode"].values.max()
    scattered = np.maximum(-np.log10(np.maximum(fraction, 1e-4)), 0) * fraction
    scan["data"] = (("projection", "j", "k", "segment"), scattered[..., None] * np.float32([1, 3]))
    path = tmp_path_factory.mktemp("segments") / "scan.zarr"
    write_scan(scan.assign_coords(detector_angle=("segment", [0, np.pi / 2])), path)
    return path


def test_phase_matching(invoke, scan_path, tmp_path):
    output = tmp_path / "result.zarr"
    options = ["--method", "phase-matching", "--upsampling", "8", "--shift-cap", "3"]
    done = invoke("align", scan_path, "-o", output, "--quiet", *options)
    expected = align(open_scan(scan_path), "phase-matching", upsampling=8, shift_cap=3)
    result = open_alignment(output)
    np.testing.assert_array_equal(result["j_offset"], expected["j_offset"])
    assert result.attrs == expected.attrs
    assert "phase matching" in done.stdout


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ((), {}),
        (("--segment", "1"), {"segment": 1}),
        (("--uncorrected",), {"transmission_corrected": False}),
    ],
    ids=["mean", "segment", "uncorrected"],
)
def test_segments(invoke, segments_path, tmp_path, options, arguments):
    scan = open_scan(segments_path)
    output = tmp_path / "result.zarr"
    done = invoke("align", segments_path, "-o", output, "--quiet", "--variable", "data", *options)
    result, expected = open_alignment(output), align(scan, variable="data", **arguments)
    np.testing.assert_array_equal(result["k_offset"], expected["k_offset"])
    assert result.attrs == expected.attrs
    assert "arbitrary (RMS)" in done.stdout

    picture = tmp_path / "tomogram.zarr"
    invoke("reconstruct", segments_path, "-o", picture, "--quiet", "--variable", "data", *options)
    np.testing.assert_array_equal(read_tomogram(picture), reconstruct(scan, variable="data", **arguments))


def test_a_segment_that_is_not_there(command, segments_path, tmp_path):
    done = command("align", segments_path, "-o", tmp_path / "a.zarr", "--variable", "data", "--segment", "2")
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "segment is 2, expected a whole number from 0 to 1, or None: their mean"
    )
    assert len(done.stderr.strip().splitlines()) == 1
