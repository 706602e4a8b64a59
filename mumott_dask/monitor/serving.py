"""The page of an alignment on disk, running or finished, without a cluster."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from mumott_dask.alignment import open_alignment
from mumott_dask.alignment.checkpoint import STATE, is_unfinished, open_unfinished
from mumott_dask.alignment.progress import projection_parts

from .application import PATH, page_application
from .events import Numbers
from .pictures import volume_picture
from .runs import Run, Runs

PORT = 8790

_LOOK_AGAIN = 2.0  # seconds
_VOLUME = 100_000  # bytes of the tomogram that is shown


def serve(
    path: str | PathLike[str],
    port: int = PORT,
    address: str = "127.0.0.1",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page of an alignment that is on disk, until an interrupt; it looks again as it changes.

    Parameters
    ----------
    path : path
        A result, or the output of an alignment that runs.
    port : int
        0 for any.
    address : str
        That it listens on: this machine's own by default.
    ready : callable, optional
        Called with the page's address once it is served.

    Raises
    ------
    ScanError
        Where there is no alignment.

    Examples
    --------
    >>> serve("scan.aligned.zarr", ready=print)  # doctest: +SKIP
    """
    serve_runs(AlignmentOnDisk(Path(path)), port, address, ready)


class RunsOnDisk(Runs, ABC):
    """What a page shows of a disk."""

    @abstractmethod
    def look_again(self) -> None:
        """Read anew what has changed."""


class AlignmentOnDisk(RunsOnDisk):
    """An alignment at a path, running or finished."""

    def __init__(self, path: Path):
        super().__init__()
        self._path, self._changed = path, _changed(path)
        self._run = run_on_disk(path)  # or there is nothing to serve
        self.add(self._run)

    def look_again(self) -> None:
        """Read it anew if it has changed."""
        changed = _changed(self._path)
        if changed is not None and changed != self._changed:
            self._changed = changed
            vars(self._run).update(vars(run_on_disk(self._path)))
            self.changed(self._run)


def serve_runs(runs: RunsOnDisk, port: int, address: str, ready: Callable[[str], None] | None = None) -> None:
    """Serve the page of what is on disk, until an interrupt; see `serve`."""

    async def until_interrupted() -> None:
        bound = start_server(runs, port, address)
        if ready is not None:
            ready(f"http://{address}:{bound}{PATH}")
        await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(until_interrupted())


def start_server(runs: RunsOnDisk, port: int, address: str) -> int:
    """Serve the page of what is on disk on this thread's event loop; gives the port."""
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import PeriodicCallback

    from .document import alignment_document

    server = HTTPServer(page_application(partial(alignment_document, runs, None, {})))
    server.listen(port, address)
    PeriodicCallback(runs.look_again, 1000 * _LOOK_AGAIN).start()
    return int(next(iter(server._sockets.values())).getsockname()[1])


def run_on_disk(path: Path) -> Run:
    """What there is of an alignment, finished or not."""
    unfinished = is_unfinished(path) and not (path / STATE).exists()
    run = _of_progress(path, open_unfinished(path)) if unfinished else _of_result(path, open_alignment(path))
    run.began = run.changed - float(np.nansum(run.history.seconds))
    return run


def _of_result(path: Path, result: xr.Dataset) -> Run:
    attrs, count = result.attrs, result.sizes["projection"]
    ended = f"converged: {attrs['reason']}" if attrs["converged"] else attrs["reason"]
    run = Run(str(path), path.name, projections=count, ended=ended, changed=path.stat().st_mtime)
    for name in vars(run.history):
        setattr(run.history, name, result[name].values.tolist())
    run.iteration = run.iterations = result.sizes["iteration"]
    unknown = xr.DataArray(np.full(count, np.nan))
    j_error, k_error = (result.get(f"{axis}_offset_std", unknown).values for axis in "jk")
    run.numbers = Numbers(
        result["projection"].values,
        result["j_offset"].values,
        result["k_offset"].values,
        j_error,
        k_error,
        unknown.values,
        result.get("weight", xr.ones_like(unknown)).values,
    )
    run.excluded = tuple(attrs.get("excluded", ()))
    if run.iteration > 1:
        j, k = (result[f"{axis}_offset_history"].values[-2] for axis in "jk")
        run.before = run.numbers._replace(j=j, k=k)
    if "tomogram" in result:
        run.sides, run.volume = result["tomogram"].shape, volume_picture(result["tomogram"].values, _VOLUME)
    return run


def _of_progress(path: Path, stored: xr.Dataset) -> Run:
    parts, attrs = projection_parts(stored), stored.attrs
    count = stored.sizes["projection"]
    run = Run(str(path), path.name, projections=count, changed=_changed(path) or time.time())
    for name in vars(run.history):
        setattr(run.history, name, list(attrs["stages" if name == "stage" else name]))
    run.iteration, run.iterations = attrs["iteration"], attrs["asked"]["iterations"]
    (j, k), deviations = parts["history"].transpose(2, 1, 0)[-1], parts["deviations"]
    labels = parts["labels"].astype(np.int64)
    unknown = np.full(count, np.nan)
    run.numbers = Numbers(labels, j, k, deviations[:, 0], deviations[:, 1], unknown, parts["trust"])
    if run.iteration > 1:
        j_before, k_before = parts["history"].transpose(2, 1, 0)[-2]
        run.before = run.numbers._replace(j=j_before, k=k_before)
    run.excluded = tuple(int(label) for label in labels[parts["excluded"].astype(bool)])
    tomogram, stage = stored["tomogram"].values, json.loads(attrs["asked"]["stages"])[attrs["stage"]]
    run.volume = volume_picture(tomogram, _VOLUME)
    run.sides = tuple(side * stage["binning"] for side in tomogram.shape)
    return run


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # it is being replaced
        return None
