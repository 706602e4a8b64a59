"""One sample from its file to its store: what a task of a campaign does."""

from __future__ import annotations

import logging
import math
import shutil
import time
import traceback
from pathlib import Path

import xarray as xr
from dask.base import tokenize
from distributed import get_worker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.system import MEMORY_LIMIT

from mumott_dask import placement
from mumott_dask.alignment import align, open_alignment, validate, with_offsets, write_alignment
from mumott_dask.alignment.checkpoint import is_unfinished
from mumott_dask.alignment.ending import INTERRUPTED
from mumott_dask.errors import ScanError
from mumott_dask.monitor.publishing import publishing
from mumott_dask.reconstruction import reconstruct
from mumott_dask.scan import bin_scan, crop, open_scan
from mumott_dask.scan.chunk_sizes import Chunks
from mumott_dask.words import one_line

from .described import Facts, described, described_validation
from .fingerprint import sha256, stamp
from .memory import held_at_most, memory_needed
from .provenance import provenance
from .samples import Sample
from .state import ATTRIBUTE, DONE, FAILED, LARGE, Record

log = logging.getLogger(__name__)

_TOLD_EVERY = 1.0  # seconds between iterations that a sample shows on the dashboard, where many do
_OF_ITSELF = 0.5  # share of a machine's memory that a sample may take in a process that is no worker


def processed(sample: Sample, store: Path, limit: int | None = None) -> Record:
    """Work on a sample in this thread; whatever goes wrong with it stands in what is returned.

    Parameters
    ----------
    sample : Sample
    store : path
        Where its result goes, replacing what is there.
    limit : int, bytes, optional
        What it may need; at most, and by default, this thread's share of its worker's memory. A sample that
        needs more is left alone, its status ``"large"``.

    Returns
    -------
    dict
        `sample`, `path`, `settings`, `variant`; `status`: ``"done"``, ``"failed"`` (then `error` and
        `traceback`) or ``"large"``; `size`, `time` and `sha256` of the scan; `result` (see `described`),
        `seconds`, `memory` (bytes, that the process held at most), `versions`, `commit`, `host`, `date`.
    """
    return _recorded(sample, store, None, room(limit))


def processed_in_chunks(sample: Sample, store: Path, chunks: Chunks) -> Record:
    """Work on a sample with all workers; see `processed`. It goes on where it was stopped."""
    return _recorded(sample, store, chunks, math.inf)


def not_processed(sample: Sample, error: BaseException) -> Record:
    """Record of a sample whose task has come to nothing."""
    return {**_begun(sample), **_told(error)}


def opened(sample: Sample, chunks: Chunks = "auto") -> xr.Dataset:
    """The scan of a sample, cropped and binned, of which no pixel has been read.

    Without the truth of simulated ones, and without segments that nobody asks for.
    """
    scan = open_scan(sample.path, chunks=chunks, nonfinite=sample.nonfinite)
    if sample.align.get("variable") != "data":
        scan = scan.drop_vars("data", errors="ignore")
    scan = scan.drop_vars([name for name, each in scan.data_vars.items() if "projection" not in each.dims])
    scan = crop(scan, **{name: slice(*window) for name, window in sample.crop.items()})
    return scan if sample.bin == 1 else bin_scan(scan, sample.bin)


def _recorded(sample: Sample, store: Path, chunks: Chunks, limit: float) -> Record:
    began, record = time.monotonic(), _begun(sample)
    try:
        before = stamp(sample.path)
        record |= before._asdict()
        scan = opened(sample, chunks or "auto")
        if memory_needed(scan) > limit:
            return {**record, "status": LARGE}
        with held_at_most(on_workers=chunks is not None) as held:
            if chunks is None:
                scan = scan.load(scheduler="synchronous")
            result, record["result"] = _result(scan, sample, _checkpoint(sample, store) if chunks else None)
            record |= {"memory": held(), "sha256": sha256(sample.path)}
        if stamp(sample.path) != before:
            raise ScanError(f"{sample.path}: was changed while it was worked on")
        record |= {"status": DONE, "seconds": time.monotonic() - began}
        write_alignment(result.assign_attrs({ATTRIBUTE: record}), store, overwrite=True)
        record["seconds"] = time.monotonic() - began
        shutil.rmtree(_checkpoint(sample, store), ignore_errors=True)
    except (FutureCancelledError, CommClosedError):  # the cluster is lost, which is no fault of the sample's
        raise
    except Exception as error:
        log.info("%s: %s", sample.name, error)
        record |= {"result": {}, "seconds": time.monotonic() - began, **_told(error)}
    return record


def _result(scan: xr.Dataset, sample: Sample, checkpoint: Path | None) -> tuple[xr.Dataset, Facts]:
    """The alignment with the tomogram of a whole reconstruction, and what is to be told of it."""
    began = time.monotonic()
    alignment = _aligned(scan, sample, checkpoint)
    aligned = time.monotonic()
    moved = with_offsets(scan, alignment)
    result = alignment.drop_vars("tomogram", errors="ignore")
    if sample.tomogram:
        result = result.assign(tomogram=reconstruct(moved, **sample.reconstruct))
    facts = described(moved, alignment)
    facts |= {"align_seconds": aligned - began, "reconstruct_seconds": time.monotonic() - aligned}
    if sample.validate:
        facts["validation"] = described_validation(validate(scan, alignment))
    return result, facts


def _aligned(scan: xr.Dataset, sample: Sample, checkpoint: Path | None) -> xr.Dataset:
    if checkpoint is not None and checkpoint.exists() and not is_unfinished(checkpoint):
        return open_alignment(checkpoint)  # it was stopped after that
    with publishing(placement.client(), sample.name, _TOLD_EVERY) as publisher:
        alignment = align(scan, checkpoint=checkpoint, watch=publisher, **sample.align)
    if alignment.attrs["reason"] == INTERRUPTED:
        raise KeyboardInterrupt
    return alignment


def _checkpoint(sample: Sample, store: Path) -> Path:
    """Where an alignment is kept on its way; another scan or other settings have another name."""
    asked = tokenize(str(sample.path), stamp(sample.path), sample.settings)
    return store.parent.parent / "unfinished" / f"{sample.name}.{asked[:12]}.zarr"


def _begun(sample: Sample) -> Record:
    return {
        "sample": sample.name,
        "path": str(sample.path),
        "settings": sample.settings,
        "variant": dict(sample.variant),
        **dict.fromkeys(("status", "error", "traceback", "size", "time", "sha256", "seconds", "memory")),
        "result": {},
        **provenance(),
    }


def _told(error: BaseException) -> Record:
    """What a record says of an error."""
    line = one_line(error)
    if not isinstance(error, ScanError | OSError):
        line = f"{type(error).__name__}: {line}"
    return {"status": FAILED, "error": line, "traceback": "".join(traceback.format_exception(error))}


def room(limit: int | None = None) -> float:
    """Bytes that a sample may need in this thread: its share of its worker's memory, or a lower limit."""
    try:
        worker = get_worker()
        share = (worker.memory_manager.memory_limit or MEMORY_LIMIT) / worker.state.nthreads
    except ValueError:
        share = _OF_ITSELF * MEMORY_LIMIT
    return min(share, math.inf if limit is None else limit)
