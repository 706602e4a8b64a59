"""Running a campaign: small samples side by side, each one a task; then large ones alone, on all workers.

Dask does the scheduling. What is done here is to keep its scheduler busy without telling it of ten thousand
samples at once, and to keep what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from distributed import Future, as_completed

from mumott_dask import cluster, placement
from mumott_dask.scan.chunk_sizes import Chunks

from .catalogue import write_catalogue
from .contact_sheet import draw_contact_sheet
from .samples import Manifest, Sample
from .state import LARGE, Record, State
from .work import not_processed, processed, processed_in_chunks

Watch = Callable[[int, int, Record], None]

_KNOWN = 64  # samples that the scheduler knows of at a time, or more where there are many threads
_PER_THREAD = 2


def run_campaign(manifest: Manifest, retry_failed: bool = False, watch: Watch | None = None) -> list[Record]:
    """Work on all samples of a campaign that are missing, or whose scan or settings have changed.

    It works on the active Dask client's workers, or in this process where there is none. Each result is kept
    as soon as it is there: stopped or killed at any moment, the campaign goes on with the next call.

    Parameters
    ----------
    manifest : Manifest
    retry_failed : bool
        Whether samples that have failed are tried again.
    watch : callable, optional
        Called after each sample with their number so far, the number in all, and what came of it.

    Returns
    -------
    list of dict
        What came of those that were worked on.

    Raises
    ------
    ScanError
        Where another process works on the campaign, or the cluster is lost. Not for what is wrong with a
        sample: that stands in its row.
    """
    state = State(manifest.directory)
    records: list[Record] = []
    with state.locked(), cluster.losses_told():
        todo = [sample for sample in manifest.samples if state.missing(sample, retry_failed)]
        try:
            for record in _worked_on(todo, state, manifest):
                state.write(record)
                records.append(record)
                if watch is not None:
                    watch(len(records), len(todo), record)
        finally:
            write_catalogue(manifest)
        if records:
            draw_contact_sheet(manifest)
    return records


def _worked_on(todo: list[Sample], state: State, manifest: Manifest) -> Iterator[Record]:
    """What comes of each sample, in the order in which they are done."""
    client = placement.client()
    records: Iterator[Record]
    if client is None:
        records = (processed(each, state.store(each), manifest.limits.memory) for each in todo)
    else:
        records = _by_tasks(client, todo, state, manifest)
    large = set()
    for record in records:
        if record["status"] == LARGE:
            large.add(record["sample"])
        else:
            yield record
    for sample in todo:
        if sample.name in large:
            chunks: Chunks = "auto" if client is None else cluster.capacity(client)
            yield processed_in_chunks(sample, state.store(sample), chunks)


def _by_tasks(client: Any, todo: Iterable[Sample], state: State, manifest: Manifest) -> Iterator[Record]:
    """What comes of samples, each of which is a task."""
    waiting = iter(todo)
    known: dict[Future, Sample] = {}
    completed = as_completed()

    def submit() -> None:
        threads = sum(worker.threads for worker in placement.workers())
        most = manifest.limits.samples or max(_KNOWN, _PER_THREAD * threads)
        for sample in islice(waiting, max(0, most - len(known))):
            future = client.submit(processed, sample, state.store(sample), manifest.limits.memory, pure=False)
            known[future] = sample
            completed.add(future)

    submit()
    for future in completed:
        sample, error = known.pop(future), future.exception()
        yield future.result() if error is None else not_processed(sample, error)
        submit()
