"""How a scan looks at its sample: the angles and offsets that were meant, and those that came about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mumott_dask.geometry import Basis, basis, rotations_from_angles
from mumott_dask.scan.schema import DIRECTIONS

from .stage import Angles

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BEAM, J_AXIS, K_AXIS = (np.array(DIRECTIONS[f"{axis}_direction_0"]) for axis in "pjk")

WRONG_TURN = (np.radians(20), np.radians(60))
"""Least and largest angle by which a projection at a wrong angle is off."""


class Wrong(NamedTuple):
    """The projections that are entirely wrong, (projection,) each: shutter closed, or at a wrong angle."""

    closed: Mask
    turned: Mask

    @property
    def any(self) -> Mask:
        """Whether a projection is wrong in either way."""
        return self.closed | self.turned


class Views(NamedTuple):
    """Nominal and true geometry of every projection; the rotation vector that all of them share."""

    outer_axis: Floats
    nominal: Floats
    rotation: Floats
    axis_error: Floats
    j_offset: Floats
    k_offset: Floats
    wrong: Wrong

    @property
    def meant(self) -> Basis:
        """Ray directions and detector axes that the scan states."""
        return basis(self.nominal, BEAM, J_AXIS, K_AXIS)

    @property
    def true(self) -> Basis:
        """Ray directions and detector axes that the sample is seen along."""
        return basis(self.rotation, BEAM, J_AXIS, K_AXIS)


def views(
    angles: Angles,
    inner_axis: Floats,
    outer_axis: Floats,
    offsets: tuple[Floats, Floats],
    wrong: Wrong,
    angle_error: float,
    axis_error: Floats,
    rng: np.random.Generator,
) -> Views:
    """Views of a scan, its errors put in: see `simulate` for their meaning.

    Parameters
    ----------
    angles : Angles
    inner_axis, outer_axis : (3,) float
    offsets : (projection,) float, (projection,) float, pixels
    wrong : Wrong
    angle_error : float, radians
    axis_error : (2,) float, radians
        In the detector's plane, and pitch.
    rng : numpy.random.Generator
        For the errors of the angles.
    """
    nominal = rotations_from_angles(angles.inner, angles.outer, inner_axis, outer_axis)
    common = axis_error[0] * BEAM + axis_error[1] * across(inner_axis)
    rotation = true_rotations(nominal, angle_error, common, wrong.turned, rng)
    return Views(outer_axis, nominal, rotation, common, *offsets, wrong)


def across(inner_axis: Floats) -> Floats:
    """Return the detector's axis that lies across a rotation axis."""
    return K_AXIS if abs(inner_axis @ J_AXIS) > abs(inner_axis @ K_AXIS) else J_AXIS


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
