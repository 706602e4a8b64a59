"""What a scan is: its names, dims, defaults, and whether a dataset is one.

A scan is an :class:`xarray.Dataset` with one image per projection in each of its *signals*: ``diode``
(transmitted intensity) or any variable of dims (projection, j, k) whose attribute ``kind`` says
``"transmission"`` or ``"additive"``. Everything that the readers return and the writers take has passed
:func:`validate_scan`, which looks at headers and at the small coordinates, never at pixels.
"""

from __future__ import annotations

from collections.abc import Hashable

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.errors import ScanError

SCHEMA_VERSION = 1

IMAGE_DIMS = ("projection", "j", "k")
STACK_DIMS = (*IMAGE_DIMS, "segment")
TOMOGRAM_DIMS = ("x", "y", "z")

COORDINATE_DIMS: dict[str, tuple[str, ...]] = {
    "projection": ("projection",),
    "j_offset": ("projection",),
    "k_offset": ("projection",),
    "inner_angle": ("projection",),
    "outer_angle": ("projection",),
    "inner_axis": ("projection", "xyz"),
    "outer_axis": ("projection", "xyz"),
    "rotation": ("projection", "row", "col"),
    "detector_angle": ("segment",),
    "j_offset_true": ("projection",),
    "k_offset_true": ("projection",),
}
REQUIRED_COORDINATES = ("projection", "rotation", "j_offset", "k_offset")
FIXED_SIZES = {"row": 3, "col": 3, "xyz": 3}

SIGNAL_KINDS = ("transmission", "additive")
NUMBER_KINDS = "biuf"

INNER_AXIS = (0.0, 0.0, -1.0)
OUTER_AXIS = (1.0, 0.0, 0.0)
DIRECTIONS: dict[str, tuple[float, float, float]] = {
    "p_direction_0": (0.0, 1.0, 0.0),
    "j_direction_0": (1.0, 0.0, 0.0),
    "k_direction_0": (0.0, 0.0, 1.0),
    "detector_direction_origin": (1.0, 0.0, 0.0),
    "detector_direction_positive_90": (0.0, 0.0, 1.0),
}
ORTHOGONAL_DIRECTIONS = (
    ("p_direction_0", "j_direction_0"),
    ("p_direction_0", "k_direction_0"),
    ("j_direction_0", "k_direction_0"),
    ("detector_direction_origin", "detector_direction_positive_90"),
)
DIRECTION_TOLERANCE = 1e-3


def signals(scan: xr.Dataset) -> list[str]:
    """Names of the variables that hold one image per projection of a stated kind."""
    return [str(name) for name, variable in scan.data_vars.items() if "kind" in variable.attrs]


def signal_variable(scan: xr.Dataset, variable: str | None = None) -> str:
    """Name of the signal to work on: `variable`, or the scan's ``diode``, or its only signal.

    Raises
    ------
    ScanError
        Where `variable` is no signal of the scan, or where there are several to choose from.
    """
    names = signals(scan)
    if variable is not None:
        if variable not in names:
            raise ScanError(f"the scan has no signal {variable!r}, it has {_listed(names)}")
        return variable
    if "diode" in names:
        return "diode"
    if len(names) != 1:
        raise ScanError(f"the scan has the signals {_listed(names)}: say which with variable=")
    return names[0]


def holds_offsets(scan: xr.Dataset) -> bool:
    """Whether any projection's offset is other than zero."""
    return bool(np.any(scan["j_offset"].values) or np.any(scan["k_offset"].values))


def detector_shape(scan: xr.Dataset) -> tuple[int, int]:
    """Pixels of a projection along j and along k."""
    return scan.sizes["j"], scan.sizes["k"]


def volume_shape(scan: xr.Dataset) -> tuple[int, int, int]:
    """Voxels of the tomogram along x, y and z."""
    x, y, z = scan.attrs["volume_shape"]
    return int(x), int(y), int(z)


def scan_basis(scan: xr.Dataset) -> geometry.Basis:
    """Ray direction and detector axes of every projection, in the sample's frame."""
    return geometry.basis(
        scan["rotation"].values,
        scan.attrs["p_direction_0"],
        scan.attrs["j_direction_0"],
        scan.attrs["k_direction_0"],
    )


def pixel_weights(scan: xr.Dataset) -> xr.DataArray:
    """Weight of every pixel, (projection, j, k): the largest of its segments where they differ."""
    weights = scan["weights"]
    return weights.max("segment") if "segment" in weights.dims else weights


def unit_weights(
    count: int, shape: tuple[int, ...], chunks: tuple[int, ...] | None
) -> NDArray[np.float32] | da.Array:
    """Weights of a scan that masks nothing, (projection, j, k[, segment]); Dask where chunks are given."""
    if chunks is None:
        return np.ones((count, *shape), np.float32)
    return da.ones((count, *shape), dtype=np.float32, chunks=(chunks, *shape))


def validate_scan(scan: xr.Dataset, where: str = "scan") -> None:
    """Make sure that a dataset is a scan; pixels are not loaded.

    Parameters
    ----------
    scan : xr.Dataset
    where : str
        What to call it in the error: a file's name, say.

    Raises
    ------
    ScanError
        One line: what is wrong, where, with its value, and what would be right.
    """
    if not isinstance(scan, xr.Dataset):
        raise ScanError(f"{where}: is a {type(scan).__name__}, expected a scan (an xarray.Dataset)")
    _check_version(scan, where)
    _check_dims(scan, where)
    _check_signals(scan, where)
    _check_coordinates(scan, where)
    _check_rotations(scan, where)
    _check_directions(scan.attrs, where)
    _check_numbers(scan.attrs, where)
    _check_chunks(scan, where)


def _check_version(scan: xr.Dataset, where: str) -> None:
    version = scan.attrs.get("schema_version")
    if version is None:
        raise ScanError(
            f"{where}: has no attribute 'schema_version', expected {SCHEMA_VERSION}: is it a scan?"
        )
    if version != SCHEMA_VERSION:
        raise ScanError(f"{where}: has schema version {version}, this release reads {SCHEMA_VERSION}")


def _check_dims(scan: xr.Dataset, where: str) -> None:
    for dim in IMAGE_DIMS:
        if not scan.sizes.get(dim):
            raise ScanError(
                f"{where}: has no {dim!r} dimension, or one of size 0, expected {_listed(IMAGE_DIMS)}"
            )
    if scan.sizes["projection"] < 2:
        raise ScanError(f"{where}: has one projection alone, expected two or more")


def _check_signals(scan: xr.Dataset, where: str) -> None:
    names = signals(scan)
    if not names:
        raise ScanError(
            f"{where}: has no signal (a variable with attribute 'kind'), expected 'diode' or another"
        )
    if "diode" in scan and "diode" not in names:
        raise ScanError(f"{where}: 'diode' has no attribute 'kind', expected 'transmission'")
    for name in names:
        _check_variable(scan, name, (IMAGE_DIMS,), where)
        kind = scan[name].attrs["kind"]
        if kind not in SIGNAL_KINDS:
            raise ScanError(f"{where}: {name!r} is of kind {kind!r}, expected {_listed(SIGNAL_KINDS)}")
    if "weights" not in scan:
        raise ScanError(f"{where}: has no 'weights', expected them with dims {IMAGE_DIMS} (1 masks nothing)")
    _check_variable(scan, "weights", (IMAGE_DIMS, STACK_DIMS), where)
    if "data" in scan:
        _check_variable(scan, "data", (STACK_DIMS,), where)
    if "tomogram_true" in scan:
        _check_variable(scan, "tomogram_true", (TOMOGRAM_DIMS,), where)


def _check_variable(scan: xr.Dataset, name: Hashable, dims: tuple[tuple[str, ...], ...], where: str) -> None:
    variable = scan[name]
    if variable.dims not in dims:
        raise ScanError(f"{where}: {name!r} has dims {variable.dims}, expected {' or '.join(map(str, dims))}")
    if variable.dtype.kind != "f":
        raise ScanError(f"{where}: {name!r} is of type {variable.dtype}, expected float32")


def _check_coordinates(scan: xr.Dataset, where: str) -> None:
    for name in REQUIRED_COORDINATES:
        if name not in scan.coords:
            raise ScanError(
                f"{where}: has no coordinate {name!r}, expected one of dims {COORDINATE_DIMS[name]}"
            )
    for name, dims in COORDINATE_DIMS.items():
        if name in scan.variables:
            _check_coordinate(scan[name], name, dims, where)
    labels = scan["projection"].values
    values, counts = np.unique(labels, return_counts=True)
    if (counts > 1).any():
        raise ScanError(f"{where}: projection {values[counts > 1][0]} is there twice, expected unique labels")


def _check_coordinate(coordinate: xr.DataArray, name: str, dims: tuple[str, ...], where: str) -> None:
    if coordinate.dims != dims:
        raise ScanError(f"{where}: {name!r} has dims {coordinate.dims}, expected {dims}")
    for dim, size in FIXED_SIZES.items():
        if coordinate.sizes.get(dim, size) != size:
            raise ScanError(f"{where}: {name!r} has {coordinate.sizes[dim]} along {dim!r}, expected {size}")
    wanted, kinds = ("integers", "iu") if name == "projection" else ("float64", "f")
    if coordinate.dtype.kind not in kinds:
        raise ScanError(f"{where}: {name!r} is of type {coordinate.dtype}, expected {wanted}")
    values = coordinate.values
    faulty = ~np.isfinite(values)
    if faulty.any():
        i = np.argwhere(faulty)[0]
        place = f"{dims[0]} {i[0]}" if name == "detector_angle" else _projection(coordinate, int(i[0]))
        raise ScanError(f"{where}: {place}: {name!r} is {values[tuple(i)]}, expected a finite number")
    if "xyz" in dims:
        length = np.linalg.norm(values, axis=-1)
        off = ~(np.abs(length - 1) <= DIRECTION_TOLERANCE)
        if off.any():
            i = int(np.argmax(off))
            raise ScanError(
                f"{where}: {_projection(coordinate, i)}: {name!r} is {values[i].tolist()}, "
                f"of length {length[i]:.6g}, expected length 1"
            )


def _check_rotations(scan: xr.Dataset, where: str) -> None:
    rotation = scan["rotation"]
    fault = geometry.rotation_fault(rotation.values)
    if fault is not None:
        raise ScanError(f"{where}: {_projection(rotation, fault[0])}: 'rotation' {fault[1]}")


def _check_directions(attrs: dict, where: str) -> None:
    directions = {name: _vector(attrs, name, where) for name in DIRECTIONS}
    for name, direction in directions.items():
        length = np.linalg.norm(direction)
        if not abs(length - 1) <= DIRECTION_TOLERANCE:
            raise ScanError(
                f"{where}: {name!r} is {direction.tolist()}, of length {length:.6g}, expected length 1"
            )
    for one, other in ORTHOGONAL_DIRECTIONS:
        product = directions[one] @ directions[other]
        if not abs(product) <= DIRECTION_TOLERANCE:
            raise ScanError(
                f"{where}: {one!r} {directions[one].tolist()} and {other!r} {directions[other].tolist()} "
                f"are not orthogonal (product {product:.3g}), expected 0"
            )


def _vector(attrs: dict, name: str, where: str) -> np.ndarray:
    value = attrs.get(name)
    if value is None:
        raise ScanError(
            f"{where}: has no attribute {name!r}, expected a direction such as {DIRECTIONS[name]}"
        )
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.shape != (3,):
        raise ScanError(f"{where}: {name!r} is {value!r}, expected three numbers")
    return vector


def _check_numbers(attrs: dict, where: str) -> None:
    shape = np.asarray(attrs.get("volume_shape", ()))
    if shape.shape != (3,) or shape.dtype.kind not in "iu" or not (shape > 0).all():
        raise ScanError(
            f"{where}: 'volume_shape' is {attrs.get('volume_shape')!r}, expected three positive integers"
        )
    for name, positive in (("two_theta", False), ("pixel_size", True)):
        if name not in attrs:
            continue
        value = attrs[name]
        number = np.asarray(value)
        if number.dtype.kind not in "iuf" or not np.isfinite(number).all() or (positive and number.ndim):
            raise ScanError(f"{where}: {name!r} is {value!r}, expected a finite number")
        if positive and not number > 0:
            raise ScanError(f"{where}: {name!r} is {value!r} micrometre, expected more than 0")


def _check_chunks(scan: xr.Dataset, where: str) -> None:
    for name, variable in scan.data_vars.items():
        if "projection" not in variable.dims:
            continue
        for dim, chunks in zip(variable.dims, variable.chunks or (), strict=False):
            if dim != "projection" and len(chunks) > 1:
                raise ScanError(
                    f"{where}: {name!r} has {len(chunks)} chunks along {dim!r}, "
                    "expected chunks along projection alone"
                )


def _projection(coordinate: xr.DataArray, i: int) -> str:
    return (
        f"projection {coordinate['projection'].values[i]}"
        if "projection" in coordinate.coords
        else f"row {i}"
    )


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(map(repr, names)) if names else "none"
