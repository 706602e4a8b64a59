"""Trust without truth: whether an alignment is as good as it says, from the scan alone."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mumott_dask import geometry
from mumott_dask.errors import ScanError
from mumott_dask.projector import VolumeChunks
from mumott_dask.scan import open_scan
from mumott_dask.scan.schema import validate_scan

from .fourier_shells import ShellCorrelation, shell_correlation
from .held_out import FOLDS, Aligned, Realigned, aligned, realigned
from .result import open_alignment
from .verdict import Evidence, strays, verdict

Floats = NDArray[np.float64]

_TOMOGRAMS = FOLDS + 3
_FEWEST = 10
_PIXEL = {"units": "pixel"}


def validate(
    scan: xr.Dataset | str | PathLike[str],
    alignment: xr.Dataset | str | PathLike[str],
    iterations: int = 60,
    watch: Callable[[int, int, str], None] | None = None,
    volume_chunks: VolumeChunks = None,
) -> xr.Dataset:
    """Test an alignment without knowing the truth.

    Each tenth of the projections (every tenth one) is realigned against a tomogram of the others, and the
    tomograms of two halves (every other projection) are compared.

    Parameters
    ----------
    scan : Dataset or path
        NumPy (worked on in this process) or chunked (by Dask, on the active client if there is one).
    alignment : Dataset or path
        What `align` found for it.
    iterations : int
        Of MITRA for each of the 13 tomograms, twice as many where the views cut the sample, unless slopes of
        the background or rotations were looked for; with fewer, what is not finished passes for errors.
    watch : callable, optional
        Called after each tomogram with their number so far, the number in all, and what was done.
    volume_chunks : int, "auto" or None
        For chunked scans: thickness of the slabs along x that tomograms are held in; see `align`.

    Returns
    -------
    Dataset
        By projection, NaN where an offset was not looked for: `j_difference` and `k_difference` (held-out
        less aligned offsets, pixels, gauge taken out), `j_error` and `k_error` (what they are expected to be,
        from the stated errors), `j_ratio` and `k_ratio`. By `frequency` (cycles per pixel): `correlation` and
        `half_bit`, the criterion. Attributes: `verdict` ("good", "doubtful" or "bad") and `reason`;
        `ratio_std`, by which the stated errors are too small; `difference_rms`, pixels; `resolution`, pixels,
        and `resolution_um` where the scan says how large its pixels are; `wrong`, the projections that
        contradict their offsets; `background_shift` and `rotation_shift`, what the offsets would move by in
        standard errors (RMS) if backgrounds or rotations were free as well.

    Raises
    ------
    ScanError
        Whatever is wrong with the scan; fewer than 10 projections that were aligned; an alignment without all
        of the scan's projections.

    Notes
    -----
    The noise of a projection's own pixels moves its aligned and its held-out offset alike, so that their
    difference would not show it. The held-out offset is therefore taken from every other pixel, as of a
    chequerboard. With S the standard error of the held-out offset by all pixels, H of what half of them add,
    and t the share of the data that a tomogram takes for itself, the variance of the difference is
    ``H^2 + t S^2``: of what a held-out residual scatters by, t is the tomogram's, and the rest the noise of
    its own pixels. S, H, t and the standard error E of the aligned offset are computed here; the errors that
    the alignment states are scaled by the root of that variance over E.

    Errors of the model that a projection does not share with others (its own angle, its own background) move
    both offsets alike as well. They are looked for in the held-out images: left-out unknowns are set free,
    and what matters is how far they move the offsets. For the thresholds see `mumott_dask.alignment.verdict`.

    The two halves have been aligned together, so their correlation is no proof of the offsets.

    Examples
    --------
    >>> import mumott_dask as md
    >>> scan = md.simulate(shape=(24, 20), tilts=2, rotations=12, jumps=0)
    >>> checked = md.validate(scan, md.align(scan))
    >>> checked.sizes["projection"]
    24
    """
    scan = scan if isinstance(scan, xr.Dataset) else open_scan(scan)
    validate_scan(scan)
    alignment = alignment if isinstance(alignment, xr.Dataset) else open_alignment(alignment)
    if iterations < 1:
        raise ScanError(f"iterations is {iterations}, expected at least 1")
    done = 0

    def progress(what: str) -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(done, _TOMOGRAMS, what)

    known = aligned(scan, alignment, iterations, volume_chunks)
    tested = int(known.free.any(axis=1).sum())
    if tested < _FEWEST:
        raise ScanError(f"validate: {tested} projections were aligned, expected at least {_FEWEST}")
    found = realigned(known, progress)
    shells = _halves(known, progress)
    return _dataset(scan, alignment, known, found, shells)


def _halves(known: Aligned, progress: Callable[[str], None]) -> ShellCorrelation:
    even = np.arange(len(known.weight)) % 2 == 0
    tomograms = []
    for name, half in (("even", even), ("odd", ~even)):
        tomograms.append(known.tomogram(half))
        progress(f"{name} projections")
    return shell_correlation(*tomograms)


def _dataset(
    scan: xr.Dataset, alignment: xr.Dataset, known: Aligned, found: Realigned, shells: ShellCorrelation
) -> xr.Dataset:
    labels = np.asarray(scan["projection"])
    difference = np.stack(
        geometry.without_gauge(found.difference[:, 0], found.difference[:, 1], known.level.projector.basis),
        axis=1,
    )
    halving = found.deviation * _rms(found.halving / found.deviation)  # of one projection, few blocks tell it
    variance = halving**2 + found.taken * found.deviation**2
    error = _stated(alignment, labels, found) * np.sqrt(variance) / found.expected
    ratio = difference / error
    stray = strays(ratio)
    wrong = [int(label) for label in labels[stray]]
    usual = ratio[~stray]
    evidence = Evidence(
        ratio_std=_rms(usual),
        converged=bool(alignment.attrs.get("converged", True)),
        ending=str(alignment.attrs.get("reason", "unknown")),
        strays=wrong,
        left_out=[int(label) for label in alignment.attrs.get("wrong", [])],
        projections=len(labels),
        background_shift=_rms(found.background_shift / found.deviation),
        rotation_shift=_rms(found.rotation_shift / found.deviation),
        rotation=float(np.sqrt(np.nanmean(np.sum(found.rotation[known.weight > 0] ** 2, axis=1)))),
        instrument=float(np.linalg.norm(found.instrument)),
        cut=any(known.cut),
        correlated=bool(shells.correlation[0] > shells.half_bit[0]),
    )
    token, reason = verdict(evidence)
    resolution = shells.resolution
    size = scan.attrs.get("pixel_size")
    names = ("difference", "error", "ratio")
    by_projection = {
        f"{axis}_{name}": ("projection", values[:, i], {} if name == "ratio" else _PIXEL)
        for name, values in zip(names, (difference, error, ratio), strict=True)
        for i, axis in enumerate("jk")
    }
    return xr.Dataset(
        {
            **by_projection,
            "correlation": ("frequency", shells.correlation),
            "half_bit": ("frequency", shells.half_bit),
        },
        coords={
            "projection": labels,
            "frequency": ("frequency", shells.frequency, {"units": "cycles per pixel"}),
        },
        attrs={
            "verdict": token,
            "reason": reason,
            "ratio_std": evidence.ratio_std,
            "difference_rms": _rms(difference[~stray]),
            "wrong": wrong,
            "background_shift": evidence.background_shift,
            "rotation_shift": evidence.rotation_shift,
            "resolution": resolution,
            **({} if size is None else {"resolution_um": resolution * float(size)}),
            "source": scan.attrs.get("source", ""),
        },
    )


def _stated(alignment: xr.Dataset, labels: NDArray[np.int64], found: Realigned) -> Floats:
    """Standard errors that the alignment states, (projection, 2); those computed here where it has none."""
    if "j_offset_std" not in alignment:
        return found.expected
    chosen = alignment.sel(projection=labels)
    return np.stack([np.asarray(chosen[f"{axis}_offset_std"]) for axis in "jk"], axis=1)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.nanmean(values**2)))
