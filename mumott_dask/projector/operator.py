"""The projector: one operator for every kind of array.

In: a scan's geometry. Out: an immutable `Projector` whose `forward`, `adjoint` and `gradient` work on NumPy
arrays (numba kernels), CuPy arrays (numba-cuda kernels) and, chunk by chunk, on Dask arrays. Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask.errors import ScanError

from . import dask_blocks, numpy_arrays
from .beam import ParallelBeam
from .turning import turned_volume

Array = Any  #: NumPy, CuPy or Dask, told apart at run time


@dataclass(frozen=True)
class Projector(ParallelBeam):
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
    slabs : int
        Number of slabs along x that volumes are held in where projections are chunked, for volumes that are
        too large for a worker.
    gpu : bool
        Whether NumPy arrays are sent to this process's GPU, or that of the worker that has them, and what is
        made of them stays there. CuPy's arrays are worked on where they are in any case.

    Examples
    --------
    >>> import numpy as np
    >>> from mumott_dask import Projector
    >>> A = Projector(np.eye(3)[None], [0.0], [0.0], (4, 5, 6), (4, 6))
    >>> A.forward(np.ones((4, 5, 6), np.float32))[0, 2, 3]
    np.float32(5.0)
    """

    def forward(self, volume: Array, chunks: tuple[int, ...] | None = None) -> Array:
        """Line integrals of a volume.

        Parameters
        ----------
        volume : (x, y, z) or (x, y, z, channel) array
            NumPy, or Dask in slabs along x.
        chunks : tuple of int, optional
            Chunk sizes along projection; where they are given, or the volume is Dask, the result is Dask.

        Returns
        -------
        (projection, j, k) or (projection, j, k, channel) float32
        """
        self._check(volume, self.volume_shape, "volume")
        if chunks is not None and sum(chunks) != len(self):
            raise ScanError(
                f"chunks {tuple(chunks)} add up to {sum(chunks)}, expected {len(self)} projections"
            )
        if chunks is not None or arrays.is_chunked(volume):
            return dask_blocks.forward(self, volume, chunks)
        (volume,) = self._own(volume)
        return _kernels(volume).forward(self, volume)

    def reproject(self, volume: Array, halo: tuple[int, int] = (0, 0)) -> Array:
        """Line integrals with cubic splines in the slices: to compare with images to a thousandth of a pixel.

        Parameters
        ----------
        volume : (x, y, z) array
            NumPy or CuPy.
        halo : (before, after)
            Planes that it has more along x, of what lies around it: splines bend with their neighbours.

        Returns
        -------
        (projection, j, k) float32

        Notes
        -----
        `forward` interpolates linearly, which shifts and blurs an image according to where its rays pass
        between the voxels. Costs between two and three times as much.
        """
        x, y, z = self.volume_shape
        self._check(volume, (x + sum(halo), y, z), "volume")
        (volume,) = self._own(volume)
        return _kernels(volume).reproject(self, volume, halo)

    def turns(
        self, volume: Array, halo: tuple[int, int] = (0, 0), centre: float | None = None
    ) -> list[Array]:
        """Derivatives of the projections by three small rotations of the sample.

        Parameters
        ----------
        volume : (x, y, z) array
            NumPy or CuPy.
        halo : (before, after)
            Planes that it has more along x, of what lies around it.
        centre : float, optional
            The plane along x, halo included, that the sample's centre of rotation lies in; by default the
            volume's centre.

        Returns
        -------
        list of (projection, j, k) float32
            By omega_x, omega_y and omega_z, radians, of R <- R exp([omega]x).
        """
        (volume,) = self._own(volume)
        own = slice(halo[0], volume.shape[0] - halo[1])
        return [self.forward(turned_volume(volume, axis, centre)[own, ...]) for axis in range(3)]

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
        (projections,) = self._own(projections)
        return _kernels(projections).adjoint(self, projections)

    def gradient(
        self, volume: Array, data: Array, weights: Array, background: int = 0
    ) -> tuple[Array, Array]:
        """Adjoint of the weighted residual, and the loss: one task a chunk where the data are chunked.

        Parameters
        ----------
        volume : (x, y, z[, channel]) array
            NumPy, or Dask in slabs along x; the gradient is in the same ones.
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
            return dask_blocks.gradient(self, volume, data, arrays.chunked_like(weights, data), background)
        self._check(volume, self.volume_shape, "volume")
        volume, data, weights = self._own(volume, data, weights)
        return _kernels(data).gradient(self, volume, data, weights, background)

    def map_projections(
        self,
        function: Callable[..., NDArray[np.float64]],
        volume: Array,
        *images: Array,
        turns: bool = False,
        **settings: Any,
    ) -> Array:
        """Apply a function that turns each projection into a few numbers, where its chunk lives.

        Parameters
        ----------
        function : callable
            ``function(projector, volume, *images, **settings)`` gives (projection, number) for the
            projections that it is handed; it is called once a chunk, or a batch of NumPy ones.
        volume : (x, y, z) array
        *images : (projection, ...) arrays
            All NumPy, or Dask in the chunks of the first.
        turns : bool
            Whether the function asks its projector for `turns`, and not for `reproject` alone: no other
            methods are there where volumes are in slabs.

        Returns
        -------
        (projection, number) float64, NumPy, or Dask where the images are
        """
        if arrays.is_chunked(images[0]):
            images = (images[0], *(arrays.chunked_like(image, images[0]) for image in images[1:]))
            return dask_blocks.map_projections(self, function, volume, *images, turns=turns, **settings)
        volume, *stacks = self._own(volume, *images)
        parts = (
            devices.numbers(function(part, volume, *(stack[some, ...] for stack in stacks), **settings))
            for some, part in self.batches(1 + 3 * turns)
        )
        return np.concatenate(list(parts))

    def _own(self, *arrays_given: Array) -> tuple[Array, ...]:
        """Arrays where this projector works, or where one of them is."""
        return tuple(map(devices.to_device, arrays_given)) if self.gpu else devices.together(*arrays_given)

    @staticmethod
    def _check(array: Array, expected: tuple[int, ...], name: str) -> None:
        if array.ndim not in (3, 4) or tuple(array.shape[:3]) != tuple(expected):
            raise ScanError(
                f"{name} has shape {tuple(array.shape)}, expected {tuple(expected)} and optionally channels"
            )


def _kernels(array: Array) -> Any:
    """The file of functions for arrays of a kind."""
    if devices.on_host(array):
        return numpy_arrays
    from . import cuda_arrays

    return cuda_arrays
