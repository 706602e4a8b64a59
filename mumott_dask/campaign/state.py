"""State of a campaign: one folder, with a Zarr store and a small record for each sample, and a lock.

A record is written when its store is whole. The store carries the record as well, so that one whose record
was not written any more is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zarr

from mumott_dask.scan.atomic import locked, recover_folder, replacing

from .fingerprint import sha256, stamp
from .samples import Sample

Record = dict[str, Any]
"""What came of a sample; see `work.processed`."""

ATTRIBUTE = "campaign"
DONE, FAILED, LARGE = "done", "failed", "large"


def is_about(record: Record, sample: Sample) -> bool:
    """Whether a record is of a sample's own scan, by its path, with the settings that it has now."""
    return bool(record["settings"] == sample.settings and record["path"] == str(sample.path))


class State:
    """State of a campaign in its folder."""

    def __init__(self, directory: Path):
        self.directory = directory

    def store(self, sample: Sample) -> Path:
        """Where the result of a sample goes."""
        return self.directory / "samples" / f"{sample.name}.zarr"

    def record(self, sample: Sample) -> Record | None:
        """What came of a sample, where something did."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self._place(sample).read_text(encoding="utf-8")))
        return None

    def write(self, record: Record) -> None:
        """Keep what came of a sample."""
        place = self.directory / "records" / f"{record['sample']}.json"
        with replacing(place, overwrite=True) as partial:
            partial.write_text(json.dumps(record), encoding="utf-8")

    def changed(self) -> float:
        """When a record was last written, seconds since 1970; 0 where there is none."""
        try:
            return (self.directory / "records").stat().st_mtime
        except OSError:
            return 0.0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others out as long as the block runs; the system lets go where this process is killed.

        Raises
        ------
        ScanError
            Where another process is at work on the campaign.
        """
        for folder in ("samples", "records", "unfinished"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        held = f"{self.directory}: another process works on this campaign"
        with locked(self.directory / "lock", held):
            for folder in ("samples", "records"):
                recover_folder(self.directory / folder)
            yield

    def missing(self, sample: Sample, retry_failed: bool = False) -> bool:
        """Whether there is no result of a sample, or one of another scan or of other settings.

        A failure is a result, unless it is to be tried again.
        """
        record = self.record(sample)
        if record is not None and self._holds(record, sample):
            return record["status"] == FAILED and retry_failed
        stored = self._stored(sample)
        if stored is None or not self._holds(stored, sample):
            return True
        self.write(stored)  # of a runner that was killed before it did so
        return False

    def _holds(self, record: Record, sample: Sample) -> bool:
        """Whether a record is that of a sample as it is now."""
        if not is_about(record, sample):
            return False
        if record["status"] == DONE and not (self.store(sample) / "zarr.json").is_file():
            return False
        try:
            now = stamp(sample.path)
        except OSError:
            return True  # what was made of a scan stays, though it has been put away
        if (record["size"], record["time"]) == now:
            return True
        if record["size"] != now.size or record["sha256"] != sha256(sample.path):
            return False
        self.write({**record, "time": now.time})  # so that it need not be read again
        return True

    def _stored(self, sample: Sample) -> Record | None:
        """Record that the store of a result holds."""
        if not (self.store(sample) / "zarr.json").is_file():
            return None
        with suppress(OSError, ValueError, KeyError):
            return dict(zarr.open_group(self.store(sample), mode="r").attrs[ATTRIBUTE])  # type: ignore[arg-type]
        return None

    def _place(self, sample: Sample) -> Path:
        return self.directory / "records" / f"{sample.name}.json"
