"""What an alignment tells: pictures that are right, in no more bytes than they may take."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import numpy as np
import pytest

import mumott_dask as md
from mumott_dask.alignment import align_steps
from mumott_dask.monitor.events import BUDGET, Teller
from mumott_dask.monitor.pictures import Picture, Sinograms, projection_picture, volume_picture
from mumott_dask.monitor.runs import Run, Runs


@pytest.fixture(scope="module")
def step():
    scan = md.simulate(shape=(26, 24), tilts=2, rotations=12, jitter=0.5, jumps=1)
    *_, step = align_steps(scan, method="optical-flow", iterations=8)
    assert step.binning == 1
    return step


def close(picture: Picture, values: np.ndarray) -> None:
    """To half a step of the 256 between the limits."""
    clipped = np.clip(values, picture.low, picture.high)
    np.testing.assert_allclose(
        picture.values, clipped, rtol=0, atol=0.51 * (picture.high - picture.low) / 255
    )


@pytest.mark.parametrize("turned", [False, True], ids=["about k", "about j"])
def test_a_sinogram_is_the_row_of_whole_projections(step, turned):
    level = step.level
    if turned:  # the same sample with j and k of the detector exchanged
        exchanged = {
            "j_direction_0": (0.0, 0.0, 1.0),
            "k_direction_0": (1.0, 0.0, 0.0),
            "detector_shape": (24, 26),
        }
        a = level.projector
        projector = replace(a, **exchanged, j_offset=a.k_offset, k_offset=a.j_offset)
        data, mask = (np.swapaxes(images, 1, 2) for images in (level.data, level.mask))
        level = replace(level, projector=projector, data=data, mask=mask)
    shown = Sinograms(10**6).of(level, step.tomogram)
    whole = level.projector.forward(step.tomogram)
    at = (slice(None), 12, slice(None)) if turned else (slice(None), slice(None), 12)
    close(shown.measured, np.asarray(level.data)[at])
    close(shown.difference, (level.data - whole)[at] * level.mask[at])


def test_a_projection_is_the_one_of_its_number(step):
    shown = projection_picture(step.level, step.tomogram, 7, 10**6)
    close(shown.measured, np.asarray(step.level.data)[7])
    close(
        shown.difference,
        (step.level.data - step.level.projector.forward(step.tomogram))[7] * step.level.mask[7],
    )


def test_a_volume_is_thinned_out_to_fit(step):
    close(volume_picture(step.tomogram, 10**6), step.tomogram)
    ramp = np.broadcast_to(np.linspace(0, 1, 90, dtype=np.float32)[:, None, None], (90, 80, 70))
    small = volume_picture(ramp, 20_000)
    assert 10_000 < small.steps.size <= 20_000
    assert small.values[:, 0, 0] == pytest.approx(np.linspace(0, 1, small.steps.shape[0]), abs=0.03)


@pytest.mark.parametrize(("projections", "side"), [(247, 65), (3000, 200), (20_000, 64)])
def test_an_iteration_is_within_its_budget(step, projections, side):
    several = np.resize(np.arange(24), projections)
    projector = replace(
        step.level.projector[several], volume_shape=(side, side, side), detector_shape=(side, side)
    )
    images = np.broadcast_to(np.float32(0.5), (projections, side, side))
    large = replace(
        step,
        level=replace(step.level, projector=projector, data=images, mask=images > 0),
        tomogram=np.random.default_rng(1).random((side, side, side), np.float32),
        labels=np.arange(projections),
        excluded=np.ones(projections, bool),
        **{
            name: np.resize(getattr(step, name), projections)
            for name in ("j_offset", "k_offset", "residuals", "trust")
        },
        deviations=np.resize(step.deviations, (projections, 2)),
    )
    teller = Teller("a" * 32)
    events = [teller.step(large), teller.projection(large, 5)]
    taken = sum(len(msgpack.packb(event)) for event in events)
    assert 0.3 * BUDGET < taken <= BUDGET


def test_what_is_told_is_what_is_kept(step):
    runs, teller = Runs(), Teller("one")
    woken = []
    runs.listen(lambda run: woken.append(run.id))
    runs.take(teller.begin("bone"))
    teller.keep(step)
    runs.take(teller.step(step))
    runs.take(teller.projection(step, 5))
    run = runs["one"]
    assert woken == ["one"] * 3
    np.testing.assert_allclose(run.numbers.j, step.j_offset, rtol=1e-6)
    np.testing.assert_allclose(run.numbers.k_error, step.deviations[:, 1], rtol=1e-6)
    assert run.history.residual == [step.residual]
    assert (run.name, run.iteration, list(run.opened)) == ("bone", 8, [5])
    assert run.rate == pytest.approx(24 / step.seconds)
    for _ in range(2):
        teller.keep(step)
    runs.take(teller.step(replace(step, j_offset=step.j_offset + 1)))
    assert run.history.residual == [step.residual] * 3  # one of them was not told by itself
    np.testing.assert_allclose(run.numbers.j - run.before.j, 1, rtol=1e-5)
    assert run.left == pytest.approx(step.seconds * (step.iterations - 8))
    runs.take(teller.end("stopped"))
    assert (run.ended, np.isnan(run.left)) == ("stopped", True)


def test_runs_of_a_client_that_is_gone_have_ended():
    runs = Runs()
    for name in "ab":
        runs.add(Run(name, name, client=f"client {name}"))
    runs.lost("client a")
    assert [run.ended for run in runs] == ["lost: its client is gone", ""]


def test_memory_is_bounded(step):
    runs = Runs()
    for number in range(1200):
        teller = Teller(str(number))
        runs.take(teller.begin(f"sample {number}"))
        if number > 1000:
            runs.take(teller.step(step))
        runs.take(teller.end("ended"))
    runs.take(Teller("last").begin("last"))
    assert len(runs) == 1000
    assert sum(run.volume is not None for run in runs) == 100
    assert [run.id for run in runs][-2:] == ["1199", "last"]
