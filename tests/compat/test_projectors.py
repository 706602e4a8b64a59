from __future__ import annotations

import numpy as np
import pytest

from mumott_dask import Projector, ScanWarning
from mumott_dask.compat import missing
from mumott_dask.compat.methods.projectors import SAXSProjector, SAXSProjectorCUDA


@pytest.fixture
def volume(container):
    shape = (*container.geometry.volume_shape, 2)
    return np.random.default_rng(0).random(shape)


def test_forward_and_adjoint_are_the_projectors(container, scan, volume):
    projector, native = SAXSProjector(container.geometry), Projector.from_scan(scan)
    assert projector.number_of_projections == len(native)
    assert projector.volume_shape == native.volume_shape
    assert projector.projection_shape == native.detector_shape
    projections = projector.forward(volume)
    np.testing.assert_array_equal(projections, native.forward(volume))
    np.testing.assert_array_equal(projector.adjoint(projections), native.adjoint(projections))


def test_some_of_the_projections_are_those_of_all(container, volume):
    projector = SAXSProjector(container.geometry)
    projections = projector.forward(volume)
    np.testing.assert_allclose(projector.forward(volume, indices=[4, 1]), projections[[4, 1]], rtol=1e-5)
    whole = sum(projector.adjoint(projections[[i]], indices=np.array([i])) for i in range(len(projections)))
    np.testing.assert_allclose(whole, projector.adjoint(projections), rtol=1e-4)
    one = projector.adjoint(projections[3], indices=3)
    np.testing.assert_array_equal(one, projector.adjoint(projections[[3]], indices=3))
    with pytest.raises(TypeError, match="integers"):
        projector.forward(volume, indices=[0.5])


def test_it_follows_its_geometry(container, volume):
    projector = SAXSProjector(container.geometry)
    before = projector.forward(volume)
    container.geometry.j_offsets = container.geometry.j_offsets_as_array + 1
    np.testing.assert_allclose(projector.forward(volume)[:, :-1], before[:, 1:], atol=1e-3)


def test_without_a_gpu_it_warns_once_and_gives_the_same(container, volume):
    missing._warn_of_the_cpu.cache_clear()
    with pytest.warns(ScanWarning, match="on the CPU"):
        SAXSProjectorCUDA(container.geometry)
    projector = SAXSProjectorCUDA(container.geometry)  # a second warning would be an error here
    np.testing.assert_array_equal(
        projector.forward(volume), SAXSProjector(container.geometry).forward(volume)
    )
