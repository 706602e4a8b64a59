"""mumott's HDF5 files as scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .chunk_sizes import Chunks
from .finite import finite_scan
from .hdf5_extras import GROUP, IMAGES, with_extras
from .hdf5_file import HDF5_FAULTS, hdf5_file, one_line
from .hdf5_pixels import projection_chunks, read_images, read_weights
from .mumott_geometry import offsets, orientation, padded_shape
from .mumott_headers import ProjectionHeader, RootHeader, projection_header, projection_names, root_header
from .schema import IMAGE_DIMS, SCHEMA_VERSION, STACK_DIMS, unit_weights, validate_scan
from .volume import default_volume_shape


def open_hdf5(path: Path, chunks: Chunks = None, nonfinite: float | None = None) -> xr.Dataset:
    """Open a mumott scan in HDF5; the arguments are those of :func:`mumott_dask.open_scan`."""
    with hdf5_file(path) as file:
        root = root_header(file)
        headers = [projection_header(file, name, root.has_data) for name in projection_names(file)]
    if len(headers) < 2:
        raise ScanError(f"{path}: has one projection alone, expected two or more")
    coordinates = {**offsets(headers), **orientation(headers, root)}
    if root.detector_angle is not None:
        coordinates["detector_angle"] = (("segment",), root.detector_angle)
    scan = xr.Dataset(
        coords={"projection": np.arange(len(headers)), **coordinates}, attrs=_attributes(path, root)
    )
    _add_pixels(scan, path, headers, root, chunks, nonfinite)
    scan.attrs["volume_shape"] = root.volume_shape or default_volume_shape(scan)
    try:
        scan = with_extras(scan, path)
    except HDF5_FAULTS as error:
        raise ScanError(f"{path}: {GROUP!r} cannot be read, is it damaged? ({one_line(error)})") from error
    validate_scan(scan, str(path))
    return finite_scan(scan, nonfinite, str(path), leave=IMAGES)


def _attributes(path: Path, root: RootHeader) -> dict[str, Any]:
    attributes = {
        **root.directions,
        "two_theta": 0.0 if root.two_theta is None else root.two_theta,
        "schema_version": SCHEMA_VERSION,
        "source": str(path.absolute()),
    }
    return attributes if root.pixel_size is None else attributes | {"pixel_size": root.pixel_size}


def _add_pixels(
    scan: xr.Dataset,
    path: Path,
    headers: Sequence[ProjectionHeader],
    root: RootHeader,
    chunks: Chunks,
    nonfinite: float | None,
) -> None:
    names = [header.name for header in headers]
    image = padded_shape(headers)
    data_depth = _data_depth(path, headers, root)
    weight_depth = _weight_depth(path, headers, data_depth)
    per_chunk = projection_chunks(chunks, len(headers), image, max(data_depth, weight_depth, 1), path)

    diode = read_images(path, "diode", names, image, per_chunk, nonfinite)
    scan["diode"] = IMAGE_DIMS, diode, {"kind": "transmission"}
    if data_depth:
        scan["data"] = (
            STACK_DIMS,
            read_images(path, "data", names, (*image, data_depth), per_chunk, nonfinite),
        )
    weight_shape = (*image, weight_depth) if weight_depth else image
    if any(header.weight_shape is not None or header.shape != image for header in headers):
        weights = read_weights(path, names, weight_shape, per_chunk, nonfinite)
    else:
        weights = unit_weights(len(headers), weight_shape, per_chunk)
    scan["weights"] = (STACK_DIMS if weight_depth else IMAGE_DIMS), weights


def _data_depth(path: Path, headers: Sequence[ProjectionHeader], root: RootHeader) -> int:
    """Segments of ``data``, 0 where there is none; the same in every projection, one for each angle."""
    first = headers[0].segments
    for i, header in enumerate(headers):
        if header.segments != first:
            raise ScanError(
                f"{path}: projection {i}: 'data' has {header.segments or 'no'} segments, "
                f"expected {first or 'no'} as in projection 0"
            )
    if first and root.detector_angle is not None and len(root.detector_angle) != first:
        raise ScanError(
            f"{path}: 'detector_angles' has {len(root.detector_angle)} values, "
            f"expected {first}, one for each segment of 'data'"
        )
    return first or 0


def _weight_depth(path: Path, headers: Sequence[ProjectionHeader], data_depth: int) -> int:
    """Segments of ``weights``, 0 where there is one for each pixel."""
    shapes = [header.weight_shape or () for header in headers]
    depths = {shape[2]: i for i, shape in enumerate(shapes) if len(shape) == 3}
    if not depths:
        return 0
    expected = data_depth or next(iter(depths))
    for depth, i in depths.items():
        if depth != expected:
            raise ScanError(
                f"{path}: projection {i}: 'weights' has {depth} segments, expected {expected} or none"
            )
    return expected
