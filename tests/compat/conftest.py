from __future__ import annotations

import numpy as np
import pytest

from mumott_dask import simulate, write_scan
from mumott_dask.compat.data_handling import DataContainer

SMALL = {"shape": (25, 21), "tilts": 3, "rotations": 15, "jumps": 2.0, "jitter": 0.5, "drift": 0.5}


@pytest.fixture(scope="session")
def scan():
    """A scan whose geometry holds the true offsets."""
    scan = simulate(**SMALL)
    return scan.assign_coords(
        j_offset=("projection", scan["j_offset_true"].values),
        k_offset=("projection", scan["k_offset_true"].values),
    )


@pytest.fixture(scope="session")
def path(scan, tmp_path_factory):
    path = tmp_path_factory.mktemp("compat") / "scan.h5"
    write_scan(scan, path)
    return path


@pytest.fixture
def container(path):
    return DataContainer(str(path))


@pytest.fixture(scope="session")
def segmented(scan, tmp_path_factory):
    """A file with three detector segments that scatter in proportion to what absorbs, by 1, 2 and 3."""
    path = tmp_path_factory.mktemp("compat") / "segments.h5"
    signal = 1 - scan["diode"].values / scan["diode"].values.max()
    data = (signal[..., np.newaxis] * [1, 2, 3]).astype(np.float32)
    angles = np.linspace(0, np.pi, 3, endpoint=False)
    write_scan(
        scan.assign(data=(("projection", "j", "k", "segment"), data)).assign_coords(
            detector_angle=("segment", angles)
        ),
        path,
    )
    return path
