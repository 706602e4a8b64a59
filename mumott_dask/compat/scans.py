"""Between mumott's objects, or those of this room, and scans."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mumott_dask import alignment as native
from mumott_dask import cluster
from mumott_dask.errors import ScanError
from mumott_dask.scan import make_scan, write_scan
from mumott_dask.scan.chunk_sizes import chunk_length
from mumott_dask.scan.schema import COORDINATE_DIMS, DIRECTIONS, STACK_DIMS, validate_scan

_FIELDS = {
    "rotation": "rotations",
    "j_offset": "j_offsets",
    "k_offset": "k_offsets",
    "inner_angle": "inner_angles",
    "outer_angle": "outer_angles",
    "inner_axis": "inner_axes",
    "outer_axis": "outer_axes",
}


def from_mumott(data_container: Any) -> xr.Dataset:
    """Scan with the images and the geometry of one of mumott's data containers.

    Parameters
    ----------
    data_container : mumott.DataContainer or mumott_dask.compat.DataContainer
        Not changed.

    Returns
    -------
    Dataset
        `diode`, `weights`, and `data` where the container has them, in memory; see `mumott_dask.open_scan`.

    Raises
    ------
    ScanError
        What is wrong with it as a scan.
    """
    weights, data = data_container.projections.weights, data_container.projections.data
    scan = _scan(data_container.geometry, data_container.projections.diode)
    if data is not None and data.ndim == len(STACK_DIMS):
        scan["data"] = STACK_DIMS, data.astype(np.float32)
    if weights.ndim == len(STACK_DIMS) and (weights[..., :1] == weights).all():
        weights = weights[..., 0]
    scan["weights"] = STACK_DIMS[: weights.ndim], weights.astype(np.float32)
    validate_scan(scan, "data container")
    return scan


def to_mumott_geometry(alignment: xr.Dataset | str, scan: xr.Dataset) -> Any:
    """Geometry of a scan, mumott's own, with the offsets (and rotations) of an alignment.

    Parameters
    ----------
    alignment : Dataset or path
        What `mumott_dask.align` returned.
    scan : Dataset
        The scan that was aligned.

    Returns
    -------
    mumott.Geometry

    Raises
    ------
    ImportError
        Where mumott can't be imported; ``write_scan(with_offsets(scan, alignment), "name.mumott")`` writes a
        file that it reads elsewhere.
    """
    try:
        from mumott import Geometry
    except ImportError as error:
        raise ImportError(
            f"mumott can't be imported ({error}): write_scan(with_offsets(scan, alignment), 'name.mumott') "
            "writes a file that its Geometry.read takes"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aligned.mumott"
        write_scan(native.with_offsets(scan, alignment), path)
        return Geometry(str(path))


def geometry_scan(geometry: Any) -> xr.Dataset:
    """Scan with a geometry alone, whose images are zeros: what a geometry file is written from."""
    shape = (len(geometry), *geometry.projection_shape)
    return _scan(geometry, np.broadcast_to(np.float32(0), shape))


def working_scan(data_container: Any) -> xr.Dataset:
    """Scan of a container, in chunks for the active Dask client where there is one."""
    scan = from_mumott(data_container)
    try:
        capacity = cluster.capacity()
    except ScanError:  # nobody asked for a cluster
        return scan
    size = scan.nbytes / len(scan["projection"])
    return scan.chunk(projection=chunk_length(len(scan["projection"]), size, capacity))


def fill_geometry(geometry: Any, scan: xr.Dataset, record: Any) -> None:
    """Give an empty geometry what a scan or a geometry file says; `record` is of one projection."""
    values = {name: scan[name].values for name in _FIELDS if name in scan.coords}
    for i in range(scan.sizes["projection"]):
        geometry.append(record(**{name: value[i] for name, value in values.items()}))
    for name in DIRECTIONS:
        if name in scan.attrs:
            setattr(geometry, name, scan.attrs[name])
    for name in ("volume_shape", "projection_shape"):
        if name in scan.attrs:
            setattr(geometry, name, np.array(scan.attrs[name]))
    geometry.two_theta = np.atleast_1d(scan.attrs.get("two_theta", 0.0)).astype(float)
    if "detector_angle" in scan.coords:
        geometry.detector_angles = scan["detector_angle"].values.copy()
    if "full_circle_covered" in scan.attrs:
        geometry.full_circle_covered = scan.attrs["full_circle_covered"]


def _scan(geometry: Any, diode: Any) -> xr.Dataset:
    directions = {name: getattr(geometry, name) for name in DIRECTIONS if name[1:] == "_direction_0"}
    x, y, z = (int(n) for n in geometry.volume_shape)
    scan = make_scan(
        diode,
        rotation=geometry.rotations_as_array,
        j_offset=geometry.j_offsets_as_array,
        k_offset=geometry.k_offsets_as_array,
        volume_shape=(x, y, z) if x else None,
        **directions,
    )
    for name in ("inner_angle", "outer_angle", "inner_axis", "outer_axis"):
        values = list(getattr(geometry, _FIELDS[name]))
        if not any(value is None for value in values):
            scan = scan.assign_coords({name: (COORDINATE_DIMS[name], np.array(values, dtype=float))})
    if len(geometry.detector_angles):
        scan = scan.assign_coords(detector_angle=("segment", np.array(geometry.detector_angles, dtype=float)))
    two_theta = np.atleast_1d(geometry.two_theta).astype(float)
    scan.attrs.update({name: np.asarray(getattr(geometry, name)).tolist() for name in DIRECTIONS})
    scan.attrs["two_theta"] = two_theta.tolist() if two_theta.size > 1 else float(two_theta[0])
    scan.attrs["full_circle_covered"] = bool(geometry.full_circle_covered)
    scan.attrs["source"] = "mumott"
    return scan
