"""What goes wrong in an instrument beyond the offsets: rotations, air level, whole projections, pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .stage import slow_drift

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STRAY_LIGHT = 5e-4
"""What a closed shutter lets through of the open beam, with no image in it."""

WRONG_TURN = (np.radians(20), np.radians(60))
"""Least and largest angle by which a projection at a wrong angle is off."""

HOT = (3.0, 100.0)
"""Least and largest reading of a hot pixel, in open pixels' readings."""


class Wrong(NamedTuple):
    """The projections that are entirely wrong, (projection,) each: shutter closed, or at a wrong angle."""

    closed: Mask
    turned: Mask

    @property
    def any(self) -> Mask:
        """Whether a projection is wrong in either way."""
        return self.closed | self.turned


def wrong_projections(projections: int, wrong: int, rng: np.random.Generator) -> Wrong:
    """Choose the projections that are entirely wrong: half of them closed, half (and one) turned."""
    chosen = rng.permutation(projections)[:wrong]
    closed, turned = np.zeros((2, projections), dtype=bool)
    closed[chosen[: wrong // 2]] = True
    turned[chosen[wrong // 2 :]] = True
    return Wrong(closed, turned)


def true_rotations(
    nominal: Floats, angle_error: float, axis_error: Floats, turned: Mask, rng: np.random.Generator
) -> Floats:
    """Rotations ``exp([axis_error]x) @ R @ exp([omega]x)`` of nominal ones R.

    Parameters
    ----------
    nominal : (projection, 3, 3) float
    angle_error : float, radians
        RMS of each component of omega, which is random in each projection.
    axis_error : (3,) float, radians
        Rotation vector in the laboratory's frame, the same in all projections.
    turned : (projection,) bool
        Projections at a wrong angle, tens of degrees off about a random axis.
    rng : numpy.random.Generator
    """
    omega = angle_error * rng.standard_normal((len(nominal), 3))
    axes = rng.standard_normal((len(nominal), 3))
    turns = rng.uniform(*WRONG_TURN, len(nominal)) * turned
    axes *= (turns / np.linalg.norm(axes, axis=1))[:, None]
    if not (omega.any() or axes.any() or axis_error.any()):
        return nominal
    common, own, wrong = (Rotation.from_rotvec(v).as_matrix() for v in (axis_error, omega, axes))
    return np.asarray(common @ nominal @ own @ wrong, dtype=np.float64)


def background(projections: int, shape: tuple[int, int], slope: float, rng: np.random.Generator) -> Floats:
    """Additive absorbance of every pixel: a constant and a slope by projection, half drift and half jitter.

    Parameters
    ----------
    projections : int
    shape : (J, K)
    slope : float, absorbance
        Largest change from one edge of the detector to the other, along the slope's direction; also the RMS
        of the constant.
    rng : numpy.random.Generator

    Returns
    -------
    (projection, J, K) float64
    """
    course = np.array([slow_drift(projections, rng) for _ in range(3)]) + rng.standard_normal(
        (3, projections)
    )
    constant, j_slope, k_slope = (
        slope
        * course
        / np.maximum([np.full(projections, np.sqrt(2)), *2 * [np.hypot(course[1], course[2])]], 1)
    )
    j, k = ((np.arange(n) + 0.5) / n - 0.5 for n in shape)
    return np.asarray(
        constant[:, None, None] + j_slope[:, None, None] * j[:, None] + k_slope[:, None, None] * k,
        dtype=np.float64,
    )


class Pixels(NamedTuple):
    """What is wrong in single pixels: where, and what they read instead (in open pixels' readings)."""

    faulty: Mask
    reading: Floats


def faulty_pixels(
    size: tuple[int, int, int], hot: float, dead_columns: int, rng: np.random.Generator
) -> Pixels:
    """Choose the pixels that read nonsense.

    Parameters
    ----------
    size : (projection, J, K)
    hot : float
        Fraction of the pixels of each projection: half of them read far too much, half of them nothing.
    dead_columns : int
        Columns (a j, all k) that read nothing in all projections.
    rng : numpy.random.Generator
    """
    projections, columns, rows = size
    count = round(hot * columns * rows)
    darkest, brightest = np.log(HOT).tolist()
    reading = np.zeros(size)
    faulty = np.zeros(size, dtype=bool)
    for mask, values in zip(faulty.reshape(projections, -1), reading.reshape(projections, -1), strict=True):
        chosen = rng.permutation(columns * rows)[:count]
        mask[chosen] = True
        bright = chosen[: (count + 1) // 2]
        values[bright] = np.exp(rng.uniform(darkest, brightest, len(bright)))
    dead = rng.permutation(columns)[:dead_columns]
    faulty[:, dead], reading[:, dead] = True, 0
    return Pixels(faulty, reading)
