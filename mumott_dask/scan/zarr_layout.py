"""How arrays are cut for Zarr: inner chunks of about a megabyte, in shards of about 64.

A shard is one file, and what one task writes; an inner chunk is the least that can be read. Arrays are cut
along their first dimension alone (projections of a scan, x of a tomogram), and all large arrays of one
dataset that share it are cut at the same places, so that its Dask chunks agree.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import xarray as xr
from zarr.codecs import ZstdCodec

INNER_BYTES = 2**20
SHARD_BYTES = 64 * 2**20


class Rows(NamedTuple):
    """Length along the first dimension of an inner chunk and of a shard."""

    inner: int
    shard: int


def rows(dataset: xr.Dataset, dim: Hashable) -> Rows:
    """How the large arrays of a dataset that start with `dim` are cut along it."""
    size = dataset.sizes[dim]
    row = max(v.nbytes / size for v in dataset.variables.values() if v.dims[:1] == (dim,) and v.size)
    inner = min(size, max(1, int(INNER_BYTES // row)))
    shard = inner * max(1, int(SHARD_BYTES // (inner * row)))
    return Rows(inner, min(shard, -(-size // inner) * inner))


def rows_at_once(dataset: xr.Dataset, variable: xr.Variable) -> int:
    """How many rows of a large array of a dataset are about a megabyte, in whole inner chunks."""
    inner, row = rows(dataset, variable.dims[0]).inner, variable.nbytes // len(variable)
    return inner * max(1, INNER_BYTES // (inner * row))


def is_large(variable: xr.Variable) -> bool:
    """Whether an array is cut at all."""
    return variable.ndim > 0 and variable.nbytes > INNER_BYTES


def encoding(dataset: xr.Dataset) -> dict[Hashable, dict[str, Any]]:
    """Zarr encoding of every variable, as :meth:`xarray.Dataset.to_zarr` takes it.

    Small arrays are one chunk. Checksums in the compressed chunks let a damaged store be told from a whole
    one; no fill value is declared, so that NaNs are values like any others.
    """
    return {name: _variable_encoding(dataset, variable) for name, variable in dataset.variables.items()}


def _variable_encoding(dataset: xr.Dataset, variable: xr.Variable) -> dict[str, Any]:
    settings: dict[str, Any] = {"_FillValue": None, "compressors": (ZstdCodec(level=1, checksum=True),)}
    if not variable.size or not variable.ndim:
        return settings
    if not is_large(variable):
        return settings | {"chunks": variable.shape}
    cut, whole = rows(dataset, variable.dims[0]), variable.shape[1:]
    settings["chunks"] = (cut.inner, *whole)
    if cut.shard > cut.inner:
        settings["shards"] = (cut.shard, *whole)
    return settings


def with_whole_shards(dataset: xr.Dataset) -> xr.Dataset:
    """Chunk a dataset's Dask arrays to the shards of :func:`encoding`: one task writes one file.

    Of a dataset without Dask arrays, those that take more than one shard are chunked.
    """
    chunked = [name for name, variable in dataset.variables.items() if variable.chunks is not None]
    names = chunked or [name for name in dataset.data_vars if dataset[name].nbytes > SHARD_BYTES]
    cut = {
        name: dataset[name].variable.chunk(_shard_chunks(dataset, dataset[name].variable)) for name in names
    }
    coords = {name: cut.pop(name) for name in names if name in dataset.coords}
    return dataset.assign(cut).assign_coords(coords)


def _shard_chunks(dataset: xr.Dataset, variable: xr.Variable) -> dict[Hashable, int]:
    whole: dict[Hashable, int] = dict.fromkeys(variable.dims, -1)
    return whole | {variable.dims[0]: rows(dataset, variable.dims[0]).shard} if is_large(variable) else whole
