"""The projector on Dask arrays: the call for NumPy arrays, once a chunk along projection.

Each task gets the projector of its own projections, in one thread: a worker's threads run tasks side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from mumott_dask import arrays

Projector = Any  #: it stands above this file, and is called by its methods alone

_JOINED = 4  # partial sums joined by one task


def forward(projector: Projector, volume: Any, chunks: Sequence[int] | None) -> da.Array:
    """Line integrals as a Dask array in the given chunks along projection (one chunk by default)."""
    lengths = tuple(chunks) if chunks is not None else (len(projector),)
    blocks = _blocks(projector, lengths)
    output = (lengths, *((n,) for n in (*projector.detector_shape, *volume.shape[3:])))
    project = delayed(_forward, pure=True)
    whole = _whole(volume)
    parts = [
        da.from_delayed(project(block, whole), (n, *(c[0] for c in output[1:])), np.float32)
        for block, n in zip(blocks, lengths, strict=True)
    ]
    return da.concatenate(parts, axis=0)


def adjoint(projector: Projector, projections: da.Array) -> da.Array:
    """Adjoint summed over chunks."""
    back = delayed(_adjoint, pure=True)
    blocks = _blocks(projector, projections.chunks[0])
    parts = [back(block, image) for block, image in zip(blocks, arrays.chunks(projections), strict=True)]
    shape = (*projector.volume_shape, *projections.shape[3:])
    return da.from_delayed(_tree(parts, _add), shape, np.float32)


def gradient(
    projector: Projector, volume: Any, data: da.Array, weights: da.Array, background: int
) -> tuple[da.Array, da.Array]:
    """Gradient and loss summed over chunks: one task a chunk, then a tree of sums."""
    step = delayed(_gradient, pure=True)
    blocks = _blocks(projector, data.chunks[0])
    whole = _whole(volume)
    images = zip(blocks, arrays.chunks(data), arrays.chunks(weights.rechunk(data.chunks)), strict=True)
    total = _tree([step(block, whole, *pair, background) for block, *pair in images], _add_pairs)
    shape = (*projector.volume_shape, *data.shape[3:])
    return da.from_delayed(total[0], shape, np.float32), da.from_delayed(total[1], (), np.float64)


def map_projections(
    projector: Projector, function: Callable[..., Any], volume: Any, *images: da.Array, **settings: Any
) -> da.Array:
    """Few numbers a projection, (projection, number), from the chunk that each lives in."""
    call = delayed(function, pure=True)
    whole = _whole(volume)
    lengths = images[0].chunks[0]
    stacks = zip(_blocks(projector, lengths), *(arrays.chunks(image) for image in images), strict=True)
    parts = [call(block, whole, *stack, **settings) for block, *stack in stacks]
    joined = delayed(np.concatenate)(parts)
    return da.from_delayed(joined, (len(projector), np.nan), np.float64)


def _forward(projector: Projector, volume: Any) -> Any:
    return projector.forward(volume)


def _adjoint(projector: Projector, projections: Any) -> Any:
    return projector.adjoint(projections)


def _gradient(projector: Projector, volume: Any, data: Any, weights: Any, background: int) -> tuple[Any, Any]:
    return projector.gradient(volume, data, weights, background)


def _add(parts: list[Any]) -> Any:
    return sum(parts[1:], start=parts[0])


def _add_pairs(parts: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    volumes, losses = zip(*parts, strict=True)
    return _add(list(volumes)), _add(list(losses))


def _tree(parts: list[Any], add: Callable[[list[Any]], Any]) -> Any:
    join = delayed(add, pure=True)
    while len(parts) > 1:
        parts = [join(parts[i : i + _JOINED]) for i in range(0, len(parts), _JOINED)]
    return parts[0]


def _blocks(projector: Projector, lengths: Sequence[int]) -> list[Projector]:
    ends = np.cumsum(lengths)
    return [projector[end - n : end].single_threaded() for end, n in zip(ends, lengths, strict=True)]


def _whole(volume: Any) -> Any:
    """The volume as one delayed value that all tasks of an iteration share."""
    if isinstance(volume, da.Array):
        return volume.rechunk(-1).to_delayed().ravel()[0]
    return delayed(volume)
