"""What a detector makes of the light that it gets: counts, and nonsense in faulty pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STRAY_LIGHT = 5e-4
"""What a closed shutter lets through of the open beam, with no image in it."""

HOT = (3.0, 100.0)
"""Least and largest reading of a hot pixel, in open pixels' readings."""


class Pixels(NamedTuple):
    """What is wrong in single pixels: where, and what they read instead (in open pixels' readings)."""

    faulty: Mask
    reading: Floats


def faulty_pixels(
    size: tuple[int, int, int], hot: float, dead_columns: int, rng: np.random.Generator
) -> Pixels:
    """Choose the pixels that read nonsense.

    Parameters
    ----------
    size : (projection, J, K)
    hot : float
        Fraction of the pixels of each projection: half of them read far too much, half of them nothing.
    dead_columns : int
        Columns (a j, all k) that read nothing in all projections.
    rng : numpy.random.Generator
    """
    projections, columns, rows = size
    count = round(hot * columns * rows)
    darkest, brightest = np.log(HOT).tolist()
    reading = np.zeros(size)
    faulty = np.zeros(size, dtype=bool)
    for mask, values in zip(faulty.reshape(projections, -1), reading.reshape(projections, -1), strict=True):
        chosen = rng.permutation(columns * rows)[:count]
        mask[chosen] = True
        bright = chosen[: (count + 1) // 2]
        values[bright] = np.exp(rng.uniform(darkest, brightest, len(bright)))
    dead = rng.permutation(columns)[:dead_columns]
    faulty[:, dead], reading[:, dead] = True, 0
    return Pixels(faulty, reading)


def readings(
    expected: Floats, photons: float | None, closed: Mask, pixels: Pixels, rng: np.random.Generator
) -> Floats:
    """Counts of photons (fractions of the open beam if there are none to count), faults put in.

    Parameters
    ----------
    expected : (projection, J, K) float
        Fractions of the open beam.
    photons : float, optional
        Photons per open pixel; None for no noise.
    closed : (projection,) bool
        Projections whose shutter was closed.
    pixels : Pixels
    rng : numpy.random.Generator
    """
    lit = np.where(closed[:, None, None], STRAY_LIGHT, expected)
    counts = lit if photons is None else rng.poisson(photons * lit).astype(np.float64)
    return np.where(pixels.faulty, (1 if photons is None else photons) * pixels.reading, counts)
