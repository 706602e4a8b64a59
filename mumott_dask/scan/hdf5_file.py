"""HDF5 files and the datasets in them, opened and read with errors that say what and where.

HDF5's low-level calls are used for the datasets: a header costs a third of what h5py's objects take, and a
scan has some ten of them for each of its thousands of projections. Soft and external links are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5s
from numpy.typing import NDArray

from mumott_dask.errors import ScanError

from .schema import NUMBER_KINDS

_HEADERS = 2**18  # bytes of HDF5's cache of them
HDF5_FAULTS = (OSError, KeyError, ValueError, TypeError, RuntimeError)


@contextmanager
def hdf5_file(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    ScanError
        Where there is no such file, or it is empty, truncated or of another format.
    """
    path = Path(path)
    if not path.exists():
        raise ScanError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise ScanError(f"{path}: is empty, expected an HDF5 file")
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise ScanError(f"{path}: {_opening_fault(error)}") from error
    with file:
        _keep_little(file)
        yield file


def _keep_little(file: h5py.File) -> None:
    """Bound HDF5's cache of headers, which are read once: by itself it grows by 35 kB a projection."""
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = config.max_size = _HEADERS
    file.id.set_mdc_config(config)


def _opening_fault(error: OSError) -> str:
    message = one_line(error)
    if error.errno or "errno" in message:
        return f"cannot be opened ({message})"
    if "signature not found" in message:
        return "is not an HDF5 file, expected a mumott scan in HDF5 or a directory with a Zarr store"
    return f"is truncated or damaged, was it copied whole? ({message})"


def one_line(error: BaseException) -> str:
    """Write an error's message without its line breaks."""
    return " ".join(str(error.args[0] if error.args else error).split())


class Members:
    """The datasets of one HDF5 group, by name.

    Parameters
    ----------
    group : h5py.h5g.GroupID
    where : str
        What errors call the group: the file and the projection.
    """

    def __init__(self, group: h5g.GroupID, where: str) -> None:
        self.where = where
        self._group = group
        self._names = {name.decode() for name in group}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def listed(self) -> str:
        """List the names in the group, for errors."""
        return ", ".join(sorted(self._names)) or "nothing"

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a dataset of numbers; none of them are read."""
        return self._open(name)[1]

    def read(self, name: str) -> NDArray:
        """Read the numbers of a dataset, as they are stored."""
        dataset, shape, dtype = self._open(name)
        values = np.empty(shape, dtype)
        try:
            dataset.read(h5s.ALL, h5s.ALL, values)
        except HDF5_FAULTS as error:
            raise ScanError(f"{self.where}: {name!r} cannot be read ({one_line(error)})") from error
        return values

    def _open(self, name: str) -> tuple[h5d.DatasetID, tuple[int, ...], np.dtype]:
        try:
            dataset = h5d.open(self._group, name.encode())
        except HDF5_FAULTS as error:
            raise ScanError(
                f"{self.where}: {name!r} cannot be opened{self._target(name)} ({one_line(error)})"
            ) from error
        shape, dtype = dataset.shape, dataset.dtype  # each asks HDF5 anew
        if shape is None or dtype.kind not in NUMBER_KINDS:
            held = "empty" if shape is None else f"of type {dtype}"
            raise ScanError(f"{self.where}: {name!r} is {held}, expected real numbers")
        return dataset, shape, dtype

    def _target(self, name: str) -> str:
        link = self._group.links.get_info(name.encode())
        if link.type != h5l.TYPE_EXTERNAL:
            return ""
        file, place = self._group.links.get_val(name.encode())
        return f", it links to {place.decode()} in {file.decode()}"

    def scalar(self, name: str) -> float:
        """Read a dataset of one number, whatever its shape."""
        values = self.read(name)
        if values.size != 1:
            raise ScanError(f"{self.where}: {name!r} is {values.shape}, expected one number")
        value = float(values.reshape(-1)[0])
        if not np.isfinite(value):
            raise ScanError(f"{self.where}: {name!r} is {value}, expected a finite number")
        return value

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Read a dataset of numbers of a given shape."""
        values = self.read(name)
        if values.shape != shape:
            raise ScanError(f"{self.where}: {name!r} is {values.shape}, expected {shape}")
        numbers = values.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise ScanError(f"{self.where}: {name!r} is {numbers.tolist()}, expected finite numbers")
        return numbers
