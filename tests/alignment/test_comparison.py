"""Comparison of rotations: what is left between them once the sample may be turned as a whole."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from mumott_dask import compare, simulate


@pytest.fixture(scope="module")
def scan():
    return simulate((24, 20), tilts=2, rotations=12, angle_error=0.01, wrong=2)


def _aligned(scan, rotation):
    offsets = {f"{axis}_offset": ("projection", scan[f"{axis}_offset_true"].values) for axis in "jk"}
    rotation = {} if rotation is None else {"rotation": (("projection", "row", "col"), rotation)}
    return xr.Dataset({**offsets, **rotation}, coords={"projection": scan["projection"].values})


def test_nominal_rotations_are_off_by_what_was_put_in(scan):
    right = ~scan["wrong_true"].values
    true, nominal = (Rotation.from_matrix(scan[name][right]) for name in ("rotation_true", "rotation"))
    own = (true.inv() * nominal).as_rotvec()
    spread = np.sqrt(np.mean(np.sum((own - own.mean(axis=0)) ** 2, axis=1)))
    found = compare(_aligned(scan, None), "truth", scan)
    assert found.attrs["angle_rms"] == pytest.approx(spread, rel=1e-3)
    assert found.attrs["wrong"] == np.flatnonzero(~right).tolist()


def test_a_turn_of_the_sample_as_a_whole_counts_for_nothing(scan):
    common = Rotation.from_rotvec([0.2, -0.1, 0.4]).as_matrix()
    turned = _aligned(scan, scan["rotation_true"].values @ common)
    assert compare(turned, "truth", scan).attrs["angle_rms"] < 1e-7


def test_a_turn_of_the_instrument_counts(scan):
    common = Rotation.from_rotvec([0, 0.05, 0]).as_matrix()
    turned = _aligned(scan, common @ scan["rotation_true"].values)
    assert compare(turned, "truth", scan).attrs["angle_rms"] > 0.03


def test_without_rotations_there_is_no_angle(scan):
    plain = scan.drop_vars("rotation_true")
    assert "angle_rms" not in compare(_aligned(plain, None), "truth", plain).attrs
    assert "angle_rms" not in compare(plain, "truth", plain).attrs
    assert "angle_rms" in compare(_aligned(scan, scan["rotation_true"].values), plain, plain).attrs
