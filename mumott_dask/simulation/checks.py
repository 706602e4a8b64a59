"""What `simulate` accepts: each check names the argument, its value and what would be right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mumott_dask.errors import ScanError


def check_counts(*, shape: tuple[int, int], **counts: int) -> None:
    """Make sure that the shape is one of a detector, and that counts are whole and positive."""
    if np.shape(shape) != (2,) or any(n != int(n) or n < 1 for n in shape):
        raise ScanError(f"simulate: shape is {shape}, expected two positive numbers of pixels (J, K)")
    for name, count in counts.items():
        if count != int(count) or count < 1:
            raise ScanError(f"simulate: {name} is {count}, expected a positive whole number")


def check_positive(**values: float) -> None:
    """Make sure that values are finite and positive."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ScanError(f"simulate: {name} is {value}, expected a positive number")


def check_not_negative(**values: float) -> None:
    """Make sure that values are finite and not negative."""
    for name, value in values.items():
        if not (np.isfinite(value) and value >= 0):
            raise ScanError(f"simulate: {name} is {value}, expected 0 or a positive number")


def check_part(*, whole: int, **parts: int) -> None:
    """Make sure that counts are whole and leave at least one of `whole`."""
    for name, part in parts.items():
        if part != int(part) or not 0 <= part < whole:
            raise ScanError(f"simulate: {name} is {part}, expected a whole number from 0 to {whole - 1}")


def check_fraction(**values: float) -> None:
    """Make sure that values lie within 0 and 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ScanError(f"simulate: {name} is {value}, expected 0 to 1")


def checked_angles(name: str, values: ArrayLike, count: int | None = None) -> NDArray[np.float64]:
    """Angles as an array, `count` of them where it is given, all of them finite."""
    angles = np.asarray(values, dtype=np.float64)
    if angles.ndim != 1 or not len(angles) or (count is not None and len(angles) != count):
        raise ScanError(
            f"simulate: {name} is {values!r}, expected {count or 'one or more'} angles in radians"
        )
    if not np.isfinite(angles).all():
        raise ScanError(f"simulate: {name} is {values!r}, expected finite angles in radians")
    return angles


def checked_offsets(values: ArrayLike, projections: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offsets along j and along k as two arrays, finite, one a projection."""
    offsets = np.asarray(values, dtype=np.float64)
    if offsets.shape != (2, projections) or not np.isfinite(offsets).all():
        raise ScanError(
            f"simulate: offsets is of shape {offsets.shape}, expected two rows (j, k) of {projections} "
            "finite numbers, in pixels"
        )
    return offsets[0], offsets[1]


def checked_volume_shape(
    volume_shape: tuple[int, int, int] | None, default: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Volume shape that was given, or the default one."""
    if volume_shape is None:
        return default
    if np.shape(volume_shape) != (3,) or any(n != int(n) or n < 1 for n in volume_shape):
        raise ScanError(
            f"simulate: volume_shape is {volume_shape}, expected three positive numbers of voxels"
        )
    x, y, z = volume_shape
    return int(x), int(y), int(z)
