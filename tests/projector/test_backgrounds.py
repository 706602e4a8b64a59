"""Backgrounds: what is taken out of an image, and the gradient of a tomogram that leaves them free."""

import dask.array as da
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mumott_dask import Projector
from mumott_dask.projector.backgrounds import background_terms, without_background

SHAPE = (5, 23, 19)
COUNTS = (1, 3)

every_count = pytest.mark.parametrize("count", COUNTS)


def images(seed=0):
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def weights(seed=1):
    """Weights between 0 and 1, a third of them 0."""
    random = np.random.default_rng(seed)
    return (random.uniform(0.1, 1, SHAPE) * (random.random(SHAPE) > 1 / 3)).astype(np.float32)


def some_background(count, seed=2):
    values = np.random.default_rng(seed).normal(size=(SHAPE[0], count)).astype(np.float32)
    return np.tensordot(values, np.stack(background_terms(SHAPE[1:], count)), 1)


def fitted(residual, weight, count):
    """Best background of each image, by least squares in float64."""
    terms = np.stack(background_terms(residual.shape[1:], count)).reshape(count, -1).T.astype(float)
    result = np.empty(residual.shape)
    for n, (image, own) in enumerate(zip(residual.astype(float), weight.astype(float), strict=True)):
        root = np.sqrt(own).ravel()
        values = np.linalg.lstsq(terms * root[:, None], image.ravel() * root, rcond=None)[0]
        result[n] = (terms @ values).reshape(image.shape)
    return result


def test_the_terms_are_a_constant_and_slopes_that_rise_by_one_across_the_detector():
    flat, j, k = background_terms((20, 30))
    np.testing.assert_array_equal(flat, 1)
    np.testing.assert_allclose(np.diff(j, axis=0), 1 / 20, rtol=1e-5)
    np.testing.assert_allclose(np.diff(k, axis=1), 1 / 30, rtol=1e-5)
    for slope, axis in ((j, 1), (k, 0)):
        assert not np.ptp(slope, axis=axis).any()
        assert slope.mean() == pytest.approx(0, abs=1e-7)


@every_count
def test_a_background_is_removed_whole(count):
    left = without_background(some_background(count), weights(), count)
    np.testing.assert_allclose(left, 0, atol=1e-5)


@every_count
def test_a_background_on_top_changes_nothing(count):
    plain = without_background(images(), weights(), count)
    raised = without_background(images() + some_background(count), weights(), count)
    np.testing.assert_allclose(raised, plain, atol=1e-5)


@every_count
def test_it_is_the_weighted_least_squares_fit_that_is_removed(count):
    left = without_background(images(), weights(), count)
    np.testing.assert_allclose(left, images() - fitted(images(), weights(), count), atol=1e-5)


@every_count
def test_what_is_left_is_orthogonal_to_the_terms_and_stays(count):
    weight = weights()
    left = without_background(images(), weight, count)
    terms = np.stack(background_terms(SHAPE[1:], count))
    inner = np.einsum("njk,njk,ajk->na", left, weight, terms, dtype=float)
    np.testing.assert_allclose(inner, 0, atol=1e-3)
    np.testing.assert_allclose(without_background(left, weight, count), left, atol=1e-5)


def test_a_constant_leaves_slopes_in_place():
    j = background_terms(SHAPE[1:], 3)[1]
    sloped = np.broadcast_to(j, SHAPE)
    np.testing.assert_allclose(without_background(sloped, np.ones(SHAPE, np.float32), 1), sloped, atol=1e-6)


@every_count
def test_masked_pixels_do_not_count(count):
    weight = weights()
    spoilt = np.where(weight > 0, images(), np.float32(1e3))
    left, expected = (without_background(each, weight, count) for each in (spoilt, images()))
    np.testing.assert_allclose(left[weight > 0], expected[weight > 0], atol=1e-4)


@every_count
def test_an_image_that_is_masked_as_a_whole_or_but_for_a_pixel_is_no_trouble(count):
    weight = weights()
    weight[1] = 0
    weight[2] = 0
    weight[2, 4, 5] = 1
    left = without_background(images(), weight, count)
    assert np.isfinite(left).all()
    np.testing.assert_allclose(left[1], images()[1], atol=1e-6)
    assert left[2, 4, 5] == pytest.approx(0, abs=1e-5)
    expected = without_background(images()[[0, 3, 4]], weight[[0, 3, 4]], count)
    np.testing.assert_allclose(left[[0, 3, 4]], expected, atol=1e-6)


def test_without_terms_images_are_as_they_were():
    kept = images()
    assert without_background(kept, weights(), 0) is kept


VOLUME, DETECTOR, PROJECTIONS = (9, 11, 8), (13, 12), 12


@pytest.fixture(scope="module")
def projector():
    j, k = np.random.default_rng(0).normal(0, 1, (2, PROJECTIONS))
    return Projector(Rotation.random(PROJECTIONS, rng=0).as_matrix(), j, k, VOLUME, DETECTOR)


@pytest.fixture(scope="module")
def problem(projector):
    """A volume, images with a background of their own each, and weights with a masked third."""
    random = np.random.default_rng(1)
    volume, truth = random.random((2, *VOLUME)).astype(np.float32)
    data = projector.forward(truth)
    terms = np.stack(background_terms(DETECTOR))
    data += np.tensordot(random.normal(0, 2, (PROJECTIONS, 3)).astype(np.float32), terms, 1)
    weight = random.uniform(0.1, 1, data.shape) * (random.random(data.shape) > 1 / 3)
    return volume, truth, data, weight.astype(np.float32)


@every_count
def test_the_gradient_is_that_at_the_best_background(projector, problem, count):
    volume, _, data, weight = problem
    residual = projector.forward(volume) - data
    residual = (residual - fitted(residual, weight, count)).astype(np.float32)
    expected = projector.adjoint(weight * residual)
    gradient, loss = projector.gradient(volume, data, weight, background=count)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert loss == pytest.approx((weight * residual.astype(float) ** 2).sum() / 2, rel=1e-5)


@every_count
@pytest.mark.parametrize("chunks", [1, 5, 12])
def test_dask_and_numpy_are_equal(projector, problem, count, chunks):
    volume, _, data, weight = problem
    expected, expected_loss = projector.gradient(volume, data, weight, background=count)
    chunked = (da.from_array(each, chunks=(chunks, -1, -1)) for each in (data, weight))
    gradient, loss = projector.gradient(volume, *chunked, background=count)
    np.testing.assert_allclose(gradient.compute(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert float(loss.compute()) == pytest.approx(float(expected_loss), rel=1e-6)


def test_a_freer_background_leaves_less(projector, problem):
    volume, _, data, weight = problem
    losses = [float(projector.gradient(volume, data, weight, background=n)[1]) for n in (0, 1, 3)]
    assert losses[0] > 1.2 * losses[1] > 1.2 * losses[2]


def test_the_truth_has_no_loss_where_the_background_is_free_and_only_there(projector, problem):
    _, truth, data, weight = problem
    gradient, loss = projector.gradient(truth, data, weight, background=3)
    expected, expected_loss = projector.gradient(truth, data, weight)
    assert float(loss) < 1e-9 * float(expected_loss)
    assert np.abs(gradient).max() < 1e-4 * np.abs(expected).max()


@every_count
def test_the_loss_falls_as_the_gradient_says(projector, problem, count):
    """From a smooth volume, of which forward and adjoint are transposes to a few parts in a hundred."""
    _, _, data, weight = problem
    x, y, z = np.meshgrid(*(np.hanning(n + 2)[1:-1] for n in VOLUME), indexing="ij")
    volume = (x * y * z).astype(np.float32)
    gradient, loss = projector.gradient(volume, data, weight, background=count)
    slope = np.vdot(gradient, gradient).astype(float)
    step = np.float32(1e-3 * float(loss) / slope)
    after = projector.gradient(volume - step * gradient, data, weight, background=count)[1]
    assert float(loss - after) == pytest.approx(step * slope, rel=0.1)
