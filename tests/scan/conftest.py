from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from mumott_dask import geometry

DIRECTIONS = {
    "p_direction_0": [0.0, 1.0, 0.0],
    "j_direction_0": [1.0, 0.0, 0.0],
    "k_direction_0": [0.0, 0.0, 1.0],
    "detector_direction_origin": [1.0, 0.0, 0.0],
    "detector_direction_positive_90": [0.0, 0.0, 1.0],
}


def _example_scan(
    projections: int = 7, j: int = 6, k: int = 5, segments: int = 0, full: bool = True, seed: int = 0
) -> xr.Dataset:
    """A scan of random pixels; with `full`, everything that a scan can have beside them."""
    random = np.random.default_rng(seed)
    inner, outer = random.uniform(-np.pi, np.pi, (2, projections))
    axes = np.tile([0.0, 0.0, -1.0], (projections, 1)), np.tile([1.0, 0.0, 0.0], (projections, 1))
    image, by = ("projection", "j", "k"), "projection"
    variables = {
        "diode": (image, random.random((projections, j, k), np.float32), {"kind": "transmission"}),
        "weights": (image, random.integers(0, 2, (projections, j, k)).astype(np.float32)),
    }
    coords = {
        "projection": np.arange(projections),
        "rotation": ((by, "row", "col"), geometry.rotations_from_angles(inner, outer, *axes)),
        "j_offset": (by, random.normal(size=projections)),
        "k_offset": (by, random.normal(size=projections)),
        "inner_angle": (by, inner),
        "outer_angle": (by, outer),
        "inner_axis": ((by, "xyz"), axes[0]),
        "outer_axis": ((by, "xyz"), axes[1]),
    }
    attrs = {
        "volume_shape": [j, j, k],
        **DIRECTIONS,
        "two_theta": 0.0125,
        "schema_version": 1,
        "source": "here",
    }
    if segments:
        data = random.random((projections, j, k, segments), np.float32)
        variables["data"] = ((*image, "segment"), data)
        coords["detector_angle"] = ("segment", np.linspace(0, np.pi, segments, endpoint=False))
    if full:
        phase = random.normal(size=(projections, j, k)).astype(np.float32)
        variables["phase"] = (image, phase, {"kind": "additive", "units": "rad"})
        variables["tomogram_true"] = (("x", "y", "z"), random.random((j, j, k), np.float32))
        coords["j_offset_true"] = (by, random.normal(size=projections))
        coords["k_offset_true"] = (by, random.normal(size=projections))
        attrs["pixel_size"] = 2.5
    return xr.Dataset(variables, coords, attrs)


@pytest.fixture
def example_scan() -> Callable[..., xr.Dataset]:
    return _example_scan
