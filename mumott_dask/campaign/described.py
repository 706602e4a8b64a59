"""What is worth knowing of an alignment, in numbers and words that JSON has."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from mumott_dask.alignment import compare
from mumott_dask.measured import checked_signal, signal_and_mask
from mumott_dask.scan.schema import detector_shape

Facts = dict[str, Any]


def described(scan: xr.Dataset, alignment: xr.Dataset) -> Facts:
    """What is worth knowing of an alignment.

    Parameters
    ----------
    scan : Dataset
        With the offsets that were found.
    alignment : Dataset

    Returns
    -------
    dict
        `projections`, `detector` (j, k) and `volume` (x, y, z); `converged`, `reason`, `iterations`,
        `largest_step` (pixels); `residual` and `signal`, RMS of what the tomogram leaves unexplained and of
        what was measured; medians of the standard errors, `j_std` and `k_std` (pixels); `wrong`, labels of
        projections; `truth_rms` (pixels) where the scan is a simulated one.
    """
    attrs, last = alignment.attrs, alignment.isel(iteration=-1)
    facts = {
        "projections": scan.sizes["projection"],
        "detector": list(detector_shape(scan)),
        "volume": [int(size) for size in scan.attrs["volume_shape"]],
        "converged": bool(attrs["converged"]),
        "reason": attrs["reason"],
        "iterations": alignment.sizes["iteration"],
        "largest_step": _number(last["largest_step"]),
        "residual": _number(last["residual"]),
        "signal": _signal_rms(scan, attrs),
        "wrong": list(attrs.get("wrong", [])),
    }
    for name in ("j", "k"):
        if f"{name}_offset_std" in alignment:
            facts[f"{name}_std"] = _number(alignment[f"{name}_offset_std"].median())
    if "j_offset_true" in scan.coords:
        facts["truth_rms"] = _number(compare(alignment, "truth", scan).attrs["rms"])
    return facts


def described_validation(checked: xr.Dataset) -> Facts:
    """What `validate` has found, but for single projections."""
    words = {name: checked.attrs[name] for name in ("verdict", "reason")}
    return words | {
        name: _number(checked.attrs[name]) for name in ("ratio_std", "difference_rms", "resolution")
    }


def _signal_rms(scan: xr.Dataset, attrs: dict[str, Any]) -> float | None:
    """RMS of what was aligned, over the pixels that hold it."""
    segment = attrs.get("segment", "mean")
    chosen = checked_signal(
        scan,
        attrs["variable"] or None,
        None if segment == "mean" else segment,
        attrs.get("transmission_corrected"),
    )
    values, mask = signal_and_mask(scan, chosen)
    return _number(np.sqrt(float((values**2 * mask).sum()) / float(mask.sum())))


def _number(value: Any) -> float | None:
    """A number as JSON has it, which knows no infinity."""
    return float(value) if np.isfinite(value) else None
