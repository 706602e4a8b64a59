"""A scan that is cropped, binned, or ragged aligns to the same offsets, in its own pixels and its own frame.

Cropped or ragged: the largest difference is within 0.02 pixel after the gauge, wherever the sample comes to lie.
Binned: within 0.02 binned pixel RMS, since a tomogram of half the resolution is what the offsets are found with.
"""

import h5py
import numpy as np
import pytest

import mumott_dask as md

WITHIN = 0.02


@pytest.fixture(scope="module")
def scan():
    """A sample with some six pixels of air on each side of its way."""
    return md.simulate((44, 38), tilts=3, rotations=30, extent=0.6, jumps=2.0, jitter=0.7, drift=0.5)


@pytest.fixture(scope="module")
def whole(scan):
    found = md.align(scan)
    assert md.compare(found, "truth", scan).attrs["rms"] < WITHIN / 3
    return found


def difference(found, expected, scan):
    compared = md.compare(found, expected, scan)
    return compared.attrs["rms"], compared.attrs["largest"]


WINDOWS = {
    "even": {"j": slice(3, 41), "k": slice(2, 34)},
    "odd": {"j": slice(0, 41), "k": slice(1, None)},
    "about its middle": {"j": slice(2, 42), "k": slice(2, 36)},
    "to one side": {"j": slice(0, 40), "k": slice(4, None)},
}


@pytest.mark.parametrize("gauge", ["auto", "mass"])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_crop_with_the_sample_wherever_it_comes_to_lie(scan, whole, window, gauge):
    cropped = md.crop(scan, **WINDOWS[window])
    found = md.align(cropped, gauge=gauge)
    rms, largest = difference(found, md.crop(md.with_offsets(scan, whole), **WINDOWS[window]), cropped)
    assert rms < WITHIN / 4
    assert largest < WITHIN


def test_binning_by_two(scan, whole):
    """In binned pixels; 22 x 19 of them."""
    binned = md.bin_scan(scan, 2)
    rms, _ = difference(md.align(binned), md.bin_scan(md.with_offsets(scan, whole), 2), binned)
    assert rms < WITHIN


def write_ragged(path, scan, offsets):
    """Each projection without up to six rows and five columns of air at its far ends, as h5py writes it."""
    random = np.random.default_rng(0)
    j, k = scan.sizes["j"], scan.sizes["k"]
    shapes = [(j, k), *zip(random.integers(j - 6, j + 1, 89), random.integers(k - 5, k + 1, 89), strict=True)]
    with h5py.File(path, "w") as file:
        file["volume_shape"] = scan.attrs["volume_shape"]
        file["inner_axis"], file["outer_axis"] = scan["inner_axis"][0], scan["outer_axis"][0]
        for n, shape in enumerate(shapes):
            group = file.create_group(f"projections/{n}")
            group["diode"] = scan["diode"].values[n, : shape[0], : shape[1]]
            for name in ("inner_angle", "outer_angle"):
                group[name] = scan[name].values[n]
            for name, side, full in zip(("j_offset", "k_offset"), shape, (j, k), strict=True):
                group[name] = offsets[name].values[n] - (full - side) / 2  # the view is about its own middle


def test_ragged_projections(scan, whole, tmp_path):
    write_ragged(tmp_path / "ragged.h5", scan, scan)
    ragged = md.open_scan(tmp_path / "ragged.h5")
    assert 0.1 < (ragged["weights"].values == 0).mean() < 0.3
    rms, largest = difference(md.align(ragged), whole, scan)
    assert rms < WITHIN / 20
    assert largest < WITHIN / 4


def test_aligned_ragged_projections_stay(scan, whole, tmp_path):
    """Padding at the far ends raises offsets by half of it, so what was found is read back."""
    write_ragged(tmp_path / "ragged.h5", scan, whole)
    ragged = md.open_scan(tmp_path / "ragged.h5")
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(ragged[name], whole[name], atol=1e-12)
    again = md.align(ragged)
    for name in ("j_offset", "k_offset"):
        np.testing.assert_allclose(again[name], whole[name], rtol=0, atol=WITHIN / 5)
