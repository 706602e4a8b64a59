"""Opening a scan, whatever holds it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .chunk_sizes import Capacity, Chunks
from .finite import check_replacement, finite_scan


def open_scan(
    path: str | os.PathLike[str], chunks: Chunks = None, nonfinite: float | None = None
) -> xr.Dataset:
    """Open a scan: mumott's HDF5, or a Zarr store of this project.

    Parameters
    ----------
    path : str or path
    chunks : int, Capacity, "auto" or None
        Projections in each chunk. With None everything is read at once into NumPy arrays, the detector
        segments (``data``) included. Otherwise no pixel is read before it is asked for: the variables are
        Dask arrays whose tasks open the file where they run and read their own projections alone.
        What `mumott_dask.cluster.capacity` finds, to choose them for the threads and the memory that there
        are. ``"auto"``, which is for streaming a scan, keeps them within Dask's ``array.chunk-size``.
    nonfinite : float, optional
        What replaces NaN and infinite pixels. Without it they are an error, which for a chunked scan comes
        when the chunk is read.

    Returns
    -------
    xr.Dataset
        ``diode`` and ``weights`` (projection, j, k), ``data`` (projection, j, k, segment) where there is one,
        all float32; rotations, offsets (pixels), angles (radians) and axes by projection. Projections of
        different shapes are padded at their far ends, with weight 0 there and their offsets raised by half
        of the padding.

    Raises
    ------
    ScanError
        One line: the file, the place in it, what is wrong, and what would be right.

    Examples
    --------
    >>> scan = open_scan("scan.h5", chunks=64)  # doctest: +SKIP
    >>> scan.sizes["projection"]  # doctest: +SKIP
    246
    """
    _check_chunks(chunks)
    check_replacement(nonfinite)
    path = Path(path)
    if path.is_dir():
        return _open_directory(path, chunks, nonfinite)
    from .hdf5_reader import open_hdf5

    return open_hdf5(path, chunks, nonfinite)


def _open_directory(path: Path, chunks: Chunks, nonfinite: float | None) -> xr.Dataset:
    if not (path / "zarr.json").is_file():
        older = any((path / name).exists() for name in (".zgroup", ".zarray", ".zmetadata"))
        held = "a Zarr store of format 2" if older else "a directory without 'zarr.json'"
        raise ScanError(f"{path}: is {held}, expected a Zarr store of format 3 or an HDF5 file")
    from .zarr_store import open_zarr

    return finite_scan(open_zarr(path, chunks), nonfinite, str(path))


def _check_chunks(chunks: object) -> None:
    whole = isinstance(chunks, int | np.integer) and chunks is not True and chunks > 0
    if not (chunks is None or chunks == "auto" or isinstance(chunks, Capacity) or whole):
        raise ScanError(f"chunks is {chunks!r}, expected a number of projections, 'auto' or None")
