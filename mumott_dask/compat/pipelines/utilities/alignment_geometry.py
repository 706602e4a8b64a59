"""What an alignment must know of the geometry, by mumott's names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mumott_dask import geometry as native
from mumott_dask.compat.core.geometry import Geometry
from mumott_dask.compat.missing import names_of_mumott
from mumott_dask.scan.volume import turning_axis

__all__ = ["get_alignment_geometry", "shift_center_of_reconstruction"]

__getattr__ = names_of_mumott(__name__)


def get_alignment_geometry(data_container: Any) -> tuple[int, NDArray[np.int64]]:
    """Which axis of the images lies along the main rotation axis, and the volume's shape.

    The sign of the rotation axis does not matter, nor do sides of equal length (mumott 2.3 compares lengths).

    Parameters
    ----------
    data_container : DataContainer

    Returns
    -------
    axis : int
        0 for j, 1 for k.
    volume_shape : (3,) int
    """
    geometry = data_container.geometry
    axes = geometry.inner_axes
    known = len(axes) and axes[0] is not None
    axis = np.asarray(axes[0]) if known else turning_axis(geometry.rotations_as_array)
    along = [abs(axis @ geometry.j_direction_0), abs(axis @ geometry.k_direction_0)]
    return int(np.argmax(along)), np.array(geometry.volume_shape)


def shift_center_of_reconstruction(geometry: Geometry, shift_vector: ArrayLike = (0.0, 0.0, 0.0)) -> None:
    """Move the sample in its volume, by setting the geometry's offsets.

    Parameters
    ----------
    geometry : Geometry
        Its offsets are set anew.
    shift_vector : (3,) float, voxels
    """
    directions = geometry.p_direction_0, geometry.j_direction_0, geometry.k_direction_0
    axes = native.basis(geometry.rotations_as_array, *directions)
    j, k = native.gauge_offsets(shift_vector, axes)
    geometry.j_offsets = geometry.j_offsets_as_array + j
    geometry.k_offsets = geometry.k_offsets_as_array + k
