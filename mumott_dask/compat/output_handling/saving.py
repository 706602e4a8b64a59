"""A dictionary of results as an HDF5 file, by mumott's name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mumott_dask.scan.atomic import replacing

__all__ = ["dict_to_h5"]

log = logging.getLogger(__name__)


def dict_to_h5(
    dict_to_output: Mapping[str, Any], filename: str | PathLike[str], overwrite: bool = False
) -> None:
    """Write a dictionary of arrays, numbers, texts and dictionaries of them.

    Parameters
    ----------
    dict_to_output : dict
        A single value becomes an array of one; what HDF5 can't hold, None among it, is left out and named in
        the log.
    filename : path
    overwrite : bool
        Whether what is there is replaced, once the new file is whole.

    Raises
    ------
    FileExistsError
        Where there is such a file already.
    """
    if Path(filename).exists() and not overwrite:
        raise FileExistsError(f"{filename}: exists already, expected a new name or overwrite=True")
    with replacing(filename, overwrite) as partial, h5py.File(partial, "w") as file:
        _write(file, dict_to_output)


def _write(group: h5py.Group, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            _write(group.create_group(name), value)
            continue
        array = np.atleast_1d(np.asarray(value))
        array = array.astype(bytes) if array.dtype.kind == "U" else array
        if array.dtype.kind in "fcbiuS":
            group[name] = array
        else:
            log.warning("%s: %r is of type %s, which is left out", group.file.filename, name, array.dtype)
