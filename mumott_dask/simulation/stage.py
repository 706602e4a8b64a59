"""What the instrument does during a simulated scan: angles, offsets that wander, flux that drifts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRIFT_TERMS = 3
"""Cosines in a slow drift: up to one and a half swings from end to end."""

JUMP_SPREAD = 1.0
"""Largest deviation of a jump between tilts from straight across the circle of positions, radians."""


class Angles(NamedTuple):
    """Tilt number, rotation about the inner axis and tilt about the outer axis of every projection."""

    tilt: NDArray[np.int64]
    inner: Floats
    outer: Floats


def angles(tilt_angles: Floats, rotations: int, arc: Floats | None = None) -> Angles:
    """Angles of a tensor tomography scan.

    Parameters
    ----------
    tilt_angles : (tilt,) float, radians
    rotations : int
        Number of projections at each tilt.
    arc : (2,) float, radians, optional
        First and last angle of rotation at every tilt. By default the rotations go evenly over half a circle,
        which shows every view once without tilt, or over the whole circle that a tilted sample needs.

    Returns
    -------
    Angles
        Arrays of ``tilts * rotations`` projections, angles in radians.
    """
    tilts = len(tilt_angles)
    tilt = np.repeat(np.arange(tilts), rotations)
    outer = tilt_angles[tilt]
    if arc is not None:
        return Angles(tilt, np.tile(np.linspace(arc[0], arc[1], rotations), tilts), outer)
    turn = np.tile(np.arange(rotations) / rotations, tilts)
    return Angles(tilt, turn * np.where(outer == 0, np.pi, 2 * np.pi), outer)


def offsets(
    tilt: NDArray[np.int64], jitter: float, jumps: float, drift: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Offsets (j, k) of a stage that jitters, drifts within a tilt and jumps between tilts.

    Parameters
    ----------
    tilt : (projection,) int
        Number of the tilt that each projection belongs to.
    jitter : float, pixels
        RMS of what is random in each projection, in j and in k.
    jumps : float, pixels
        Size of the jumps between tilts: the tilts' positions lie on a circle of this diameter, each roughly
        across from the one before.
    drift : float, pixels
        RMS of the slow movement within a tilt, in j and in k.
    rng : numpy.random.Generator

    Returns
    -------
    j_offset, k_offset : (projection,) float64, pixels
    """
    tilts = int(tilt.max()) + 1
    turn = np.cumsum(np.pi + rng.uniform(-JUMP_SPREAD, JUMP_SPREAD, tilts)) + rng.uniform(0, 2 * np.pi)
    positions = jumps / 2 * np.array([np.cos(turn), np.sin(turn)])
    moved = positions[:, tilt] + jitter * rng.standard_normal((2, tilt.size))
    for number in range(tilts):
        here = tilt == number
        moved[:, here] += drift * np.array([slow_drift(int(here.sum()), rng) for _ in range(2)])
    return moved[0], moved[1]


def slow_drift(length: int, rng: np.random.Generator) -> Floats:
    """Return a smooth random course of mean 0 and RMS 1 (all 0 for a single sample)."""
    phase = np.pi * (np.arange(length) + 0.5) / length
    terms = np.arange(1, DRIFT_TERMS + 1)
    course = (rng.standard_normal(DRIFT_TERMS) / terms) @ np.cos(np.outer(terms, phase))
    course -= course.mean()
    rms = np.sqrt(np.mean(course**2))
    return np.asarray(course / rms if length > 1 and rms > 0 else np.zeros(length), dtype=np.float64)
