"""Samples that the views cut: told from whole ones, given room, and handed back on the scan's own volume."""

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.alignment.level import whole_level
from mumott_dask.alignment.views import beyond_view
from mumott_dask.projector import Projector
from mumott_dask.reconstruction import signal_and_mask

SMALL = {"shape": (40, 34), "tilts": 3, "rotations": 12, "jumps": 2.0, "jitter": 0.7, "drift": 0.5}


def level_of(scan):
    data, mask = signal_and_mask(scan)
    return whole_level(Projector.from_scan(scan), data, mask, (slice(None), slice(None)), True)


def cut(scan):
    return beyond_view(level_of(scan))


@pytest.mark.parametrize(
    "sample",
    [
        {"extent": 0.6},
        {"extent": 0.75},
        {"extent": 0.75, "photons": 300},
        {"extent": 0.6, "photons": None},
        {"extent": 0.6, "hot": 0.01},
        {"extent": 0.6, "wrong": 3},
        {"extent": 0.6, "background": 0.02},
        {"extent": 0.5, "jumps": 8.0},
        {"extent": 0.6, "tilts": 1, "rotations": 36},
    ],
    ids=str,
)
def test_a_sample_within_the_view_is_whole(sample):
    assert cut(md.simulate(**SMALL | sample)) == (False, False)


@pytest.mark.parametrize(
    "sample",
    [
        {"extent": 1.45},
        {"extent": 1.45, "photons": 300},
        {"extent": 1.45, "background": 0.05},
        {"extent": 1.25},
        {"sample": "slab", "tilt_angles": (1.06,), "rotations": 36},
    ],
    ids=str,
)
def test_a_sample_that_leaves_the_view_is_cut(sample):
    assert cut(md.simulate(**SMALL | sample)) == (True, True)


@pytest.fixture(scope="module")
def whole():
    return md.simulate(**SMALL, extent=0.6)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"k": slice(12, 22)}, (False, True)),
        ({"j": slice(15, 25)}, (True, False)),
        ({"k": slice(0, 15)}, (False, True)),  # at one end alone
        ({"j": slice(15, 25), "k": slice(12, 22)}, (True, True)),
    ],
    ids=["both ends of k", "both ends of j", "one end of k", "all"],
)
def test_it_is_told_along_each_direction(whole, window, expected):
    assert cut(md.crop(whole, **window)) == expected


def test_it_is_told_alike_in_chunks(whole):
    for scan in (whole, md.crop(whole, k=slice(12, 22))):
        assert cut(scan.chunk(projection=7)) == cut(scan)


def test_one_view_that_cuts_does_not_make_the_sample_too_large(whole):
    diode = whole["diode"].copy(deep=True)
    diode[5] = np.roll(diode[5], 20, axis=0)
    assert cut(whole.assign(diode=diode)) == (False, False)


@pytest.mark.parametrize(
    ("beyond", "expected"),
    [
        ((False, False), (40, 40, 34)),
        ((True, False), (56, 56, 34)),
        ((True, True), (56, 56, 48)),
    ],
)
def test_room_is_given_around_the_volume(whole, beyond, expected):
    """Which turns about z and is tilted about x: what lies along j comes to lie along x and y."""
    assert whole.attrs["volume_shape"] == [40, 40, 34]
    level = level_of(whole).with_room(beyond)
    assert level.projector.volume_shape == expected
    assert level.detector_shape == (40, 34)


TRUE = {"extent": 1.45, "seed": 3}


@pytest.fixture(scope="module")
def truncated():
    scan = md.simulate(**SMALL | TRUE)
    return scan.assign_coords(j_offset=scan["j_offset_true"], k_offset=scan["k_offset_true"])


@pytest.fixture(scope="module")
def alignment(truncated):
    return md.align(truncated, gauge="keep", iterations=3)


def test_the_tomogram_comes_back_on_the_scans_own_volume(truncated, alignment):
    assert cut(truncated) == (True, True)
    assert alignment["tomogram"].shape == tuple(truncated.attrs["volume_shape"])
    assert md.reconstruct(truncated, iterations=1).shape == alignment["tomogram"].shape


def test_its_content_is_where_the_sample_is(truncated, alignment):
    """Where all views look, it correlates best with the truth unmoved."""
    middle = tuple(slice(n // 4, -(n // 4)) for n in alignment["tomogram"].shape)
    found, truth = alignment["tomogram"].values, truncated["tomogram_true"].values

    def likeness(shift, axis):
        return np.corrcoef(np.roll(found, shift, axis)[middle].ravel(), truth[middle].ravel())[0, 1]

    assert likeness(0, 0) > 0.7
    assert likeness(0, 0) > max(likeness(shift, axis) for axis in range(3) for shift in (-1, 1)) + 0.05


def test_the_open_beam_that_nobody_saw_is_left_free(truncated, alignment, whole):
    assert alignment.attrs["background"] == "constant"
    assert alignment["background"].shape == (36, 1)
    assert md.align(whole, iterations=1).attrs["background"] == ""
    assert "background" not in md.align(whole, iterations=1)
    assert md.align(truncated, method="optical-flow", iterations=1).attrs["background"] == ""
    assert md.align(truncated, background="linear", iterations=1).attrs["background"] == "linear"
