"""What whoever watches an alignment asks of it while it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mumott_dask import arrays

from .level import Level
from .settings import Settings, check_left


@dataclass(frozen=True)
class Steering:
    """An answer to an `AlignmentStep`."""

    stop: bool = False  #: whether to end with what this iteration has found
    exclude: tuple[int, ...] = ()  #: labels of projections to leave out from the next iteration on


def without(level: Level, settings: Settings, excluded: NDArray[np.bool_]) -> tuple[Level, Settings]:
    """Level and settings that leave out further projections, (projection,) bool; they keep their offsets."""
    if not np.any(excluded & ~settings.excluded):
        return level, settings
    excluded = excluded | settings.excluded
    check_left(excluded, settings.fixed)
    (mask,) = arrays.keep_images(arrays.scaled(level.mask, ~excluded))
    return replace(level, mask=mask), replace(settings, excluded=excluded)
