"""The geometry of parallel rays through a volume, for some projections, and what the kernels need of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask import geometry, placement
from mumott_dask.errors import ScanError
from mumott_dask.scan.schema import detector_shape, volume_shape

from .rays import LandingParameters, RayParameters, landing_parameters, ray_parameters

LEAST_BATCH = 4 * 2**20
"""Bytes of one image of each projection that are worth a batch, however small the volume."""


@dataclass(frozen=True)
class ParallelBeam:
    """Rotations, offsets and shapes of some projections; see `Projector` for the fields."""

    rotation: NDArray[np.float64]
    j_offset: NDArray[np.float64]
    k_offset: NDArray[np.float64]
    volume_shape: tuple[int, int, int]
    detector_shape: tuple[int, int]
    p_direction_0: tuple[float, float, float] = (0.0, 1.0, 0.0)
    j_direction_0: tuple[float, float, float] = (1.0, 0.0, 0.0)
    k_direction_0: tuple[float, float, float] = (0.0, 0.0, 1.0)
    threads: bool = True
    slabs: int = 1
    gpu: bool = False

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
    def from_scan(cls, scan: xr.Dataset) -> Self:
        """The geometry and the offsets that a scan holds; in a task of a worker's, for one thread."""
        directions = {
            name: tuple(scan.attrs[name]) for name in ("p_direction_0", "j_direction_0", "k_direction_0")
        }
        return cls(
            np.asarray(scan["rotation"]),
            np.asarray(scan["j_offset"]),
            np.asarray(scan["k_offset"]),
            volume_shape(scan),
            detector_shape(scan),
            threads=not placement.in_a_task(),
            **directions,  # type: ignore[arg-type]
        )

    def __len__(self) -> int:
        return len(self.rotation)

    def __getstate__(self) -> dict[str, Any]:
        """What it is made of, without what has been made of it: that may live on a device."""
        return {field.name: self.__dict__[field.name] for field in fields(self)}

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What is made once, such as parameters on a device."""
        held = self.__dict__.setdefault("_kept", {})
        if name not in held:
            held[name] = make()
        return held[name]

    def __getitem__(self, projections: slice | NDArray[Any]) -> Self:
        """Those of some of the projections."""
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

    @property
    def slab_lengths(self) -> tuple[int, ...]:
        """Sides along x of the slabs that volumes are held in where projections are chunked."""
        side, slabs = self.volume_shape[0], min(self.slabs, self.volume_shape[0])
        return tuple(side // slabs + (s < side % slabs) for s in range(slabs))

    @cached_property
    def basis(self) -> geometry.Basis:
        """Ray direction and detector axes of every projection in the sample's frame."""
        return geometry.basis(self.rotation, self.p_direction_0, self.j_direction_0, self.k_direction_0)

    def batches(self, images: int = 1) -> Iterator[tuple[slice, Self]]:
        """Projections that are worked on at a time: so many images of each take about as much as the volume.

        What is made of images on the way stays small, and laying out the volume anew costs next to nothing.
        """
        volume, image = 4 * math.prod(self.volume_shape), 4 * images * math.prod(self.detector_shape)
        at_once = max(1, max(volume, images * LEAST_BATCH) // max(1, image))
        for first in range(0, len(self), at_once):
            some = slice(first, min(first + at_once, len(self)))
            yield some, self if at_once >= len(self) else self[some]

    def slab(self, start: int, thickness: int) -> Self:
        """The same for a slab of the volume along x."""
        x, y, z = self.volume_shape
        if thickness == x:
            return self
        d = np.array([start + thickness / 2 - x / 2, 0, 0])
        dj, dk = geometry.gauge_offsets(d, self.basis)
        here = self.with_offsets(self.j_offset - dj, self.k_offset - dk)
        return replace(here, volume_shape=(thickness, y, z), slabs=1)

    def with_offsets(self, j_offset: ArrayLike, k_offset: ArrayLike) -> Self:
        """The same with other offsets, (projection,) each, pixels."""
        return replace(self, j_offset=np.asarray(j_offset), k_offset=np.asarray(k_offset))

    def with_rotation(self, rotation: ArrayLike) -> Self:
        """The same with other rotations, (projection, 3, 3)."""
        return replace(self, rotation=np.asarray(rotation))

    def single_threaded(self) -> Self:
        """The same for a task that owns one core."""
        return replace(self, threads=False)

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
