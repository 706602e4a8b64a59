"""A report of a campaign to keep: one HTML file with a row for each sample, sortable, without a network."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from mumott_dask.monitor.markup import COLOURS, png
from mumott_dask.monitor.pictures import volume_picture
from mumott_dask.monitor.reports import template
from mumott_dask.words import listed

from .catalogue import campaign_table, plain_rows, swept, verdict_counts
from .samples import Manifest, Sample
from .state import DONE, State

_TILE = 96  # pixels
_POINTS = 150  # of a curve
_WIDTH, _HEIGHT = 150, 48

_NUMBERS = {
    "projections": ("projections", "d"),
    "iterations": ("iterations", "d"),
    "largest_step": ("last step (pixel)", ".4f"),
    "residual": ("residual", ".5f"),
    "j_std": ("error of j (pixel)", ".4f"),
    "k_std": ("error of k (pixel)", ".4f"),
    "wrong": ("wrong", "d"),
    "seconds": ("seconds", ".1f"),
    "memory": ("memory (MB)", ".0f"),
}
"""Columns of the catalogue that are shown, their titles, and how their numbers are written."""


class Cell(NamedTuple):
    """A cell of the table."""

    text: str
    value: float | None = None  #: that a number is sorted by
    kind: str = ""  #: its class


class Row(NamedTuple):
    """A sample: its name, its pictures as HTML, and its cells."""

    sample: str
    picture: str
    curves: str
    cells: list[Cell]


def campaign_report(manifest: Manifest) -> str:
    """Make a report of a campaign: a table with small pictures of every sample, sorted by a click.

    Parameters
    ----------
    manifest : Manifest
        Also of a campaign that still runs: what waits has no pictures.

    Returns
    -------
    str
        An HTML document, complete in itself: light or dark as the reader's system is, and readable on paper.

    Examples
    --------
    >>> html = campaign_report(read_manifest("bones.yaml"))  # doctest: +SKIP
    """
    table, state = campaign_table(manifest), State(manifest.directory)
    settings = swept(table)
    rows = [
        _row(sample, row, settings, state)
        for sample, row in zip(manifest.samples, plain_rows(table), strict=True)
    ]
    script = (Path(__file__).parent / "templates" / "sort.js").read_text(encoding="utf-8")
    return template("campaign_report.html", Path(__file__).parent).render(
        name=manifest.path.name,
        counts=verdict_counts(table),
        titles=[*settings, "verdict", "why", *(title for title, _ in _NUMBERS.values()), "wrong ones"],
        rows=rows,
        colours=COLOURS,
        script=script,
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _row(sample: Sample, row: dict[str, Any], settings: list[str], state: State) -> Row:
    verdict = row["verdict"] or row["status"]
    numbers = dict(row, memory=None if row["memory"] is None else row["memory"] / 1e6)
    picture, curves, wrong = "", "", ""
    if row["status"] == DONE:
        with suppress(OSError, KeyError):  # it is being replaced
            group: Any = zarr.open_group(state.store(sample), mode="r")
            wrong = listed(group.attrs.get("wrong", []))
            curves = _curves(sample.name, *(np.asarray(group[f"{axis}_offset"][:]) for axis in "jk"))
            if "tomogram" in group:
                picture = _picture(sample.name, group["tomogram"])
    cells = [
        *(Cell(json.dumps(row[name])) for name in settings),
        Cell(verdict, kind=verdict),
        Cell(row["error"] or row["why"] or "", kind="words"),
        *(_number(numbers[name], form) for name, (_, form) in _NUMBERS.items()),
        Cell(wrong, kind="words"),
    ]
    return Row(sample.name, picture, curves, cells)


def _number(value: Any, form: str) -> Cell:
    return Cell("") if value is None else Cell(format(value, form), float(value), "number")


def _picture(name: str, tomogram: Any) -> str:
    """The middle slice across z, in a colour scale of its own."""
    middle = np.asarray(tomogram[:, :, tomogram.shape[2] // 2], np.float32)
    source = b64encode(png(volume_picture(middle, _TILE * _TILE).steps.T[::-1])).decode()
    words = escape(f"middle slice of the tomogram of {name}, x across and y up")
    return f'<img class="tile" alt="{words}" src="data:image/png;base64,{source}">'


def _curves(name: str, j: NDArray[Any], k: NDArray[Any]) -> str:
    """Both offsets by projection on one scale, as SVG."""
    every = -(-len(j) // _POINTS)
    low, high = float(min(j.min(), k.min())), float(max(j.max(), k.max()))
    across = np.linspace(1, _WIDTH - 1, len(j))[::every]
    lines = []
    for axis, offsets in (("j", j), ("k", k)):
        up = _HEIGHT - 1 - (_HEIGHT - 2) * (offsets[::every] - low) / max(high - low, 1e-9)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
        lines.append(f'<polyline points="{points}" stroke="{COLOURS[axis]}"/>')
    words = escape(f"offsets of {name} by projection, from {low:.2f} to {high:.2f} pixel")
    return (
        f'<svg class="curves" role="img" aria-label="{words}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f"<title>{words}</title>{''.join(lines)}</svg>"
    )
