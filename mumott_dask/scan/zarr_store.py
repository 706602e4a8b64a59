"""Datasets of ours (scans, alignments, tomograms) in Zarr v3, bit for bit.

The attribute ``mumott_dask`` of the store's root says what it holds and in which version of the schema.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr
from dask import threaded
from dask.base import tokenize
from zarr.errors import UnstableSpecificationWarning, ZarrUserWarning

from mumott_dask.errors import ScanError

from .atomic import replacing
from .chunk_sizes import Capacity, Chunks, chunk_length
from .schema import SCHEMA_VERSION, validate_scan
from .zarr_damage import check_whole, damage
from .zarr_layout import SHARD_BYTES, encoding, is_large, rows, rows_at_once, with_whole_shards

Kind = Literal["scan", "alignment", "unfinished alignment", "tomogram"]

MARK = "mumott_dask"
WRITE_BYTES = 640 * 2**20
"""Memory to keep to, roughly, where shards are written by threads of this process."""
WORTH_THREADS = 256 * 2**20
"""Bytes of arrays in memory from which on Zarr's threads compress: their allocators keep what that took."""


def write_dataset(
    dataset: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False, kind: Kind = "scan"
) -> None:
    """Write a dataset as a Zarr store.

    Dask arrays are streamed: each task makes and writes one shard (one file of about 64 MB), and threads of
    this process make no more of them at a time than about 640 MB hold, so the memory needed does not grow
    with the dataset, only with its chunks. With a distributed client the workers write, to a path that they
    must share; where one of them fails, the others may leave files in a hidden folder beside it.

    Parameters
    ----------
    dataset : xr.Dataset
    path : path
        Whole or not there at the end; see :func:`mumott_dask.scan.atomic.replacing`.
    overwrite : bool
        Replace what is there, once the new store is whole.
    kind : {"scan", "alignment", "unfinished alignment", "tomogram"}
        What the store is said to hold.

    Raises
    ------
    ScanError
        Where the output exists or the disk is full.
    """
    with replacing(path, overwrite) as partial:
        store_dataset(dataset, partial, kind)


def store_dataset(dataset: xr.Dataset, path: Path, kind: Kind) -> None:
    """Write a dataset as a Zarr store, as `write_dataset` does, under a name that is none to keep."""
    mark = {"kind": kind, "schema_version": SCHEMA_VERSION}
    # Named "threads", Dask's threads would import distributed, to see whether it has a client.
    where = {} if _is_chunked(dataset) else {"scheduler": threaded.get}
    marked = with_whole_shards(dataset.drop_encoding()).assign_attrs({MARK: mark})
    writers = max(1, WRITE_BYTES // (2 * (_largest_chunk(dataset) + _largest_chunk(marked))))
    with (
        _quiet(),
        # A pool of our own, because Dask's does not wait for its other threads where one has failed, and
        # they would write on into what is being removed.
        ThreadPoolExecutor(writers) as pool,
        dask.config.set({"pool": pool, **where}),
        zarr.config.set({} if marked.nbytes > WORTH_THREADS else {"async.concurrency": 1}),
    ):
        marked.to_zarr(
            path,
            mode="w-",
            zarr_format=3,
            encoding=encoding(marked),
            write_empty_chunks=True,
            consolidated=True,
        )


def open_dataset(path: str | os.PathLike[str], kind: Kind = "scan", chunks: Chunks = None) -> xr.Dataset:
    """Open a Zarr store that :func:`write_dataset` wrote.

    Parameters
    ----------
    path : path
    kind : {"scan", "alignment", "unfinished alignment", "tomogram"}
        What it must hold.
    chunks : int, Capacity or "auto", optional
        By default everything is loaded, as NumPy arrays. Otherwise images and tomograms become Dask arrays
        that read the store when they are computed: `chunks` projections (x layers of a tomogram) in each
        chunk, raised to whole inner chunks of the store (about 1 MB) where they are longer than one, or the
        length of a shard (about 64 MB). For a `Capacity`, chunks of a scan are as `chunk_length` says.

    Raises
    ------
    ScanError
        Where there is no such store, it holds something else, is of another version, or is damaged. Damage
        within a shard shows when that shard is read.
    """
    path = Path(path)
    group = _open_group(path)
    _check_mark(path, group, kind)
    check_whole(path, group)
    with damage(path, "the store"), _quiet():
        dataset = xr.open_zarr(path, chunks=None, mask_and_scale=False)
    del dataset.attrs[MARK]
    if chunks is not None:
        dataset = dataset.assign(_lazy_variables(path, group, dataset, kind, chunks))
    for name, variable in dataset.variables.items():
        if variable.chunks is None:
            with damage(path, f"{name!r}"):
                _load(variable, dataset)
    return dataset.drop_encoding()


def open_zarr(path: str | os.PathLike[str], chunks: Chunks = None) -> xr.Dataset:
    """Open a scan; see :func:`open_dataset`."""
    scan = open_dataset(path, "scan", chunks)
    validate_scan(scan, str(path))
    return scan


def stored_kind(path: str | os.PathLike[str]) -> str:
    """Name what a Zarr store holds: ``"scan"``, ``"alignment"`` or another kind.

    Raises
    ------
    ScanError
        Where there is no such store, or it is not one of ours.
    """
    return str(_mark(Path(path), _open_group(Path(path)))["kind"])


def _load(variable: xr.Variable, dataset: xr.Dataset) -> None:
    """Read a variable of a dataset into memory, a large one about a megabyte at a time.

    In one call, Zarr's threads decode many inner chunks at once, and their allocator keeps up to 90 MB.
    """
    if not is_large(variable) or isinstance(variable, xr.IndexVariable):  # which is in memory, for its index
        variable.load()
        return
    values, at_once = np.empty(variable.shape, variable.dtype), rows_at_once(dataset, variable)
    for start in range(0, len(values), at_once):
        values[start : start + at_once] = variable[start : start + at_once].values
    variable.data = values


def _is_chunked(dataset: xr.Dataset) -> bool:
    return any(variable.chunks is not None for variable in dataset.variables.values())


def _largest_chunk(dataset: xr.Dataset) -> int:
    """Bytes of the largest Dask chunk, or of a shard where there are none."""
    sizes = [
        math.prod(max(lengths) for lengths in variable.chunks) * variable.dtype.itemsize
        for variable in dataset.variables.values()
        if variable.chunks is not None
    ]
    return max(sizes, default=SHARD_BYTES)


def _open_group(path: Path) -> zarr.Group:
    if not path.exists():
        raise ScanError(f"{path}: no such Zarr store")
    if not (path / "zarr.json").is_file():
        raise ScanError(f"{path}: is no Zarr v3 store (it has no 'zarr.json')")
    with damage(path, "'zarr.json'"):
        return zarr.open_group(path, mode="r")


def _mark(path: Path, group: zarr.Group) -> dict[str, Any]:
    mark = group.attrs.get(MARK)
    if not isinstance(mark, dict) or not {"kind", "schema_version"} <= mark.keys():
        raise ScanError(f"{path}: is a Zarr store, but none of mumott_dask's (no attribute {MARK!r})")
    return mark


def _check_mark(path: Path, group: zarr.Group, kind: Kind) -> None:
    mark = _mark(path, group)
    if mark["kind"] != kind:
        raise ScanError(f"{path}: is {_article(str(mark['kind']))}, expected {_article(kind)}")
    if mark["schema_version"] != SCHEMA_VERSION:
        raise ScanError(
            f"{path}: has schema version {mark['schema_version']}, this release reads {SCHEMA_VERSION}"
        )


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _lazy_variables(
    path: Path, group: zarr.Group, dataset: xr.Dataset, kind: Kind, chunks: int | str | Capacity
) -> dict[Hashable, xr.Variable]:
    exact = _length_for(chunks, path, dataset) if isinstance(chunks, Capacity) and kind == "scan" else None
    if isinstance(chunks, Capacity):
        chunks = "auto"
    elif chunks != "auto" and (not isinstance(chunks, int) or isinstance(chunks, bool) or chunks < 1):
        raise ScanError(f"{path}: chunks is {chunks!r}, expected a number of projections, 'auto' or None")
    main = "projection" if kind == "scan" else "x"
    lazy: dict[Hashable, xr.Variable] = {}
    for name, variable in dataset.data_vars.items():
        if variable.ndim < 3 or not variable.size:
            continue
        cut, dim = rows(dataset, variable.dims[0]), variable.dims[0]
        if dim == main and exact is not None:
            length = exact
        else:
            length = cut.shard if chunks == "auto" or dim != main else _aligned(int(chunks), cut.inner)
        lazy[name] = xr.Variable(variable.dims, _lazy(path, str(name), variable, length), variable.attrs)
    return lazy


def _length_for(capacity: Capacity, path: Path, scan: xr.Dataset) -> int:
    """Projections in a chunk; where they share the store's inner chunks, those are read twice."""
    sizes = [v.nbytes / v.sizes["projection"] for v in scan.values() if "projection" in v.dims]
    return chunk_length(scan.sizes["projection"], max(sizes), capacity, str(path))


def _aligned(chunks: int, inner: int) -> int:
    """Whole inner chunks, where there are as many rows as one holds."""
    return chunks if chunks < inner else -(-chunks // inner) * inner


def _lazy(path: Path, name: str, variable: xr.DataArray, length: int) -> da.Array:
    size = variable.shape[0]
    lengths = (length,) * (size // length) + ((size % length,) if size % length else ())
    written = (path / "zarr.json").stat()
    token = tokenize(str(path.resolve()), name, length, written.st_mtime_ns, written.st_ino)
    return da.map_blocks(
        _read_rows,
        path=str(path.resolve()),
        variable=name,
        dim=str(variable.dims[0]),
        chunks=(lengths, *((n,) for n in variable.shape[1:])),
        dtype=variable.dtype,
        meta=np.empty((0,) * variable.ndim, variable.dtype),
        name=f"read-{name}-{token}",
    )


def _read_rows(path: str, variable: str, dim: str, block_info: dict[Any, Any] | None = None) -> np.ndarray:
    assert block_info is not None
    start, stop = block_info[None]["array-location"][0]
    with damage(Path(path), f"{variable!r} of {dim} {start} to {stop - 1}"):
        values = zarr.open_array(Path(path, variable), mode="r")[start:stop]
    return np.asarray(values, dtype=block_info[None]["dtype"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings that consolidated metadata and strings are not yet in the Zarr standard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        warnings.filterwarnings("ignore", "Consolidated metadata", ZarrUserWarning)
        yield
