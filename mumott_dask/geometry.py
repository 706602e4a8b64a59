"""Rotations, basis vectors, offsets and the gauge, as pure functions of arrays (floor 2).

The one convention: with R the rotation of a projection (laboratory vector = R @ sample vector), the ray
direction and the detector's axes in the sample's frame are ``p = R.T @ p_direction_0``,
``u = R.T @ j_direction_0`` and ``w = R.T @ k_direction_0``, and pixel (j, k) of a J x K detector looks along
the ray through ``(j + 1/2 + j_offset - J/2) u + (k + 1/2 + k_offset - K/2) w``, in voxels from the centre of
the volume. A positive offset moves the view, so the content of the image moves the other way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ScanError

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]


class Basis(NamedTuple):
    """Ray direction and detector axes of every projection in the sample's frame, (projection, 3) each."""

    p: Floats
    u: Floats
    w: Floats


def rotations_from_angles(
    inner_angle: ArrayLike, outer_angle: ArrayLike, inner_axis: ArrayLike, outer_axis: ArrayLike
) -> Floats:
    """Rotation matrices ``R = R_outer @ R_inner`` of a stage with two axes.

    Parameters
    ----------
    inner_angle, outer_angle : (projection,) float, radians
    inner_axis, outer_axis : (projection, 3) or (3,) float
        Directions; they need not have unit length.

    Returns
    -------
    (projection, 3, 3) float64
        ``laboratory vector = R @ sample vector``.
    """
    inner_angle, outer_angle = np.atleast_1d(inner_angle), np.atleast_1d(outer_angle)
    return np.asarray(
        (_rotation(outer_angle, outer_axis) * _rotation(inner_angle, inner_axis)).as_matrix(),
        dtype=np.float64,
    )


def _rotation(angle: ArrayLike, axis: ArrayLike) -> Rotation:
    from scipy.spatial.transform import Rotation

    axis = np.asarray(axis, dtype=np.float64)
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    if not np.all(length > 0):
        raise ScanError("a rotation axis has length 0, expected a direction")
    angle = np.asarray(angle, dtype=np.float64)
    if not np.all(np.isfinite(angle)):
        raise ScanError(f"a rotation angle is {angle[~np.isfinite(angle)][0]}, expected a finite number")
    return Rotation.from_rotvec(angle[:, None] * axis / length)


def basis(
    rotation: ArrayLike, p_direction_0: ArrayLike, j_direction_0: ArrayLike, k_direction_0: ArrayLike
) -> Basis:
    """Ray direction p and detector axes u and w of every projection, in the sample's frame.

    Parameters
    ----------
    rotation : (projection, 3, 3) float
    p_direction_0, j_direction_0, k_direction_0 : (3,) float
        The same directions in the laboratory.
    """
    rotation = np.asarray(rotation, dtype=np.float64)
    directions = np.array([p_direction_0, j_direction_0, k_direction_0], dtype=np.float64)
    p, u, w = np.einsum("nlx,dl->dnx", rotation, directions)
    return Basis(p, u, w)


def dominant_axis(p: ArrayLike) -> NDArray[np.int64]:
    """Axis of the volume along which each ray advances most: the first maximum, in float64.

    Parameters
    ----------
    p : (projection, 3) float
    """
    return np.argmax(np.abs(np.asarray(p, dtype=np.float64)), axis=1)


def gauge_offsets(d: ArrayLike, axes: Basis) -> tuple[Floats, Floats]:
    """Offsets (j, k) that moving the sample by `d` in its own frame adds: ``(u . d, w . d)``.

    Parameters
    ----------
    d : (3,) float, voxels
    """
    d = np.asarray(d, dtype=np.float64)
    return axes.u @ d, axes.w @ d


def gauge_vector(j: ArrayLike, k: ArrayLike, axes: Basis, free: ArrayLike | None = None) -> Floats:
    """Movement d of the sample that explains a set of offsets best.

    Least squares over all projections and both axes of ``j = u . d``, ``k = w . d``; what the projections
    leave undetermined is 0 (minimum norm).

    Parameters
    ----------
    j, k : (projection,) float, pixels
        Values that are not finite are left out.
    axes : Basis
    free : (3, n) float, optional
        Directions, as columns, that d may take; all by default.

    Returns
    -------
    (3,) float64, voxels
    """
    target = np.concatenate([np.asarray(j, dtype=np.float64), np.asarray(k, dtype=np.float64)])
    known = np.isfinite(target)
    columns = np.eye(3) if free is None else np.asarray(free, dtype=np.float64)
    design = np.concatenate([axes.u, axes.w]) @ columns
    return columns @ np.linalg.lstsq(design[known], target[known], rcond=1e-9)[0]


def free_gauge(axes: Basis, held_j: ArrayLike, held_k: ArrayLike) -> Floats:
    """Directions in which the sample may move while some offsets stay as they are.

    Parameters
    ----------
    axes : Basis
    held_j, held_k : (projection,) bool
        The offsets that must not change.

    Returns
    -------
    (3, n) float64
        Orthonormal columns; n is 3 where nothing is held, and 0 where no movement is left.
    """
    rows = np.concatenate([np.zeros((3, 3)), axes.u[np.asarray(held_j)], axes.w[np.asarray(held_k)]])
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    return directions[values <= 1e-6 * max(values[0], 1)].T


def without_gauge(
    j: ArrayLike, k: ArrayLike, axes: Basis, free: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Offsets less what the best movement of the sample explains of them (see `gauge_vector`)."""
    dj, dk = gauge_offsets(gauge_vector(j, k, axes, free), axes)
    return np.asarray(j, dtype=np.float64) - dj, np.asarray(k, dtype=np.float64) - dk


def rms_offsets(j: ArrayLike, k: ArrayLike) -> float:
    """RMS of a set of offset differences, ``sqrt(mean((dj^2 + dk^2) / 2))``, pixels."""
    return float(np.sqrt(np.nanmean((np.asarray(j, dtype=float) ** 2 + np.asarray(k, dtype=float) ** 2) / 2)))


def default_volume_shape(
    detector_shape: tuple[int, int], inner_axis: ArrayLike, j_direction_0: ArrayLike, k_direction_0: ArrayLike
) -> tuple[int, int, int]:
    """Volume that holds what a detector sees of a sample turned about `inner_axis`.

    As wide as the detector across the axis, as high as it along the axis: (J, J, K) for a rotation about k,
    (J, K, K) for one about j, in the order of the sample's axes.

    Parameters
    ----------
    detector_shape : (J, K)
    inner_axis, j_direction_0, k_direction_0 : (3,) float
    """
    axis = np.asarray(inner_axis, dtype=np.float64)
    along_j = abs(axis @ np.asarray(j_direction_0)) > abs(axis @ np.asarray(k_direction_0))
    height, width = detector_shape if along_j else detector_shape[::-1]
    shape = np.full(3, width)
    direction = np.asarray(j_direction_0 if along_j else k_direction_0, dtype=np.float64)
    shape[np.argmax(np.abs(direction))] = height
    return tuple(int(n) for n in shape)  # type: ignore[return-value]


def rotation_fault(rotation: NDArray[np.float64], tolerance: float = 1e-3) -> tuple[int, str] | None:
    """First matrix that is not a rotation, and why; None if all are.

    Parameters
    ----------
    rotation : (projection, 3, 3) float
    tolerance : float
        Largest deviation of ``R @ R.T`` from the identity.
    """
    deviation = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(axis=(-1, -2))
    bad = ~(deviation <= tolerance)
    if bad.any():
        i = int(np.argmax(bad))
        return (
            i,
            f"is not orthogonal (R @ R.T is off the identity by {deviation[i]:.2g}), expected a rotation",
        )
    mirrored = np.linalg.det(rotation) < 0
    if mirrored.any():
        return int(np.argmax(mirrored)), "has determinant -1 (a mirror image), expected a rotation"
    return None
