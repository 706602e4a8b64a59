"""How large a tomogram to take where nobody has said."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from mumott_dask import geometry

from .schema import INNER_AXIS


def default_volume_shape(
    image: tuple[int, int],
    rotation: NDArray[np.float64],
    inner_axis: NDArray[np.float64] | None,
    j_direction_0: ArrayLike,
    k_direction_0: ArrayLike,
) -> list[int]:
    """Volume for images of a given shape: (J, J, K) of a rotation about k, (J, K, K) of one about j.

    Parameters
    ----------
    image : (J, K)
    rotation : (projection, 3, 3) float
        Tells the axis where `inner_axis` does not.
    inner_axis : (projection, 3) float or None
        The first projection's counts.
    j_direction_0, k_direction_0 : (3,) float
    """
    axis = turning_axis(rotation) if inner_axis is None else inner_axis[0]
    return list(geometry.default_volume_shape(image, axis, j_direction_0, k_direction_0))


def turning_axis(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction in the sample about which it turns from one projection to the next, up to its sign.

    The principal axis of the steps ``R[n].T @ R[n + 1]``; the default inner axis where nothing turns.

    Parameters
    ----------
    rotation : (projection, 3, 3) float
    """
    steps = Rotation.from_matrix(np.swapaxes(rotation[:-1], -1, -2) @ rotation[1:]).as_rotvec()
    if not np.any(np.abs(steps) > 1e-9):
        return np.array(INNER_AXIS)
    return np.linalg.eigh(steps.T @ steps)[1][:, -1]
