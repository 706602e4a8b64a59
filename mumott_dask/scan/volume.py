"""How large a tomogram to take where nobody has said."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry

from .schema import INNER_AXIS, detector_shape


def default_volume_shape(scan: xr.Dataset) -> list[int]:
    """Volume that holds what a scan sees: (J, J, K) of a rotation about k, (J, K, K) of one about j.

    The inner axis of the first projection says which; where the scan has no axes, its rotations do.
    """
    axis = (
        scan["inner_axis"].values[0] if "inner_axis" in scan.coords else turning_axis(scan["rotation"].values)
    )
    directions = scan.attrs["j_direction_0"], scan.attrs["k_direction_0"]
    return list(geometry.default_volume_shape(detector_shape(scan), axis, *directions))


def turning_axis(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction in the sample about which it turns from one projection to the next, up to its sign.

    The principal axis of the steps ``R[n].T @ R[n + 1]``, each weighted by the sine of its angle; the default
    inner axis where nothing turns.

    Parameters
    ----------
    rotation : (projection, 3, 3) float
    """
    steps = np.swapaxes(rotation[:-1], -1, -2) @ rotation[1:]
    turns = np.stack(
        [steps[:, 2, 1] - steps[:, 1, 2], steps[:, 0, 2] - steps[:, 2, 0], steps[:, 1, 0] - steps[:, 0, 1]], 1
    )
    if not np.linalg.norm(turns) > 1e-9:  # NaN, which validation refuses later, lands here too
        return np.array(INNER_AXIS)
    return np.linalg.eigh(turns.T @ turns)[1][:, -1]
