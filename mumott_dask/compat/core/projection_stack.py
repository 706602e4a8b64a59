"""Single projections and stacks of them, by mumott's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mumott_dask.compat.missing import names_of_mumott

from .geometry import Geometry, GeometryTuple

__all__ = ["Projection", "ProjectionStack"]

__getattr__ = names_of_mumott(__name__)

Floats = NDArray[np.float64]


def _of_geometry(field: str) -> property:
    """Property that is a field of the projection's geometry, which its stack holds if it is in one."""

    def get(self: Projection) -> Any:
        return getattr(self.geometry, field)

    def set_(self: Projection, value: Any) -> None:
        if self.stack is None:
            self._own = self._own._replace(**{field: value})
        else:
            self.stack.geometry._by_projection[field][self.stack.index(self)] = value

    return property(get, set_, doc=f"The projection's {field.replace('_', ' ')}.")


class Projection:
    """One projection: its images, which can be changed in place, and its geometry.

    Parameters
    ----------
    data : (j, k, segment) float, optional
    diode : (j, k) float, optional
    weights : (j, k) or (j, k, segment) float, optional
        0 masks a pixel; 1 by default.
    rotation : (3, 3) float, optional
    j_offset, k_offset : float, pixels
    inner_angle, outer_angle : float, radians, optional
    inner_axis, outer_axis : (3,) float, optional
    """

    def __init__(
        self,
        data: ArrayLike | None = None,
        diode: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        rotation: ArrayLike | None = None,
        j_offset: float = 0.0,
        k_offset: float = 0.0,
        inner_angle: float | None = None,
        outer_angle: float | None = None,
        inner_axis: ArrayLike | None = None,
        outer_axis: ArrayLike | None = None,
    ) -> None:
        self.data, self.diode, self.weights = (
            None if image is None else np.asarray(image, dtype=float) for image in (data, diode, weights)
        )
        if self.weights is None and self.diode is not None:
            self.weights = np.ones((*self.diode.shape, 1))
        self.stack: ProjectionStack | None = None
        self._own = GeometryTuple(
            np.eye(3) if rotation is None else rotation,
            j_offset,
            k_offset,
            inner_angle,
            outer_angle,
            inner_axis,
            outer_axis,
        )

    rotation, j_offset, k_offset, inner_angle, outer_angle, inner_axis, outer_axis = map(
        _of_geometry, GeometryTuple._fields
    )

    @property
    def geometry(self) -> GeometryTuple:
        """Geometry of the projection."""
        return self._own if self.stack is None else self.stack.geometry[self.stack.index(self)]

    @geometry.setter
    def geometry(self, value: GeometryTuple) -> None:
        for field in GeometryTuple._fields:
            setattr(self, field, getattr(value, field))

    @property
    def attached(self) -> bool:
        """Whether it is in a stack."""
        return self.stack is not None

    def __repr__(self) -> str:
        shape = None if self.diode is None else " x ".join(map(str, self.diode.shape))
        return f"<Projection of {shape} pixels, offsets {self.j_offset:.3f} and {self.k_offset:.3f}>"


class ProjectionStack:
    """Projections one after the other, and their geometry.

    ``stack.diode`` and the others are copies, in which changes don't reach the stack; set them as a whole, or
    change those of a single projection.
    """

    def __init__(self) -> None:
        self._projections: list[Projection] = []
        self.geometry = Geometry()

    def append(self, projection: Projection) -> None:
        """Add a projection, of the same shape as the others."""
        self.insert(len(self), projection)

    def insert(self, k: int, projection: Projection) -> None:
        """Add a projection before another."""
        if projection.attached:
            raise ValueError("the projection is in a stack already")
        if projection.diode is None:
            raise ValueError("the projection has no diode, expected an image (j, k)")
        shape, expected = projection.diode.shape, tuple(np.asarray(self.geometry.projection_shape).tolist())
        if len(self) and shape != expected:
            raise ValueError(f"the diode is {shape}, expected {expected} as the others")
        self._projections.insert(k, projection)
        self.geometry.insert(k, projection.geometry)
        self.geometry.projection_shape = np.array(shape)
        projection.stack = self

    def index(self, projection: Projection) -> int:
        """Where a projection is."""
        return next(i for i, own in enumerate(self._projections) if own is projection)

    def __delitem__(self, k: int) -> None:
        gone = self._projections[k]
        gone._own, gone.stack = gone.geometry, None
        del self._projections[k], self.geometry[k]

    def __setitem__(self, k: int, projection: Projection) -> None:
        k = range(len(self))[k]
        self.insert(k + 1, projection)
        del self[k]

    def __getitem__(self, k: int) -> Projection:
        return self._projections[k]

    def __iter__(self) -> Iterator[Projection]:
        return iter(self._projections)

    def __len__(self) -> int:
        return len(self._projections)

    @property
    def data(self) -> Floats | None:
        """Detector segments, (projection, j, k, segment); None where they were not read."""
        return self._stacked("data")

    @property
    def diode(self) -> Floats | None:
        """Transmitted intensities, (projection, j, k)."""
        return self._stacked("diode")

    @diode.setter
    def diode(self, value: ArrayLike) -> None:
        self._set("diode", value)

    @property
    def weights(self) -> Floats | None:
        """Weights, (projection, j, k, segment), one segment long where those of a pixel are alike."""
        return self._stacked("weights")

    @weights.setter
    def weights(self, value: ArrayLike) -> None:
        self._set("weights", value)

    def _stacked(self, name: str) -> Floats | None:
        images = [getattr(projection, name) for projection in self._projections]
        return None if not images or any(image is None for image in images) else np.stack(images)

    def _set(self, name: str, value: ArrayLike) -> None:
        values = np.asarray(value, dtype=float)
        if len(values) != len(self):
            raise ValueError(f"{name} has {len(values)} images, expected {len(self)}")
        for projection, image in zip(self._projections, values, strict=True):
            setattr(projection, name, image.copy())
