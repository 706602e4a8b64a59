"""The outer iterations: reconstruct a little, reproject, step every projection's unknowns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.arrays import chunk_lengths
from mumott_dask.devices import to_host
from mumott_dask.reconstruction import iterated, mitra_steps, sirt_weights

from .flow import Systems, small_systems
from .level import Level, centre_of_mass, moved, resampled, trusting
from .phase_matching import Matches, matched, matched_step
from .records import TRUSTED, AlignmentStep, Stage
from .settings import Settings
from .start import Start
from .steps import (
    Step,
    Taken,
    admissible,
    capped,
    instrument,
    relaxed,
    solved,
    turned,
    without_common_turns,
)

Floats = NDArray[np.float64]
Volume = NDArray[np.float32]

_STALE = 0.5  # pixels of the level that offsets may move before the SIRT weights are computed again
ENOUGH = 2  # steps in a row below the tolerance that end an alignment
_CENTRED = 0.05  # voxels from the wanted centre of mass that are left as they are
_LARGEST_STEP = 1.0  # pixels of the level
_LARGEST_TURN = np.radians(1.0)
_USUAL = 3.0  # times the median residual: beyond, a projection loses its weight


class Geometry(NamedTuple):
    """Offsets (projection,), unbinned pixels, and rotations (projection, 3, 3)."""

    j: Floats
    k: Floats
    rotation: Floats


@dataclass(frozen=True)
class State:
    """All that goes from one outer iteration into the next; offsets in unbinned pixels."""

    j: Floats
    k: Floats
    rotation: Floats  #: (projection, 3, 3)
    trust: Floats  #: (projection,), 0 to 1
    tomogram: Volume  #: at the binning of the stage
    iteration: int = 0  #: outer iterations done, over all stages
    stage: int = 0  #: number of the stage, from 0
    done: int = 0  #: outer iterations of the stage done: all of them, where it has ended early
    small_steps: int = 0  #: the last of them, in a row, with steps below the tolerance
    before: Taken | None = None  #: the last step of the stage
    weighted: Geometry | None = None  #: which the SIRT weights are those of

    @property
    def geometry(self) -> Geometry:
        """Offsets and rotations."""
        return Geometry(self.j, self.k, self.rotation)


def first_state(whole: Level, start: Start) -> State:
    """The state before the first outer iteration."""
    empty = np.zeros(whole.projector.volume_shape, np.float32)
    return State(start.j, start.k, whole.projector.rotation, np.ones(len(start.j)), empty)


def outer_iterations(whole: Level, settings: Settings, state: State) -> Iterator[tuple[AlignmentStep, State]]:
    """All stages of an alignment, or what is left of them: a record and the state after each outer iteration.

    Parameters
    ----------
    whole : Level
        The scan without binning.
    settings : Settings
    state : State
        The first, or that after any outer iteration.
    """
    if not settings.stages:
        offsets, labels = (state.j, state.k), settings.labels
        yield AlignmentStep("line", 1, 1, *offsets, 0.0, 0.0, float("nan"), None, labels=labels), state
        return
    level = whole.binned(settings.stages[state.stage].binning) if state.done else whole
    for number in range(state.stage, len(settings.stages)):
        stage = settings.stages[number]
        if number > state.stage or not state.done:
            tomogram, before = state.tomogram, level.binning
            if stage.binning != before:
                level = whole.binned(stage.binning)
                tomogram = resampled(tomogram, level.projector.volume_shape, stage.binning / before)
            state = replace(
                state, tomogram=tomogram, stage=number, done=0, small_steps=0, before=None, weighted=None
            )
            del tomogram
        for moved_state, step, systems in _stage_iterations(level, settings, stage, state):
            state = moved_state
            sizes = np.abs(np.stack([step.j, step.k]))[:, _counted(settings, state)]
            record = AlignmentStep(
                stage.name,
                state.iteration,
                settings.iterations,
                state.j,
                state.k,
                float(sizes.max()),
                float(np.median(sizes)),
                systems.residual,
                state.tomogram,
                stage.binning,
                state.rotation,
                step.background,
                state.trust,
                step.deviations * settings.unknowns.scales(stage.binning),
                settings.unknowns,
                step.instrument_deviation,
                systems.residuals,
                settings.labels,
                settings.excluded,
                at_geometry(level, state.geometry),
            )
            yield record, state
            del record


def _stage_iterations(
    level: Level, settings: Settings, stage: Stage, state: State
) -> Iterator[tuple[State, Step, Systems | Matches]]:
    """Outer iterations of one stage: the state after each, and its step in unbinned pixels."""
    unknowns = settings.unknowns
    weights = None
    while state.done < stage.iterations and state.small_steps < ENOUGH:
        here = at_geometry(level, state.geometry)
        if state.weighted is None or _distance(here, at_geometry(level, state.weighted)) > _STALE:
            weights, state = None, replace(state, weighted=state.geometry)  # the old ones are let go first
        if weights is None:
            there = at_geometry(level, state.weighted or state.geometry)
            weights = sirt_weights(there.projector, chunk_lengths(here.data), here.mask)
        rays = trusting(weights.rays, state.trust)
        inner = mitra_steps(
            here.projector,
            here.data,
            rays,
            weights.voxels,
            state.tomogram,
            background=unknowns.background,
            every=stage.inner_iterations if state.done else stage.first_iterations,
        )
        state = replace(
            state, tomogram=iterated(inner).tomogram, iteration=state.iteration + 1, done=state.done + 1
        )
        del inner, rays  # they hold volumes and images
        systems, step = _found(here, settings, stage, state)
        small = _largest(step, settings, state, level) < stage.tolerance
        if small and stage != settings.stages[-1]:
            yield centred(level, settings, replace(state, done=stage.iterations)), step, systems
            return
        # A step that is lengthened is no longer than the cap.
        taken = step if settings.matching else relaxed(step, state.before)
        state = after(taken, state, trust(systems.residuals, settings.excluded))
        state = centred(level, settings, state)  # now: where voxels cut the sample has a say in the offsets
        small_steps = state.small_steps + 1 if small else 0
        state = replace(state, before=Taken(step, taken), small_steps=small_steps)
        yield state, step, systems


def after(step: Step, state: State, trust: Floats) -> State:
    """The state after a step."""
    rotation = turned(state.rotation, step.rotation)
    return replace(state, j=state.j + step.j, k=state.k + step.k, rotation=rotation, trust=trust)


def at_geometry(level: Level, other: Geometry) -> Level:
    """The level at other offsets and rotations."""
    here = level.with_offsets(other.j, other.k)
    return replace(here, projector=here.projector.with_rotation(other.rotation))


def _found(level: Level, settings: Settings, stage: Stage, state: State) -> tuple[Systems | Matches, Step]:
    """What each projection says of its unknowns, given the tomogram, and the step that it asks for."""
    if settings.matching is None:
        systems = small_systems(level, state.tomogram, stage.smoothing / stage.binning, settings.unknowns)
        return systems, _step(systems, settings, stage, state)
    matches = matched(level, state.tomogram, settings.matching.upsampling)
    n = stage.binning
    step = capped(matched_step(matches, settings.free), settings.matching.shift_cap / n, 0.0)
    return matches, _gauged(replace(step, j=step.j * n, k=step.k * n), settings, state)


def _step(systems: Systems, settings: Settings, stage: Stage, state: State) -> Step:
    """The step that the small systems ask for, in unbinned pixels."""
    unknowns, free, trusted = settings.unknowns, settings.free, _counted(settings, state)
    rotation = state.rotation
    common, deviation = np.zeros((len(rotation), 3)), None
    if settings.refine_geometry:
        turn, deviation = instrument(systems, unknowns, rotation, free & trusted[:, None])
        turn *= min(1, _LARGEST_TURN / max(float(np.linalg.norm(turn)), 1e-30))
        common = np.swapaxes(rotation, 1, 2) @ turn
        by_turns = systems.matrix[:, :, unknowns.rotation_part]
        systems = systems._replace(side=systems.side - np.einsum("nab,nb->na", by_turns, common))
        if not settings.refine_angles:
            free[:, unknowns.rotation_part] = False
    if stage != settings.stages[-1]:  # smoothing as wide as a coarse stage's leads them astray
        free[:, unknowns.rotation_part] = False
    step = capped(solved(systems, unknowns, free), _LARGEST_STEP, _LARGEST_TURN)
    n, own = stage.binning, step.rotation
    if settings.refine_angles and not settings.fixed.any():  # fixed ones hold the sample's turn
        own = without_common_turns(own, trusted, rotation, settings.refine_geometry)
    held = (settings.fixed | settings.excluded)[:, None]
    turns = np.where(held, 0.0, common + own)
    step = replace(step, j=step.j * n, k=step.k * n, rotation=turns, instrument_deviation=deviation)
    return _gauged(step, settings, state)


def _gauged(step: Step, settings: Settings, state: State) -> Step:
    """The step, in unbinned pixels, as held offsets and the gauge leave it."""
    trusted, axes = _counted(settings, state), settings.axes_of(state.rotation)
    return admissible(step, settings.held_j, settings.held_k, trusted, axes, settings.free_gauge)


def trust(residuals: Floats, excluded: NDArray[np.bool_]) -> Floats:
    """Weight of each projection, 0 to 1, by how much more of it is unexplained than is usual."""
    usual = float(np.median(residuals[~excluded]))
    return np.minimum(1.0, (_USUAL * usual / np.maximum(residuals, 1e-30)) ** 4)


def _counted(settings: Settings, state: State) -> NDArray[np.bool_]:
    return ~settings.excluded & (state.trust >= TRUSTED)


def _largest(step: Step, settings: Settings, state: State, level: Level) -> float:
    """Largest movement of any part of an image by the step, unbinned pixels."""
    counted = _counted(settings, state)
    shifts = np.maximum(np.abs(step.j), np.abs(step.k))[counted]
    turns = np.linalg.norm(step.rotation, axis=1)[counted]
    return float(max(shifts.max(), turns.max() * min(level.detector_shape) / 4))


def centred(level: Level, settings: Settings, state: State) -> State:
    """The state with the sample's centre of mass where it is wanted, as far as held offsets let it."""
    if settings.gauge == "keep":
        return state
    wanted = np.zeros(3) if isinstance(settings.gauge, str) else np.array(settings.gauge)
    free = settings.free_gauge
    d = free @ (free.T @ (wanted - centre_of_mass(state.tomogram) * level.binning))
    if np.abs(d).max(initial=0) < _CENTRED:
        return state
    dj, dk = geometry.gauge_offsets(d, settings.axes_of(state.rotation))
    return replace(
        state,
        j=np.where(settings.held_j, state.j, state.j + dj),
        k=np.where(settings.held_k, state.k, state.k + dk),
        tomogram=moved(state.tomogram, d / level.binning),
    )


def whole_step(whole: Level, settings: Settings, step: AlignmentStep) -> AlignmentStep:
    """The last step as it is handed out: tomogram on the scan's own voxels, centre of mass in its place."""
    if step.tomogram is None or step.rotation is None:
        return step
    shape = whole.projector.volume_shape
    tomogram = resampled(step.tomogram, shape, 1 / step.binning)
    n = len(step.j_offset)
    state = State(step.j_offset, step.k_offset, step.rotation, np.ones(n), tomogram)
    state = centred(whole, settings, state)
    tomogram = to_host(resampled(state.tomogram, settings.volume_shape, 1))
    return replace(step, j_offset=state.j, k_offset=state.k, tomogram=tomogram, binning=1)


def _distance(a: Level, b: Level) -> float:
    """Largest difference of the views of two levels of equal binning, pixels of the level."""
    j = np.abs(a.projector.j_offset - b.projector.j_offset).max()
    k = np.abs(a.projector.k_offset - b.projector.k_offset).max()
    turn = np.abs(a.projector.rotation - b.projector.rotation).max() * max(a.projector.detector_shape) / 2
    return float(max(j, k, turn))
