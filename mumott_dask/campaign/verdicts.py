"""Which results to trust: each held against its siblings, by statistics that a few wrong ones can't move.

A geometry that is wrong (a tilt's sign, a detector's halves swapped) leaves an alignment that may have
converged, but no tomogram explains all its projections. What that leaves is not noise, and makes error bars
larger than the noise alone would. Both are taken relative to the noise that the residual itself shows from
pixel to pixel, so that siblings of other flux, absorbance or contrast are alike all the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Facts = Mapping[str, Any]

PASS, LOOK, FAIL = "pass", "look", "fail"

FEWEST = 6
"""Siblings below which nothing can be said of one of them by the others."""

NARROWEST = 0.05
"""Relative scatter that siblings are granted at least."""

ODD, WRONG = 4.0, 8.0
"""Scatters above the median from which a result is to be looked at, and from which it is not to be used."""

_MANY = 0.1  # share of a scan's projections that may be wrong
_SCATTER = 1.4826  # of a normal distribution, over its median absolute deviation


class Verdict(NamedTuple):
    """Pass, look or fail, and why."""

    verdict: str
    why: str


def verdicts(found: Sequence[tuple[Facts, Facts]]) -> list[Verdict]:
    """Verdicts on results.

    Parameters
    ----------
    found : sequence of (variant, facts)
        What a sweep has set, which siblings have in common, and what is known of each result; see
        `described.described`.
    """
    families: defaultdict[str, list[int]] = defaultdict(list)
    for number, (variant, _) in enumerate(found):
        families[json.dumps(variant, sort_keys=True)].append(number)
    given: dict[int, Verdict] = {}
    for numbers in families.values():
        siblings = [found[number][1] for number in numbers]
        scores = {name: scatters_above(list(map(each, siblings))) for name, each in _STATISTICS.items()}
        for place, number in enumerate(numbers):
            own = {name: float(values[place]) for name, values in scores.items()}
            given[number] = _verdict(siblings[place], own, len(siblings))
    return [given[number] for number in range(len(found))]


def scatters_above(values: Sequence[float]) -> NDArray[np.float64]:
    """How far each of some positive values is above their median, in scatters of their logarithms.

    By the median absolute deviation, which takes half of them to be moved. 0 for few values, and for those
    that are not known.
    """
    known = np.log(values)
    if np.isfinite(known).sum() < FEWEST:
        return np.zeros(len(known))
    known = known - np.nanmedian(known)
    scatter = max(_SCATTER * float(np.nanmedian(np.abs(known))), NARROWEST)
    return np.nan_to_num(known / scatter)


def _error_bars(facts: Facts) -> float:
    """Error bars over what the noise alone would make of them, but for a factor that siblings share."""
    noise, signal = (facts.get(name) or np.nan for name in ("noise", "signal"))
    return max(facts.get("j_std") or np.nan, facts.get("k_std") or np.nan) * signal / noise


def _residual(facts: Facts) -> float:
    """What is not explained, over its noise."""
    return (facts.get("residual") or np.nan) / (facts.get("noise") or np.nan)


_STATISTICS = {"error bars": _error_bars, "residual": _residual}


def _verdict(facts: Facts, scores: Mapping[str, float], siblings: int) -> Verdict:
    """The worst of what speaks against a result, and all of it in words."""
    faults = [
        (LOOK if score < WRONG else FAIL, f"{name} {score:.0f} scatters above its siblings'")
        for name, score in scores.items()
        if score > ODD
    ]
    if not facts["converged"]:
        faults.append((LOOK if not faults else FAIL, f"not converged: {facts['reason']}"))
    if len(facts["wrong"]) > _MANY * facts["projections"]:
        faults.append((LOOK, f"{len(facts['wrong'])} of {facts['projections']} projections are wrong"))
    validation = facts.get("validation")
    if validation and validation["verdict"] != "good":
        token = FAIL if validation["verdict"] == "bad" else LOOK
        faults.append((token, f"validation: {validation['reason']}"))
    words = [text for _, text in faults]
    if siblings < FEWEST:
        words.append(f"{siblings} results are too few to hold it against")
    tokens = {token for token, _ in faults}
    return Verdict(next((token for token in (FAIL, LOOK) if token in tokens), PASS), "; ".join(words))
