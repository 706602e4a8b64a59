"""The projector: one operator for every kind of array.

In: a scan's geometry. Out: an immutable `Projector` whose `forward`, `adjoint` and `gradient` work on NumPy
arrays (numba kernels) and, chunk by chunk, on Dask arrays. Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask import arrays, geometry
from mumott_dask.errors import ScanError
from mumott_dask.scan.schema import detector_shape, volume_shape

from . import dask_blocks, numpy_arrays, splines
from .backgrounds import without_background
from .rays import LandingParameters, RayParameters, landing_parameters, ray_parameters

Array = Any  #: NumPy or Dask, told apart at run time


@dataclass(frozen=True)
class Projector:
    """Forward projection, its adjoint and the gradient of the squared residual, for one geometry.

    Parallel rays through a volume of cubic voxels as large as the detector's pixels. Forward: for each ray,
    bilinear interpolation in every slice of the volume along the ray's dominant axis, summed, times the
    length of the path through one slice. Adjoint: for each voxel, the sum over projections of the
    projection interpolated bilinearly where the voxel's centre lands. The two are transposes up to
    interpolation, as in Frost and others' and mumott's projectors.

    Parameters
    ----------
    rotation : (projection, 3, 3) float
        Laboratory vector = R @ sample vector.
    j_offset, k_offset : (projection,) float, pixels
    volume_shape : (x, y, z)
    detector_shape : (j, k)
    p_direction_0, j_direction_0, k_direction_0 : (3,) float
        Ray and detector directions in the laboratory.
    threads : bool
        Whether the kernels use all threads of numba (a process that has the machine to itself) or one (a
        task among others on a worker).

    Examples
    --------
    >>> import numpy as np
    >>> from mumott_dask import Projector
    >>> A = Projector(np.eye(3)[None], [0.0], [0.0], (4, 5, 6), (4, 6))
    >>> A.forward(np.ones((4, 5, 6), np.float32))[0, 2, 3]
    np.float32(5.0)
    """

    rotation: NDArray[np.float64]
    j_offset: NDArray[np.float64]
    k_offset: NDArray[np.float64]
    volume_shape: tuple[int, int, int]
    detector_shape: tuple[int, int]
    p_direction_0: tuple[float, float, float] = (0.0, 1.0, 0.0)
    j_direction_0: tuple[float, float, float] = (1.0, 0.0, 0.0)
    k_direction_0: tuple[float, float, float] = (0.0, 0.0, 1.0)
    threads: bool = True

    def __post_init__(self) -> None:
        rotation = np.asarray(self.rotation, dtype=np.float64)
        if rotation.ndim != 3 or rotation.shape[1:] != (3, 3):
            raise ScanError(f"rotation has shape {rotation.shape}, expected (projection, 3, 3)")
        object.__setattr__(self, "rotation", rotation)
        for name in ("j_offset", "k_offset"):
            offset = np.asarray(getattr(self, name), dtype=np.float64)
            if offset.shape != rotation.shape[:1]:
                raise ScanError(f"{name} has shape {offset.shape}, expected ({len(rotation)},)")
            object.__setattr__(self, name, offset)

    @classmethod
    def from_scan(cls, scan: xr.Dataset) -> Projector:
        """Projector with the geometry and the offsets that a scan holds."""
        directions = {
            name: tuple(scan.attrs[name]) for name in ("p_direction_0", "j_direction_0", "k_direction_0")
        }
        return cls(
            np.asarray(scan["rotation"]),
            np.asarray(scan["j_offset"]),
            np.asarray(scan["k_offset"]),
            volume_shape(scan),
            detector_shape(scan),
            **directions,  # type: ignore[arg-type]
        )

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, projections: slice | NDArray[Any]) -> Projector:
        """Projector of some of the projections."""
        return replace(
            self,
            rotation=self.rotation[projections],
            j_offset=self.j_offset[projections],
            k_offset=self.k_offset[projections],
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the projections: (projection, j, k)."""
        return len(self), *self.detector_shape

    @cached_property
    def basis(self) -> geometry.Basis:
        """Ray direction and detector axes of every projection in the sample's frame."""
        return geometry.basis(self.rotation, self.p_direction_0, self.j_direction_0, self.k_direction_0)

    def with_offsets(self, j_offset: ArrayLike, k_offset: ArrayLike) -> Projector:
        """The same projector with other offsets, (projection,) each, pixels."""
        return replace(self, j_offset=np.asarray(j_offset), k_offset=np.asarray(k_offset))

    def with_rotation(self, rotation: ArrayLike) -> Projector:
        """The same projector with other rotations, (projection, 3, 3)."""
        return replace(self, rotation=np.asarray(rotation))

    def single_threaded(self) -> Projector:
        """The same projector for a task that owns one core."""
        return replace(self, threads=False)

    def forward(self, volume: Array, chunks: tuple[int, ...] | None = None) -> Array:
        """Line integrals of a volume.

        Parameters
        ----------
        volume : (x, y, z) or (x, y, z, channel) array
            NumPy, or Dask in one chunk.
        chunks : tuple of int, optional
            Chunk sizes along projection; where they are given, or the volume is Dask, the result is Dask.

        Returns
        -------
        (projection, j, k) or (projection, j, k, channel) float32
        """
        self._check(volume, self.volume_shape, "volume")
        if chunks is not None or arrays.is_chunked(volume):
            return dask_blocks.forward(self, volume, chunks)
        return numpy_arrays.forward(self, volume)

    def reproject(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Line integrals with cubic splines in the slices: to compare with images to a thousandth of a pixel.

        Parameters
        ----------
        volume : (x, y, z) array
            NumPy.

        Returns
        -------
        (projection, j, k) float32

        Notes
        -----
        `forward` interpolates linearly, which shifts and blurs an image according to where its rays pass
        between the voxels. Costs some three times as much.
        """
        self._check(volume, self.volume_shape, "volume")
        return splines.reproject(self, volume)

    def adjoint(self, projections: Array) -> Array:
        """Sum over projections of what lands where each voxel does.

        Parameters
        ----------
        projections : (projection, j, k) or (projection, j, k, channel) array
            NumPy, or Dask in chunks along projection.

        Returns
        -------
        (x, y, z) or (x, y, z, channel) float32
        """
        self._check(projections, self.shape, "projections")
        if arrays.is_chunked(projections):
            return dask_blocks.adjoint(self, projections)
        return numpy_arrays.adjoint(self, projections)

    def gradient(
        self, volume: Array, data: Array, weights: Array, background: int = 0
    ) -> tuple[Array, Array]:
        """Adjoint of the weighted residual, and the loss: one task a chunk where the data are chunked.

        Parameters
        ----------
        volume : (x, y, z[, channel]) array
        data, weights : (projection, j, k[, channel]) array
        background : int
            Terms of a background that each image is free to hold (see `backgrounds.background_terms`): 0, 1
            or 3. The residual is then the one that the best background leaves; without channels.

        Returns
        -------
        gradient : (x, y, z[, channel]) float32
            ``A.T(weights * (A(volume) - data))``.
        loss : float64 scalar
            ``sum(weights * (A(volume) - data)**2) / 2``.
        """
        self._check(data, self.shape, "data")
        self._check(weights, self.shape, "weights")
        if arrays.is_chunked(data):
            return dask_blocks.gradient(self, volume, data, weights, background)
        residual = self.forward(volume)
        residual -= data
        residual = without_background(residual, weights, background)
        loss = 0.0
        for left, weight in zip(residual, weights, strict=True):  # in place, so that no more images are held
            weighted = left * weight
            loss += float(np.vdot(left, weighted))
            left[...] = weighted
        return self.adjoint(residual), np.float64(loss / 2)

    def map_projections(
        self, function: Callable[..., NDArray[np.float64]], volume: Array, *images: Array, **settings: Any
    ) -> Array:
        """Apply a function that turns each projection into a few numbers, where its chunk lives.

        Parameters
        ----------
        function : callable
            ``function(projector, volume, *images, **settings)`` gives (projection, number) for the
            projections that it is handed; it is called once a chunk.
        volume : (x, y, z) array
        *images : (projection, ...) arrays
            All NumPy, or all Dask with equal chunks along projection.

        Returns
        -------
        (projection, number) float64, of the images' kind
        """
        if arrays.is_chunked(images[0]):
            return dask_blocks.map_projections(self, function, volume, *images, **settings)
        return function(self, volume, *images, **settings)

    @cached_property
    def rays(self) -> RayParameters:
        """Parameters of the rays, for the forward kernels."""
        return ray_parameters(
            self.basis, self.j_offset, self.k_offset, self.volume_shape, self.detector_shape
        )

    @cached_property
    def landing(self) -> LandingParameters:
        """Parameters of where voxels land, for the adjoint kernels."""
        return landing_parameters(
            self.basis, self.j_offset, self.k_offset, self.volume_shape, self.detector_shape
        )

    @staticmethod
    def _check(array: Array, expected: tuple[int, ...], name: str) -> None:
        if array.ndim not in (3, 4) or tuple(array.shape[:3]) != tuple(expected):
            raise ScanError(
                f"{name} has shape {tuple(array.shape)}, expected {tuple(expected)} and optionally channels"
            )
