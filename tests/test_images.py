"""Laws of what is done to images: smoothing, binning, differences, sums and quantiles."""

import dask.array as da
import numpy as np
import pytest
from dask.base import is_dask_collection
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mumott_dask import images
from mumott_dask.images import smooth

SHAPE = (7, 9, 8)
CHUNKINGS = [(1, -1, -1), (3, -1, -1), ((4, 1, 2), -1, -1), (7, -1, -1), (2, 4, 3)]

seeds = st.integers(0, 2**32 - 1)
chunked_ways = pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)


def stack_of(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bin_by_hand(stack, n):
    """Bin by bin: the sum of the pixels that there are, over n x n."""
    j, k = (-(-side // n) for side in stack.shape[1:])
    binned = np.zeros((len(stack), j, k))
    for a in range(j):
        for b in range(k):
            pixels = stack[:, a * n : (a + 1) * n, b * n : (b + 1) * n]
            binned[:, a, b] = pixels.astype(np.float64).sum(axis=(1, 2)) / n**2
    return binned


@given(seeds, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
def test_ranks_are_those_of_a_library_of_filters(seed, shape):
    stack = stack_of(seed, shape).round(1)  # so that some are equal
    for found, rank in zip(images.ranks_of_nine(stack), (2, 4, 6), strict=True):
        expected = ndimage.rank_filter(stack, rank, (1, 3, 3), mode="nearest")
        np.testing.assert_array_equal(found, expected)


@given(seeds, st.integers(1, 5), st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
def test_a_bin_is_the_mean_of_its_pixels(seed, n, shape):
    stack = stack_of(seed, shape)
    binned = images.binned(stack, n)
    assert binned.dtype == stack.dtype
    np.testing.assert_allclose(binned, bin_by_hand(stack, n), rtol=0, atol=1e-6)


def test_binning_loses_nothing_and_leaves_even_images_even():
    stack = stack_of()
    np.testing.assert_allclose(
        9 * images.binned(stack, 3).sum(axis=(1, 2)), stack.sum(axis=(1, 2)), atol=1e-5
    )
    even = np.full(SHAPE, 4, np.float32)
    np.testing.assert_array_equal(images.binned(even, 3)[:, :, :2], 4)
    np.testing.assert_allclose(images.binned(even, 3)[:, :, 2], 4 * 2 / 3, rtol=1e-6)  # 9 and 8 pixels


def test_binning_by_one_and_binning_in_steps():
    stack = stack_of(shape=(2, 12, 8))
    assert images.binned(stack, 1) is stack
    in_steps = images.binned(images.binned(stack, 2), 2)
    np.testing.assert_allclose(in_steps, images.binned(stack, 4), atol=1e-6)


@chunked_ways
@pytest.mark.parametrize("n", [1, 2, 3])
def test_chunked_images_are_binned_alike(chunks, n):
    binned = images.binned(da.from_array(stack_of(), chunks=chunks), n)
    expected = images.binned(stack_of(), n)
    assert is_dask_collection(binned)
    assert binned.shape == expected.shape
    assert binned.dtype == expected.dtype
    assert binned.chunks[0] == da.core.normalize_chunks(chunks, SHAPE)[0]
    np.testing.assert_array_equal(binned.compute(), expected)


def smoothed_by_hand(image, sigma, edge):
    """Sum over neighbours within three sigma, of Gaussian weights that add up to one."""
    reach = int(3 * sigma + 0.5)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    padded = np.pad(image.astype(np.float64), reach, "edge" if edge else "constant")
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape)
    return np.einsum("abjk,jk->ab", windows, weights)


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0, 2.5])
@pytest.mark.parametrize("mode", ["constant", "nearest"])
def test_smoothing_is_a_gaussian_over_each_image(sigma, mode):
    stack = stack_of(shape=(3, 17, 13))
    smoothed = smooth(stack, sigma, mode)
    assert smoothed.dtype == stack.dtype
    for image, found in zip(stack, smoothed, strict=True):
        np.testing.assert_allclose(found, smoothed_by_hand(image, sigma, mode == "nearest"), atol=1e-6)


def test_outside_is_zero_unless_told_otherwise():
    even = np.ones((2, 12, 9))
    np.testing.assert_allclose(smooth(even, 2.0, "nearest"), 1, rtol=1e-12)
    assert smooth(even, 2.0)[0, 0, 0] < 0.4


@given(seeds, st.floats(0.3, 2))
@settings(max_examples=20)
def test_smoothing_is_linear_and_knows_no_axis(seed, sigma):
    a, b = stack_of(seed), stack_of(seed + 1)
    together = smooth(a + 3 * b, sigma)
    np.testing.assert_allclose(together, smooth(a, sigma) + 3 * smooth(b, sigma), atol=1e-5)
    turned = smooth(a.swapaxes(1, 2), sigma).swapaxes(1, 2)
    np.testing.assert_allclose(turned, smooth(a, sigma), atol=1e-6)


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_no_smoothing_leaves_the_images(sigma):
    stack = stack_of()
    assert smooth(stack, sigma) is stack


@given(seeds, st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(2, 6)))
def test_differences_are_those_of_numpy(seed, shape):
    stack = stack_of(seed, shape)
    for found, expected in zip(
        images.differences(stack, (1, 2)), np.gradient(stack, axis=(1, 2)), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_where_there_is_one_there_is_no_difference():
    assert not images.differences(stack_of(shape=(2, 1, 5)), [1])[0].any()


@given(seeds, st.floats(0, 1))
def test_quantiles_are_those_of_numpy_over_the_pixels_that_count(seed, share):
    stack = stack_of(seed)
    valid = np.random.default_rng(seed).random(SHAPE) < 0.5
    valid[:, 0, 0] = True
    (found,) = images.quantiles(stack, [share], valid)
    expected = [np.percentile(image[own], 100 * share) for image, own in zip(stack, valid, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (found,) = images.quantiles(stack, [share])
    np.testing.assert_allclose(found, np.percentile(stack, 100 * share, axis=(1, 2)), atol=1e-6)
