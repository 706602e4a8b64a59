"""Where arrays live: in the memory of this machine, or in that of a GPU (floor 1).

What works on either asks `namespace` for the functions of the array-API standard; what the standard lacks
(filters, quantiles) is asked for here or in `arrays`.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import array_api_compat as compat
import numpy as np
import xarray as xr
from array_api_compat import is_cupy_array, is_dask_array
from scipy import ndimage

from . import placement
from .errors import ScanError

Backend = Literal["auto", "cpu", "gpu"]


def namespace(*arrays: Any) -> Any:
    """The array-API functions for arrays of one kind; numbers don't count."""
    return compat.array_namespace(*(array for array in arrays if hasattr(array, "ndim")))


def on_host(array: Any) -> bool:
    """Whether an array is NumPy's."""
    return isinstance(array, np.ndarray | np.generic)


def on_device(array: Any) -> bool:
    """Whether an array is a device's: neither NumPy's nor Dask's."""
    return bool(compat.is_array_api_obj(array)) and not on_host(array) and not is_dask_array(array)


def device_of(array: Any) -> Any:
    """The device that an array lives on, as its namespace's functions take it."""
    return compat.device(array)


def copied(array: Any) -> Any:
    """An array of its own."""
    return array.copy() if is_dask_array(array) else namespace(array).asarray(array, copy=True)


def to_device(array: Any) -> Any:
    """An array in the memory of this process's GPU; of a chunked one each block, where it is made."""
    if is_dask_array(array):
        blocks: Any = array
        return blocks.map_blocks(to_device, dtype=array.dtype, meta=blocks._meta)
    if on_device(array) or not on_host(array):
        return array
    import cupy

    # Through page-locked memory of CuPy's own, so that the copy and what comes next need not wait.
    return cupy.asarray(array, blocking=False)


def to_host(array: Any) -> Any:
    """An array in the memory of this machine."""
    return array.get() if is_cupy_array(array) else array


def numbers(array: Any) -> Any:
    """Numbers that the host is to think about: few of them. The one way back from a device in a loop."""
    return to_host(array)


def beside(array: Any, *others: Any) -> tuple[Any, ...]:
    """Other arrays where an array lives, if it lives on a device and they do not."""
    if not on_device(array):
        return others
    return tuple(to_device(other) if isinstance(other, np.ndarray) else other for other in others)


def together(*arrays: Any) -> tuple[Any, ...]:
    """Arrays where those of them live that live on a device, if any do."""
    first = next(filter(on_device, arrays), None)
    return beside(first, *arrays)


def filters(array: Any) -> Any:
    """SciPy's `ndimage`, or its twin for arrays of a device."""
    if not is_cupy_array(array):
        return ndimage
    from cupyx.scipy import ndimage as of_cupy

    return of_cupy


def on_gpu(scan: xr.Dataset, backend: str) -> bool:
    """Whether a scan is to be worked on by GPUs: this process's, or where it is chunked those of all workers.

    Raises
    ------
    ScanError
        Where the backend is none, or ``"gpu"`` without one.
    """
    if backend not in ("auto", "cpu", "gpu"):
        raise ScanError(f"backend is {backend!r}, expected 'auto', 'cpu' or 'gpu'")
    if backend == "cpu":
        return False
    chunked = any(is_dask_array(variable.data) for variable in scan.data_vars.values())
    answers = placement.told_by_workers(missing_gpu) if chunked else {"this process": missing_gpu()}
    missing = {who: why for who, why in answers.items() if why is not None}
    if missing and backend == "gpu":
        who, why = next(iter(missing.items()))
        raise ScanError(f"backend is 'gpu', but {who} has none: {why}; expected a GPU, or backend='cpu'")
    return not missing and (bool(answers) or backend == "gpu")  # without a worker, as it is asked for


def missing_gpu() -> str | None:
    """Why this process can't compute on a GPU; None where it can."""
    absent = [name for name in ("cupy", "numba_cuda") if importlib.util.find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} not installed (pip install 'mumott-dask[gpu]')"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device answers ({error})"
    return None if count else "no CUDA device found"
