"""Laws of what NumPy and Dask spell differently: the same numbers from either, whatever the chunks."""

import dask.array as da
import numpy as np
import pytest
from dask.base import is_dask_collection
from hypothesis import given, settings
from hypothesis import strategies as st

from mumott_dask import arrays

SHAPE = (7, 9, 8)
CHUNKINGS = [(1, -1, -1), (3, -1, -1), ((4, 1, 2), -1, -1), (7, -1, -1), (2, 4, 3)]

seeds = st.integers(0, 2**32 - 1)


def images(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


chunked_ways = pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)


def bin_by_hand(stack, n):
    """Bin by bin: the sum of the pixels that there are, over n x n."""
    j, k = (-(-side // n) for side in stack.shape[1:])
    binned = np.zeros((len(stack), j, k))
    for a in range(j):
        for b in range(k):
            pixels = stack[:, a * n : (a + 1) * n, b * n : (b + 1) * n]
            binned[:, a, b] = pixels.astype(np.float64).sum(axis=(1, 2)) / n**2
    return binned


@given(seeds, st.integers(1, 5), st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
def test_a_bin_is_the_mean_of_its_pixels(seed, n, shape):
    stack = images(seed, shape)
    binned = arrays.bin_images(stack, n)
    assert binned.dtype == stack.dtype
    np.testing.assert_allclose(binned, bin_by_hand(stack, n), rtol=0, atol=1e-6)


def test_binning_loses_nothing_and_leaves_even_images_even():
    stack = images()
    np.testing.assert_allclose(
        9 * arrays.bin_images(stack, 3).sum(axis=(1, 2)), stack.sum(axis=(1, 2)), atol=1e-5
    )
    even = np.full(SHAPE, 4, np.float32)
    np.testing.assert_array_equal(arrays.bin_images(even, 3)[:, :, :2], 4)
    np.testing.assert_allclose(arrays.bin_images(even, 3)[:, :, 2], 4 * 2 / 3, rtol=1e-6)  # 9 and 8 pixels


def test_binning_by_one_and_binning_in_steps():
    stack = images(shape=(2, 12, 8))
    assert arrays.bin_images(stack, 1) is stack
    in_steps = arrays.bin_images(arrays.bin_images(stack, 2), 2)
    np.testing.assert_allclose(in_steps, arrays.bin_images(stack, 4), atol=1e-6)


@chunked_ways
@pytest.mark.parametrize("n", [1, 2, 3])
def test_chunked_images_are_binned_alike(chunks, n):
    binned = arrays.bin_images(da.from_array(images(), chunks=chunks), n)
    expected = arrays.bin_images(images(), n)
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
    stack = images(shape=(3, 17, 13))
    smoothed = arrays.smooth(stack, sigma, mode)
    assert smoothed.dtype == stack.dtype
    for image, found in zip(stack, smoothed, strict=True):
        np.testing.assert_allclose(found, smoothed_by_hand(image, sigma, mode == "nearest"), atol=1e-6)


def test_outside_is_zero_unless_told_otherwise():
    even = np.ones((2, 12, 9))
    np.testing.assert_allclose(arrays.smooth(even, 2.0, "nearest"), 1, rtol=1e-12)
    assert arrays.smooth(even, 2.0)[0, 0, 0] < 0.4


@given(seeds, st.floats(0.3, 2))
@settings(max_examples=20)
def test_smoothing_is_linear_and_knows_no_axis(seed, sigma):
    a, b = images(seed), images(seed + 1)
    together = arrays.smooth(a + 3 * b, sigma)
    np.testing.assert_allclose(together, arrays.smooth(a, sigma) + 3 * arrays.smooth(b, sigma), atol=1e-5)
    turned = arrays.smooth(a.swapaxes(1, 2), sigma).swapaxes(1, 2)
    np.testing.assert_allclose(turned, arrays.smooth(a, sigma), atol=1e-6)


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_no_smoothing_leaves_the_images(sigma):
    stack = images()
    assert arrays.smooth(stack, sigma) is stack


@chunked_ways
@pytest.mark.parametrize("q", [0, 37.5, 99.9, 100])
def test_the_percentile_of_chunks_is_exact(chunks, q):
    """Over all values, not a mean of the chunks' percentiles."""
    stack = images() * np.arange(1, 8).reshape(-1, 1, 1)
    (found,) = arrays.materialise(arrays.percentile(da.from_array(stack, chunks=chunks), q))
    assert found == np.percentile(stack, q)
    assert arrays.percentile(stack, q) == np.percentile(stack, q)


@chunked_ways
def test_numbers_of_each_projection_come_in_their_order(chunks):
    stack, other = images(), images(1)

    def sums(block, second=None):
        assert isinstance(block, np.ndarray)
        assert block.shape[1:] == SHAPE[1:]
        total = block.sum(axis=(1, 2), dtype=np.float64)
        return total if second is None else total * second[:, 0, 0]

    expected = stack.sum(axis=(1, 2), dtype=np.float64)
    chunked = da.from_array(stack, chunks=chunks)
    np.testing.assert_array_equal(arrays.of_each_projection(sums, stack), expected)
    np.testing.assert_array_equal(arrays.of_each_projection(sums, chunked), expected)
    expected = expected * other[:, 0, 0]
    for second in (other, da.from_array(other, chunks=(2, -1, -1))):
        np.testing.assert_array_equal(arrays.of_each_projection(sums, stack, second), expected)
        np.testing.assert_array_equal(arrays.of_each_projection(sums, chunked, second), expected)


def test_a_function_is_called_once_a_chunk():
    called = []

    def lengths(block):
        called.append(len(block))
        return np.full(len(block), len(block))

    found = arrays.of_each_projection(lengths, da.from_array(images(), chunks=((4, 1, 2), -1, -1)))
    assert sorted(called) == [1, 2, 4]
    assert found.tolist() == [4] * 4 + [1] + [2] * 2


@chunked_ways
def test_chunks_are_whole_images_in_order(chunks):
    parts = [part.compute() for part in arrays.chunks(da.from_array(images(), chunks=chunks))]
    assert {part.shape[1:] for part in parts} == {SHAPE[1:]}
    np.testing.assert_array_equal(np.concatenate(parts), images())


def test_memory_and_chunks_are_told_apart():
    chunked = da.from_array(images(), chunks=((4, 1, 2), -1, -1))
    assert arrays.is_chunked(chunked)
    assert not arrays.is_chunked(images())
    assert arrays.chunk_lengths(chunked) == (4, 1, 2)
    assert arrays.chunk_lengths(images()) is None
    alike = arrays.chunked_like(images(1), chunked)
    assert alike.chunks == chunked.chunks
    np.testing.assert_array_equal(alike.compute(), images(1))


def test_what_is_computed_together_is_computed_once():
    calls = []

    def noted(block):
        calls.append(1)
        return block + 1

    chunked = da.from_array(images(), chunks=(7, -1, -1)).map_blocks(noted, meta=images()[:0])
    one, two, three = arrays.materialise(chunked * 2, chunked * 3, images())
    assert len(calls) == 1
    np.testing.assert_array_equal(one / 2, images() + 1)
    np.testing.assert_allclose(two / 3, images() + 1, rtol=1e-6)
    np.testing.assert_array_equal(three, images())


def test_what_is_kept_stays_chunked_and_is_not_computed_again():
    calls = []

    def noted(block):
        calls.append(1)
        return block + 1

    chunked = da.from_array(images(), chunks=(3, -1, -1)).map_blocks(noted, meta=images()[:0])
    kept, memory = arrays.keep_on_workers(chunked, images())
    assert len(calls) == 3
    assert kept.chunks == chunked.chunks
    np.testing.assert_array_equal(kept.compute(), images() + 1)
    kept.sum(axis=0).compute()
    assert len(calls) == 3
    np.testing.assert_array_equal(memory, images())


@pytest.mark.parametrize("chunks", [None, (4, 1, 2)], ids=["NumPy", "Dask"])
def test_constants_and_zeros_are_single_precision(chunks):
    for array, value in ((arrays.constant(3, SHAPE, chunks), 3), (arrays.zeros(SHAPE, chunks), 0)):
        assert arrays.chunk_lengths(array) == chunks
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.full(SHAPE, value))
