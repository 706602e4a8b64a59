"""What NumPy and Dask arrays spell differently (floor 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import dask.array as da
import numpy as np
from array_api_compat import is_dask_array
from dask.base import compute, is_dask_collection, persist
from dask.delayed import delayed
from numpy.typing import NDArray
from scipy import ndimage

is_chunked = is_dask_array

BATCH = 16
"""Projections of a NumPy stack that are worked on at a time, so that what is made on the way stays small."""


def materialise(*arrays: Any) -> tuple[Any, ...]:
    """Arrays in this process's memory: Dask ones are computed together, others are handed back."""
    if not any(map(is_dask_collection, arrays)):  # Dask would hold them until garbage is collected
        return arrays
    return compute(*arrays)


def keep_on_workers(*arrays: Any) -> tuple[Any, ...]:
    """Chunked arrays computed once and held where they were computed; others as they are."""
    return persist(*arrays) if any(map(is_chunked, arrays)) else arrays


def percentile(array: Any, q: float) -> Any:
    """Percentile over the whole array, exact; of a chunked one by gathering it in one task."""
    if not is_chunked(array):
        return np.percentile(array, q)
    return delayed(np.percentile)(delayed(array.rechunk(-1)), q)


def of_each_projection(
    function: Callable[..., NDArray[np.float64]], images: Any, *others: Any
) -> NDArray[np.float64]:
    """Few numbers of each projection, gathered: ``function(*blocks)`` gives (projection, ...) of any block.

    Parameters
    ----------
    function : callable
    images : (projection, ...) array
        NumPy, or Dask in the chunks that the function is to be called on.
    *others : (projection, ...) arrays
        Further arguments of the function, block by block.
    """
    if not is_chunked(images):
        return in_batches(function, images, *materialise(*others))
    call = delayed(function, pure=True)
    alike = (da.asarray(other).rechunk({0: images.chunks[0]}) for other in others)
    stacks = zip(*(chunks(stack) for stack in (images, *alike)), strict=True)
    return np.concatenate(compute(*(call(*blocks) for blocks in stacks)))


def in_batches(function: Callable[..., Any], *stacks: Any) -> Any:
    """``function(*stacks)`` of a few projections of NumPy stacks at a time; of chunked ones in one call.

    Parameters
    ----------
    function : callable
        Gives an array, or a tuple of arrays, whose first axis is that of the stacks.
    *stacks : arrays
        The first has an axis of projections. So have the others that have as many axes, unless they are one
        long there; what has fewer axes is the same for all projections.
    """
    first = stacks[0]
    if is_chunked(first):
        return function(*stacks)
    results: list[NDArray[Any]] = []
    single = False
    for start in range(0, len(first), BATCH):
        some = slice(start, start + BATCH)
        parts = function(*(s[some] if np.ndim(s) == first.ndim and len(s) > 1 else s for s in stacks))
        single = not isinstance(parts, tuple)
        parts = (parts,) if single else parts
        results = results or [np.empty((len(first), *part.shape[1:]), part.dtype) for part in parts]
        for result, part in zip(results, parts, strict=True):
            result[some] = part
    return results[0] if single else tuple(results)


def map_images(function: Callable[[NDArray[Any]], NDArray[Any]], images: Any) -> Any:
    """Images of the same shape and type from ``function(block)`` of any block of whole images."""
    if not is_chunked(images):
        return in_batches(function, images)
    whole = images.rechunk(dict.fromkeys(range(1, images.ndim), -1))
    return whole.map_blocks(function, dtype=images.dtype)


def chunks(array: Any) -> list[Any]:
    """Chunks of a Dask array along its first axis as delayed values, whole in the other axes."""
    return list(array.rechunk(dict.fromkeys(range(1, array.ndim), -1)).to_delayed().ravel())


def smooth(
    images: NDArray[Any], sigma: float, mode: Literal["constant", "nearest"] = "constant"
) -> NDArray[Any]:
    """Gaussian smoothing of each image over its last two axes.

    Parameters
    ----------
    images : (..., j, k) array
    sigma : float, pixels
        0 leaves the images as they are.
    mode : "constant" or "nearest"
        What lies outside an image: zero, or its edge.
    """
    if sigma <= 0:
        return images
    return ndimage.gaussian_filter(images, sigma, axes=(-2, -1), mode=mode, truncate=3.0)


def bin_images(images: Any, n: int) -> Any:
    """Mean over n x n pixels of each image; the far ends are padded with zeros to whole bins.

    Parameters
    ----------
    images : (projection, j, k) array
        NumPy, or Dask in chunks along projection.
    n : int
    """
    if n == 1:
        return images
    if is_chunked(images):
        sides = tuple((-(-side // n),) for side in images.shape[1:])
        whole = images.rechunk({1: -1, 2: -1})
        return whole.map_blocks(bin_images, n, chunks=(whole.chunks[0], *sides), dtype=images.dtype)
    j, k = (-(-side // n) for side in images.shape[1:])
    padding = [(0, 0), (0, j * n - images.shape[1]), (0, k * n - images.shape[2])]
    return np.pad(images, padding).reshape(len(images), j, n, k, n).mean(axis=(2, 4), dtype=images.dtype)


def chunked_like(array: Any, model: Any) -> Any:
    """The array in the chunks of a Dask array of equal shape."""
    return array.rechunk(model.chunks) if is_chunked(array) else da.from_array(array, chunks=model.chunks)


def chunk_lengths(array: Any) -> tuple[int, ...] | None:
    """Chunks of a Dask array along its first axis; None for an array in memory."""
    return array.chunks[0] if is_chunked(array) else None
