"""What an alignment tells whoever watches it, and how its stages are described."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .level import Level

Floats = NDArray[np.float64]

TRUSTED = 0.5
"""Weight of a projection below which it is called wrong."""


@dataclass(frozen=True)
class Unknowns:
    """What is unknown of each projection: its offsets, and a background and rotations where asked for."""

    background: int = 0  #: terms: 0, 1 (constant) or 3 (and the slopes along j and k)
    rotations: bool = False  #: three small rotations about the sample's axes

    @property
    def count(self) -> int:
        """Number of unknowns of a projection, in the order j, k, background, rotations."""
        return 2 + self.background + 3 * self.rotations

    @property
    def background_part(self) -> slice:
        """Where the background stands among them."""
        return slice(2, 2 + self.background)

    @property
    def rotation_part(self) -> slice:
        """Where the rotations stand among them."""
        return slice(2 + self.background, self.count)

    def scales(self, binning: int) -> Floats:
        """What a level's units are in unbinned ones, (unknown,)."""
        return np.array([binning, binning, *[1.0] * (self.count - 2)])


@dataclass(frozen=True)
class AlignmentStep:
    """State of an alignment after an outer iteration."""

    stage: str
    iteration: int  #: counted from 1 over all stages
    iterations: int  #: the largest number that all stages together can take
    j_offset: Floats  #: (projection,), absolute, pixels
    k_offset: Floats  #: (projection,), absolute, pixels
    largest_step: float  #: pixels, with the gauge out
    median_step: float  #: pixels, with the gauge out
    residual: float  #: RMS of measured less reprojected absorbance, over unmasked pixels
    tomogram: NDArray[np.float32] | None  #: (x, y, z) at the stage's binning, which the step was found with
    binning: int = 1  #: detector pixels along a side of the tomogram's voxels
    rotation: Floats | None = None  #: (projection, 3, 3), as refined so far
    background: Floats | None = None  #: (projection, 3), absorbance: constant, slopes across the detector
    trust: Floats | None = None  #: (projection,): weight, 0 for a projection that is entirely wrong
    deviations: Floats | None = None  #: (projection, unknown): standard errors, pixels, absorbance, radians
    unknowns: Unknowns | None = None  #: what the unknowns are
    instrument_deviation: Floats | None = None  #: (3,), radians: standard error of the turn of the instrument
    residuals: Floats | None = None  #: (projection,): RMS of measured less reprojected absorbance of each
    labels: NDArray[np.int64] | None = None  #: (projection,)
    excluded: NDArray[np.bool_] | None = None  #: (projection,): what is left out
    level: Level | None = None  #: the stage's images where they live, and a projector at these offsets
    seconds: float = float("nan")  #: what the outer iteration took

    def kept(self) -> AlignmentStep:
        """What a history holds of the step: nothing large, but for the last one's tomogram."""
        return replace(self, level=None)


@dataclass(frozen=True)
class Stage:
    """One level of an alignment, from coarse to fine.

    Parameters
    ----------
    name : str
    binning : int
        Pixels of the detector that make one of the stage's.
    smoothing : float
        Standard deviation of the Gaussian that residual and reprojection are smoothed with, detector pixels.
    iterations : int
        The largest number of outer iterations.
    first_iterations : int
        Iterations of MITRA before the first step, so that it is found with a tomogram that has settled.
    inner_iterations : int
        Iterations of MITRA before each of the others.
    tolerance : float
        The stage ends when the largest step is smaller, detector pixels.
    """

    name: str
    binning: int
    smoothing: float
    iterations: int
    first_iterations: int
    inner_iterations: int
    tolerance: float


def default_stages(detector_shape: tuple[int, int], tolerance: float) -> tuple[Stage, ...]:
    """From coarse to fine: binned by two where the detector is large enough for it, then all pixels.

    A coarse stage is biased by a few hundredths of a pixel, so it ends, without taking its last step, as soon
    as it asks for less than that.
    """
    coarse = 2 if min(detector_shape) >= 24 else 1
    bins = f"binned by {coarse}, " if coarse > 1 else ""
    return (
        Stage(f"{bins}smoothed by 3 px", coarse, 3.0, 20, 10, 5, max(0.2, tolerance)),
        Stage(f"{bins}smoothed by 1.5 px", coarse, 1.5, 20, 10, 5, max(0.2, tolerance)),
        Stage("smoothed by 0.5 px", 1, 0.5, 30, 24, 8, tolerance),
    )


def tutorial_stages(tolerance: float) -> tuple[Stage, ...]:
    """The two stages of mumott's tutorial: 15 x 5 iterations at 2 pixels, 5 x 40 at 1 pixel."""
    return (
        Stage("tutorial, step 1", 1, 2.0, 15, 5, 5, 0.0),
        Stage("tutorial, step 2", 1, 1.0, 5, 40, 40, tolerance),
    )
