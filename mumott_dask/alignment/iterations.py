"""The outer iterations: reconstruct a little, reproject, step every projection's offsets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.arrays import chunk_lengths, keep_on_workers
from mumott_dask.reconstruction import SirtWeights, mitra_steps, sirt_weights

from .flow import Flow, capped, flow
from .level import Level, centre_of_mass, moved, resampled
from .records import AlignmentStep, Stage
from .settings import Settings
from .start import Start

Floats = NDArray[np.float64]
Volume = NDArray[np.float32]

_STALE = 0.5  # pixels of the level that offsets may move before the SIRT weights are computed again
ENOUGH = 2  # steps in a row below the tolerance that end an alignment
_CENTRED = 0.05  # voxels from the wanted centre of mass that are left as they are


@dataclass(frozen=True)
class State:
    """What goes from one outer iteration into the next; offsets in unbinned pixels."""

    j: Floats
    k: Floats
    tomogram: Volume


def outer_iterations(whole: Level, settings: Settings, start: Start) -> Iterator[AlignmentStep]:
    """All stages of an alignment, one record an outer iteration.

    Parameters
    ----------
    whole : Level
        The scan without binning.
    settings : Settings
    start : Start
    """
    if not settings.stages:
        yield AlignmentStep("line", 1, 1, start.j, start.k, 0.0, 0.0, float("nan"), None)
        return
    level, number = whole, 0
    state = State(start.j, start.k, np.zeros(whole.projector.volume_shape, np.float32))
    for stage in settings.stages:
        tomogram, before = state.tomogram, level.binning
        if stage.binning != before:
            level = whole.binned(stage.binning)
            tomogram = resampled(tomogram, level.projector.volume_shape, stage.binning / before)
        state = centred(level, settings, replace(state, tomogram=tomogram))
        for moved_state, found in _stage_iterations(level, settings, stage, state):
            state, number = moved_state, number + 1
            sizes = np.abs(np.stack([found.j, found.k]))[:, ~settings.excluded]
            yield AlignmentStep(
                stage.name,
                number,
                settings.iterations,
                state.j,
                state.k,
                float(sizes.max()),
                float(np.median(sizes)),
                found.residual,
                state.tomogram,
                stage.binning,
            )


def _stage_iterations(
    level: Level, settings: Settings, stage: Stage, state: State
) -> Iterator[tuple[State, Flow]]:
    """Outer iterations of one stage: the state after each, and its step in unbinned pixels."""
    level = weighted = level.with_offsets(state.j, state.k)
    weights = _masked_weights(level)
    small_steps = 0
    for number in range(stage.iterations):
        level = level.with_offsets(state.j, state.k)
        if _distance(level, weighted) > _STALE:
            weights, weighted = _masked_weights(level), level
        inner = mitra_steps(level.projector, level.data, weights.rays, weights.voxels, state.tomogram)
        *_, last = islice(inner, stage.inner_iterations if number else stage.first_iterations)
        found = capped(flow(level, last.tomogram, stage.smoothing / stage.binning, settings.directions), 1.0)
        found = admissible(found, settings, stage.binning)
        small = max(np.abs(found.j).max(), np.abs(found.k).max()) < stage.tolerance
        if small and stage != settings.stages[-1]:
            yield replace(state, tomogram=last.tomogram), found
            return
        state = State(state.j + found.j, state.k + found.k, last.tomogram)
        yield state, found
        small_steps = small_steps + 1 if small else 0
        if small_steps == ENOUGH:
            return


def admissible(found: Flow, settings: Settings, binning: int) -> Flow:
    """The steps in unbinned pixels, without those of held offsets or a movement of the whole sample."""
    j = np.where(settings.held_j | settings.excluded, np.nan, found.j * binning)
    k = np.where(settings.held_k | settings.excluded, np.nan, found.k * binning)
    j, k = geometry.without_gauge(j, k, settings.axes, settings.free_gauge)
    return found._replace(j=np.nan_to_num(j), k=np.nan_to_num(k))


def centred(level: Level, settings: Settings, state: State) -> State:
    """The state with the sample's centre of mass where it is wanted, as far as held offsets let it."""
    if settings.gauge == "keep":
        return state
    wanted = np.zeros(3) if isinstance(settings.gauge, str) else np.array(settings.gauge)
    free = settings.free_gauge
    d = free @ (free.T @ (wanted - centre_of_mass(state.tomogram) * level.binning))
    if np.abs(d).max(initial=0) < _CENTRED:
        return state
    dj, dk = geometry.gauge_offsets(d, settings.axes)
    return State(
        np.where(settings.held_j, state.j, state.j + dj),
        np.where(settings.held_k, state.k, state.k + dk),
        moved(state.tomogram, d / level.binning),
    )


def whole_step(whole: Level, settings: Settings, step: AlignmentStep) -> AlignmentStep:
    """The last step as it is handed out: tomogram on the scan's own voxels, centre of mass in its place."""
    if step.tomogram is None:
        return step
    tomogram = resampled(step.tomogram, whole.projector.volume_shape, 1 / step.binning)
    state = centred(whole, settings, State(step.j_offset, step.k_offset, tomogram))
    return replace(step, j_offset=state.j, k_offset=state.k, tomogram=state.tomogram, binning=1)


def _masked_weights(level: Level) -> SirtWeights:
    weights = sirt_weights(level.projector, chunk_lengths(level.data))
    (rays,) = keep_on_workers(weights.rays * level.mask)
    return weights._replace(rays=rays)


def _distance(a: Level, b: Level) -> float:
    """Largest difference of the offsets of two levels of equal binning, pixels of the level."""
    j = np.abs(a.projector.j_offset - b.projector.j_offset).max()
    return float(max(j, np.abs(a.projector.k_offset - b.projector.k_offset).max()))
