"""An alignment on its way, kept on disk: written after each outer iteration, and gone on with.

It is a store of its own kind, under the name of the alignment that it becomes in the end. An alignment that
was interrupted can be used as it is, and holds it as its part `STATE`. Where the same is asked of the same
scan, it is gone on with, and ends as if it had never been stopped.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from mumott_dask import arrays, devices
from mumott_dask._version import __version__
from mumott_dask.errors import ScanError
from mumott_dask.images import products
from mumott_dask.scan.atomic import check_output, recover, replacing, uninterrupted
from mumott_dask.scan.schema import detector_shape
from mumott_dask.scan.zarr_store import Kind, open_dataset, store_dataset, stored_kind

from .level import Level
from .progress import Progress, progress_dataset, progress_of, projection_parts
from .settings import Settings

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

STATE = "state"
_KIND: Kind = "unfinished alignment"
_SAME = 1e-5  # relative: what other processors make of the same pixels


class Checkpoint(NamedTuple):
    """Where an alignment is kept, and what it is an alignment of."""

    path: Path
    asked: dict[str, Any]  #: see `question`
    sums: Floats  #: (projection, 3), see `image_sums`


def question(
    scan: xr.Dataset, settings: Settings, start: object, offsets: tuple[Floats, Floats]
) -> dict[str, Any]:
    """What is asked of which scan, as far as it is known without a look at pixels.

    Parameters
    ----------
    scan : Dataset
    settings : Settings
    start : str, path or Dataset
        As `align` takes it.
    offsets : (j, k), (projection,) each
        What it names, pixels.
    """
    geometry = (np.asarray(scan[name]) for name in ("rotation", "j_offset", "k_offset"))
    shapes = detector_shape(scan), settings.volume_shape, settings.directions_0
    asked = {
        "version": __version__,
        "geometry": tokenize(settings.labels, *geometry, shapes),
        "start": start if isinstance(start, str) and start in ("scan", "zero") else tokenize(*offsets),
        **settings.attrs(),
    }
    return dict(json.loads(json.dumps(asked)))  # as a file gives it back


def image_sums(level: Level) -> Floats:
    """Sums over each projection's pixels that it is known again by, (projection, 3)."""
    return arrays.of_each_projection(_sums, level.data, level.mask)


def _sums(images: Any, mask: Any) -> Any:
    xp = devices.namespace(images)
    mask = xp.astype(mask, xp.float32)
    pairs = ((images, mask), (images * mask, images), (mask, mask))
    return xp.stack([products(*pair) for pair in pairs], axis=1)


def is_unfinished(path: str | PathLike[str]) -> bool:
    """Whether there is an alignment at a path to go on with."""
    return _place(Path(path)) is not None


def open_unfinished(path: str | PathLike[str]) -> xr.Dataset:
    """What there is of an unfinished alignment; see `progress_dataset`."""
    return open_dataset(_place(Path(path)) or path, _KIND)


def begun(path: str | PathLike[str], asked: dict[str, Any], overwrite: bool) -> xr.Dataset | None:
    """What there is of an alignment to go on with; None where it is to be begun.

    Raises
    ------
    ScanError
        Where something else is there, a finished alignment or one with other settings, and not to be
        overwritten; where nothing can be written.
    """
    recover(path)
    unfinished = is_unfinished(path)
    check_output(path, overwrite or unfinished)
    if not unfinished:
        return None
    stored = open_unfinished(path)
    before = stored.attrs["asked"]
    other = [name for name, value in asked.items() if before.get(name) != value]
    if not other:
        return stored
    if overwrite:
        return None
    name = other[0]
    plain = name not in ("geometry", "start", "stages")
    raise _other(path, f"{name} {before.get(name)!r}, not {asked[name]!r}" if plain else f"another {name}")


def resumed(stored: xr.Dataset, checkpoint: Checkpoint, settings: Settings) -> Progress:
    """Progress of an alignment that was begun, `settings` being what its own were made of.

    Raises
    ------
    ScanError
        Where the images are others.
    """
    sums = projection_parts(stored)["sums"]
    others = np.flatnonzero(~np.isclose(sums, checkpoint.sums, rtol=_SAME, atol=0).all(axis=1))
    if others.size:
        raise _other(checkpoint.path, f"other images ({len(others)} differ, the first is number {others[0]})")
    progress = progress_of(stored, settings)
    log.info("%s: goes on after iteration %d", checkpoint.path, progress.state.iteration)
    return progress


def write_progress(checkpoint: Checkpoint, progress: Progress, settings: Settings) -> None:
    """Write how far an alignment has come, atomically.

    Raises
    ------
    ScanError
        Where the disk is full; what was written before is still there.
    """
    with uninterrupted(), replacing(checkpoint.path, overwrite=True) as partial:
        store_dataset(_dataset(checkpoint, progress, settings), partial, _KIND)


def write_end(
    checkpoint: Checkpoint, result: xr.Dataset, unfinished: tuple[Progress, Settings] | None = None
) -> None:
    """Write an alignment, with its progress where it is to be gone on with, atomically."""
    with uninterrupted(), replacing(checkpoint.path, overwrite=True) as partial:
        store_dataset(result, partial, "alignment")
        if unfinished is not None:
            store_dataset(_dataset(checkpoint, *unfinished), partial / STATE, _KIND)


def excluded_so_far(stored: xr.Dataset) -> NDArray[np.bool_]:
    """The projections that an unfinished alignment leaves out, some perhaps only since it was begun."""
    return projection_parts(stored)["excluded"].astype(bool)


def _dataset(checkpoint: Checkpoint, progress: Progress, settings: Settings) -> xr.Dataset:
    stored = progress_dataset(
        progress, sums=checkpoint.sums, excluded=settings.excluded, labels=settings.labels
    )
    return stored.assign_attrs(asked=checkpoint.asked)


def _place(path: Path) -> Path | None:
    """The store of an unfinished alignment at a path, where there is one."""
    for place in (path, path / STATE):
        with suppress(ScanError):
            if stored_kind(place) == _KIND:
                return place
    return None


def _other(path: str | PathLike[str], what: str) -> ScanError:
    return ScanError(f"{path}: was begun with {what}: expected the same, a new name, or to overwrite it")
