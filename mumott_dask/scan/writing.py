"""Writing a scan, in the format that the name asks for."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from mumott_dask.errors import ScanError

from .geometry_file import write_geometry
from .hdf5_writer import write_hdf5
from .schema import validate_scan
from .zarr_store import write_dataset


def write_scan(scan: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a scan: a Zarr store, mumott's HDF5, or mumott's geometry file.

    Dask arrays are computed and written chunk by chunk, in bounded memory. The output is there whole, or not
    at all.

    Parameters
    ----------
    scan : xr.Dataset
    path : path
        ``.zarr``: everything, bit for bit. ``.h5`` or ``.hdf5``: everything, in the layout that mumott reads
        (:func:`mumott_dask.scan.hdf5_writer.write_hdf5`, which can also link to the pixels of another file).
        ``.mumott``: the geometry alone.
    overwrite : bool
        Replace what is there, once the new output is whole.

    Raises
    ------
    ScanError
        Where the scan is none, the suffix is another, the output exists or the disk is full.
    """
    validate_scan(scan)
    suffix = Path(path).suffix.lower()
    if suffix == ".zarr":
        write_dataset(scan, path, overwrite, "scan")
    elif suffix in (".h5", ".hdf5"):
        write_hdf5(scan, path, overwrite)
    elif suffix == ".mumott":
        write_geometry(scan, path, overwrite)
    else:
        raise ScanError(
            f"{path}: a scan cannot be written as {suffix or 'this'!r}, expected .zarr, .h5 or .mumott"
        )
