"""How rays are dealt out to the threads of a CUDA device: with arrays of the host, no device is needed."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mumott_dask import Projector
from mumott_dask.projector.cuda_rays import FEW, bundles


def bundled(along, across):
    """Whether slices are turned, and for how many projections, with so many rows of pixels along a and b.

    Rays go along y at no turn, where pixels along k lie along z, which is the second axis of a slice; tilted
    by 80 degrees about y, k leads along x, the first.
    """
    tilts = np.radians(np.repeat([10, 80], [along, across]))
    turns = Rotation.from_rotvec(np.outer(tilts, [0, 1, 0])).as_matrix()
    A = Projector(turns, *np.zeros((2, along + across)), (6, 7, 8), (6, 8))
    axes, *parameters = A.rays
    assert (axes[:, 0] == 1).all()
    made = bundles(A, np.zeros(1, np.float32), np.arange(along + across), *parameters)
    return [(each.turned, len(each.rays)) for each in made]


def test_slices_are_laid_out_both_ways_where_that_is_worth_a_kernel():
    assert bundled(FEW + 1, FEW + 2) == [(False, FEW + 1), (True, FEW + 2)]


@pytest.mark.parametrize(("along", "across"), [(FEW + 2, FEW), (FEW + 2, 0), (1, 0), (2, 1)])
def test_a_few_projections_go_with_the_others(along, across):
    assert bundled(along, across) == [(False, along + across)]
    assert bundled(across, along) == [(True, along + across)]
