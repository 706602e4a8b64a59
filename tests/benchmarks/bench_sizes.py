"""How cost grows with the size: exponents fitted to times in turns, beside the ideal."""

import numpy as np
import pytest
from measuring import fastest

from mumott_dask import Projector
from mumott_dask.geometry import rotations_from_angles

GROUP = "Cost against size: exponents"
BASE = {"count": 120, "detector": (64, 56), "volume": (64, 64, 56)}
DOUBLED = {
    "projections": [{"count": n} for n in (60, 120, 240, 480)],
    "pixels of the detector": [{"detector": (64, k), "volume": (64, 64, 112)} for k in (28, 56, 112)],
    "voxels of the volume": [{"detector": (64, 112), "volume": (64, 64, z)} for z in (28, 56, 112)],
    "all sides": [{"detector": (n, n), "volume": (n, n, n)} for n in (32, 64, 128)],
}


def projector(count, detector, volume):
    inner = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rotation = rotations_from_angles(inner, np.full(count, 0.3), (0, 0, -1), (1, 0, 0))
    return Projector(rotation, np.zeros(count), np.zeros(count), volume, detector)


@pytest.mark.parametrize(
    ("name", "what", "ideal"),
    [
        ("forward", "projections", 1),
        ("adjoint", "projections", 1),
        ("forward", "pixels of the detector", 1),
        ("adjoint", "voxels of the volume", 1),
        ("forward", "all sides", 3),
        ("adjoint", "all sides", 3),
    ],
)
def test_exponent(figure, name, what, ideal):
    operations, sizes = [], []
    for change in DOUBLED[what]:
        A = projector(**BASE | change)
        data = np.ones(A.volume_shape if name == "forward" else A.shape, np.float32)
        operations.append(lambda A=A, data=data: getattr(A, name)(data))
        sizes.append(_size(what, A))
    seconds = fastest(*operations, rounds=5)
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    listed = ", ".join(f"{1e3 * each:.1f}" for each in seconds)
    figure(GROUP, f"{name} against {what}", exponent, note=f"ideal {ideal}; {listed} ms")


def _size(what, projector):
    sizes = {
        "projections": len(projector),
        "pixels of the detector": np.prod(projector.detector_shape),
        "voxels of the volume": np.prod(projector.volume_shape),
        "all sides": projector.volume_shape[0],
    }
    return float(sizes[what])
