"""The projector, by mumott's names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mumott_dask import Projector
from mumott_dask.compat.core.geometry import Geometry
from mumott_dask.compat.missing import names_of_mumott, on_cpu

__all__ = ["SAXSProjector", "SAXSProjectorCUDA"]

__getattr__ = names_of_mumott(__name__)

Floats = NDArray[np.float32]


class SAXSProjector:
    """Forward projection and its adjoint, for a geometry as it is when they are asked for.

    Parameters
    ----------
    geometry : Geometry

    Notes
    -----
    Results are float32 (in mumott 2.3, float64), and right between -1 and 0, where mumott reads another
    voxel.
    """

    dtype: DTypeLike = np.float32

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def forward(self, field: ArrayLike, indices: ArrayLike | None = None) -> Floats:
        """Line integrals of a volume.

        Parameters
        ----------
        field : (x, y, z, channel) array
        indices : int or (n,) int, optional
            Numbers of the projections to compute; all by default.

        Returns
        -------
        (n, j, k, channel) float32
        """
        return self._projector(indices).forward(np.asarray(field))

    def adjoint(self, projections: ArrayLike, indices: ArrayLike | None = None) -> Floats:
        """Sum over projections of what lands where each voxel does.

        Parameters
        ----------
        projections : (n, j, k, channel) array
            One of a single projection may lack the first axis.
        indices : int or (n,) int, optional
            Numbers of the projections that they are; all by default.

        Returns
        -------
        (x, y, z, channel) float32
        """
        images = np.asarray(projections)
        return self._projector(indices).adjoint(images[np.newaxis] if images.ndim == 3 else images)

    @property
    def number_of_projections(self) -> int:
        """Number of projections."""
        return len(self._geometry)

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        x, y, z = self._geometry.volume_shape
        return int(x), int(y), int(z)

    @property
    def projection_shape(self) -> tuple[int, int]:
        """Pixels along j and k."""
        j, k = self._geometry.projection_shape
        return int(j), int(k)

    def _projector(self, indices: ArrayLike | None) -> Projector:
        geometry = self._geometry
        projector = Projector(
            geometry.rotations_as_array,
            geometry.j_offsets_as_array,
            geometry.k_offsets_as_array,
            self.volume_shape,
            self.projection_shape,
            geometry.p_direction_0,
            geometry.j_direction_0,
            geometry.k_direction_0,
        )
        if indices is None:
            return projector
        numbers = np.ravel(indices)
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"indices are of type {numbers.dtype}, expected integers")
        return projector[numbers]


class SAXSProjectorCUDA(SAXSProjector):
    """The same: it warns once and works on the CPU; `mumott_dask.Projector` takes CuPy's arrays.

    Parameters
    ----------
    geometry : Geometry
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        on_cpu(True)
