"""Seconds of one forward projection, one adjoint and one gradient at the tutorial's size, after compilation."""

import numpy as np
import pytest
from measuring import fastest

from mumott_dask import Projector

BAR = 0.25  # seconds


@pytest.mark.parametrize("threads", [True, False], ids=["all threads", "one thread"])
def test_projector(figure, tutorial_scan, threads):
    volume, A = tutorial_scan["tomogram_true"].values, Projector.from_scan(tutorial_scan)
    A = A if threads else A.single_threaded()
    images = A.forward(volume)
    ones = np.ones_like(images)
    operations = {
        "forward": lambda: A.forward(volume),
        "adjoint": lambda: A.adjoint(images),
        "gradient": lambda: A.gradient(volume, images, ones),
        "reprojection by splines": lambda: A.reproject(volume),
    }
    for name, seconds in zip(operations, fastest(*operations.values()), strict=True):
        aim = BAR if name in ("forward", "adjoint") else None
        figure("Projector", f"{name}, {'all threads' if threads else 'one thread'}", seconds, "s", aim)
