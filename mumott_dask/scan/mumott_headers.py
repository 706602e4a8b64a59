"""What a mumott HDF5 file says of each projection and of the whole scan, pixels left out.

Names have changed over the years; every meaning is read by its newest name that the file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np
from h5py import h5g
from numpy.typing import NDArray

from mumott_dask.errors import ScanError

from .hdf5_extras import PLACEHOLDER
from .hdf5_file import HDF5_FAULTS, Members, one_line
from .schema import DIRECTION_TOLERANCE, DIRECTIONS

Floats = NDArray[np.float64]

ROTATION_NAMES = ("rotation_matrix", "rot_mat")
INNER_ANGLE_NAMES = ("inner_angle", "rotations")
OUTER_ANGLE_NAMES = ("outer_angle", "tilts")
J_OFFSET_NAMES = ("j_offset", "offset_j")
K_OFFSET_NAMES = ("k_offset", "offset_k")


@dataclass(frozen=True)
class ProjectionHeader:
    """One projection without its pixels; what the file does not say is None."""

    name: str
    shape: tuple[int, int]
    segments: int | None
    weight_shape: tuple[int, ...] | None
    rotation: Floats | None
    inner_angle: float | None
    outer_angle: float | None
    inner_axis: Floats | None
    outer_axis: Floats | None
    j_offset: float
    k_offset: float

    @property
    def has_angle(self) -> bool:
        """Whether the file gives either of the angles."""
        return self.inner_angle is not None or self.outer_angle is not None


class RootHeader(NamedTuple):
    """What the file says of the whole scan; what it does not say is None."""

    inner_axis: Floats | None
    outer_axis: Floats | None
    volume_shape: list[int] | None
    detector_angle: Floats | None
    has_data: bool
    two_theta: float | list[float] | None
    pixel_size: float | None
    directions: dict[str, list[float]]


def projection_names(file: h5py.File) -> list[str]:
    """Names of the projections, in the order of their numbers.

    Raises
    ------
    ScanError
        Where the group is missing or empty, or the numbers are not 0, 1, 2 and so on.
    """
    if "projections" not in file:
        held = ", ".join(sorted(file)) or "nothing"
        raise ScanError(
            f"{file.filename}: has no group 'projections' (it holds {held}), expected a mumott scan"
        )
    try:
        names = list(file["projections"].keys())
    except (*HDF5_FAULTS, AttributeError) as error:
        raise ScanError(f"{file.filename}: 'projections' cannot be read, expected a group") from error
    if not names:
        raise ScanError(f"{file.filename}: 'projections' holds none, expected two or more")
    for name in names:
        if not (name.isascii() and name.isdecimal()):
            raise ScanError(f"{file.filename}: 'projections' holds {name!r}, expected numbers from 0 on")
    names.sort(key=int)
    for i, name in enumerate(names):
        if int(name) == i - 1:
            raise ScanError(
                f"{file.filename}: projection {i - 1} is there twice, as {names[i - 1]} and {name}"
            )
        if int(name) != i:
            raise ScanError(
                f"{file.filename}: {len(names)} projections, but where {i} should be is {name}, "
                f"expected numbers from 0 to {len(names) - 1}"
            )
    return names


def projection_members(file: h5py.File, name: str) -> Members:
    """Find the datasets of one projection."""
    where = f"{file.filename}: projection {int(name)}"
    try:
        return Members(h5g.open(file.id, f"projections/{name}".encode()), where)
    except HDF5_FAULTS as error:
        raise ScanError(f"{where}: cannot be opened as a group ({one_line(error)})") from error


def projection_header(file: h5py.File, name: str, has_data: bool) -> ProjectionHeader:
    """Everything that the file says of one projection, except its pixels.

    Parameters
    ----------
    file : h5py.File
    name : str
    has_data : bool
        Whether ``data``, where it is there, are the detector's segments.
    """
    members = projection_members(file, name)
    shape = _image_shape(members)
    return ProjectionHeader(
        name=name,
        shape=shape,
        segments=_segments(members, shape) if has_data else None,
        weight_shape=_weight_shape(members, shape),
        rotation=_matrix(members, ROTATION_NAMES),
        inner_angle=_scalar(members, INNER_ANGLE_NAMES),
        outer_angle=_scalar(members, OUTER_ANGLE_NAMES),
        inner_axis=_axis(members, "inner_axis"),
        outer_axis=_axis(members, "outer_axis"),
        j_offset=_scalar(members, J_OFFSET_NAMES) or 0.0,
        k_offset=_scalar(members, K_OFFSET_NAMES) or 0.0,
    )


def root_header(file: h5py.File) -> RootHeader:
    """Everything that the file says of the scan as a whole.

    Files that this project wrote mark ``detector_angles`` where ``data`` stand in for what is missing.
    """
    marks = file["detector_angles"].attrs if "detector_angles" in file else {}
    members = Members(h5g.open(file.id, b"/"), str(file.filename))
    return RootHeader(
        inner_axis=_axis(members, "inner_axis"),
        outer_axis=_axis(members, "outer_axis"),
        volume_shape=_volume_shape(members),
        detector_angle=None if marks.get(PLACEHOLDER, False) else _list(members, "detector_angles"),
        has_data=PLACEHOLDER not in marks,
        two_theta=_two_theta(members),
        pixel_size=_scalar(members, ("pixel_size",)),
        directions={
            name: (members.array(name, (3,)) if name in members else np.array(default)).tolist()
            for name, default in DIRECTIONS.items()
        },
    )


def _image_shape(members: Members) -> tuple[int, int]:
    if "diode" not in members:
        raise ScanError(
            f"{members.where}: has no 'diode' (it holds {members.listed()}), expected an image (J, K)"
        )
    shape = members.shape("diode")
    if len(shape) != 2 or 0 in shape:
        raise ScanError(f"{members.where}: 'diode' is {shape}, expected an image (J, K)")
    return shape[0], shape[1]


def _segments(members: Members, image: tuple[int, int]) -> int | None:
    if "data" not in members:
        return None
    shape = members.shape("data")
    if len(shape) != 3 or shape[:2] != image or shape[2] == 0:
        raise ScanError(
            f"{members.where}: 'data' is {shape}, expected {image} and segments, as 'diode' has it"
        )
    return shape[2]


def _weight_shape(members: Members, image: tuple[int, int]) -> tuple[int, ...] | None:
    if "weights" not in members:
        return None
    shape = members.shape("weights")
    if len(shape) not in (2, 3) or shape[:2] != image or 0 in shape:
        raise ScanError(
            f"{members.where}: 'weights' is {shape}, expected {image} as 'diode' has it, or with segments"
        )
    return image if shape[2:] == (1,) else shape


def _volume_shape(members: Members) -> list[int] | None:
    if "volume_shape" not in members:
        return None
    shape = members.array("volume_shape", (3,))
    if not np.all((shape == np.round(shape)) & (shape > 0)):
        raise ScanError(
            f"{members.where}: 'volume_shape' is {shape.tolist()}, expected three positive integers"
        )
    return [int(n) for n in shape]


def _two_theta(members: Members) -> float | list[float] | None:
    values = _list(members, "two_theta")
    if values is None:
        return None
    return float(values[0]) if values.size == 1 else values.tolist()


def _list(members: Members, name: str) -> Floats | None:
    return np.ravel(members.read(name)).astype(np.float64) if name in members else None


def _found(members: Members, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in members), None)


def _scalar(members: Members, names: tuple[str, ...]) -> float | None:
    name = _found(members, names)
    return None if name is None else members.scalar(name)


def _matrix(members: Members, names: tuple[str, ...]) -> Floats | None:
    name = _found(members, names)
    return None if name is None else members.array(name, (3, 3))


def _axis(members: Members, name: str) -> Floats | None:
    if name not in members:
        return None
    axis = members.array(name, (3,))
    length = np.linalg.norm(axis)
    if not abs(length - 1) <= DIRECTION_TOLERANCE:
        raise ScanError(
            f"{members.where}: {name!r} is {axis.tolist()}, of length {length:.6g}, expected length 1"
        )
    return axis
