"""Steps from the small systems: what each projection, and all of them together, ask for.

A direction that a projection hardly determines is damped; a movement or a turn of the sample as a whole,
which no data can tell, is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mumott_dask import geometry

from .flow import Systems
from .records import Unknowns

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_SHORTEST, _LONGEST = 0.4, 1.5  # times what was asked for
_DAMPING = 1e-3  # of the scaled systems' largest eigenvalue


class Instrument(NamedTuple):
    """A rotation in the laboratory's frame, the same in all projections, and its standard error."""

    turn: Floats  #: (3,): rotation vector phi of R <- exp([phi]x) R, radians
    deviation: Floats  #: (3,), radians


@dataclass(frozen=True)
class Step:
    """Changes of the unknowns, (projection, ...) each."""

    j: Floats  #: pixels of the level, then of the detector
    k: Floats
    background: Floats  #: (projection, 3), absorbance: not a change but what is left by the tomogram
    rotation: Floats  #: (projection, 3), radians, in the sample's frame: R <- R exp([omega]x)
    deviations: Floats  #: (projection, unknown): standard errors, in the order of `Unknowns`
    instrument_deviation: Floats | None = None  #: (3,), radians: standard error of the turn of the instrument


def solved(systems: Systems, unknowns: Unknowns, free: Flags) -> Step:
    """Solution of every projection's small system.

    Parameters
    ----------
    systems : Systems
    unknowns : Unknowns
    free : (projection, unknown) bool
        The unknowns that may move; the others stay 0.
    """
    inverse = damped_inverse(systems.matrix, free)
    steps = np.einsum("nab,nb->na", inverse, systems.side)
    variances = np.einsum("nab,nbc,nca->na", inverse, systems.spread, inverse) / (1 - systems.taken)
    background, rotation = np.zeros((len(steps), 3)), np.zeros((len(steps), 3))
    background[:, : unknowns.background] = steps[:, unknowns.background_part]
    if unknowns.rotations:
        rotation = steps[:, unknowns.rotation_part]
    return Step(steps[:, 0], steps[:, 1], background, rotation, np.sqrt(np.maximum(variances, 0)))


def damped_inverse(matrices: Floats, free: Flags) -> Floats:
    """Inverses of symmetric matrices (n, a, a), scaled to a unit diagonal before they are damped."""
    diagonal = np.einsum("naa->na", matrices)
    scale = np.where(free & (diagonal > 0), 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)), 0.0)
    values, vectors = np.linalg.eigh(matrices * scale[:, :, None] * scale[:, None, :])
    damping = _DAMPING * np.maximum(values[:, -1:], 1e-30)
    reciprocal = values / (values**2 + damping**2)
    inverse = np.einsum("nab,nb,ncb->nac", vectors, reciprocal, vectors)
    return inverse * scale[:, :, None] * scale[:, None, :]


def instrument(systems: Systems, unknowns: Unknowns, rotation: Floats, free: Flags) -> Instrument:
    """The rotation in the laboratory that all projections together ask for.

    Each projection's other unknowns are eliminated from its system first. A turn of the sample as a whole is
    solved for beside it, so that a tomogram that has turned does not pass for a turn of the instrument; what
    can't be told from one (with a single tilt, the turn about the rotation axis) stays 0.

    Parameters
    ----------
    systems : Systems
    unknowns : Unknowns
        With rotations.
    rotation : (projection, 3, 3) float
    free : (projection, unknown) bool
    """
    turns = unknowns.rotation_part
    others = free.copy()
    others[:, turns] = False
    elimination = np.einsum(
        "nab,nbc->nac", systems.matrix[:, turns], damped_inverse(systems.matrix, others)
    )  # (n, 3, a)
    schur = systems.matrix[:, turns, turns] - np.einsum(
        "nab,nbc->nac", elimination, systems.matrix[:, :, turns]
    )
    influence = -elimination
    influence[:, :, turns] += np.eye(3)
    into = np.concatenate([rotation, np.broadcast_to(np.eye(3), rotation.shape)], axis=1)  # (n, 6, 3)
    matrix = np.einsum("nxa,nab,nyb->xy", into, schur, into)
    side = np.einsum("nxa,nab,nb->x", into, influence, systems.side)
    reached = np.einsum("nxa,nab->nxb", into, influence)
    spread = np.einsum("nxa,nab,nyb->xy", reached, systems.spread, reached)
    inverse = np.linalg.pinv(matrix, rcond=1e-6, hermitian=True)
    determined = own_turns(rotation)
    turn = determined @ (inverse @ side)[:3]
    inverse = inverse / np.sqrt(1 - systems.taken)
    covariance = determined @ (inverse @ spread @ inverse)[:3, :3] @ determined
    return Instrument(turn, np.sqrt(np.maximum(np.diag(covariance), 0)))


def own_turns(rotation: Floats) -> Floats:
    """Projection (3, 3) onto the turns of the laboratory that are no turn of the sample as a whole."""
    deviation = rotation - rotation.mean(axis=0)
    values, vectors = np.linalg.eigh(np.einsum("nxa,nya->xy", deviation, deviation) / len(rotation))
    kept = vectors[:, values > 1e-3]
    return np.asarray(kept @ kept.T)


def without_common_turns(turns: Floats, counted: Flags, rotation: Floats, lab: bool) -> Floats:
    """Rotation vectors less a turn of the sample as a whole and, with `lab`, one of the laboratory.

    Parameters
    ----------
    turns : (projection, 3) float, radians
        In the sample's frame.
    counted : (projection,) bool
        Whose turns have a say in what is taken out of all.
    rotation : (projection, 3, 3) float
    lab : bool
    """
    design = np.broadcast_to(np.eye(3), rotation.shape)
    if lab:
        design = np.concatenate([design, np.swapaxes(rotation, 1, 2) @ own_turns(rotation)], axis=2)
    rows = design[counted].reshape(-1, design.shape[2])
    return turns - design @ np.linalg.lstsq(rows, turns[counted].ravel(), rcond=1e-6)[0]


def turned(rotation: Floats, omega: Floats) -> Floats:
    """Rotations R exp([omega]x), (projection, 3, 3): R to the last bit where omega is 0."""
    turning = np.any(omega != 0, axis=1)
    if not turning.any():
        return rotation
    from scipy.spatial.transform import Rotation

    result = rotation.copy()
    result[turning] = rotation[turning] @ Rotation.from_rotvec(omega[turning]).as_matrix()
    return result


def admissible(
    step: Step, held_j: Flags, held_k: Flags, trusted: Flags, axes: geometry.Basis, free: Floats
) -> Step:
    """The step without what would move held offsets, or the sample as a whole.

    Projections that are not trusted move, but have no say in what is taken out of all.
    """
    j, k = np.where(held_j, np.nan, step.j), np.where(held_k, np.nan, step.k)
    d = geometry.gauge_vector(np.where(trusted, j, np.nan), np.where(trusted, k, np.nan), axes, free)
    dj, dk = geometry.gauge_offsets(d, axes)
    return replace(step, j=np.nan_to_num(j - dj), k=np.nan_to_num(k - dk))


def capped(step: Step, pixels: float, radians: float) -> Step:
    """The same step, its offsets and its rotations cut to a largest size."""
    length = np.linalg.norm(step.rotation, axis=1, keepdims=True)
    return replace(
        step,
        j=np.clip(step.j, -pixels, pixels),
        k=np.clip(step.k, -pixels, pixels),
        rotation=step.rotation * np.minimum(1, radians / np.maximum(length, 1e-30)),
    )


class Taken(NamedTuple):
    """A step as the systems asked for it, and as it was taken."""

    asked: Step
    taken: Step


def relaxed(step: Step, before: Taken | None) -> Step:
    """The step of each projection shortened where its last one overshot, lengthened where it fell short.

    A secant's estimate of how the next step answers to the last one taken (Aitken), for shifts and turns by
    themselves: a tomogram of too little contrast makes them overshoot, one that follows makes them creep.
    """
    if before is None:
        return step
    shifts = _answer(*(np.stack([s.j, s.k], axis=1) for s in (step, *before)))
    turns = _answer(*(s.rotation for s in (step, *before)))
    return replace(step, j=shifts * step.j, k=shifts * step.k, rotation=turns[:, None] * step.rotation)


def _answer(step: Floats, asked: Floats, taken: Floats) -> Floats:
    """Factors (projection,) for steps (projection, component)."""
    size = np.sum(taken * taken, axis=1)
    gain = np.sum((asked - step) * taken, axis=1) / np.maximum(size, 1e-30)
    return np.where(size > 0, 1 / np.clip(gain, 1 / _LONGEST, 1 / _SHORTEST), 1.0)
