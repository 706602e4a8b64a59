"""What an iteration costs: tasks, bytes, and what the scheduler keeps of it."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from distributed import wait

from mumott_dask import Projector, arrays
from mumott_dask.measured import signal_and_mask
from mumott_dask.reconstruction import mitra_steps, sirt_weights

whole_and_in_slabs = pytest.mark.parametrize(
    ("steps", "chunks", "slabs"),
    [((8, 1), 8, 1), ((16, 3), 16, 3)],
    indirect=["steps"],
    ids=["whole", "slabs"],
)


@pytest.fixture
def steps(watched, scan, request):
    """MITRA on chunks that have been loaded: so many of them, and so many slabs."""
    chunks, slabs = getattr(request, "param", (8, 1))
    data, mask = signal_and_mask(scan.chunk(projection=scan.sizes["projection"] // chunks))
    projector = replace(Projector.from_scan(scan), slabs=slabs)
    weights = sirt_weights(projector, arrays.chunk_lengths(data), mask)
    steps = mitra_steps(projector, data, weights.rays, weights.voxels)
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


def test_the_scheduler_forgets_what_is_past(steps, watched):
    """Over a hundred iterations no more than over ten, counted at the same place of the cycle."""
    done(islice(steps, 8))
    early = watched.known()
    done(islice(steps, 90))
    late = watched.known()
    assert late <= 1.2 * early
