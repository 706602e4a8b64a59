"""Into how many slabs a volume is cut."""

import numpy as np
import pytest

from mumott_dask import Projector, ScanError
from mumott_dask.projector import with_slabs
from mumott_dask.projector.slabs import slab_count

GIB = 2**30
SHAPE = (512, 512, 512)  # half a GiB


@pytest.fixture
def projector():
    return Projector(np.eye(3)[None], [0.0], [0.0], (40, 5, 6), (4, 6))


@pytest.mark.parametrize(
    ("chunks", "lengths"),
    [
        (None, (40,)),
        (40, (40,)),
        (99, (40,)),
        (20, (20, 20)),
        (13, (10,) * 4),
        (15, (14, 13, 13)),
        (1, (1,) * 40),
    ],
)
def test_slabs_are_no_thicker_than_asked_and_alike(projector, chunks, lengths):
    assert with_slabs(projector, chunks).slab_lengths == lengths


@pytest.mark.parametrize("chunks", [0, -3, 1.5, True, "some"])
def test_a_thickness_that_is_none_is_refused(projector, chunks):
    with pytest.raises(ScanError, match=f"volume_chunks is {chunks!r}, expected a number of voxels"):
        with_slabs(projector, chunks)


def test_threads_of_this_process_need_no_slabs(projector):
    assert with_slabs(projector, "auto").slab_lengths == (40,)


@pytest.mark.parametrize(("workers", "gib"), [(1, 0), (2, 0), (4, 16), (200, 16)])
def test_a_volume_that_a_worker_has_room_for_stays_whole(workers, gib):
    assert slab_count(SHAPE, [gib * GIB] * workers, 1) == 1


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("workers", [10, 16, 64])
@pytest.mark.parametrize("gib", [0.5, 1, 2])
def test_state_and_work_fit_into_a_share_of_the_smallest_worker(workers, gib, threads):
    """The workers hold slabs in equal numbers, as far as there are planes."""
    slabs = slab_count(SHAPE, [int(gib * GIB), *[4 * GIB] * (workers - 1)], threads)
    assert 1 < slabs <= 512
    assert slabs % workers == 0 or slabs == 512
    state, work = 5 * 0.5 / workers, 7 * threads * 0.5 / slabs
    assert state + work <= 0.6 * gib
