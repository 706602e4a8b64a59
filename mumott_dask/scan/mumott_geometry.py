"""From what a mumott file says to rotations, axes and offsets: precedence, defaults and padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mumott_dask import geometry

from .mumott_headers import ProjectionHeader, RootHeader
from .schema import INNER_AXIS, OUTER_AXIS

Floats = NDArray[np.float64]
Coordinates = dict[str, tuple[tuple[str, ...], Floats]]


def padded_shape(headers: Sequence[ProjectionHeader]) -> tuple[int, int]:
    """Shape that holds every projection: the largest along j and along k."""
    j, k = np.max([header.shape for header in headers], axis=0)
    return int(j), int(k)


def offsets(headers: Sequence[ProjectionHeader]) -> Coordinates:
    """Offsets of the projections once padded at their far ends: raised by half of the padding.

    The ray of pixel (j, k) passes at ``j + 1/2 + j_offset - J/2``, so a larger J needs a larger offset for
    the pixel to stay where it was.
    """
    padding = np.array(padded_shape(headers)) - [header.shape for header in headers]
    stored = np.array([(header.j_offset, header.k_offset) for header in headers])
    j, k = (stored + padding / 2).T
    return {"j_offset": (("projection",), j), "k_offset": (("projection",), k)}


def orientation(headers: Sequence[ProjectionHeader], root: RootHeader) -> Coordinates:
    """Rotations of the projections, and the angles and axes that the file gives for them.

    Rotations: the matrix, else ``R_outer @ R_inner`` of angles (a missing one is 0) and axes, else identity.
    Axes: the projection's own, else the root's, else that of the first projection, else the default. Axes are
    kept where the file has them or its angles need them, angles where every projection's are known.
    """
    inner_axis = _axes([header.inner_axis for header in headers], root.inner_axis, INNER_AXIS)
    outer_axis = _axes([header.outer_axis for header in headers], root.outer_axis, OUTER_AXIS)
    inner_angle = np.array([header.inner_angle or 0.0 for header in headers])
    outer_angle = np.array([header.outer_angle or 0.0 for header in headers])
    turned = np.array([header.rotation is None and header.has_angle for header in headers])

    rotation = np.stack([np.eye(3) if header.rotation is None else header.rotation for header in headers])
    if turned.any():
        rotation[turned] = geometry.rotations_from_angles(
            inner_angle[turned], outer_angle[turned], inner_axis[turned], outer_axis[turned]
        )

    coordinates: Coordinates = {"rotation": (("projection", "row", "col"), rotation)}
    any_angle = any(header.has_angle for header in headers)
    if any_angle and all(header.has_angle or header.rotation is None for header in headers):
        coordinates["inner_angle"] = (("projection",), inner_angle)
        coordinates["outer_angle"] = (("projection",), outer_angle)
    if any_angle or root.inner_axis is not None or any(header.inner_axis is not None for header in headers):
        coordinates["inner_axis"] = (("projection", "xyz"), inner_axis)
    if any_angle or root.outer_axis is not None or any(header.outer_axis is not None for header in headers):
        coordinates["outer_axis"] = (("projection", "xyz"), outer_axis)
    return coordinates


def _axes(own: Sequence[Floats | None], root: Floats | None, default: tuple[float, float, float]) -> Floats:
    fallbacks = (root, own[0], np.array(default))
    fallback = next(axis for axis in fallbacks if axis is not None)
    return np.stack([fallback if axis is None else axis for axis in own])
