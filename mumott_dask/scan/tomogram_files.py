"""Tomograms as files of Zarr, HDF5, TIFF and MRC, with the voxel size where each format keeps it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .atomic import replacing
from .schema import TOMOGRAM_DIMS
from .zarr_store import open_dataset, write_dataset

NAME = "tomogram"
UNITS = "absorbance per voxel"
ANGSTROM = 1e4
"""Angstrom in a micrometre."""


def write_tomogram(tomogram: xr.DataArray, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a tomogram in the format that the name asks for.

    ========================= =================== =========================================================
    suffix                    order of the array  voxel size
    ========================= =================== =========================================================
    ``.zarr``                 x, y, z             attribute ``voxel_size`` of ``tomogram``, micrometre
    ``.h5``, ``.hdf5``        x, y, z             attributes ``voxel_size`` and, as Fiji reads it,
                                                  ``element_size_um`` of the dataset ``tomogram``
    ``.tif``, ``.tiff``       z (pages), y, x     OME ``PhysicalSizeX``, Y, Z, and the resolution tags
    ``.mrc``                  z (sections), y, x  ``voxel_size`` of the header, Angstrom
    ========================= =================== =========================================================

    Zarr keeps all attributes and streams Dask arrays; the other formats need the tomogram to fit in memory,
    and MRC stores float32.

    Parameters
    ----------
    tomogram : xr.DataArray
        Dims x, y, z; attribute ``voxel_size`` in micrometre, where it is known.
    path : path
    overwrite : bool
        Replace what is there, once the new file is whole.

    Raises
    ------
    ScanError
        Where it is no tomogram, the suffix is another, the output exists or the disk is full.
    """
    _check_tomogram(tomogram)
    suffix = _known_suffix(path)
    tomogram = tomogram.transpose(*TOMOGRAM_DIMS).rename(NAME)
    if suffix == ".zarr":
        write_dataset(tomogram.to_dataset(), path, overwrite, "tomogram")
        return
    with replacing(path, overwrite) as partial:
        _WRITERS[suffix](tomogram, partial)


def read_tomogram(path: str | os.PathLike[str]) -> xr.DataArray:
    """Read a tomogram that :func:`write_tomogram` wrote.

    Returns
    -------
    xr.DataArray
        Dims x, y, z; NumPy. Attributes ``units``, and ``voxel_size`` (micrometre) where the file has it.

    Raises
    ------
    ScanError
        Where there is no such file, or no tomogram in it.
    """
    suffix = _known_suffix(path)
    if suffix == ".zarr":
        return open_dataset(path, "tomogram")[NAME]
    if not Path(path).is_file():
        raise ScanError(f"{path}: there is no such file")
    try:
        values, voxel_size = _READERS[suffix](Path(path))
    except (OSError, ValueError, KeyError) as error:
        raise ScanError(f"{path}: cannot be read as a tomogram ({error})") from error
    if values.ndim != 3:
        raise ScanError(f"{path}: holds an array of {values.shape}, expected three dimensions")
    attrs: dict[str, Any] = {"units": UNITS} | ({"voxel_size": voxel_size} if voxel_size else {})
    return xr.DataArray(values, dims=TOMOGRAM_DIMS, name=NAME, attrs=attrs)


def _check_tomogram(tomogram: xr.DataArray) -> None:
    if not isinstance(tomogram, xr.DataArray):
        raise ScanError(f"is a {type(tomogram).__name__}, expected a tomogram (an xarray.DataArray)")
    if set(tomogram.dims) != set(TOMOGRAM_DIMS) or not tomogram.size:
        raise ScanError(f"the tomogram has sizes {dict(tomogram.sizes)}, expected dims {TOMOGRAM_DIMS}")
    size = tomogram.attrs.get("voxel_size", 1.0)
    if not isinstance(size, int | float | np.number) or not 0 < size < np.inf:
        raise ScanError(f"the tomogram's 'voxel_size' is {size!r}, expected micrometres, more than 0")


def _known_suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix != ".zarr" and suffix not in _WRITERS:
        known = ", ".join([".zarr", *_WRITERS])
        raise ScanError(f"{path}: no tomogram can be stored as {suffix or 'this'!r}, expected one of {known}")
    return suffix


def _write_hdf5(tomogram: xr.DataArray, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(NAME, data=tomogram.values)
        dataset.attrs["units"] = tomogram.attrs.get("units", UNITS)
        dataset.attrs["dims"] = list(TOMOGRAM_DIMS)
        if "voxel_size" in tomogram.attrs:
            dataset.attrs["voxel_size"] = float(tomogram.attrs["voxel_size"])
            dataset.attrs["element_size_um"] = [float(tomogram.attrs["voxel_size"])] * 3


def _read_hdf5(path: Path) -> tuple[np.ndarray, float | None]:
    import h5py

    with h5py.File(path, "r") as file:
        return file[NAME][...], file[NAME].attrs.get("voxel_size")


def _write_tiff(tomogram: xr.DataArray, path: Path) -> None:
    import tifffile

    metadata: dict[str, Any] = {"axes": "ZYX"}
    resolution: dict[str, Any] = {}
    if "voxel_size" in tomogram.attrs:
        size = float(tomogram.attrs["voxel_size"])
        for axis in "XYZ":
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        resolution = {"resolution": (ANGSTROM / size, ANGSTROM / size), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path, tomogram.values.T, ome=True, photometric="minisblack", metadata=metadata, **resolution
    )


def _read_tiff(path: Path) -> tuple[np.ndarray, float | None]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        values = file.asarray().T
        ome = tifffile.xml2dict(file.ome_metadata) if file.ome_metadata else {}
    pixels = ome.get("OME", {}).get("Image", {}).get("Pixels", {})
    return values, pixels.get("PhysicalSizeX")


def _write_mrc(tomogram: xr.DataArray, path: Path) -> None:
    import mrcfile

    with mrcfile.new(path, data=np.ascontiguousarray(tomogram.values.T, dtype=np.float32)) as file:
        file.set_volume()
        file.voxel_size = float(tomogram.attrs.get("voxel_size", 0.0)) * ANGSTROM


def _read_mrc(path: Path) -> tuple[np.ndarray, float | None]:
    import mrcfile

    with mrcfile.open(path, permissive=False) as file:
        return file.data.T.copy(), float(file.voxel_size.x) / ANGSTROM or None


_WRITERS: dict[str, Callable[[xr.DataArray, Path], None]] = {
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".mrc": _write_mrc,
}
_READERS: dict[str, Callable[[Path], tuple[np.ndarray, float | None]]] = {
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".mrc": _read_mrc,
}
