"""The scans that both sides work on, and random images whose two outermost layers are zero."""

from dataclasses import dataclass, field

import numpy as np

from mumott_dask import Projector, absorbance, simulate, write_scan
from mumott_dask.reconstruction import sirt_weights

BORDER = 2  # mumott reads the wrong voxel between -1 and 0


@dataclass(frozen=True)
class Case:
    """A simulated scan to compare on; the small ones are for what takes mumott many iterations."""

    name: str
    settings: dict = field(default_factory=dict)
    small: bool = True
    aligned: bool = False  #: whether both align it: minutes


SMALL = {"shape": (37, 31), "tilts": 4, "rotations": 21, "jumps": 2.0, "jitter": 0.5, "drift": 0.5}
CASES = (
    Case("tutorial's size", small=False),
    Case("inner axis -z, four tilts", SMALL),
    Case("inner axis +z, four tilts", SMALL | {"inner_axis": (0, 0, 1), "seed": 1}, aligned=True),
    Case("inner axis +x (along j)", SMALL | {"inner_axis": (1, 0, 0), "seed": 2}),
)


def write_inputs(case, folder):
    """Write the scan, with its true offsets in its geometry, and what else the two sides are to be fed."""
    folder.mkdir()
    scan = simulate(**case.settings)
    scan = scan.assign_coords(
        j_offset=("projection", scan["j_offset_true"].values),
        k_offset=("projection", scan["k_offset_true"].values),
    )
    write_scan(scan, folder / "scan.h5")
    write_scan(scan, folder / "ours.mumott")
    segments = scan["diode"].values[..., np.newaxis] * np.float32([1, 2, 3, 4])
    angles = np.linspace(0, np.pi, 4, endpoint=False) + 0.1
    write_scan(
        scan.assign(data=((*scan["diode"].dims, "segment"), segments)).assign_coords(
            detector_angle=("segment", angles)
        ),
        folder / "segments.h5",
    )
    projector, random = Projector.from_scan(scan), np.random.default_rng(0)
    np.savez(
        folder / "inputs.npz",
        volume=without_border(random.random(projector.volume_shape)),
        projections=without_border(random.random(projector.shape), axes=(1, 2)),
    )
    if case.small:
        np.savez(folder / "weights.npz", **_weights(scan, projector))


def _weights(scan, projector):
    measured, weights = absorbance(scan), sirt_weights(projector)
    return {
        "absorbance": measured["absorbance"].values,
        "weights": without_border(weights.rays * measured["mask"].values, axes=(1, 2)),
        "preconditioner": without_border(weights.voxels),
    }


def without_border(values, axes=(0, 1, 2)):
    """The values as float32, 0 in the outermost layers along some axes."""
    inside = np.zeros(values.shape, bool)
    inside[tuple(slice(BORDER, -BORDER) if axis in axes else slice(None) for axis in range(values.ndim))] = (
        True
    )
    return np.where(inside, values, 0).astype(np.float32)
