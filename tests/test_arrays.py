"""Laws of what NumPy and Dask spell differently: the same numbers from either, whatever the chunks."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import strategies as st

from mumott_dask import arrays

SHAPE = (7, 9, 8)
CHUNKINGS = [(1, -1, -1), (3, -1, -1), ((4, 1, 2), -1, -1), (7, -1, -1), (2, 4, 3)]

seeds = st.integers(0, 2**32 - 1)


def images(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


chunked_ways = pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)


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


def test_what_stacks_share_is_made_once_a_chunk():
    """Images and mask of a scan that workers have no room for come of the same readings."""
    made = []

    def read(block):
        made.append(len(block))
        return block

    read_again = da.from_array(images(), chunks=(3, -1, -1)).map_blocks(read, meta=images()[:0])
    found = arrays.of_each_projection(
        lambda one, other: (one * other).sum(axis=(1, 2)), read_again + 1, read_again > 0
    )
    assert sorted(made) == [1, 3, 3]
    np.testing.assert_allclose(found, ((images() + 1) * (images() > 0)).sum(axis=(1, 2)), rtol=1e-5)


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
