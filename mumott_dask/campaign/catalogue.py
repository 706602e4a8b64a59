"""All samples of a campaign in one table, a row each, and the Parquet file of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mumott_dask.scan.atomic import replacing

from .samples import Manifest, Sample
from .state import DONE, Record, State, is_about
from .verdicts import verdicts

if TYPE_CHECKING:
    import pandas as pd

FILE = "catalogue.parquet"
WAITING = "waiting"

_COLUMNS = {
    **dict.fromkeys(("sample", "status", "verdict", "why", "error", "path", "sha256", "settings"), "string"),
    **dict.fromkeys(("projections", "j", "k"), "Int64"),
    **{"converged": "boolean", "reason": "string", "iterations": "Int64"},
    **dict.fromkeys(
        ("largest_step", "residual", "noise", "signal", "j_std", "k_std", "truth_rms"), "Float64"
    ),
    **{"wrong": "Int64", "validation": "string", "validation_reason": "string"},
    **dict.fromkeys(("align_seconds", "reconstruct_seconds", "seconds"), "Float64"),
    "memory": "Int64",
    **dict.fromkeys(("versions", "commit", "host", "date"), "string"),
}


def campaign_table(manifest: Manifest) -> pd.DataFrame:
    """All samples of a campaign with what came of them.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    DataFrame
        A row for each sample, in the manifest's order: `sample`, `status` (``"done"``, ``"failed"`` or
        ``"waiting"``), `verdict` (``"pass"``, ``"look"`` or ``"fail"``) and `why`, `error`, `path` and
        `sha256` of the scan, `settings` (JSON), `projections`, `j`, `k`, `converged` and `reason`,
        `iterations`, `largest_step` (pixels), `residual`, its `noise`, and `signal` (RMS, in its unit),
        `j_std` and `k_std` (medians, pixels), `truth_rms` (pixels) of simulated scans, `wrong` (number of
        projections), `validation` and its reason where it was asked for, `seconds`, `memory` (bytes),
        `versions` (JSON), `commit`, `host`, `date`; and a column for each setting of a sweep.
    """
    import pandas as pd

    state = State(manifest.directory)
    records = [_current(sample, state) for sample in manifest.samples]
    rows = list(map(_row, manifest.samples, records))
    done = [(n, record) for n, record in enumerate(records) if record and record["status"] == DONE]
    given = verdicts([(record["variant"], record["result"]) for _, record in done])
    for (n, _), verdict in zip(done, given, strict=True):
        rows[n] |= verdict._asdict()
    variants = pd.DataFrame([dict(sample.variant) for sample in manifest.samples])
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS).join(variants)


def write_catalogue(manifest: Manifest) -> Path:
    """Write the table of a campaign into its folder, as Parquet, and say where."""
    path = manifest.directory / FILE
    table = campaign_table(manifest)
    for name in swept(table):  # words, numbers and null in one column
        table[name] = table[name].map(json.dumps).astype("string")
    with replacing(path, overwrite=True) as partial:
        table.to_parquet(partial, index=False)
    return path


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a campaign's table, None where nothing is known."""
    return [dict(row) for row in table.astype(object).where(table.notna(), None).to_dict("records")]


def swept(table: pd.DataFrame) -> list[str]:
    """Columns of the settings of a sweep."""
    return [name for name in table.columns if name not in _COLUMNS]


def verdict_counts(table: pd.DataFrame) -> str:
    """How many samples there are, and how many of each verdict; of each status where there is none yet."""
    counts = Counter(table["verdict"].fillna(table["status"]))
    return f"{len(table)} samples: {', '.join(f'{count} {word}' for word, count in counts.items())}"


def _current(sample: Sample, state: State) -> Record | None:
    """What came of a sample with the settings that it has now."""
    record = state.record(sample)
    return record if record is not None and is_about(record, sample) else None


def _row(sample: Sample, record: Record | None) -> dict[str, Any]:
    known: Record = {"status": WAITING, "result": {}} if record is None else record
    result = known["result"]
    j, k = result.get("detector", (None, None))
    validation = result.get("validation", {})
    return {
        **known,
        **result,
        "sample": sample.name,
        "path": str(sample.path),
        "settings": json.dumps(sample.settings),
        "j": j,
        "k": k,
        "wrong": len(result["wrong"]) if "wrong" in result else None,
        "validation": validation.get("verdict"),
        "validation_reason": validation.get("reason"),
        "versions": json.dumps(known["versions"]) if "versions" in known else None,
    }
