from __future__ import annotations

import dask
import numpy as np
import pytest
from distributed import Client

from mumott_dask import ScanError, absorbance
from mumott_dask.compat import DataContainer
from mumott_dask.compat.methods.basis_sets import TrivialBasis
from mumott_dask.compat.pipelines import run_mitra, run_sirt
from mumott_dask.projector import Projector
from mumott_dask.reconstruction import iterated, mitra_steps, sirt_weights


def native(scan, iterations, nesterov_weight=0.95, nonnegative=True):
    measured, projector = absorbance(scan), Projector.from_scan(scan)
    rays, voxels = sirt_weights(projector, mask=measured["mask"].values)
    steps = mitra_steps(
        projector, measured["absorbance"].values, rays, voxels, None, nesterov_weight, nonnegative
    )
    return iterated(steps, iterations).tomogram


def test_mitra_is_this_packages_and_changes_nothing(container, scan):
    given = {"nestorov_weight": 0.6, "no_tqdm": True}
    weights = container.weights
    found = run_mitra(container, maxiter=6, optimizer_kwargs=given)
    np.testing.assert_array_equal(found["result"]["x"][..., 0], native(scan, 6, 0.6))
    assert found["result"]["nit"] == 6
    assert given == {"nestorov_weight": 0.6, "no_tqdm": True}
    np.testing.assert_array_equal(container.weights, weights)
    np.testing.assert_array_equal(found["absorbances"][..., 0], absorbance(scan)["absorbance"])
    forward = found["projector"].forward(found["result"]["x"])
    assert forward.shape == found["weights"].shape == found["absorbances"].shape
    with pytest.raises(AttributeError, match="no mumott's optimizer here"):
        found["optimizer"].optimize()


def test_what_the_tutorial_gives_beside_the_optimizer_is_ignored_as_in_mumott(container):
    plain = run_mitra(container, maxiter=3)["result"]["x"]
    tutorial = run_mitra(container, maxiter=3, ftol=None, nestorov_weight=0.6, enforce_non_negativity=False)
    np.testing.assert_array_equal(tutorial["result"]["x"], plain)


def test_options_of_the_optimizer_apply(container):
    first = run_mitra(container, maxiter=4, optimizer_kwargs={"nestorov_weight": 0.0})["result"]["x"]
    further = {"nestorov_weight": 0.0, "x0": first, "maxiter": 3}
    again = run_mitra(container, maxiter=99, optimizer_kwargs=further)["result"]
    whole = run_mitra(container, maxiter=7, optimizer_kwargs={"nestorov_weight": 0.0})["result"]
    np.testing.assert_allclose(again["x"], whole["x"], atol=1e-6)
    assert again["nit"] == 3
    half = {"nestorov_weight": 0.0, "step_size": 0.5, "enforce_non_negativity": False}
    one = run_mitra(container, maxiter=1, optimizer_kwargs=half | {"step_size": 1.0})["result"]["x"]
    np.testing.assert_allclose(run_mitra(container, maxiter=1, optimizer_kwargs=half)["result"]["x"], one / 2)
    settled = run_mitra(container, maxiter=50, ftol=0.05)["result"]
    assert 7 <= settled["nit"] < 50


def test_weights_and_cutoffs_apply(container):
    given = {"use_weights": True, "preconditioner": np.full(container.geometry.volume_shape, 1e-3)}
    container.projections.weights = container.weights * 0.5
    own = run_mitra(container, maxiter=1, use_sirt_weights=False, loss_function_kwargs=given)
    assert set(np.unique(own["weights"])) == {0, 0.5}
    full = run_mitra(
        container, maxiter=1, use_sirt_weights=False, loss_function_kwargs=given | {"use_weights": False}
    )
    np.testing.assert_allclose(own["result"]["x"], full["result"]["x"] / 2, rtol=1e-5)
    strict = run_mitra(container, maxiter=1, weights_cutoff=5.0, preconditioner_cutoff=40.0)
    assert strict["weights"].max() <= 0.2
    assert strict["preconditioner"].max() <= 1 / 40


def test_given_absorbances_are_reconstructed(container):
    twice = 2 * run_mitra(container, maxiter=1)["absorbances"]
    found = run_mitra(container, maxiter=5, absorbances=twice)
    np.testing.assert_array_equal(found["absorbances"], twice)
    mask = container.weights > 0
    one = run_mitra(container, maxiter=5, absorbances=twice / 2 * mask)
    np.testing.assert_allclose(found["result"]["x"], 2 * one["result"]["x"], atol=1e-6)


def test_sirt_has_no_momentum_and_may_go_below_zero(container, scan):
    found = run_sirt(container, maxiter=5, no_tqdm=True)["result"]["x"][..., 0]
    np.testing.assert_array_equal(found, native(scan, 5, 0.0, nonnegative=False))
    assert run_sirt(container, maxiter=5, enforce_non_negativity=True)["result"]["x"].min() >= 0


@pytest.mark.parametrize("chunked", [False, True])
def test_segments_are_reconstructed_side_by_side(segmented, chunked, monkeypatch):
    container = DataContainer(segmented)
    if chunked:
        from mumott_dask.compat.pipelines import reconstruction

        whole = reconstruction.working_scan
        monkeypatch.setattr(reconstruction, "working_scan", lambda dc: whole(dc).chunk(projection=20))
    with dask.config.set(scheduler="synchronous"):
        x = run_mitra(container, use_absorbances=False, BasisSet=TrivialBasis, maxiter=4)["result"]["x"]
    assert x.shape[-1] == 3
    np.testing.assert_allclose(x[..., 1], 2 * x[..., 0], atol=1e-5)
    np.testing.assert_allclose(x[..., 2], 3 * x[..., 0], atol=1e-5)
    assert x[..., 0].max() > 0.01


def test_a_masked_segment_may_hold_anything(segmented):
    container = DataContainer(segmented)
    options = {"use_absorbances": False, "BasisSet": TrivialBasis, "maxiter": 3}
    weights = np.ones_like(container.data)
    weights[2, 8:12, 8:12, 1] = 0
    for projection, own in zip(container.projections, weights, strict=True):
        projection.weights = own
    before = run_mitra(container, **options)
    container.projections[2].data[8:12, 8:12, 1] = 1e4
    after = run_mitra(container, **options)
    np.testing.assert_array_equal(after["result"]["x"], before["result"]["x"])
    assert (before["weights"][2, 8:12, 8:12] > 0).all(axis=(0, 1)).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({"Regularizers": []}, "takes no 'Regularizers' here"),
        ({"optimizer_kwargs": {"history_size": 5}}, "takes no 'history_size' here"),
        ({"loss_function_kwargs": {"delta": 1}}, "takes no 'delta' here"),
        ({"use_absorbances": False}, "BasisSet=TrivialBasis"),
        ({"use_absorbances": False, "BasisSet": TrivialBasis}, "no detector segments"),
    ],
)
def test_what_means_nothing_here_is_refused_in_a_line(container, keywords, line):
    with pytest.raises(ScanError, match=line):
        run_mitra(container, **keywords)


def test_it_runs_on_the_workers_of_an_active_client(container):
    here = run_mitra(container, maxiter=3)["result"]["x"]
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as client:
        there = run_mitra(container, maxiter=3)["result"]["x"]
        counts = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
    assert counts > 100
    np.testing.assert_allclose(there, here, atol=1e-6)
