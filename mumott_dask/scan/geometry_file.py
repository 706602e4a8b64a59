"""mumott's geometry file: a tar of JSON documents.

Aligned offsets go back to mumott users in this file. Nothing is ever extracted from a tar to the disk, and
only members with known names and of bounded size are read.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask.errors import ScanError

from .atomic import replacing
from .schema import COORDINATE_DIMS, DIRECTIONS, detector_shape, validate_scan

MEMBER_BYTES = 512 * 2**20
"""Largest member that is read; a million rotations take less."""

_COORDINATES = {
    "_rotations": "rotation",
    "_j_offsets": "j_offset",
    "_k_offsets": "k_offset",
    "_inner_angles": "inner_angle",
    "_outer_angles": "outer_angle",
    "_inner_axes": "inner_axis",
    "_outer_axes": "outer_axis",
}
_SETTINGS = ("two_theta", "projection_shape", "volume_shape", "detector_angles", "full_circle_covered")
_REQUIRED = ("_rotations", "_j_offsets", "_k_offsets")
_SIZES = {"row": 3, "col": 3, "xyz": 3}


def write_geometry(scan: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write the geometry of a scan as mumott's ``Geometry.read`` takes it.

    mumott warns once that the checksum differs: it is a hash by mumott's own code, and means nothing here.

    Parameters
    ----------
    scan : xr.Dataset
    path : path
        Any name; mumott's own often end in ``.mumott``.
    overwrite : bool
        Replace what is there.

    Raises
    ------
    ScanError
        Where the scan is none, the output exists or the disk is full.
    """
    validate_scan(scan)
    with replacing(path, overwrite) as partial, tarfile.open(partial, "w") as tar:
        for name, value in _documents(scan).items():
            content = json.dumps(value).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _documents(scan: xr.Dataset) -> dict[str, list[Any]]:
    unknown = [None] * scan.sizes["projection"]
    documents: dict[str, list[Any]] = {
        member: scan[name].values.tolist() if name in scan.coords else unknown
        for member, name in _COORDINATES.items()
    }
    documents |= {name: list(scan.attrs[name]) for name in DIRECTIONS}
    angles = scan["detector_angle"].values if "detector_angle" in scan.coords else np.zeros(1)
    return documents | {
        "two_theta": np.atleast_1d(scan.attrs.get("two_theta", 0.0)).tolist(),
        "projection_shape": list(detector_shape(scan)),
        "volume_shape": [int(n) for n in scan.attrs["volume_shape"]],
        "detector_angles": angles.tolist(),
        "full_circle_covered": [bool(scan.attrs.get("full_circle_covered", covers_full_circle(angles)))],
        "checksum": [0],
    }


def covers_full_circle(angles: NDArray[np.float64]) -> bool:
    """Whether first and last segment are nearer to a whole circle apart, or to none, than to half of one."""
    apart = abs(angles[0] - angles[-1] % (2 * np.pi))
    return bool(abs(apart - np.pi) >= min(apart, abs(apart - 2 * np.pi)))


def read_geometry(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a geometry file of mumott's.

    Parameters
    ----------
    path : path

    Returns
    -------
    xr.Dataset
        No variables: the coordinates of a scan by ``projection`` (numbered from 0), as far as the file has
        them for every projection, and the directions, ``two_theta``, ``volume_shape`` and
        ``full_circle_covered`` as attributes, with ``projection_shape`` (J, K).

    Raises
    ------
    ScanError
        Where it is no such file, a member is missing, too large or no JSON, or its values are of another
        shape than mumott's.
    """
    documents = _read_documents(Path(path))
    for member in _REQUIRED:
        if not documents.get(member):
            raise ScanError(f"{path}: has no {member!r}, expected a geometry file of mumott's")
    size = len(documents["_rotations"])
    coords: dict[str, Any] = {"projection": np.arange(size)}
    for member, name in _COORDINATES.items():
        values = documents.get(member)
        if values is not None and None not in values:
            dims = COORDINATE_DIMS[name]
            shape = (size, *(_SIZES[dim] for dim in dims[1:]))
            coords[name] = (dims, _numbers(path, member, values, shape))
    if documents.get("detector_angles"):
        angles = documents["detector_angles"]
        coords["detector_angle"] = ("segment", _numbers(path, "detector_angles", angles, (len(angles),)))
    return xr.Dataset(coords=coords, attrs=_attributes(path, documents))


def with_geometry(scan: xr.Dataset, geometry: xr.Dataset) -> xr.Dataset:
    """Replace the geometry of a scan by that of :func:`read_geometry`.

    Angles and axes that the geometry does not have are dropped, since they may contradict its rotations;
    labels and detector angles stay the scan's.

    Parameters
    ----------
    scan : xr.Dataset
    geometry : xr.Dataset

    Raises
    ------
    ScanError
        Where the two differ in the number or the shape of projections, or the outcome is no scan.
    """
    if geometry.sizes["projection"] != scan.sizes["projection"]:
        raise ScanError(
            f"the geometry has {geometry.sizes['projection']} projections, "
            f"the scan {scan.sizes['projection']}, expected as many"
        )
    shape = geometry.attrs.get("projection_shape", list(detector_shape(scan)))
    if tuple(shape) != detector_shape(scan):
        raise ScanError(
            f"the geometry is of projections of {shape[0]} x {shape[1]} pixels, the scan's are "
            f"{scan.sizes['j']} x {scan.sizes['k']}, expected the same"
        )
    names = list(_COORDINATES.values())
    bare = scan.drop_vars([name for name in names if name in scan.coords])
    changed = bare.assign_coords({name: geometry[name].variable for name in names if name in geometry.coords})
    detector = ("projection_shape", "full_circle_covered")
    attrs = {name: value for name, value in geometry.attrs.items() if name not in detector}
    changed = changed.assign_attrs(attrs)
    validate_scan(changed)
    return changed


def _read_documents(path: Path) -> dict[str, Any]:
    wanted = {*_COORDINATES, *DIRECTIONS, *_SETTINGS}
    try:
        with tarfile.open(path, "r:") as tar:
            return {
                member.name: _document(path, tar, member)
                for member in tar
                if member.name in wanted and member.isreg()
            }
    except FileNotFoundError:
        raise ScanError(f"{path}: there is no such file") from None
    except (OSError, tarfile.TarError) as error:
        raise ScanError(f"{path}: is no geometry file of mumott's, expected a tar ({error})") from error


def _document(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> list[Any]:
    if member.size > MEMBER_BYTES:
        raise ScanError(f"{path}: {member.name!r} has {member.size} bytes, expected at most {MEMBER_BYTES}")
    content = tar.extractfile(member)
    assert content is not None
    try:
        value = json.loads(content.read())
    except (ValueError, RecursionError) as error:
        raise ScanError(f"{path}: {member.name!r} is no JSON ({error})") from error
    if not isinstance(value, list):
        raise ScanError(f"{path}: {member.name!r} is a {type(value).__name__}, expected a list")
    return [None if entry == "null" else entry for entry in value]


def _attributes(path: str | os.PathLike[str], documents: dict[str, Any]) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        name: _numbers(path, name, documents[name], (3,)).tolist() for name in DIRECTIONS if name in documents
    }
    for name, size in (("volume_shape", 3), ("projection_shape", 2)):
        if name in documents:
            attrs[name] = [int(n) for n in _numbers(path, name, documents[name], (size,))]
    if "two_theta" in documents:
        angles = documents["two_theta"]
        values = _numbers(path, "two_theta", angles, (len(angles),)).tolist()
        attrs["two_theta"] = values[0] if len(values) == 1 else values
    if "full_circle_covered" in documents:
        attrs["full_circle_covered"] = bool(
            _numbers(path, "full_circle_covered", documents["full_circle_covered"], (1,))[0]
        )
    return attrs


def _numbers(
    path: str | os.PathLike[str], member: str, value: list[Any], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ScanError(
            f"{path}: {member!r} holds something else than numbers, or lists of unequal length"
        ) from None
    if numbers.shape != shape:
        raise ScanError(f"{path}: {member!r} is {numbers.shape}, expected {shape}")
    faulty = ~np.isfinite(numbers)
    if faulty.any():
        place = np.argwhere(faulty)[0]
        raise ScanError(
            f"{path}: {member!r}: number {place[0]} is {numbers[tuple(place)]}, expected a finite one"
        )
    return numbers
