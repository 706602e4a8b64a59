"""Whether the views hold the whole sample, or cut it: what no volume of the detector's size can explain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask.images import quantiles

from .level import Level
from .records import Unknowns

Floats = NDArray[np.float64]

_EDGE = 3  # pixels of each edge that are looked at
_CUT = 0.12  # of the image's high absorbances: above it at an edge, the sample goes on beyond
_OFTEN = 0.1  # share of the edges
_LONGER = 2  # times as many iterations, where few rays cross a part of the voxels


def beyond_view(level: Level) -> tuple[bool, bool]:
    """Whether the sample goes on beyond the view, along j and along k, in a tenth of the edges or more."""
    shares = arrays.of_each_projection(_edges, level.data, level.mask)
    cut = shares > _CUT
    return bool(cut[:, :2].mean() > _OFTEN), bool(cut[:, 2:].mean() > _OFTEN)


def iterations_for(usual: int, cut: tuple[bool, bool], unknowns: Unknowns) -> int:
    """Iterations of MITRA: more than usual where views cut the sample, as what is beyond them settles slowly.

    Not where slopes or rotations are free as well: with few projections, these and a tomogram that has
    settled further take long to come to rest.
    """
    return _LONGER * usual if any(cut) and unknowns.count <= 3 else usual


def _edges(images: Any, mask: Any) -> Any:
    """Mean over each edge (both of j, both of k) relative to the image's 95th percentile, (projection, 4)."""
    xp = devices.namespace(images)
    images = images * xp.astype(mask, xp.float32)
    (high,) = quantiles(images, [0.95])
    high = xp.where(high > 0, high, xp.inf)
    edges = images[:, :_EDGE], images[:, -_EDGE:], images[:, :, :_EDGE], images[:, :, -_EDGE:]
    return xp.stack([xp.mean(edge, axis=(1, 2)) / high for edge in edges], axis=1)
