"""Pixels of a mumott file: read projection by projection, padded at the far ends, at once or by Dask.

A task of Dask holds the path and the names of its own projections, and opens the file itself wherever it
runs; the graph holds no file and no other chunk's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from .chunk_sizes import Capacity, Chunks, chunk_length
from .finite import finite_image
from .hdf5_file import Members, hdf5_file
from .mumott_headers import projection_members

Lengths = tuple[int, ...]


def projection_chunks(
    chunks: Chunks, count: int, image: tuple[int, int], depth: int, path: Path
) -> Lengths | None:
    """Projections in each chunk; None where the scan is not to be chunked.

    Parameters
    ----------
    chunks : int, Capacity, "auto" or None
        Projections a chunk; ``"auto"`` keeps the deepest variable within Dask's ``array.chunk-size``.
    count, image, depth : int, (J, K), int
        Projections, pixels of each, and segments of each pixel (at least 1).
    path : path
        What the log calls the scan.
    """
    if chunks is None:
        return None
    if isinstance(chunks, Capacity):
        chunks = chunk_length(count, 4 * image[0] * image[1] * depth, chunks, str(path))
    shape = (count, *image, depth)
    return da.core.normalize_chunks((chunks, -1, -1, -1), shape=shape, dtype=np.float32)[0]


def read_images(
    path: Path,
    member: str,
    names: Sequence[str],
    shape: tuple[int, ...],
    chunks: Lengths | None,
    nonfinite: float | None,
) -> NDArray[np.float32] | da.Array:
    """Read one of the file's variables, float32, with 0 where a smaller projection is padded."""
    return _stack(path, names, shape, chunks, partial(_image, member=member, nonfinite=nonfinite))


def read_weights(
    path: Path, names: Sequence[str], shape: tuple[int, ...], chunks: Lengths | None, nonfinite: float | None
) -> NDArray[np.float32] | da.Array:
    """Read the weights, float32: 1 where the file has none, 0 in the padding."""
    return _stack(path, names, shape, chunks, partial(_weights, depth=shape[2:], nonfinite=nonfinite))


ImageReader = Callable[[Members], NDArray]


def _stack(
    path: Path, names: Sequence[str], shape: tuple[int, ...], chunks: Lengths | None, read: ImageReader
) -> NDArray[np.float32] | da.Array:
    if chunks is None:
        return _read_stack(np.array(names), path, shape, read)
    stamp = path.stat()
    token = tokenize(str(path), stamp.st_mtime_ns, stamp.st_size, shape, chunks, read)
    return da.map_blocks(
        _read_stack,
        da.from_array(np.array(names), chunks=(chunks,), name=f"projection-names-{token}"),
        path,
        shape,
        read,
        dtype=np.float32,
        chunks=(chunks, *((n,) for n in shape)),
        new_axis=list(range(1, len(shape) + 1)),
        meta=np.empty((0,) * (len(shape) + 1), np.float32),
        name=f"read-{token}",
    )


def _read_stack(
    names: NDArray[np.str_], path: Path, shape: tuple[int, ...], read: ImageReader
) -> NDArray[np.float32]:
    stack = np.zeros((len(names), *shape), np.float32)
    with hdf5_file(path) as file:
        for padded, name in zip(stack, names, strict=True):
            image = read(projection_members(file, str(name)))
            padded[: image.shape[0], : image.shape[1]] = image
    return stack


def _image(members: Members, member: str, nonfinite: float | None) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what overflows is infinite, and found as such
        image = members.read(member).astype(np.float32, copy=False)
    return finite_image(image, nonfinite, f"{members.where}: {member!r}")


def _weights(members: Members, depth: tuple[int, ...], nonfinite: float | None) -> NDArray[np.float32]:
    if "weights" not in members:
        return np.ones((*members.shape("diode"), *depth), np.float32)
    weights = _image(members, "weights", nonfinite)
    if not depth:
        return weights.reshape(weights.shape[:2])
    return np.broadcast_to(weights.reshape(*weights.shape[:2], -1), (*weights.shape[:2], *depth))
