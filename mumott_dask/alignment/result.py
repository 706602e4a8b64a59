"""The result of an alignment as a dataset: built, written, read, and gathered into a scan's geometry."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr

from mumott_dask._version import __version__
from mumott_dask.errors import ScanError
from mumott_dask.measured import Signal
from mumott_dask.reconstruction import tomogram_array
from mumott_dask.scan.zarr_store import open_dataset, write_dataset
from mumott_dask.versions import versions

from .records import TRUSTED, AlignmentStep


def alignment_dataset(
    scan: xr.Dataset,
    history: Sequence[AlignmentStep],
    converged: bool,
    reason: str,
    settings: dict[str, Any],
    signal: Signal,
) -> xr.Dataset:
    """The alignment that ended with the last step of `history`.

    Parameters
    ----------
    scan : Dataset
        Its projections' labels and the size of its pixels are taken over.
    history : sequence of AlignmentStep
        One an outer iteration.
    converged : bool
    reason : str
        Why it ended.
    settings : dict
        Kept as attributes.
    signal : Signal
        What was aligned.
    """
    last = history[-1]
    offsets = {"units": "pixel"}
    by_iteration = ("iteration", "projection")
    result = xr.Dataset(
        {
            "j_offset": ("projection", last.j_offset, offsets),
            "k_offset": ("projection", last.k_offset, offsets),
            "j_offset_history": (by_iteration, np.stack([step.j_offset for step in history]), offsets),
            "k_offset_history": (by_iteration, np.stack([step.k_offset for step in history]), offsets),
            "largest_step": ("iteration", [step.largest_step for step in history], offsets),
            "median_step": ("iteration", [step.median_step for step in history], offsets),
            "residual": ("iteration", [step.residual for step in history], {"units": signal.unit}),
            "seconds": ("iteration", [step.seconds for step in history], {"units": "s"}),
            "stage": ("iteration", np.array([step.stage for step in history], dtype=np.dtypes.StringDType())),
        },
        coords={
            "projection": np.asarray(scan["projection"]),
            "iteration": [step.iteration for step in history],
        },
        attrs={
            **settings,
            "converged": converged,
            "reason": reason,
            "version": __version__,
            "versions": versions(),
            "source": scan.attrs.get("source", ""),
        },
    )
    result = result.assign(_found_besides(last))
    if last.trust is not None:
        result.attrs["wrong"] = [int(label) for label in result["projection"].values[last.trust < TRUSTED]]
    if last.tomogram is not None:
        result["tomogram"] = tomogram_array(last.tomogram, scan, signal)
    return result


def _found_besides(last: AlignmentStep) -> dict[str, Any]:
    """Standard errors, weights and what else was unknown of each projection."""
    unknowns, deviations = last.unknowns, last.deviations
    if unknowns is None or deviations is None or last.trust is None:
        return {}
    found: dict[str, Any] = {
        "j_offset_std": ("projection", deviations[:, 0], {"units": "pixel"}),
        "k_offset_std": ("projection", deviations[:, 1], {"units": "pixel"}),
        "weight": ("projection", last.trust, {"long_name": "0 for a projection that is entirely wrong"}),
    }
    if unknowns.background and last.background is not None:
        terms = last.background[:, : unknowns.background]
        found["background"] = (("projection", "term"), terms, {"units": "absorbance"})
    if unknowns.rotations:
        found["rotation"] = (("projection", "row", "col"), last.rotation)
        found["rotation_std"] = (
            ("projection", "xyz"),
            deviations[:, unknowns.rotation_part],
            {"units": "radian"},
        )
    if last.instrument_deviation is not None:
        about = {"units": "radian", "long_name": "standard error of the turn about the laboratory's axes"}
        found["instrument_std"] = ("xyz", last.instrument_deviation, about)
    return found


def write_alignment(result: xr.Dataset, path: str | PathLike[str], overwrite: bool = False) -> None:
    """Write an alignment as a Zarr store, atomically.

    Parameters
    ----------
    result : Dataset
        What `align` returned.
    path : path
    overwrite : bool
        Whether what is there is replaced, once the new one is whole.

    Raises
    ------
    ScanError
        Where the dataset is no alignment, the output exists, or the disk is full.
    """
    _check(result, "what is to be written")
    write_dataset(result, path, overwrite, kind="alignment")


def open_alignment(path: str | PathLike[str]) -> xr.Dataset:
    """Read an alignment that `write_alignment` or the command wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Dataset
        See `align`.

    Raises
    ------
    ScanError
        Where there is no such store, or it holds something else.
    """
    result = open_dataset(path, kind="alignment")
    _check(result, str(path))
    return result


def with_offsets(scan: xr.Dataset, alignment: xr.Dataset | str | PathLike[str]) -> xr.Dataset:
    """The scan with the offsets of an alignment, and its rotations where they were refined, in its geometry.

    Parameters
    ----------
    scan : Dataset
        Not changed.
    alignment : Dataset or path
        Its projections are matched by label; it must have all of the scan's.

    Returns
    -------
    Dataset

    Raises
    ------
    ScanError
        Where a projection of the scan has no offset in the alignment, or one that is not finite.
    """
    j_offset, k_offset = offsets_by_label(scan, alignment)
    attrs = {"units": "pixel"}
    scan = scan.assign_coords(
        j_offset=("projection", j_offset, attrs), k_offset=("projection", k_offset, attrs)
    )
    rotation = rotation_by_label(scan, alignment)
    return scan if rotation is None else scan.assign_coords(rotation=(scan["rotation"].dims, rotation))


def rotation_by_label(scan: xr.Dataset, alignment: xr.Dataset | str | PathLike[str]) -> Any:
    """Rotations of an alignment in the order of a scan's projections; None where it has not refined them."""
    alignment = alignment if isinstance(alignment, xr.Dataset) else open_alignment(alignment)
    if "rotation" not in alignment.variables:
        return None
    return np.array(alignment["rotation"].sel(projection=np.asarray(scan["projection"])))


def offsets_by_label(scan: xr.Dataset, alignment: xr.Dataset | str | PathLike[str]) -> tuple[Any, Any]:
    """Offsets (j, k) of an alignment in the order of a scan's projections, float64 each."""
    alignment = alignment if isinstance(alignment, xr.Dataset) else open_alignment(alignment)
    _check(alignment, "the alignment")
    labels = np.asarray(scan["projection"])
    missing = labels[~np.isin(labels, np.asarray(alignment["projection"]))]
    if missing.size:
        raise ScanError(f"the alignment has no projection {missing[0]}, the scan has")
    chosen = alignment[["j_offset", "k_offset"]].sel(projection=labels)
    j_offset, k_offset = np.array(chosen["j_offset"]), np.array(chosen["k_offset"])
    lost = ~(np.isfinite(j_offset) & np.isfinite(k_offset))
    if lost.any():
        raise ScanError(f"the alignment's offset of projection {labels[lost][0]} is not finite")
    return j_offset, k_offset


def _check(alignment: xr.Dataset, what: str) -> None:
    missing = [name for name in ("j_offset", "k_offset", "projection") if name not in alignment.variables]
    if missing:
        raise ScanError(f"{what} has no {missing[0]!r}, expected an alignment")
