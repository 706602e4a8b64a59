"""Bounds of the offsets: against a formula, against the estimator that reaches them."""

import numpy as np
import pytest

from mumott_dask.simulation import simulate
from mumott_dask.simulation.bounds import offset_bounds

SMALL = {"shape": (24, 20), "tilts": 2, "rotations": 4, "oversampling": 1}


def gaussian_views(j_offset, k_offset, height=0.3, sigma=(2.5, 1.5)):
    """Transmission of a Gaussian, turned by 30 degrees so that the two offsets depend on each other."""
    j, k = np.meshgrid(np.arange(24) - 11.5, np.arange(20) - 9.5, indexing="ij")
    j, k = j + j_offset[:, None, None], k + k_offset[:, None, None]
    a, b = 0.866 * j + 0.5 * k, 0.866 * k - 0.5 * j
    return 10 ** -(height * np.exp(-((a / sigma[0]) ** 2 + (b / sigma[1]) ** 2) / 2))


def test_a_faint_gaussian_is_bounded_by_the_formula():
    # Of absorbance h exp(-r^2 / 2 s^2) the information is N (h ln 10)^2 pi / 2, whatever s.
    sigma, height, photons = 2.0, 0.02, 1e4
    place = np.meshgrid(*((np.arange(2 * n) + 0.5) / 2 - n / 2 for n in (24, 24, 20)), indexing="ij")
    phantom = height / (np.sqrt(2 * np.pi) * sigma) * np.exp(-sum(x**2 for x in place) / (2 * sigma**2))
    scan = simulate((24, 20), 2, 3, photons, phantom=phantom, flux_drift=0, jumps=1, bounds=True)
    wider = np.sqrt(sigma**2 + 1 / 12) / sigma  # by the pixel
    expected = wider**2 / (np.log(10) * height * np.sqrt(photons * np.pi / 2))
    for axis in "jk":
        np.testing.assert_allclose(scan[f"{axis}_offset_bound"], expected, rtol=0.02)
    assert scan.attrs["offset_bound"] == pytest.approx(expected, rel=0.02)


def test_the_most_likely_offsets_scatter_by_the_bound():
    photons, draws = 500, 4000
    zero = np.zeros(1)
    j_bound, k_bound = offset_bounds(gaussian_views, photons, zero, zero)
    mean = photons * gaussian_views(zero, zero)[0]
    step = np.full(1, 0.01)
    slopes = [
        photons * (gaussian_views(j, k) - gaussian_views(-j, -k))[0] / 0.02
        for j, k in ((step, zero), (zero, step))
    ]
    counts = np.random.default_rng(0).poisson(mean, (draws, 24, 20))
    score = np.stack([((counts - mean) * slope / mean).sum(axis=(1, 2)) for slope in slopes])
    information = np.array([[(a * b / mean).sum() for a in slopes] for b in slopes])
    assert abs(information[0, 1]) > 0.2 * information[1, 1]
    scatter = np.linalg.solve(information, score).std(axis=1)
    np.testing.assert_allclose(scatter, [j_bound[0], k_bound[0]], rtol=0.05)


def test_bounds_fall_with_the_root_of_the_photons():
    few, many = (simulate(**SMALL, photons=n, bounds=True) for n in (100, 10_000))
    np.testing.assert_allclose(few["j_offset_bound"], 10 * many["j_offset_bound"], rtol=1e-6)
    bounds = np.stack([many["j_offset_bound"], many["k_offset_bound"]])
    assert many.attrs["offset_bound"] == pytest.approx(np.sqrt(np.mean(bounds**2)))


def test_what_is_broken_says_nothing():
    whole, broken = (simulate(**SMALL, **f, bounds=True) for f in ({}, {"wrong": 2, "hot": 0.2}))
    wrong = broken["wrong_true"].values
    assert np.isnan(broken["j_offset_bound"][wrong]).all()
    ratio = (broken["j_offset_bound"] / whole["j_offset_bound"]).values[~wrong]
    np.testing.assert_allclose(ratio.mean(), 1 / np.sqrt(0.8), rtol=0.1)
    assert ratio.min() > 1
    assert np.isfinite(broken.attrs["offset_bound"])


def test_an_empty_view_has_no_bound():
    nothing = offset_bounds(lambda j, k: np.ones((2, 5, 5)), 100, np.zeros(2), np.zeros(2))
    assert np.isnan(nothing).all()


def test_asking_for_bounds_changes_nothing_else():
    plain, bounded = simulate(**SMALL), simulate(**SMALL, bounds=True)
    np.testing.assert_array_equal(plain["diode"], bounded["diode"])
