"""How a scan looks at its sample: the angles and offsets that were meant, and those that came about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mumott_dask.geometry import Basis, basis, rotations_from_angles
from mumott_dask.scan.schema import DIRECTIONS

from .faults import Wrong, true_rotations
from .stage import Angles

Floats = NDArray[np.float64]

BEAM, J_AXIS, K_AXIS = (np.array(DIRECTIONS[f"{axis}_direction_0"]) for axis in "pjk")


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
