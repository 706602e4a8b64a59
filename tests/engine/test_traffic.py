"""What an iteration costs: tasks, bytes, and what the scheduler keeps of it."""

from dataclasses import replace
from itertools import islice

import dask
import numpy as np
import pytest
from distributed import Client, wait

from mumott_dask import Projector, arrays, reconstruction
from mumott_dask.measured import signal_and_mask
from mumott_dask.projector import numpy_arrays
from mumott_dask.reconstruction import iterated, mitra_steps, sirt_weights


def tasks_known(dask_scheduler):
    return len(dask_scheduler.tasks)


whole_and_in_slabs = pytest.mark.parametrize(
    ("steps", "chunks", "slabs"),
    [((8, 1), 8, 1), ((16, 3), 16, 3)],
    indirect=["steps"],
    ids=["whole", "slabs"],
)


def mitra(scan, chunks, slabs=1, every=1):
    data, mask = signal_and_mask(scan.chunk(projection=scan.sizes["projection"] // chunks))
    projector = replace(Projector.from_scan(scan), slabs=slabs)
    weights = sirt_weights(projector, arrays.chunk_lengths(data), mask)
    return mitra_steps(projector, data, weights.rays, weights.voxels, every=every)


@pytest.fixture
def steps(watched, scan, request):
    """MITRA on chunks that have been loaded: so many of them, and so many slabs."""
    steps = mitra(scan, *getattr(request, "param", (8, 1)))
    done(islice(steps, 2))
    watched.finished(), watched.received()
    return steps


def done(steps):
    for step in steps:
        wait([step.tomogram, step.loss])


@whole_and_in_slabs
def test_tasks_of_an_iteration(steps, chunks, slabs, watched):
    done(islice(steps, 5))
    kinds = watched.finished()
    assert kinds["gradient-part"] == 5 * chunks * slabs
    assert kinds.total() / (5 * chunks * slabs) <= 2.5


@whole_and_in_slabs
def test_what_travels_are_volumes(steps, chunks, slabs, watched, scan):
    """Twice the volume a worker and iteration at most; of projections nothing."""
    done(islice(steps, 5))
    travelled = watched.received()
    volume = 4 * np.prod(Projector.from_scan(scan).volume_shape)
    assert 0 < sum(kinds.total() for kinds in travelled) / len(travelled) <= 5 * 2.2 * volume
    kinds = set().union(*travelled)
    assert kinds <= {"gradient-part", "slab", "elementwise", "gradient-summed"}  # the last are numbers


def test_iterations_are_handed_out_together(watched, scan):
    """What is asked for once in five is the same, and the client hears of nothing before it."""
    expected = iterated(mitra(scan, 8), 5)
    together = mitra(scan, 8, every=5)
    watched.finished()
    found = iterated(together)
    kinds = watched.finished()
    assert (kinds["gradient-part"], kinds["loss"]) == (5 * 8, 1)
    np.testing.assert_array_equal(found.tomogram, expected.tomogram)
    assert found.loss == expected.loss


def test_no_update_is_made_again_within_the_next(scan, monkeypatch):
    updates, update = [], reconstruction.accelerated_step
    monkeypatch.setattr(
        reconstruction, "accelerated_step", lambda *a, **named: updates.append(1) or update(*a, **named)
    )
    with dask.config.set(scheduler="synchronous"):
        iterated(mitra(scan, 2, every=5))
    assert len(updates) == 5


def nothing(beam, volume, data, weights, background):
    return np.zeros((1, 1, 1), np.float32), np.float64(0)


@pytest.mark.parametrize("iterations", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_scheduler_forgets_what_is_past(monkeypatch, iterations):
    """After a hundred or a thousand, whose kernels do nothing, it holds what it held after ten."""
    monkeypatch.setattr(numpy_arrays, "gradient", nothing)
    projector = Projector(np.eye(3)[None].repeat(2, 0), *np.zeros((2, 2)), (1, 1, 1), (1, 1))
    workers = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with Client(**workers) as client:
        (images,) = arrays.keep_on_workers(arrays.constant(1, projector.shape, (1, 1)))
        steps = mitra_steps(projector, images, images, arrays.constant(1, (1, 1, 1), (1,)))
        done(islice(steps, 10))
        early = client.run_on_scheduler(tasks_known)
        done(islice(steps, iterations - 10))
        assert 0 < client.run_on_scheduler(tasks_known) <= 1.2 * early
