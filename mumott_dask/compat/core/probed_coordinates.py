"""Directions that the detector's segments probe, by mumott's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mumott_dask.compat.missing import names_of_mumott

if TYPE_CHECKING:
    from .geometry import Geometry

__all__ = ["ProbedCoordinates"]

__getattr__ = names_of_mumott(__name__)


@dataclass(frozen=True)
class ProbedCoordinates:
    """Unit vectors in the sample's frame, by projection and segment.

    Parameters
    ----------
    vector : (projection, segment, point, 3) float
        Start, middle and end of each segment's arc.
    great_circle_offset : (projection, segment, 1, 3) float
        What keeps the arc off a great circle, where the scattering angle is not small.
    """

    vector: NDArray[np.float64]
    great_circle_offset: NDArray[np.float64]

    @property
    def to_spherical(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Radius, polar angle and azimuth of the vectors, (projection, segment, point) each; radians."""
        x, y, z = np.moveaxis(self.vector, -1, 0)
        radius = np.linalg.norm(self.vector, axis=-1)
        return radius, np.arccos(z / radius), np.arctan2(y, x)


def probed_coordinates(geometry: Geometry) -> ProbedCoordinates:
    """What each detector segment of each projection probes.

    Several scattering angles give as many times the segments, those of an angle side by side.
    """
    arcs = _arcs(np.asarray(geometry.detector_angles, dtype=float), geometry.full_circle_covered)
    seen = np.stack([np.cos(arcs), np.sin(arcs)], axis=-1) @ np.stack(
        [geometry.detector_direction_origin, geometry.detector_direction_positive_90]
    )
    half = np.repeat(np.asarray(geometry.two_theta) / 2, len(arcs))[:, None, None]
    lowered = -np.sin(half) * geometry.p_direction_0
    vectors = np.tile(seen, (len(geometry.two_theta), 1, 1)) * np.cos(half) + lowered
    rotation = geometry.rotations_as_array
    return ProbedCoordinates(
        *(np.einsum("nlx,sil->nsix", rotation, directions) for directions in (vectors, lowered))
    )


def _arcs(angles: NDArray[np.float64], full_circle: bool) -> NDArray[np.float64]:
    """Start, middle and end of each segment, (segment, 3): halfway to its neighbours."""
    past = 0 if full_circle else np.pi  # Friedel's symmetry: what half a circle away is seen is the same
    round_ = np.concatenate([angles[-1:] + past, angles, angles[:1] + past])
    steps = (np.diff(round_) + np.pi) % (2 * np.pi) - np.pi
    return np.linspace(angles - steps[:-1] / 2, angles + steps[1:] / 2, 3, axis=-1)
