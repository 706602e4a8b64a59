"""The page of a campaign's results, running or finished, without a cluster."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from mumott_dask.errors import ScanError
from mumott_dask.monitor.runs import History, Run
from mumott_dask.monitor.serving import PORT, RunsOnDisk, run_on_disk, serve_runs

from .catalogue import campaign_table, plain_rows
from .samples import Manifest
from .state import DONE, State

_SHARE = 0.05  # of the time that may be spent on looking again


def serve_campaign(
    manifest: Manifest,
    port: int = PORT,
    address: str = "127.0.0.1",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a page with a row for each sample, from which each is opened, until an interrupt.

    Parameters
    ----------
    manifest : Manifest
    port : int
        0 for any.
    address : str
        That it listens on: this machine's own by default.
    ready : callable, optional
        Called with the page's address once it is served.

    Examples
    --------
    >>> serve_campaign(read_manifest("bones.yaml"), ready=print)  # doctest: +SKIP
    """
    serve_runs(CampaignOnDisk(manifest), port, address, ready)


class CampaignOnDisk(RunsOnDisk):
    """A campaign's samples in the manifest's order, each of which is read when somebody opens it."""

    def __init__(self, manifest: Manifest):
        super().__init__()
        self._manifest, self._state = manifest, State(manifest.directory)
        self._stores = {sample.name: self._state.store(sample) for sample in manifest.samples}
        self._rows: dict[str, dict[str, Any]] = {}
        self._changed, self._due = -1.0, 0.0
        self.look_again()

    def get(self, run: str) -> Run | None:
        """The sample of a name with all that its result holds, or None."""
        found = super().get(run)
        if found is not None and found.numbers is None and self._rows[run]["status"] == DONE:
            with suppress(ScanError, OSError):  # it may be replaced just now
                whole = run_on_disk(self._stores[run])
                vars(found).update(vars(whole) | {"id": run, "name": run, "ended": found.ended})
        return found

    @property
    def newest(self) -> Run | None:
        """The sample whose result is the newest."""
        done = [run for run in self if self._rows[run.id]["status"] == DONE]
        newest = max(done, key=lambda run: run.changed, default=None)
        return super().newest if newest is None else self.get(newest.id)

    def look_again(self) -> None:
        """Read all records anew if there is another one: what is said of a sample depends on its siblings."""
        changed, began = self._state.changed(), time.monotonic()
        if changed == self._changed or began < self._due:
            return
        self._changed = changed
        for row in plain_rows(campaign_table(self._manifest)):
            self._take(row)
        self._due = time.monotonic() + (time.monotonic() - began) / _SHARE

    def _take(self, row: dict[str, Any]) -> None:
        name = row["sample"]
        if row == self._rows.get(name):
            return
        self._rows[name] = row
        run, shown = super().get(name), _run(row)
        if run is None:
            self._runs[name] = shown
        else:
            vars(run).update(vars(shown))
            self.changed(run)


def _run(row: dict[str, Any]) -> Run:
    """What the table's row says of a sample, as a run of which nothing else is known."""
    verdict, why = row["verdict"] or row["status"], row["error"] or row["why"]
    ended = f"{verdict}: {why}" if why else verdict
    run = Run(row["sample"], row["sample"], projections=row["projections"] or 0, ended=ended)
    if row["date"] is not None:
        run.began = datetime.fromisoformat(row["date"]).timestamp()
        run.changed = run.began + row["seconds"]
    if row["status"] == DONE:
        known = (row[name] for name in ("largest_step", "residual", "align_seconds"))
        steps, residuals, seconds = ([math.nan if value is None else value] for value in known)
        run.history = History([""], steps, steps, residuals, seconds)
        run.iteration = run.iterations = row["iterations"]
    return run
