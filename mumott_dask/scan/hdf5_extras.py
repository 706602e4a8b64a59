"""What mumott's HDF5 layout has no place for, in a group of its own that mumott ignores.

The group ``mumott_dask`` beside ``projections`` holds one dataset for each variable or coordinate that mumott
does not know (projection labels, known truth, additive signals), stacked along all its dims; its attribute
``attrs`` holds the attributes that mumott does not know, ``variable_attrs`` those of the variables, as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import xarray as xr
from dask.base import tokenize

from .schema import COORDINATE_DIMS, DIRECTIONS

GROUP = "mumott_dask"

PLACEHOLDER = "placeholder"
"""Attribute of ``data`` and ``detector_angles`` where they stand in for what the scan does not have."""

IMAGES = ("diode", "data", "weights")
ROOT_ATTRS = ("volume_shape", "two_theta", "pixel_size", *DIRECTIONS)
MUMOTT_NAMES = {*IMAGES, *COORDINATE_DIMS} - {"projection", "j_offset_true", "k_offset_true"}


def extra_names(scan: xr.Dataset) -> list[str]:
    """Variables and coordinates that mumott's layout has no place for."""
    return [str(name) for name in scan.variables if name not in MUMOTT_NAMES]


def is_stack(variable: xr.DataArray) -> bool:
    """Whether a variable holds an image per projection, rather than a few numbers."""
    return variable.dims[:3] == ("projection", "j", "k")


def write_extras(file: h5py.File, scan: xr.Dataset, names: Iterable[str]) -> None:
    """Write the attributes and `names` into the group; image stacks are laid out, for the caller to fill."""
    group = file.create_group(GROUP)
    group.attrs["attrs"] = _json({k: v for k, v in scan.attrs.items() if k not in ROOT_ATTRS})
    group.attrs["variable_attrs"] = _json({str(name): scan[name].attrs for name in scan.variables})
    for name in names:
        variable = scan[name]
        if is_stack(variable):
            dataset = group.create_dataset(name, variable.shape, variable.dtype)
        elif variable.dtype.kind in "UOT":
            dataset = group.create_dataset(
                name, data=variable.values.astype(object), dtype=h5py.string_dtype()
            )
        else:
            dataset = group.create_dataset(name, data=variable.values)
        dataset.attrs["dims"] = _json(list(variable.dims))
        dataset.attrs["coordinate"] = name in scan.coords


def with_extras(scan: xr.Dataset, path: str | os.PathLike[str]) -> xr.Dataset:
    """Add to a scan, as read from mumott's part of a file, what :func:`write_extras` has put beside it.

    Image stacks are lazy where the scan's ``weights`` are, in the same chunks. A file without the group
    leaves the scan as it is.
    """
    with h5py.File(path, "r") as file:
        group = file.get(GROUP)
        if not isinstance(group, h5py.Group):
            return scan
        coords: dict[Hashable, Any] = {}
        variables: dict[Hashable, Any] = {}
        for name, dataset in group.items():
            chosen = coords if dataset.attrs["coordinate"] else variables
            chosen[name] = (json.loads(dataset.attrs["dims"]), _values(scan, Path(path), dataset))
        scan = scan.assign_coords(coords).assign(variables).assign_attrs(json.loads(group.attrs["attrs"]))
        for name, attrs in json.loads(group.attrs["variable_attrs"]).items():
            if name in scan.variables:
                scan[name].attrs = attrs
    return scan


def _values(scan: xr.Dataset, path: Path, dataset: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr()[...], dtype=str)
    lengths = scan["weights"].chunksizes.get("projection")
    if lengths is None or dataset.ndim < 3 or dataset.shape[0] != sum(lengths):
        return dataset[...]
    name = f"extra-{tokenize(str(path.resolve()), dataset.name, path.stat().st_mtime_ns, lengths)}"
    return da.map_blocks(
        _read_rows,
        path=str(path.resolve()),
        place=dataset.name,
        chunks=(lengths, *((n,) for n in dataset.shape[1:])),
        dtype=dataset.dtype,
        meta=np.empty((0,) * dataset.ndim, dataset.dtype),
        name=name,
    )


def _read_rows(path: str, place: str, block_info: dict[Any, Any] | None = None) -> np.ndarray:
    assert block_info is not None
    start, stop = block_info[None]["array-location"][0]
    with h5py.File(path, "r") as file:
        return np.asarray(file[place][start:stop])


def _json(value: list[Hashable] | dict[str, Any]) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"an attribute of type {type(value).__name__} cannot be stored as JSON")
