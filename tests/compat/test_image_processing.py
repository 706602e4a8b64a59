from __future__ import annotations

import numpy as np
import pytest

from mumott_dask.compat.pipelines.utilities import image_processing as imp


@pytest.fixture(params=[(24, 20), (25, 21)], ids=["even", "odd"])
def waves(request):
    """Two images of one wave each, which a shift in Fourier space moves exactly."""
    j, k = (2 * np.pi * np.arange(n) / n for n in request.param)
    return np.stack([np.sin(2 * j)[:, None] + np.cos(3 * k), np.cos(j)[:, None] * np.sin(k)], axis=-1)


def moved_waves(shape, x, y):
    j, k = (2 * np.pi * (np.arange(n) - s) / n for n, s in zip(shape, (x, y), strict=True))
    return np.sin(2 * j)[:, None] + np.cos(3 * k)


def test_a_shift_moves_the_content_by_parts_of_a_pixel(waves):
    kept = waves.copy()
    moved = imp.imshift_fft(waves, np.array([1.3, 0]), np.array([-0.4, 0]))
    np.testing.assert_allclose(moved[..., 0], moved_waves(waves.shape[:2], 1.3, -0.4), atol=1e-12)
    np.testing.assert_allclose(moved[..., 1], waves[..., 1], atol=1e-12)
    np.testing.assert_array_equal(waves, kept)
    with pytest.raises(ValueError, match="one for each image"):
        imp.imshift_fft(waves, np.zeros(3), np.zeros(3))


def test_a_gradient_is_the_derivative(waves):
    j, k = (2 * np.pi * np.arange(n) / n for n in waves.shape[:2])
    by_k, by_j = imp.get_img_grad(waves[..., 0])
    np.testing.assert_allclose(by_j[:, 0], 2 * np.cos(2 * j) * 2 * np.pi / len(j), atol=1e-10)
    np.testing.assert_allclose(by_k[0], -3 * np.sin(3 * k) * 2 * np.pi / len(k), atol=1e-10)
    np.testing.assert_array_equal(imp.get_img_grad(waves[..., 0], 0, 1)[0], by_j)


def test_a_high_pass_takes_out_the_mean_and_leaves_what_is_fast(waves):
    filtered = imp.imfilter_high_pass_1d(waves + 5, 0, 0.005)
    np.testing.assert_allclose(filtered[..., 1], waves[..., 1], atol=0.02)
    np.testing.assert_allclose(filtered.mean(axis=0), 0, atol=1e-12)
    assert imp.imfilter_high_pass_1d(waves, 1, 0) is waves


def test_smoothed_edges_meet_and_the_inside_stays():
    images = np.tile(np.arange(30.0)[:, None, None], (1, 24, 2))
    kept = images.copy()
    smoothed = imp.smooth_edges(images)
    assert abs(smoothed[0] - smoothed[-1]).max() < 29 / 2
    np.testing.assert_allclose(smoothed[5:-5], images[5:-5], rtol=1e-12)
    np.testing.assert_allclose(imp.smooth_edges(np.ones((12, 9, 1))), 1)
    np.testing.assert_array_equal(images, kept)


def test_a_window_is_one_inside_and_zero_at_the_edge():
    window = imp.compute_tukey_window(30, 20)
    assert window.shape == (20, 30, 1)
    assert window[0].max() == window[:, -1].max() == 0
    assert (window[2:-2, 3:-3] == 1).all()
    np.testing.assert_array_equal(imp.compute_tukey_window(30), window[[10]])


def test_the_centre_of_mass_of_each_slice():
    slices = np.zeros((9, 7, 2))
    slices[2, 5, 0], slices[:, :, 1] = 4.0, 1.0
    x, y, mass = imp.center(slices)
    np.testing.assert_allclose(x, [-2, 0], atol=1e-12)
    np.testing.assert_allclose(y, [2, 0], atol=1e-12)
    np.testing.assert_allclose(mass, [4, 63])
    np.testing.assert_allclose(imp.center(slices, use_shift=False)[0], [3, 5])
