"""The operations that are compared, by mumott_dask."""

from functools import cache
from itertools import islice

import numpy as np
from by_name import operations_of
from service import geometry_arrays, serve

from mumott_dask import Projector, absorbance, open_scan
from mumott_dask.reconstruction import mitra_steps, sirt_weights
from mumott_dask.scan import read_geometry

ITERATIONS, NESTEROV_WEIGHT = 20, 0.95


@cache
def scan_of(folder):
    return open_scan(folder / "scan.h5")


@cache
def projector_of(folder):
    return Projector.from_scan(scan_of(folder))


def absorbances(folder, watch):
    result = watch(absorbance, scan_of(folder))
    return {"absorbance": result["absorbance"], "mask": result["mask"]}


def forward(folder, watch):
    with np.load(folder / "inputs.npz") as inputs:
        return {"projections": watch(projector_of(folder).forward, inputs["volume"])}


def adjoint(folder, watch):
    with np.load(folder / "inputs.npz") as inputs:
        return {"volume": watch(projector_of(folder).adjoint, inputs["projections"])}


def mitra(folder, watch):
    measured, projector = absorbance(scan_of(folder)), projector_of(folder)
    weights = sirt_weights(projector)
    rays = weights.rays * measured["mask"].values
    tomogram = watch(_iterated, projector, measured["absorbance"].values, rays, weights.voxels)
    return {"tomogram": tomogram, "weights": rays, "preconditioner": weights.voxels}


def mitra_with_given_weights(folder, watch):
    with np.load(folder / "weights.npz") as given:
        arguments = given["absorbance"], given["weights"], given["preconditioner"]
    return {"tomogram": watch(_iterated, projector_of(folder), *arguments)}


def _iterated(projector, data, weights, preconditioner):
    steps = mitra_steps(projector, data, weights, preconditioner, nesterov_weight=NESTEROV_WEIGHT)
    *_, last = islice(steps, ITERATIONS)
    return last.tomogram


def read_own(folder, watch):
    """The scan as it is, which mumott is to read from `scan.h5` and `ours.mumott`."""
    scan = scan_of(folder)
    return geometry_arrays("file", _named(scan)) | {"diode": scan["diode"], "weights": scan["weights"]}


def read_other(folder, watch):
    """What mumott wrote."""
    scan = open_scan(folder / "theirs.h5")
    written = geometry_arrays("hdf5", _named(scan)) | {"diode": scan["diode"], "weights": scan["weights"]}
    return written | geometry_arrays("geometry", _named(read_geometry(folder / "theirs.mumott")))


def _named(scan):
    names = ("rotation", "j_offset", "k_offset", "inner_angle", "outer_angle", "inner_axis", "outer_axis")
    directions = ("p_direction_0", "j_direction_0", "k_direction_0")
    attrs = {name: scan.attrs[name] for name in (*directions, "volume_shape")}
    return {name: scan[name] for name in names} | attrs


if __name__ == "__main__":
    operations = (absorbances, forward, adjoint, mitra, mitra_with_given_weights, read_own, read_other)
    by_name = operations_of("mumott_dask.compat")
    serve("ours", {operation.__name__: operation for operation in operations} | by_name)
