"""A scan from plain arrays."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask import geometry
from mumott_dask.errors import ScanError, ScanWarning
from mumott_dask.words import one_line

from .finite import check_replacement, finite_scan
from .schema import (
    COORDINATE_DIMS,
    DIRECTIONS,
    IMAGE_DIMS,
    INNER_AXIS,
    NUMBER_KINDS,
    OUTER_AXIS,
    SCHEMA_VERSION,
    SIGNAL_KINDS,
    STACK_DIMS,
    TOMOGRAM_DIMS,
    unit_weights,
    validate_scan,
)
from .volume import default_volume_shape

Floats = NDArray[np.float64]
Coordinates = dict[str, tuple[tuple[str, ...], Floats]]

WHERE = "make_scan"
MANY_TURNS = 4 * np.pi
RESERVED = {*COORDINATE_DIMS, *STACK_DIMS, *TOMOGRAM_DIMS, "weights", "data", "tomogram_true"}


def make_scan(
    images: Any,
    angles: ArrayLike | None = None,
    *,
    tilts: ArrayLike = 0.0,
    inner_axis: ArrayLike = INNER_AXIS,
    outer_axis: ArrayLike = OUTER_AXIS,
    degrees: bool = False,
    rotation: ArrayLike | None = None,
    signal: Literal["transmission", "additive"] = "transmission",
    name: str | None = None,
    weights: Any = None,
    j_offset: ArrayLike = 0.0,
    k_offset: ArrayLike = 0.0,
    pixel_size: float | None = None,
    volume_shape: tuple[int, int, int] | None = None,
    p_direction_0: ArrayLike = DIRECTIONS["p_direction_0"],
    j_direction_0: ArrayLike = DIRECTIONS["j_direction_0"],
    k_direction_0: ArrayLike = DIRECTIONS["k_direction_0"],
    nonfinite: float | None = None,
) -> xr.Dataset:
    """Make a scan from a stack of images and the angles that they were taken at.

    Parameters
    ----------
    images : (projection, j, k) array
        NumPy or Dask; what is chunked stays chunked, along the projections alone.
    angles : (projection,) float, radians
        Of the inner rotation, the one that turns the sample from projection to projection.
    tilts : (projection,) or one float, radians
        Of the outer rotation.
    inner_axis, outer_axis : (3,) or (projection, 3) float
        Axes of the two rotations, of any length: ``R = R_outer @ R_inner``.
    degrees : bool
        Whether `angles` and `tilts` are in degrees instead of radians.
    rotation : (projection, 3, 3) float
        Instead of angles and axes: ``laboratory vector = rotation @ sample vector``.
    signal : {"transmission", "additive"}
        What the images are: transmitted intensities, of which the absorbance is taken, or something that
        adds up along the ray (phase, fluorescence) and is used as it is.
    name : str, optional
        What to call them; by default ``"diode"`` for transmission, ``"signal"`` for additive.
    weights : (projection, j, k) or (j, k) array, optional
        0 masks a pixel; 1 by default.
    j_offset, k_offset : (projection,) or one float, pixels
    pixel_size : float, micrometre, optional
    volume_shape : three int, optional
        Voxels of the tomogram along x, y and z. By default what the detector sees: (J, J, K) of a rotation
        about k, (J, K, K) of one about j.
    p_direction_0, j_direction_0, k_direction_0 : (3,) float
        Directions of the ray and of the detector's axes in the laboratory.
    nonfinite : float, optional
        What replaces NaN and infinite pixels, which are an error otherwise.

    Returns
    -------
    xr.Dataset
        A scan: images and weights float32, coordinates float64.

    Raises
    ------
    ScanError
        One line: which argument is wrong, its value, and what would be right.

    Examples
    --------
    >>> import numpy as np
    >>> scan = make_scan(np.ones((180, 64, 48)), np.arange(180), degrees=True, pixel_size=0.65)
    >>> scan.attrs["volume_shape"]
    [64, 64, 48]
    """
    check_replacement(nonfinite)
    pixels = _pixels(images, "images", (3,))
    count = pixels.shape[0]
    if rotation is not None and angles is None:
        turns: Coordinates = {
            "rotation": (("projection", "row", "col"), _floats(rotation, (count, 3, 3), "rotation"))
        }
    elif rotation is None and angles is not None:
        turns = _turns(count, angles, tilts, inner_axis, outer_axis, degrees)
    else:
        given = "neither angles nor rotation is" if angles is None else "both angles and rotation are"
        raise ScanError(f"{WHERE}: {given} given, expected one of them")
    directions = {
        "p_direction_0": _floats(p_direction_0, (3,), "p_direction_0").tolist(),
        "j_direction_0": _floats(j_direction_0, (3,), "j_direction_0").tolist(),
        "k_direction_0": _floats(k_direction_0, (3,), "k_direction_0").tolist(),
    }
    scan = xr.Dataset(
        {
            _signal_name(signal, name): (IMAGE_DIMS, pixels, {"kind": signal}),
            "weights": (IMAGE_DIMS, _weights(weights, pixels)),
        },
        coords={
            "projection": np.arange(count),
            "j_offset": ("projection", _each(j_offset, (count,), "j_offset")),
            "k_offset": ("projection", _each(k_offset, (count,), "k_offset")),
            **turns,
        },
        attrs={
            **{direction: list(default) for direction, default in DIRECTIONS.items()},
            **directions,
            "two_theta": 0.0,
            "schema_version": SCHEMA_VERSION,
            "source": "arrays",
        },
    )
    shape = default_volume_shape(scan) if volume_shape is None else volume_shape
    scan.attrs["volume_shape"] = np.asarray(shape).tolist()
    if pixel_size is not None:
        scan.attrs["pixel_size"] = pixel_size
    validate_scan(scan, WHERE)
    return finite_scan(scan, nonfinite, WHERE)


def _signal_name(signal: str, name: str | None) -> str:
    if signal not in SIGNAL_KINDS:
        raise ScanError(f"{WHERE}: signal is {signal!r}, expected 'transmission' or 'additive'")
    if name is None:
        return "diode" if signal == "transmission" else "signal"
    if name in RESERVED or (name == "diode" and signal != "transmission"):
        raise ScanError(f"{WHERE}: name is {name!r}, which means something else, expected another")
    return name


def _turns(
    count: int,
    angles: ArrayLike,
    tilts: ArrayLike,
    inner_axis: ArrayLike,
    outer_axis: ArrayLike,
    degrees: bool,
) -> Coordinates:
    inner_angle = _floats(angles, (count,), "angles")
    outer_angle = _each(tilts, (count,), "tilts")
    if degrees:
        inner_angle, outer_angle = np.radians(inner_angle), np.radians(outer_angle)
    elif np.abs(inner_angle).max() > MANY_TURNS:
        warnings.warn(
            f"angles reach {np.abs(inner_angle).max():.4g} radians: give degrees=True if they are degrees",
            ScanWarning,
            stacklevel=3,
        )
    axes = _axis(inner_axis, count, "inner_axis"), _axis(outer_axis, count, "outer_axis")
    return {
        "rotation": (
            ("projection", "row", "col"),
            geometry.rotations_from_angles(inner_angle, outer_angle, *axes),
        ),
        "inner_angle": (("projection",), inner_angle),
        "outer_angle": (("projection",), outer_angle),
        "inner_axis": (("projection", "xyz"), axes[0]),
        "outer_axis": (("projection", "xyz"), axes[1]),
    }


def _axis(axis: ArrayLike, count: int, name: str) -> Floats:
    vectors = _each(axis, (count, 3), name)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.all(length > 0):
        raise ScanError(f"{WHERE}: {name} has length 0, expected a direction")
    return vectors / length


def _weights(weights: Any, pixels: NDArray | da.Array) -> NDArray[np.float32] | da.Array:
    chunks = pixels.chunks[0] if isinstance(pixels, da.Array) else None
    if weights is None:
        return unit_weights(pixels.shape[0], pixels.shape[1:], chunks)
    given = _pixels(weights, "weights", (2, 3))
    if given.shape not in (pixels.shape, pixels.shape[1:]):
        raise ScanError(f"{WHERE}: weights is {given.shape}, expected {pixels.shape} as images, or one image")
    if isinstance(pixels, da.Array):
        return da.broadcast_to(da.asarray(given), pixels.shape).rechunk(pixels.chunks)
    return np.broadcast_to(np.asarray(given), pixels.shape).copy()


def _pixels(values: Any, name: str, dims: tuple[int, ...]) -> NDArray[np.float32] | da.Array:
    values = values.data if isinstance(values, xr.DataArray) else values
    array = values if isinstance(values, da.Array) else _array(values, name)
    if array.dtype.kind not in NUMBER_KINDS:
        raise ScanError(f"{WHERE}: {name} is of type {array.dtype}, expected real numbers")
    if array.ndim not in dims:
        expected = "(projection, j, k)" if dims == (3,) else "(projection, j, k) or (j, k)"
        raise ScanError(f"{WHERE}: {name} is {array.shape}, expected {expected}")
    if isinstance(array, da.Array):
        whole = dict.fromkeys(range(array.ndim - 2, array.ndim), -1)
        return array.astype(np.float32).rechunk(whole)
    with np.errstate(over="ignore"):  # what overflows is infinite, and found as such
        return array.astype(np.float32, copy=False)


def _floats(values: ArrayLike, shape: tuple[int, ...], name: str) -> Floats:
    array = _numbers(values, name)
    if array.shape != shape:
        raise ScanError(f"{WHERE}: {name} is {array.shape}, expected {shape}")
    return array


def _each(values: ArrayLike, shape: tuple[int, ...], name: str) -> Floats:
    """Check values that are given once or for every projection, and return one for each."""
    array = _numbers(values, name)
    if array.shape not in (shape, shape[1:]):
        raise ScanError(f"{WHERE}: {name} is {array.shape}, expected {shape}, or one for all: {shape[1:]}")
    return np.broadcast_to(array, shape).copy()


def _numbers(values: ArrayLike, name: str) -> Floats:
    array = _array(values, name)
    if array.dtype.kind not in NUMBER_KINDS:
        raise ScanError(f"{WHERE}: {name} is of type {array.dtype}, expected real numbers")
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        place = np.argwhere(~np.isfinite(numbers))[0].tolist()
        raise ScanError(f"{WHERE}: {name}{place or ''} is {numbers[tuple(place)]}, expected a finite number")
    return numbers


def _array(values: Any, name: str) -> NDArray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ScanError(f"{WHERE}: {name} is no array ({one_line(error)})") from error
