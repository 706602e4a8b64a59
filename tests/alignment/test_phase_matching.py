"""Phase matching against known truth: signs, accuracy, what is left out, the cap, and Dask."""

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.alignment.phase_matching import checked_matching, shift
from mumott_dask.simulation import simulate_case

METHOD = "phase-matching"
GRID = 10


@pytest.fixture(scope="module")
def scan():
    return md.simulate((32, 28), tilts=3, rotations=12, extent=0.6, jumps=2.0, jitter=0.7, drift=0.5, seed=5)


@pytest.fixture(scope="module")
def alignment(scan):
    return md.align(scan, METHOD, upsampling=GRID)


def rms(alignment, scan):
    return md.compare(alignment, "truth", scan).attrs["rms"]


@pytest.mark.parametrize("offset", [(0.0, 0.0), (1.3, -0.6), (-7.0, 5.0)])
def test_the_shift_of_an_image_is_what_its_offset_lacks(offset):
    """A larger offset moves the content back: ``place - offset`` on the detector."""
    j, k = np.meshgrid(np.arange(40.0), np.arange(36.0), indexing="ij")

    def image(j_offset, k_offset):
        return np.exp(-((j - 20 + j_offset) ** 2 + 1.5 * (k - 18 + k_offset) ** 2) / 18).astype(np.float32)

    found = shift(image(0, 0), image(*offset), GRID)
    np.testing.assert_allclose(found, offset, atol=1e-6 + 0.5 / GRID)


def test_an_empty_image_asks_for_no_shift():
    empty, full = np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32)
    np.testing.assert_array_equal(shift(empty, full, GRID), 0)
    np.testing.assert_array_equal(shift(full, empty, GRID), 0)


def test_offsets_are_found_to_the_grid(scan, alignment):
    assert alignment.attrs["converged"], alignment.attrs["reason"]
    assert rms(scan, scan) > 0.5
    assert rms(alignment, scan) < 0.06
    assert alignment.attrs["upsampling"] == GRID
    assert np.isnan(alignment["j_offset_std"]).all()


def test_a_finer_grid_finds_them_better(scan, alignment):
    assert rms(md.align(scan, METHOD, upsampling=50), scan) < 0.7 * rms(alignment, scan)


def test_from_nothing_in_one_direction(scan):
    start = scan.assign_coords(k_offset=scan["k_offset_true"])
    found = md.align(start, METHOD, directions="j", start="scan", upsampling=GRID)
    np.testing.assert_array_equal(found["k_offset"], scan["k_offset_true"])
    assert rms(found, scan) < 0.06


def test_dask_and_numpy_agree(scan, alignment):
    found = md.align(scan.chunk(projection=7), METHOD, upsampling=GRID)
    for name in ("j_offset", "k_offset"):  # a shift may fall on either side of a step of the grid
        away = np.abs(found[name] - alignment[name]).values
        assert np.median(away) < 1e-3
        assert away.max() < 1.1 / GRID


def test_what_is_excluded_or_outside_the_window_has_no_say(scan):
    spoilt = scan.copy(deep=True)
    spoilt["diode"].values[[3, 20]] = spoilt["diode"].values[[3, 20], ::-1, ::-1]
    spoilt["diode"].values[:, :3] *= np.random.default_rng(0).uniform(0.4, 1, (36, 3, 28)).astype(np.float32)
    found = md.align(spoilt, METHOD, exclude=[3, 20], window=((4, None), None), upsampling=GRID)
    np.testing.assert_array_equal(found["j_offset"].values[[3, 20]], scan["j_offset"].values[[3, 20]])
    compared = md.compare(found, "truth", scan.isel(projection=~np.isin(scan["projection"], [3, 20])))
    assert compared.attrs["rms"] < 0.08


def test_no_step_is_larger_than_the_cap(scan):
    found = md.align(scan, METHOD, start="zero", gauge="keep", shift_cap=0.25, iterations=4, upsampling=GRID)
    history = np.concatenate([np.zeros((1, 36)), found["j_offset_history"]])
    steps = np.diff(history, axis=0)  # less what all have in common
    assert 0.2 < np.abs(steps - steps.mean(axis=1, keepdims=True)).max() <= 0.6
    assert not found.attrs["converged"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"upsampling": 0}, "upsampling is 0, expected a whole number from 1 to 1000"),
        ({"upsampling": 2.5}, "upsampling is 2.5"),
        ({"shift_cap": 0}, "shift_cap is 0 pixels, expected more than 0"),
        ({"background": "constant"}, "finds offsets alone"),
        ({"refine_angles": True}, "finds offsets alone"),
    ],
)
def test_options_that_make_no_sense(scan, arguments, message):
    with pytest.raises(md.ScanError, match=message):
        md.align(scan, METHOD, **arguments)


def test_the_cap_is_by_default_a_quarter_of_the_detector():
    assert checked_matching(20, None, (65, 55)) == (20, 55 / 4)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["scan", "zero"])
def test_the_clean_case(start):
    clean = simulate_case("clean")
    assert rms(md.align(clean, METHOD, start=start, upsampling=GRID), clean) < 0.06
