"""What is worth knowing of an alignment, in numbers and words that JSON has."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from mumott_dask import arrays
from mumott_dask.alignment import compare
from mumott_dask.measured import checked_signal, signal_and_mask
from mumott_dask.projector import Projector
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
        `largest_step` (pixels); `residual`, `noise` and `signal`, RMS of what the tomogram leaves
        unexplained, of what of that differs from pixel to pixel, and of what was measured; medians of the
        standard errors, `j_std` and `k_std` (pixels); `wrong`, labels of projections; `truth_rms` (pixels)
        where the scan is a simulated one.
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
        **_powers(scan, alignment),
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


def _powers(scan: xr.Dataset, alignment: xr.Dataset) -> Facts:
    """RMS of the signal, and of its noise: what the residual changes by from pixel to pixel, both ways."""
    attrs = alignment.attrs
    segment = attrs.get("segment", "mean")
    values, mask = signal_and_mask(
        scan,
        checked_signal(
            scan,
            attrs["variable"] or None,
            None if segment == "mean" else segment,
            attrs.get("transmission_corrected"),
        ),
    )
    others = [mask]
    if "tomogram" in alignment:
        projector = Projector.from_scan(scan)
        others.append(projector.forward(alignment["tomogram"].values, arrays.chunk_lengths(values)))
    sums = arrays.of_each_projection(_sums, values, *others).sum(axis=0)
    signal, pixels, noise, fours = np.pad(sums, (0, 4 - len(sums)))
    return {
        "signal": _number(np.sqrt(signal / pixels)) if pixels else None,
        "noise": _number(np.sqrt(noise / fours)) if fours else None,
    }


def _sums(values: Any, mask: Any, reprojected: Any = None) -> Any:
    """Squares of the values and their number, squared differences of the residual within fours and theirs."""
    weight = mask > 0
    parts = [np.sum(np.square(values, dtype=np.float64), axis=(1, 2), where=weight), weight.sum(axis=(1, 2))]
    if reprojected is not None:
        fours = weight[:, 1:, 1:] & weight[:, :-1, 1:] & weight[:, 1:, :-1] & weight[:, :-1, :-1]
        change = np.diff(np.diff(values - reprojected, axis=1), axis=2) / 2
        parts += [
            np.sum(np.square(change, dtype=np.float64), axis=(1, 2), where=fours),
            fours.sum(axis=(1, 2)),
        ]
    return np.stack(parts, axis=1).astype(np.float64)


def _number(value: Any) -> float | None:
    """A number as JSON has it, which knows no infinity."""
    return float(value) if np.isfinite(value) else None
