"""The pixels of a scan as links to the HDF5 file that it was read from."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .hdf5_extras import PLACEHOLDER


class Links:
    """External links from the projections of a new file to those of the file that a scan came from.

    Parameters
    ----------
    scan : xr.Dataset
    source : path
        File whose projections carry the scan's labels.
    folder : Path
        Where the new file will lie.

    Raises
    ------
    ScanError
        Where the source is no HDF5 file, or does not hold the scan's projections.
    """

    def __init__(self, scan: xr.Dataset, source: str | os.PathLike[str], folder: Path):
        self._target = os.path.relpath(Path(source).resolve(), folder)
        self._names = ["diode", *(["data"] if "data" in scan else [])]
        self._groups = [f"projections/{label}" for label in scan["projection"].values]
        self._shape = (scan.sizes["j"], scan.sizes["k"])
        try:
            file = h5py.File(source, "r")
        except OSError as error:
            raise ScanError(
                f"{source}: cannot be linked to, expected the HDF5 file of the scan ({error})"
            ) from error
        with file:
            self._shapes = [self._checked_shape(file, source, group) for group in self._groups]
            self._weighted = [f"{group}/weights" in file for group in self._groups]
            _check_padding(file, source, self._shape)
            for i in (0, -1):
                self._check_pixels(file, source, scan, i)

    def half_padding(self) -> tuple[np.ndarray, np.ndarray]:
        """Half of the pixels along j and along k that each projection was padded by, (projection,) each."""
        j, k = (np.asarray(self._shape) - self._shapes).T / 2
        return j, k

    def write(self, file: h5py.File) -> None:
        """Link ``diode``, ``data`` and ``weights`` of every projection, as far as the scan has them."""
        for i, (group, weighted) in enumerate(zip(self._groups, self._weighted, strict=True)):
            for name in [*self._names, *(["weights"] if weighted else [])]:
                file[f"projections/{i}/{name}"] = h5py.ExternalLink(self._target, f"/{group}/{name}")

    def _checked_shape(self, file: h5py.File, source: str | os.PathLike[str], group: str) -> tuple[int, int]:
        for name in self._names:
            place = f"{group}/{name}"
            if place not in file or PLACEHOLDER in file[place].attrs:
                raise ScanError(f"{source}: has no '{place}', expected the file that the scan was read from")
        j, k = file[f"{group}/diode"].shape
        return j, k

    def _check_pixels(
        self, file: h5py.File, source: str | os.PathLike[str], scan: xr.Dataset, i: int
    ) -> None:
        j, k = self._shapes[i]
        for name in ("diode", "weights"):
            place = f"{self._groups[i]}/{name}"
            linked = file[place][...].astype(np.float32) if place in file else np.ones((j, k))
            held = scan[name].isel(projection=i, j=slice(j), k=slice(k)).values
            linked, held = linked.reshape(j, k, -1), held.reshape(j, k, -1)
            if not np.all((linked == held) | ~np.isfinite(linked)):
                raise ScanError(
                    f"{source}: '{place}' is not what the scan holds there; "
                    "pixels that were changed cannot be linked, write them in full"
                )


def _check_padding(file: h5py.File, source: str | os.PathLike[str], shape: tuple[int, int]) -> None:
    diodes = (group["diode"].shape for group in file["projections"].values() if "diode" in group)
    largest = tuple(int(n) for n in np.max(list(diodes), axis=0))
    if largest != shape:
        raise ScanError(
            f"{source}: has projections of {largest[0]} x {largest[1]} pixels, the scan of "
            f"{shape[0]} x {shape[1]}: "
            "a cropped or binned scan cannot be linked, write it in full"
        )
