"""The pixels of a scan as links to the HDF5 file that it was read from."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from mumott_dask.errors import ScanError

from .hdf5_extras import PLACEHOLDER

_ANGLES = ("inner_angle", "outer_angle")


class Links:
    """External links from the projections of a new file to those of the file that a scan came from.

    Pixels are linked, placeholders for ``data`` where the source has them, and angles that are still those
    of the source, which saves half of the room that they would take.

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
        self._groups = [f"projections/{label}" for label in scan["projection"].values]
        self._shape = (scan.sizes["j"], scan.sizes["k"])
        try:
            file = h5py.File(source, "r")
        except OSError as error:
            raise ScanError(
                f"{source}: cannot be linked to, expected the HDF5 file of the scan ({error})"
            ) from error
        with file:
            self._placeholders = "detector_angles" in file and PLACEHOLDER in file["detector_angles"].attrs
            self._has_data = "data" in scan
            self._names = ["diode", *(["data"] if self._has_data or self._placeholders else [])]
            self._shapes = [self._checked_shape(file, source, group) for group in self._groups]
            #: Names that each projection links to.
            self.names = [self._linked(file[group], scan, i) for i, group in enumerate(self._groups)]
            _check_padding(file, source, self._shape)
            for i in (0, -1):
                self._check_pixels(file, source, scan, i)

    def half_padding(self) -> tuple[np.ndarray, np.ndarray]:
        """Half of the pixels along j and along k that each projection was padded by, (projection,) each."""
        j, k = (np.asarray(self._shape) - self._shapes).T / 2
        return j, k

    def write(self, file: h5py.File) -> None:
        """Link what `names` says of every projection."""
        for i, (group, names) in enumerate(zip(self._groups, self.names, strict=True)):
            for name in names:
                file[f"projections/{i}/{name}"] = h5py.ExternalLink(self._target, f"/{group}/{name}")

    def _linked(self, group: h5py.Group, scan: xr.Dataset, i: int) -> list[str]:
        angles = [name for name in _ANGLES if name in scan.coords and name in group]
        equal = [name for name in angles if np.array_equal(np.ravel(group[name]), [scan[name].values[i]])]
        return [*self._names, *(["weights"] if "weights" in group else []), *equal]

    def _checked_shape(self, file: h5py.File, source: str | os.PathLike[str], group: str) -> tuple[int, int]:
        for name in self._names:
            place = f"{group}/{name}"
            if place not in file or (name == "data" and self._has_data and self._placeholders):
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
