"""What the rays add up: detector segments, their masks and the correction by the diode."""

import numpy as np
import pytest
import xarray as xr

import mumott_dask as md
from mumott_dask.measured import Signal, checked_signal, signal_and_mask

SEGMENTS = 4


@pytest.fixture
def scan():
    """A disc that scatters and absorbs, in a beam that drifts: data are scattering x transmission x flux."""
    random = np.random.default_rng(3)
    j, k = np.meshgrid(np.arange(20) - 9.5, np.arange(16) - 7.5, indexing="ij")
    scattering = np.maximum(0, 25 - j**2 - k**2).astype(np.float32)[None] * np.ones((6, 1, 1), np.float32)
    transmission = 10 ** (-0.02 * scattering)
    flux = random.uniform(0.8, 1.2, (6, 1, 1)).astype(np.float32)
    made = md.make_scan(1000 * flux * transmission, np.linspace(0, np.pi, 6))
    split = np.array([0.5, 1.0, 1.5, 3.0], np.float32)
    data = (scattering * transmission * flux)[..., None] * split
    made["data"] = (("projection", "j", "k", "segment"), data)
    made["true"] = (("projection", "j", "k"), scattering)
    return made.assign_coords(detector_angle=("segment", np.arange(SEGMENTS) * np.pi / SEGMENTS))


def proportional(found, expected):
    """Same up to one factor: the open beam of the whole scan."""
    factor = np.vdot(found, expected) / np.vdot(expected, expected)
    np.testing.assert_allclose(found, factor * expected, atol=2e-3 * factor * expected.max())
    return factor


def test_the_mean_is_what_the_sample_scatters(scan):
    value, mask = signal_and_mask(scan, "data")
    assert value.dtype == mask.dtype == np.float32
    assert 0.8 < proportional(value, scan["true"].values) / 1.5 < 1.2
    np.testing.assert_array_equal(mask, 1)


def test_a_segment(scan):
    mean, _ = signal_and_mask(scan, "data")
    value, _ = signal_and_mask(scan, checked_signal(scan, "data", segment=3))
    np.testing.assert_allclose(value, 2 * mean, rtol=1e-5)


def test_not_corrected(scan):
    value, _ = signal_and_mask(scan, checked_signal(scan, "data", transmission_corrected=False))
    np.testing.assert_allclose(value, scan["data"].mean("segment"), rtol=1e-5)
    without = scan.drop_vars("diode").rename(true="phase")
    without["phase"].attrs["kind"] = "additive"
    np.testing.assert_array_equal(signal_and_mask(without, "data")[0], value)


def test_masked_segments_leave_the_mean_of_the_others(scan):
    weights = np.ones(scan["data"].shape, np.float32)
    weights[2, 8:12, 8, 0] = 0
    weights[3, 5, 5] = 0
    scan["weights"] = (scan["data"].dims, weights)
    spoilt = scan["data"].values
    spoilt[weights == 0] = 1e6
    value, mask = signal_and_mask(scan, checked_signal(scan, "data", transmission_corrected=False))
    np.testing.assert_allclose(mask[2, 8:12, 8], 0.75)
    np.testing.assert_allclose(value[2, 8:12, 8], spoilt[2, 8:12, 8, 1:].mean(axis=-1), rtol=1e-5)
    assert mask[3, 5, 5] == value[3, 5, 5] == 0
    _, first = signal_and_mask(scan, checked_signal(scan, "data", segment=0))
    np.testing.assert_array_equal(first[2, 8:12, 8], 0)


@pytest.mark.parametrize("segment", [None, 1])
def test_dask_and_numpy_agree(scan, segment):
    signal = checked_signal(scan, "data", segment)
    whole, chunked = signal_and_mask(scan, signal), signal_and_mask(scan.chunk(projection=4), signal)
    for one, other in zip(whole, chunked, strict=True):
        assert other.chunks[0] == (4, 2)
        assert other.dtype == np.float32
        np.testing.assert_allclose(other.compute(), one, rtol=1e-6)


def test_a_projection_without_beam_or_scattering_is_masked_and_named():
    made = md.make_scan(np.full((20, 8, 8), 100.0), np.linspace(0, np.pi, 20))
    data = np.random.default_rng(0).uniform(1, 2, (20, 8, 8, 2)).astype(np.float32)
    made["data"] = (("projection", "j", "k", "segment"), data)
    made["diode"].values[3] = 0.1
    with pytest.warns(md.ScanWarning, match="1 of 20 projections hold nothing .*: 3; masked"):
        _, mask = signal_and_mask(made, "data")
    np.testing.assert_array_equal(np.flatnonzero(~mask.any(axis=(1, 2))), [3])
    made["data"].values[7] = 0
    with pytest.warns(md.ScanWarning, match=": 7; masked"):
        signal_and_mask(made, checked_signal(made, "data", transmission_corrected=False))


def test_which_signal(scan):
    assert checked_signal(scan) == Signal("diode", "transmission")
    assert checked_signal(scan, "data") == Signal("data", "additive", None, True)
    assert checked_signal(scan, "data", 2, False) == Signal("data", "additive", 2, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variable": "data", "segment": 4}, "segment is 4, expected a whole number from 0 to 3, or None"),
        ({"variable": "data", "segment": True}, "segment is True"),
        ({"segment": 1}, "segment is 1, which is for variable 'data' alone, not for 'diode'"),
        ({"transmission_corrected": False}, "transmission_corrected is False, which is for variable 'data'"),
        ({"variable": "phase"}, "the scan has no signal 'phase', it has 'diode'"),
    ],
)
def test_choices_that_make_no_sense(scan, arguments, message):
    for function in (md.align, md.reconstruct):
        with pytest.raises(md.ScanError, match=message):
            function(scan, **arguments)


def test_segments_that_are_not_there_or_a_diode_that_is_not(scan):
    with pytest.raises(md.ScanError, match="no signal 'data', it has 'diode'"):
        md.align(scan.drop_vars("data"), variable="data")
    without = scan.drop_vars("diode").rename(true="phase")
    without["phase"].attrs["kind"] = "additive"
    with pytest.raises(md.ScanError, match="needs a 'diode', the scan has none"):
        md.reconstruct(without, variable="data", transmission_corrected=True)
    dark = scan.assign(diode=xr.zeros_like(scan["diode"], dtype=np.float32).assign_attrs(kind="transmission"))
    with pytest.raises(md.ScanError, match="open beam is 0, expected more than 0, or transmission_corrected"):
        md.reconstruct(dark, variable="data")


def test_a_tomogram_of_scattering(scan):
    tomogram = md.reconstruct(scan, 5, variable="data")
    assert tomogram.attrs["units"] == "arbitrary per voxel"
    assert tomogram.attrs["long_name"] == "data"
    doubled = md.reconstruct(scan.assign(data=2 * scan["data"]), 5, variable="data")
    np.testing.assert_allclose(doubled, 2 * tomogram, rtol=1e-4, atol=1e-6)
    assert md.reconstruct(scan, 5).attrs["units"] == "absorbance per voxel"
