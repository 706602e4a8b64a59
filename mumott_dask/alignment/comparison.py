"""Two sets of offsets, and of rotations, compared with what cannot be known from the data taken out."""

from __future__ import annotations

from os import PathLike

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.errors import ScanError
from mumott_dask.scan.schema import scan_basis

from .result import offsets_by_label, open_alignment, rotation_by_label

Offsets = xr.Dataset | str | PathLike[str]


def compare(a: Offsets, b: Offsets, scan: xr.Dataset) -> xr.Dataset:
    """Difference of two sets of offsets, ``a - b``, less the movement of the sample that explains it best.

    Parameters
    ----------
    a, b : Dataset, path, or "truth"
        An alignment, a scan (the offsets that it holds), the path of an alignment, or the true offsets that a
        simulated `scan` carries.
    scan : Dataset
        Whose projections are compared, and whose geometry says what the gauge is.

    Returns
    -------
    Dataset
        `j_difference` and `k_difference` by projection, pixels; attributes `rms`, which is
        ``sqrt(mean((dj^2 + dk^2) / 2))``, `largest`, the largest absolute value of both, and `gauge`, the
        movement (x, y, z) that was taken out, voxels; projections in the attribute `wrong`, which one of the
        two calls entirely wrong, count for neither. Where one of the two has rotations of its own (refined,
        or true), the attribute `angle_rms`: RMS angle between the rotations of the two, radians, with a turn
        of the sample as a whole taken out.

    Raises
    ------
    ScanError
        Where projections don't match, or there is no truth.
    """
    (ja, ka), (jb, kb) = _offsets(a, scan), _offsets(b, scan)
    axes = scan_basis(_as_seen(scan, b, a))
    counted = ~_wrong(scan, a, b)
    d = geometry.gauge_vector(np.where(counted, ja - jb, np.nan), np.where(counted, ka - kb, np.nan), axes)
    dj, dk = geometry.gauge_offsets(d, axes)
    j, k = ja - jb - dj, ka - kb - dk
    units = {"units": "pixel"}
    turns = _turns(scan, counted, a, b)
    return xr.Dataset(
        {"j_difference": ("projection", j, units), "k_difference": ("projection", k, units)},
        coords={"projection": np.asarray(scan["projection"])},
        attrs={
            "rms": geometry.rms_offsets(j[counted], k[counted]),
            "largest": float(max(np.abs(j[counted]).max(), np.abs(k[counted]).max())),
            "wrong": np.asarray(scan["projection"])[~counted].tolist(),
            "gauge": d.tolist(),
            **({} if turns is None else {"angle_rms": float(np.sqrt(np.mean(turns**2)))}),
        },
    )


def _turns(scan: xr.Dataset, counted: NDArray[np.bool_], *sources: Offsets) -> NDArray[np.float64] | None:
    """Angle between the rotations of two sources in each projection that counts, radians.

    A turn of the sample as a whole, their mean, is taken out. None where neither knows more than the scan.
    """
    from scipy.spatial.transform import Rotation

    nominal = np.asarray(scan["rotation"])
    known = [_rotation(scan, source) for source in sources]
    own = [nominal if rotation is None else rotation for rotation in known]
    if all(np.array_equal(rotation, nominal) for rotation in own):
        return None
    a, b = (Rotation.from_matrix(rotation[counted]) for rotation in own)
    apart = b.inv() * a
    return np.asarray((apart * apart.mean().inv()).magnitude())


def _as_seen(scan: xr.Dataset, *sources: Offsets) -> xr.Dataset:
    """The scan with the first rotations that are known better than its own."""
    for source in sources:
        rotation = _rotation(scan, source)
        if rotation is not None:
            return scan.assign_coords(rotation=(scan["rotation"].dims, rotation))
    return scan


def _rotation(scan: xr.Dataset, source: Offsets) -> NDArray[np.float64] | None:
    """Rotations of the scan's projections that a source knows; None where it knows none."""
    if isinstance(source, str) and source == "truth":
        return np.asarray(scan["rotation_true"]) if "rotation_true" in scan.coords else None
    return rotation_by_label(scan, source)


def _wrong(scan: xr.Dataset, *sources: Offsets) -> NDArray[np.bool_]:
    """Which projections an alignment calls wrong, or a simulation made so."""
    wrong = np.zeros(scan.sizes["projection"], bool)
    for source in sources:
        if isinstance(source, str) and source == "truth":
            wrong |= np.asarray(scan.get("wrong_true", wrong))
            continue
        found = source if isinstance(source, xr.Dataset) else open_alignment(source)
        wrong |= np.isin(scan["projection"], found.attrs.get("wrong", []))
    return wrong


def _offsets(source: Offsets, scan: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(source, str) and source == "truth":
        if "j_offset_true" not in scan.coords:
            raise ScanError("the scan holds no true offsets ('j_offset_true'): only simulated scans do")
        return np.asarray(scan["j_offset_true"]), np.asarray(scan["k_offset_true"])
    return offsets_by_label(scan, source)
