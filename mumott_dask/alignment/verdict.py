"""What held-out projections say of an alignment, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HOLDS = (0.8, 1.25)
"""Scatter of the differences over their errors within which the stated errors hold: 246 projections tell it
to 3 %, 30 to 9 %; the rest is what simulated scans of all kinds show."""

BROKEN = 2.0
"""Scatter, or shift in stated errors, from which an alignment is called bad: a user who trusts two standard
errors is then wrong every third time."""

SHIFTED = 1.0
"""Shift of the offsets, in standard errors (RMS), by something left out: beyond, it is the larger error."""

STRAY = 6.0
"""Scatters from which a projection is called wrong: Gaussian noise does that once in 500 million."""

_MANY = 0.1  # share of the projections beyond which they are no strays but the rule


@dataclass(frozen=True)
class Evidence:
    """Numbers that a verdict is made from."""

    ratio_std: float
    converged: bool
    ending: str  #: why the alignment ended
    strays: list[int]  #: labels of projections that contradict their offsets
    left_out: list[int]  #: labels of projections that the alignment itself calls wrong
    projections: int
    background_shift: float  #: RMS, in standard errors
    rotation_shift: float  #: RMS, in standard errors
    rotation: float  #: RMS norm of rotations that the images ask for, radians
    instrument: float  #: norm of the rotation in the laboratory that they ask for, radians
    cut: bool
    correlated: bool  #: whether the tomograms of two halves correlate at all


def verdict(found: Evidence) -> tuple[str, str]:
    """One of "good", "doubtful" and "bad", and the reason.

    Bad is what should not be used; doubtful what should be looked at: the offsets may be fine, but not
    known as well as they are said to be.
    """
    faults = [fault for fault in _faults(found) if fault is not None]
    worst = max((badness for badness, _ in faults), default=0)
    words = [text for _, text in faults] or ["aligned to the noise"]
    return ("good", "doubtful", "bad")[worst], "; ".join([*words, *_remarks(found)])


def _faults(found: Evidence) -> list[tuple[int, str] | None]:
    factor = found.ratio_std
    return [
        (1 + (not factor < BROKEN), f"not converged: {found.ending}") if not found.converged else None,
        (2, "the tomograms of two halves have nothing in common") if not found.correlated else None,
        _left_out(
            found.rotation_shift,
            f"the instrument is turned by {np.degrees(found.instrument):.2g} degrees: refine_geometry"
            if found.instrument > found.rotation / 2
            else f"angles are wrong by {np.degrees(found.rotation):.2g} degrees (RMS): refine_angles",
        ),
        _left_out(found.background_shift, "a background is left out: background='linear'"),
        (1 + (factor >= BROKEN), f"errors understated by a factor {factor:.1f}")
        if not factor <= HOLDS[1]
        else None,
        (1, f"projection{'s' * (len(found.strays) > 1)} {_listed(found.strays)} wrong")
        if found.strays
        else None,
        (1, f"{len(found.left_out)} of {found.projections} projections are wrong")
        if len(found.left_out) > _MANY * found.projections
        else None,
    ]


def _left_out(shift: float, text: str) -> tuple[int, str] | None:
    if not shift > SHIFTED:
        return None
    return 1 + (shift >= BROKEN), f"{text} (it moves the offsets by {shift:.1f} standard errors)"


def _remarks(found: Evidence) -> list[str]:
    remarks = []
    if found.ratio_std < HOLDS[0]:
        remarks.append(f"errors overstated by a factor {1 / max(found.ratio_std, 1e-6):.1f}")
    if found.left_out and len(found.left_out) <= _MANY * found.projections:
        remarks.append(f"without projection{'s' * (len(found.left_out) > 1)} {_listed(found.left_out)} wrong")
    if found.cut:
        remarks.append("the view cuts the sample")
    return remarks


def _listed(labels: list[int]) -> str:
    return f"{', '.join(map(str, labels))} {'are' if len(labels) > 1 else 'is'}"


def strays(ratios: Floats) -> Flags:
    """Which projections stand out of the scatter of all, (projection,), from ratios (projection, 2)."""
    scatter = 1.4826 * np.nanmedian(np.abs(ratios))
    out = np.nanmax(np.abs(np.where(np.isnan(ratios), 0, ratios)), axis=1) > STRAY * max(scatter, 1.0)
    return out if out.mean() <= _MANY else np.zeros_like(out)
