"""The geometry of a scan with fields that can be set, by mumott's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from dask.base import tokenize
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from mumott_dask import geometry as native
from mumott_dask.compat.missing import names_of_mumott
from mumott_dask.compat.scans import fill_geometry, geometry_scan
from mumott_dask.scan.geometry_file import covers_full_circle, read_geometry, write_geometry
from mumott_dask.scan.schema import DIRECTIONS

from .probed_coordinates import ProbedCoordinates, probed_coordinates

__all__ = ["Geometry", "GeometryTuple"]

__getattr__ = names_of_mumott(__name__)

Floats = NDArray[np.float64]


class GeometryTuple(NamedTuple):
    """Geometry of one projection; offsets in pixels, angles in radians."""

    rotation: Any = np.eye(3)  #: (3, 3): laboratory vector = rotation @ sample vector
    j_offset: float = 0.0
    k_offset: float = 0.0
    inner_angle: float | None = None
    outer_angle: float | None = None
    inner_axis: Any = None  #: (3,)
    outer_axis: Any = None  #: (3,)


def _by_projection(field: str, meaning: str, turns: bool = False) -> property:
    """Property that is a list with one value a projection, whose entries can be set too."""

    def get(self: Geometry) -> list[Any]:
        return self._by_projection[field]

    def set_(self: Geometry, value: ArrayLike) -> None:
        values = np.asarray(value, dtype=float)
        if field.endswith("axis") and values.ndim == 1:
            values = np.tile(values, (len(self), 1))
        self._by_projection[field] = list(values)
        if turns:
            self._turn()

    return property(get, set_, doc=meaning)


def _as_array(field: str, meaning: str) -> property:
    return property(lambda self: np.array(getattr(self, field)), doc=f"{meaning}, as an array.")


def _direction(name: str, meaning: str) -> property:
    """Property that is a direction in the laboratory, turned by the system's rotations."""

    def get(self: Geometry) -> Floats:
        return _product(self.system_rotations[::-1]) @ self._directions[name]

    def set_(self: Geometry, value: ArrayLike) -> None:
        if self.system_rotations:
            raise ValueError(f"{name} can't be set where there are system rotations")
        self._directions[name] = np.array(value, dtype=float).reshape(3)

    return property(get, set_, doc=meaning)


class Geometry:
    """Rotations, offsets, axes and directions of a scan, which can be set.

    Parameters
    ----------
    filename : path, optional
        A geometry file to read.

    Notes
    -----
    What differs from mumott 2.3: several system rotations turn all directions in the same order (there, the j
    direction in the other); axes need not have unit length; setting angles or axes turns the projections
    where there are reconstruction rotations as well; a written file has no checksum of mumott's own.
    """

    def __init__(self, filename: str | None = None) -> None:
        self._by_projection: dict[str, list[Any]] = {field: [] for field in GeometryTuple._fields}
        self._directions = {name: np.array(value) for name, value in DIRECTIONS.items()}
        self.system_rotations: list[Floats] = []
        self.reconstruction_rotations: list[Floats] = []
        self.projection_shape = np.zeros(2, int)
        self.volume_shape = np.zeros(3, int)
        self.detector_angles = np.zeros(0)
        self.two_theta = np.zeros(1)
        self._full_circle: bool | None = None
        if filename is not None:
            self.read(filename)

    j_offsets = _by_projection("j_offset", "Offsets along j, pixels.")
    k_offsets = _by_projection("k_offset", "Offsets along k, pixels.")
    inner_angles = _by_projection("inner_angle", "Angles of the inner rotation, radians.", turns=True)
    outer_angles = _by_projection("outer_angle", "Angles of the outer rotation, radians.", turns=True)
    inner_axes = _by_projection(
        "inner_axis", "Axes of the inner rotation; one can be set for all.", turns=True
    )
    outer_axes = _by_projection(
        "outer_axis", "Axes of the outer rotation; one can be set for all.", turns=True
    )
    rotations_as_array = _as_array("rotations", "Rotations")
    j_offsets_as_array = _as_array("j_offsets", "Offsets along j, pixels")
    k_offsets_as_array = _as_array("k_offsets", "Offsets along k, pixels")
    inner_angles_as_array = _as_array("inner_angles", "Angles of the inner rotation, radians")
    outer_angles_as_array = _as_array("outer_angles", "Angles of the outer rotation, radians")
    inner_axes_as_array = _as_array("inner_axes", "Axes of the inner rotation")
    outer_axes_as_array = _as_array("outer_axes", "Axes of the outer rotation")
    p_direction_0 = _direction("p_direction_0", "Direction of the rays in the laboratory.")
    j_direction_0 = _direction("j_direction_0", "Direction of the first axis of images in the laboratory.")
    k_direction_0 = _direction("k_direction_0", "Direction of the second axis of images in the laboratory.")
    detector_direction_origin = _direction("detector_direction_origin", "Where the detector's angle is 0.")
    detector_direction_positive_90 = _direction(
        "detector_direction_positive_90", "Where the detector's angle is 90 degrees."
    )

    @property
    def rotations(self) -> list[Any]:
        """Rotation of each projection, (3, 3), times the reconstruction's rotations."""
        own = self._by_projection["rotation"]
        if not self.reconstruction_rotations:
            return own
        return [rotation @ _product(self.reconstruction_rotations) for rotation in own]

    @rotations.setter
    def rotations(self, value: Sequence[ArrayLike]) -> None:
        if self.reconstruction_rotations:
            raise ValueError("rotations can't be set where there are reconstruction rotations")
        self._by_projection["rotation"] = list(np.asarray(value, dtype=float))

    @property
    def full_circle_covered(self) -> bool:
        """Whether the detector's segments go round a circle, and not half of one (Friedel's symmetry)."""
        if self._full_circle is not None or not len(self.detector_angles):
            return bool(self._full_circle)
        return covers_full_circle(np.asarray(self.detector_angles))

    @full_circle_covered.setter
    def full_circle_covered(self, value: bool) -> None:
        self._full_circle = bool(value)

    @property
    def probed_coordinates(self) -> ProbedCoordinates:
        """Directions that the detector's segments probe, in the sample's frame."""
        return probed_coordinates(self)

    def rotate_reconstruction(
        self,
        A: ArrayLike | None = None,  # noqa: N803
        axis: ArrayLike | None = None,
        angle: float | None = None,
    ) -> None:
        """Turn the reconstruction, ``R @ A``: by a matrix, or about an axis by an angle in radians."""
        self.reconstruction_rotations.append(_matrix(A, axis, angle))

    def rotate_system_vectors(
        self,
        A: ArrayLike | None = None,  # noqa: N803
        axis: ArrayLike | None = None,
        angle: float | None = None,
    ) -> None:
        """Turn the directions in the laboratory, ``A @ v``: by a matrix, or about an axis by an angle."""
        self.system_rotations.append(_matrix(A, axis, angle))

    def append(self, value: GeometryTuple) -> None:
        """Add a projection."""
        self.insert(len(self), value)

    def insert(self, key: int, value: GeometryTuple) -> None:
        """Add a projection before another."""
        for field, values in self._by_projection.items():
            values.insert(key, getattr(value, field))

    def delete_projections(self) -> None:
        """Remove all projections."""
        for values in self._by_projection.values():
            values.clear()

    def __len__(self) -> int:
        return len(self._by_projection["rotation"])

    def __getitem__(self, key: int) -> GeometryTuple:
        values = {field: values[key] for field, values in self._by_projection.items()}
        return GeometryTuple(**values | {"rotation": self.rotations[key]})

    def __setitem__(self, key: int, value: GeometryTuple) -> None:
        for field, values in self._by_projection.items():
            values[key] = getattr(value, field)

    def __delitem__(self, key: int) -> None:
        for values in self._by_projection.values():
            del values[key]

    def __repr__(self) -> str:
        images, volume = (" x ".join(map(str, side)) for side in (self.projection_shape, self.volume_shape))
        return f"<Geometry: {len(self)} projections of {images} pixels, volume of {volume} voxels>"

    def __hash__(self) -> int:
        """A number that tells geometries apart by what they hold now: one written and read has the same."""
        held = {name: np.asarray(values, dtype=float) for name, values in self._by_projection.items()}
        alone = [getattr(self, name) for name in DIRECTIONS]
        shapes = (np.asarray(shape, dtype=int) for shape in (self.projection_shape, self.volume_shape))
        turns = (*self.system_rotations, *self.reconstruction_rotations)
        parts = (*held.items(), *alone, *shapes, np.asarray(self.detector_angles, float), *turns)
        return hash(int(tokenize(*parts), 16))

    def read(self, filename: str) -> None:
        """Read a geometry file, of mumott's or of this project's."""
        self.__init__()  # type: ignore[misc]
        fill_geometry(self, read_geometry(filename), GeometryTuple)

    def write(self, filename: str) -> None:
        """Write a geometry file, over what is there; mumott reads it."""
        write_geometry(geometry_scan(self), filename, overwrite=True)

    def _turn(self) -> None:
        """Rotations from angles and axes, where all are known."""
        names = "inner_angle", "outer_angle", "inner_axis", "outer_axis"
        known = [self._by_projection[name] for name in names]
        if any(len(values) != len(self) or any(v is None for v in values) for values in known):
            return
        rotation = native.rotations_from_angles(*(np.array(values, dtype=float) for values in known))
        self._by_projection["rotation"] = list(rotation)


def _product(matrices: Sequence[Floats]) -> Floats:
    product = np.eye(3)
    for matrix in matrices:
        product = product @ matrix
    return product


def _matrix(matrix: ArrayLike | None, axis: ArrayLike | None, angle: float | None) -> Floats:
    if matrix is not None:
        return np.asarray(matrix, dtype=float)
    if axis is None or angle is None:
        raise ValueError("expected a matrix A, or an axis and an angle")
    direction = np.asarray(axis, dtype=float)
    return Rotation.from_rotvec(direction * angle / np.linalg.norm(direction)).as_matrix()
