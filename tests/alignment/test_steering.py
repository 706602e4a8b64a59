"""What a watcher asks of an alignment: it ends cleanly, or goes on without some projections."""

from __future__ import annotations

import numpy as np
import pytest

import mumott_dask as md
from mumott_dask import ScanError
from mumott_dask.alignment import Steering, align_steps
from mumott_dask.alignment.checkpoint import is_unfinished

OPTIONS = {"method": "optical-flow", "iterations": 6}


@pytest.fixture(scope="module")
def scan():
    scan = md.simulate(shape=(26, 24), tilts=2, rotations=12, jitter=0.5, jumps=1, drift=0.3)
    return scan.assign_coords(projection=100 + scan["projection"])


@pytest.fixture(params=["numpy", "chunked"])
def either(request, scan):
    return scan if request.param == "numpy" else scan.chunk(projection=5)


def asking(iteration, **wishes):
    """A watcher that asks for something after an iteration, and the steps that it has seen."""
    seen = []

    def watch(step):
        seen.append(step)
        return Steering(**wishes) if step.iteration == iteration else None

    return watch, seen


def test_a_stop_ends_with_the_result_of_the_iteration(scan, tmp_path):
    watch, seen = asking(3, stop=True)
    path = tmp_path / "stopped.zarr"
    result = md.align(scan, watch=watch, checkpoint=path, **OPTIONS)
    assert result.sizes["iteration"] == len(seen) == 3
    assert (result.attrs["converged"], result.attrs["reason"]) == (False, "stopped")
    np.testing.assert_allclose(result["j_offset_history"][-1], seen[-1].j_offset)
    assert result["tomogram"].shape == tuple(scan.attrs["volume_shape"])
    assert is_unfinished(path)  # the same call goes on with it
    md.open_alignment(path)


def test_an_excluded_projection_stays_where_it_was_and_is_listed(either):
    watch, seen = asking(2, exclude=(107,))
    result = md.align(either, watch=watch, **OPTIONS)
    assert result.attrs["excluded"] == [107]
    assert 107 not in result.attrs["wrong"]
    moves = np.abs(np.diff(result["j_offset_history"].sel(projection=107)))
    assert moves[0] > 0
    # From then on by the gauge alone, as the sample is centred.
    others = np.abs(np.diff(result["j_offset_history"].drop_sel(projection=107), axis=0)).max(axis=1)
    assert np.all(moves[1:] < 0.2 * others[1:] + 1e-12)
    assert [step.excluded.sum() for step in seen] == [0, 0, 1, 1, 1, 1]


def test_an_exclusion_is_that_of_the_same_alignment_begun_so(scan):
    """From the first iteration on the offsets of all others are those that they would have had."""
    fine = {"method": "optical-flow", "tolerance": 2e-4}
    watch, _ = asking(1, exclude=(103, 110))
    steered = md.align(scan, watch=watch, **fine)
    asked = md.align(scan, exclude=(103, 110), **fine)
    kept = [label for label in scan["projection"].values if label not in (103, 110)]
    difference = md.compare(
        steered.sel(projection=kept), asked.sel(projection=kept), scan.sel(projection=kept)
    )
    assert difference.attrs["rms"] < 0.01


def test_what_was_excluded_is_still_so_when_it_is_gone_on_with(either, tmp_path):
    def excluding_then_stopping(step):
        return {2: Steering(exclude=(105,)), 3: Steering(stop=True)}.get(step.iteration)

    def excluding(step):
        return Steering(exclude=(105,)) if step.iteration == 2 else None

    path = tmp_path / "result.zarr"
    md.align(either, watch=excluding_then_stopping, checkpoint=path, **OPTIONS)
    resumed = md.align(either, checkpoint=path, **OPTIONS)
    whole = md.align(either, watch=excluding, **OPTIONS)
    assert resumed.attrs["excluded"] == whole.attrs["excluded"] == [105]
    np.testing.assert_allclose(resumed["j_offset"], whole["j_offset"], rtol=0, atol=1e-5)
    assert np.all(resumed["seconds"] > 0)


def test_a_converged_alignment_goes_on_once_something_is_excluded(scan):
    settings = {"method": "optical-flow", "tolerance": 0.3}
    undisturbed = md.align(scan, **settings)
    assert undisturbed.attrs["converged"]
    last = undisturbed.sizes["iteration"]
    watch, _ = asking(last, exclude=(101,))
    result = md.align(scan, watch=watch, **settings)
    assert result.sizes["iteration"] > last
    assert result.attrs["excluded"] == [101]


@pytest.mark.parametrize(
    ("labels", "said"), [((5,), "exclude names projection 5"), (range(101, 124), "exclude leaves 1")]
)
def test_a_wish_that_makes_no_sense_is_one_line(scan, labels, said):
    watch, _ = asking(1, exclude=tuple(labels))
    with pytest.raises(ScanError, match=said):
        md.align(scan, watch=watch, **OPTIONS)


def test_a_generator_takes_it_by_send(scan):
    steps = align_steps(scan, **OPTIONS)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(Steering(stop=True))
    assert end.value.value.attrs["reason"] == "stopped"


def test_a_step_brings_what_pictures_are_made_of(either):
    """Its level reprojects the tomogram into what was measured, to the residual that is told."""
    *_, step = align_steps(either, **OPTIONS)
    projector, measured, mask = step.level.projector, np.asarray(step.level.data), np.asarray(step.level.mask)
    residual = (measured - projector.reproject(step.tomogram)) * mask
    each = np.sqrt((residual**2).sum(axis=(1, 2)) / mask.sum(axis=(1, 2)))
    assert list(step.labels) == list(either["projection"].values)
    assert np.corrcoef(each, step.residuals)[0, 1] > 0.9
    np.testing.assert_allclose(np.median(each), np.median(step.residuals), rtol=0.1)
