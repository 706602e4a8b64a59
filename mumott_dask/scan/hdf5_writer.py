"""A scan in the HDF5 layout that mumott reads, in full or as links to the pixels of another file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from h5py import h5d, h5p

from mumott_dask.errors import ScanError

from .atomic import replacing
from .hdf5_extras import GROUP, IMAGES, PLACEHOLDER, ROOT_ATTRS, extra_names, is_stack, write_extras
from .hdf5_links import Links
from .schema import validate_scan

_BLOCK_BYTES = 64 * 2**20
_LIBVER = ("v110", "v110")
_AXES = ("inner_axis", "outer_axis")
_ANGLES = ("inner_angle", "outer_angle")


def write_hdf5(
    scan: xr.Dataset,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    link_to: str | os.PathLike[str] | None = None,
) -> None:
    """Write a scan as an HDF5 file that mumott 2.3 and :func:`mumott_dask.open_scan` read.

    Pixels are computed and written chunk by chunk. Where the scan has no ``data``, which mumott insists on,
    each projection's ``data`` is a virtual dataset that shows its ``diode`` with one segment, at detector
    angle 0, and takes no room; both carry the attribute ``placeholder``, so that they are not read back as
    data (in a file of links ``detector_angles`` alone, for its size). What mumott has no place for goes to a
    group that it ignores (:mod:`mumott_dask.scan.hdf5_extras`).

    Parameters
    ----------
    scan : xr.Dataset
        It must have a ``diode``. Projections are numbered from 0 in their order, as mumott wants it; their
        labels are kept beside them.
    path : path
    overwrite : bool
        Replace what is there, once the new file is whole.
    link_to : path, optional
        HDF5 file that the scan was read from. The pixels become external links to it (relative, so the two
        files may move together), and only geometry and coordinates are written, less than 1 kB a projection.
        Pixels and weights are then those of that file, without what was changed since it was read (the first
        and the last projection are compared), and variables that mumott does not know are left out. Where
        its projections differ in shape, the links lead to the smaller, unpadded images, and their offsets
        are lowered by half of the padding that a reader adds and raises them by again. mumott 2.3 lowers
        them instead, so it sees those projections off by the padding: for it, write ragged scans in full.

    Raises
    ------
    ScanError
        Where the scan is none or has no diode, where the output exists or the disk is full, or where
        `link_to` does not hold these projections.
    """
    validate_scan(scan)
    if "diode" not in scan:
        raise ScanError(f"{path}: mumott's HDF5 needs a 'diode', the scan has none; write a .zarr instead")
    with replacing(path, overwrite) as partial:
        links = None if link_to is None else Links(scan, link_to, partial.parent)
        if links is None:
            with h5py.File(partial, "w", libver=_LIBVER) as file:
                _write_root(file, scan)
                write_extras(file, scan, extra_names(scan))
                _write_geometry(file, scan)
                _write_pixels(file, scan)
                if "data" not in scan:
                    _write_placeholders(file, scan)
            return
        with _compact_file(partial) as file:
            _write_root(file, scan)
            write_extras(file, scan, [name for name in extra_names(scan) if name in scan.coords])
            _write_geometry(file, scan, links)
            links.write(file)
            if "data" not in links.names[0]:
                _write_placeholders(file, scan, marked=False)


@contextmanager
def _compact_file(path: Path) -> Iterator[h5py.File]:
    """Open a file of small things that takes a third of the usual room.

    HDF5 keeps some 200 bytes free in the header of each dataset and group. A copy goes without, so the file
    is drafted in memory.
    """
    draft = path.with_name(f"{path.name}.draft")
    with (
        h5py.File(path, "w", libver=_LIBVER) as file,
        h5py.File(draft, "w", libver=_LIBVER, driver="core", backing_store=False) as drafted,
    ):
        yield drafted
        for name in drafted:
            drafted.copy(name, file)


def _write_root(file: h5py.File, scan: xr.Dataset) -> None:
    for name in ROOT_ATTRS:
        if name in scan.attrs:
            # One-element arrays, not scalars: mumott cannot write a scalar two_theta to its geometry file.
            file[name] = np.atleast_1d(scan.attrs[name])
    for name in _AXES:
        if name in scan.coords and _is_common(scan[name].values):
            file[name] = scan[name].values[0]
    file["detector_angles"] = (
        scan["detector_angle"].values if "detector_angle" in scan.coords else _no_angles(scan)
    )
    if "data" not in scan:
        file["detector_angles"].attrs[PLACEHOLDER] = "detector_angle" not in scan.coords


def _no_angles(scan: xr.Dataset) -> np.ndarray:
    return np.zeros(scan.sizes.get("segment", 1))


def _is_common(axes: np.ndarray) -> bool:
    return bool((axes == axes[0]).all())


def _write_geometry(file: h5py.File, scan: xr.Dataset, links: Links | None = None) -> None:
    values = {name: scan[name].values for name in (*_ANGLES, *_AXES) if name in scan.coords}
    values = {name: v for name, v in values.items() if name not in file}
    values["rotation_matrix"] = scan["rotation"].values
    lowered = (0.0, 0.0) if links is None else links.half_padding()
    values["j_offset"] = scan["j_offset"].values - lowered[0]
    values["k_offset"] = scan["k_offset"].values - lowered[1]
    in_header = h5p.create(h5p.DATASET_CREATE)
    in_header.set_layout(h5d.COMPACT)
    projections = file.create_group("projections")
    for i in range(scan.sizes["projection"]):
        group = projections.create_group(str(i))
        for name, value in values.items():
            if links is not None and name in links.names[i]:
                continue
            group.create_dataset(name, data=value[i], dcpl=in_header)


def _write_pixels(file: h5py.File, scan: xr.Dataset) -> None:
    stacks = scan[[name for name in scan.data_vars if is_stack(scan[name])]].reset_coords(drop=True)
    for start, block in _blocks(stacks):
        for name, images in block.data_vars.items():
            for i, image in enumerate(images.values, start):
                if name in IMAGES:
                    file[f"projections/{i}/{name}"] = image
                else:
                    file[f"{GROUP}/{name}"][i] = image


def _blocks(stacks: xr.Dataset) -> Iterator[tuple[int, xr.Dataset]]:
    """Compute one run of projections after the other, each with the number of its first."""
    size = stacks.sizes["projection"]
    rows = max(1, _BLOCK_BYTES * size // max(1, stacks.nbytes))
    lengths = stacks.unify_chunks().chunksizes.get("projection") or (rows,) * -(-size // rows)
    start = 0
    for length in lengths:
        yield start, stacks.isel(projection=slice(start, start + length)).compute()
        start += length


def _write_placeholders(file: h5py.File, scan: xr.Dataset, marked: bool = True) -> None:
    for i in range(scan.sizes["projection"]):
        diode = file[f"projections/{i}/diode"]
        layout = h5py.VirtualLayout((*diode.shape, 1), diode.dtype)
        layout[...] = h5py.VirtualSource(".", f"projections/{i}/diode", diode.shape, diode.dtype)
        data = file[f"projections/{i}"].create_virtual_dataset("data", layout)
        if marked:
            data.attrs[PLACEHOLDER] = True
