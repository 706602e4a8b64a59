"""The projector on Dask arrays: the same numbers as on NumPy arrays, lazily, with one task a chunk."""

import pickle
from dataclasses import replace

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from dask.base import compute, is_dask_collection
from dask.callbacks import Callback
from scipy.spatial.transform import Rotation

from mumott_dask import Projector, ScanError, placement

COUNT, DETECTOR, VOLUME = 13, (9, 8), (7, 10, 8)
CHUNKINGS = ((1,) * 13, (5, 5, 3), (2, 9, 1, 1), (12, 1), (13,))

every_chunking = pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)
every_channel = pytest.mark.parametrize("channels", [(), (3,)], ids=["plain", "channels"])


@pytest.fixture(scope="module")
def projector():
    j, k = np.random.default_rng(0).normal(0, 1.5, (2, COUNT))
    return Projector(Rotation.random(COUNT, rng=0).as_matrix(), j, k, VOLUME, DETECTOR)


def random(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def chunked(images, chunks):
    """In memory, one key of the graph a chunk, as a scan is once it has been loaded."""
    (held,) = dask.persist(da.from_array(images, chunks=(chunks, *images.shape[1:])))
    return held


def assert_equal(found, expected):
    """Lazy, and to 1e-6 of the largest value what NumPy arrays give."""
    assert is_dask_collection(found)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    computed = found.compute()
    assert computed.dtype == expected.dtype
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@every_chunking
@every_channel
@pytest.mark.parametrize("volume_chunks", [None, -1, 4], ids=["NumPy", "one chunk", "many chunks"])
def test_forward(projector, chunks, channels, volume_chunks):
    volume = random((*VOLUME, *channels))
    given = volume if volume_chunks is None else da.from_array(volume, chunks=volume_chunks)
    found = projector.forward(given, chunks)
    assert found.chunks == (chunks, *((n,) for n in (*DETECTOR, *channels)))
    assert_equal(found, projector.forward(volume))


def test_forward_of_a_dask_volume_is_one_chunk_unless_told_otherwise(projector):
    volume = random(VOLUME)
    found = projector.forward(da.from_array(volume))
    assert found.chunks[0] == (COUNT,)
    assert_equal(found, projector.forward(volume))


@every_chunking
@every_channel
def test_adjoint(projector, chunks, channels):
    images = random((COUNT, *DETECTOR, *channels))
    assert_equal(projector.adjoint(chunked(images, chunks)), projector.adjoint(images))


@every_chunking
@every_channel
def test_gradient_and_loss(projector, chunks, channels):
    volume, data = random((*VOLUME, *channels)), random((COUNT, *DETECTOR, *channels), 1)
    weights = random(data.shape, 2)
    found, loss = projector.gradient(volume, chunked(data, chunks), chunked(weights, chunks))
    expected, expected_loss = projector.gradient(volume, data, weights)
    assert_equal(found, expected)
    assert is_dask_collection(loss)
    assert loss.dtype == np.float64
    assert float(loss) == pytest.approx(expected_loss, rel=1e-6)


@pytest.mark.parametrize("weight_chunks", [(13,), (4, 4, 5)], ids=str)
def test_weights_may_be_chunked_otherwise(projector, weight_chunks):
    volume, data, weights = random(VOLUME), random(projector.shape, 1), random(projector.shape, 2)
    found, _ = projector.gradient(volume, chunked(data, (5, 5, 3)), chunked(weights, weight_chunks))
    assert_equal(found, projector.gradient(volume, data, weights)[0])


def test_images_that_are_chunked_in_j_and_k_are_joined(projector):
    images = random(projector.shape)
    assert_equal(projector.adjoint(da.from_array(images, chunks=(5, 4, 3))), projector.adjoint(images))


def test_the_gradient_is_the_adjoint_of_the_weighted_residual(projector):
    """Whichever way the parts are taken: NumPy or Dask, in one go or one after the other."""
    chunks = (5, 5, 3)
    volume, data, weights = random(VOLUME), random(projector.shape, 1), random(projector.shape, 2)
    held, held_weights = chunked(data, chunks), chunked(weights, chunks)
    residual = projector.forward(volume, chunks) - held
    in_steps = projector.adjoint(held_weights * residual)
    assert_equal(in_steps, projector.gradient(volume, data, weights)[0])
    loss = (held_weights * residual.astype(np.float64) ** 2).sum() / 2
    assert float(loss) == pytest.approx(float(projector.gradient(volume, held, held_weights)[1]), rel=1e-6)


def extremes(projector, volume, images, weights, scale):
    """Smallest and largest weighted residual of each projection."""
    residual = weights * (images - projector.forward(volume)) * scale
    return np.stack([residual.min(axis=(1, 2)), residual.max(axis=(1, 2))], axis=1).astype(np.float64)


@every_chunking
def test_numbers_of_each_projection(projector, chunks):
    volume, images, weights = random(VOLUME), random(projector.shape, 1), random(projector.shape, 2)
    held = chunked(images, chunks), chunked(weights, chunks)
    found = projector.map_projections(extremes, volume, *held, scale=2.0)
    expected = projector.map_projections(extremes, volume, images, weights, scale=2.0)
    np.testing.assert_array_equal(expected, extremes(projector, volume, images, weights, 2.0))
    assert is_dask_collection(found)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.compute(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@every_chunking
def test_a_task_gets_its_own_projections_and_one_thread(projector, chunks):
    """The offsets that it sees name the projections; a worker's other threads run other tasks."""
    seen = []

    def note(part, volume, images):
        seen.append((len(part), len(images), part.threads))
        return np.stack([part.j_offset, part.k_offset, images[:, 0, 0]], axis=1)

    images = random(projector.shape)
    found = projector.map_projections(note, random(VOLUME), chunked(images, chunks)).compute()
    expected = np.stack([projector.j_offset, projector.k_offset, images[:, 0, 0]], axis=1)
    np.testing.assert_array_equal(found, expected)
    assert sorted(seen) == sorted((n, n, False) for n in chunks)


def test_nothing_is_computed_before_it_is_asked_for(projector):
    def explode(block):
        raise AssertionError("computed")

    meta = np.empty((0, 0, 0), np.float32)
    mine = da.from_array(random(projector.shape), chunks=(5, 9, 8)).map_blocks(explode, meta=meta)
    volume = da.from_array(random(VOLUME), chunks=-1).map_blocks(explode, meta=meta)
    lazy = [
        projector.forward(volume, (5, 5, 3)),
        projector.adjoint(mine),
        *projector.gradient(random(VOLUME), mine, mine),
        projector.map_projections(extremes, random(VOLUME), mine, mine, scale=1),
    ]
    for array in lazy:
        assert is_dask_collection(array)
        with pytest.raises(AssertionError, match="computed"):
            array.compute()


WIDE = (40, 20, 9)
in_slabs = pytest.mark.parametrize("slabs", [2, 3, 40])


@pytest.fixture(scope="module")
def wide():
    """A volume with room for the slabs' halos, which all directions of rays cross."""
    j, k = np.random.default_rng(1).normal(0, 1.5, (2, COUNT))
    return Projector(Rotation.random(COUNT, rng=1).as_matrix(), j, k, WIDE, (26, 24))


@in_slabs
@every_channel
def test_projections_and_gradients_in_slabs(wide, slabs, channels):
    """To a few times the rounding of the volume as a whole, slab borders or not."""
    volume, data = random((*WIDE, *channels)), random((*wide.shape, *channels), 1)
    weights = random(data.shape, 2)
    held, held_weights = chunked(data, (5, 5, 3)), chunked(weights, (5, 5, 3))
    parts = replace(wide, slabs=slabs)
    expected, expected_loss = wide.gradient(volume, data, weights)
    gradient, loss = parts.gradient(volume, held, held_weights)
    assert gradient.numblocks[0] == slabs
    assert_close(gradient, expected)
    assert float(loss) == pytest.approx(expected_loss, rel=1e-6)
    assert_close(parts.forward(volume, (5, 5, 3)), wide.forward(volume))
    assert parts.adjoint(held).numblocks[0] == slabs
    assert_close(parts.adjoint(held), wide.adjoint(data))
    kept = gradient.persist()
    assert_close(parts.forward(kept, (5, 5, 3)), wide.forward(expected))


def assert_close(found, expected):
    np.testing.assert_allclose(found.compute(), expected, rtol=0, atol=5e-6 * np.abs(expected).max())


def reprojected(projector, volume, images, of_all):
    predicted = projector.reproject(volume)
    return np.stack([(predicted * images).sum(axis=(1, 2)), predicted.max(axis=(1, 2)), of_all], axis=1)


@in_slabs
@pytest.mark.parametrize("lies", ["here", "on workers"])
def test_splines_bend_alike_in_slabs(wide, slabs, lies):
    """A rough volume, whose splines know their neighbours a dozen planes away."""
    volume, images = random(WIDE) - 0.5, random(wide.shape)
    of_all = np.arange(COUNT) / COUNT
    expected = reprojected(wide, volume, images, of_all)
    parts = replace(wide, slabs=slabs)
    given = volume if lies == "here" else da.from_array(volume, chunks=(4, -1, -1))
    held = chunked(images, (5, 5, 3)), da.from_array(of_all, chunks=5)
    found = parts.map_projections(reprojected, given, *held).compute()
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6 * np.abs(expected).max())


def turned(projector, volume, images):
    products = [(turn * images).sum(axis=(1, 2)) for turn in projector.turns(volume)]
    return np.stack([*products, (projector.reproject(volume) * images).sum(axis=(1, 2))], axis=1)


@in_slabs
def test_turns_about_the_centre_of_the_volume_in_slabs(wide, slabs):
    volume, images = random(WIDE), random(wide.shape)
    expected = turned(wide, volume, images)
    parts = replace(wide, slabs=slabs)
    found = parts.map_projections(turned, volume, chunked(images, (5, 5, 3)), turns=True).compute()
    largest = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=5e-6)


class Tasks(Callback):
    """Counts the tasks that run; other names for a result are none."""

    def __init__(self):
        super().__init__(pretask=self._count)
        self.ran = 0

    def _count(self, key, graph, state):
        self.ran += type(graph[key]).__name__ != "Alias"


def tasks(*collections):
    """How many tasks it takes to compute all of them together."""
    with Tasks() as counted:
        dask.compute(*collections, scheduler="synchronous")
    return counted.ran


@every_chunking
def test_a_gradient_is_one_task_a_chunk(projector, chunks, monkeypatch):
    """The chunks are there. Beside those tasks: a tree of sums, of one node less at most, and two results."""
    held = chunked(random(projector.shape), chunks)
    weights = chunked(random(projector.shape, 1), chunks)
    calls, gradient = [], Projector.gradient

    def counted(self, *arguments):
        calls.append(len(self))
        return gradient(self, *arguments)

    result = projector.gradient(random(VOLUME), held, weights)
    monkeypatch.setattr(Projector, "gradient", counted)
    ran = tasks(*result)
    assert sorted(calls) == sorted(chunks)
    assert ran <= 2 * len(chunks) - 1 + 2


@every_chunking
def test_forward_adjoint_and_numbers_are_one_task_a_chunk(projector, chunks):
    held, volume = chunked(random(projector.shape), chunks), random(VOLUME)
    mapped = projector.map_projections(extremes, volume, held, held, scale=1)
    assert len(chunks) <= tasks(projector.forward(volume, chunks)) <= len(chunks) + 1
    assert len(chunks) <= tasks(projector.adjoint(held)) <= 2 * len(chunks)
    assert len(chunks) <= tasks(mapped) <= len(chunks) + 1


def test_the_graph_does_not_grow_with_the_iterations(projector):
    held = chunked(random(projector.shape), (5, 5, 3))
    volume, counts = random(VOLUME), []
    for _ in range(4):
        gradient, loss = projector.gradient(volume, held, held)
        counts.append(tasks(gradient, loss))
        volume = volume - 0.01 * gradient.compute()
    assert len(set(counts)) == 1


def test_no_two_calls_share_a_name(projector):
    """A scheduler takes tasks of one name for the same; nothing is hashed to find out whether they are."""
    held, volume = chunked(random(projector.shape), (5, 5, 3)), random(VOLUME)
    arrays = [projector.adjoint(held), projector.adjoint(held), projector.forward(volume, (5, 5, 3))]
    arrays += [*projector.gradient(volume, held, held), *projector.gradient(volume, held, held)]
    assert len({array.name for array in arrays}) == len(arrays)
    volume += 1
    np.testing.assert_allclose(
        projector.forward(volume, (5, 5, 3)).compute(), projector.forward(volume), rtol=1e-5
    )


def test_a_graph_travels(projector):
    """What is sent to a worker, unpickled there, gives the same."""
    images = random(projector.shape)
    found = projector.adjoint(chunked(images, (5, 5, 3)))
    assert_equal(pickle.loads(cloudpickle.dumps(found)), projector.adjoint(images))


@pytest.mark.parametrize("chunks", [(3, 3), (4, 4), ()], ids=str)
def test_chunks_that_do_not_add_up_are_refused(chunks):
    projector = Projector(np.eye(3)[None].repeat(7, axis=0), np.zeros(7), np.zeros(7), (4, 5, 6), (4, 6))
    with pytest.raises(ScanError, match="expected 7 projections"):
        projector.forward(np.ones((4, 5, 6), np.float32), chunks)


def test_weights_and_images_may_be_chunked_otherwise_or_not_at_all():
    projector = Projector(np.eye(3)[None].repeat(7, axis=0), np.zeros(7), np.zeros(7), (4, 5, 6), (4, 6))
    volume, (data, weights) = random((4, 5, 6)), random((2, 7, 4, 6))
    expected = projector.gradient(volume, data, weights)
    for other in (weights, da.from_array(weights, chunks=(2, -1, -1))):
        found = compute(*projector.gradient(volume, da.from_array(data, chunks=(3, -1, -1)), other))
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        assert found[1] == pytest.approx(expected[1], rel=1e-6)


def test_no_task_joins_more_than_a_few_sums(monkeypatch, projector):
    """Of a worker of many threads either: one task would add up what all of them have summed."""
    workers = tuple(placement.Worker(name, 20, 0) for name in "ab")
    monkeypatch.setattr(placement, "workers", lambda: workers)
    images = da.zeros((len(projector), 1, 1), chunks=(1, 1, 1)).map_blocks(
        lambda block: block, chunks=(1, *projector.detector_shape), dtype=np.float32
    )
    tasks = dict(projector.adjoint(images).dask)
    terms = {key: len(task.dependencies) for key, task in tasks.items() if key[0].startswith("adjoint")}
    lines = sum(key[0].startswith("adjoint-part") for key in terms)
    assert lines == len(projector) > 4
    assert max(terms.values()) <= 4
