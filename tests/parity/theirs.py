"""The operations that are compared, by mumott 2.3; run by an interpreter that has it."""

from functools import cache

import numpy as np
from by_name import operations_of
from mumott.core.geometry import Geometry
from mumott.data_handling import DataContainer
from mumott.data_handling.utilities import get_absorbances
from mumott.methods.projectors import SAXSProjector
from mumott.pipelines import run_mitra
from service import geometry_arrays, serve

ITERATIONS, NESTEROV_WEIGHT = 20, 0.95


def container_of(folder):
    """Read anew each time: `run_mitra` changes the weights of the one that it is given."""
    return DataContainer(str(folder / "scan.h5"))


@cache
def projector_of(folder):
    """Kept, so that its kernels are compiled once: they belong to one geometry."""
    return SAXSProjector(container_of(folder).geometry)


def absorbances(folder, watch):
    diode = container_of(folder).diode
    result = watch(lambda: get_absorbances(diode, normalize_per_projection=True))
    return {"absorbance": result["absorbances"][..., 0], "mask": result["cutoff_mask"][..., 0]}


def forward(folder, watch):
    with np.load(folder / "inputs.npz") as inputs:
        volume = inputs["volume"].astype(float)[..., None]
    return {"projections": watch(projector_of(folder).forward, volume)[..., 0]}


def adjoint(folder, watch):
    with np.load(folder / "inputs.npz") as inputs:
        projections = inputs["projections"].astype(float)[..., None]
    return {"volume": watch(projector_of(folder).adjoint, projections)[..., 0]}


def mitra(folder, watch):
    container = container_of(folder)
    result = watch(lambda: run_mitra(container, maxiter=ITERATIONS, optimizer_kwargs=_optimizer()))
    return {
        "tomogram": result["result"]["x"][..., 0],
        "weights": result["weights"][..., 0],
        "preconditioner": result["preconditioner"][..., 0],
    }


def mitra_with_given_weights(folder, watch):
    container = container_of(folder)
    with np.load(folder / "weights.npz") as given:
        absorbances, weights, preconditioner = (
            given[name].astype(float)[..., None] for name in ("absorbance", "weights", "preconditioner")
        )
    container.projections.weights = weights
    settings = {
        "use_sirt_weights": False,
        "absorbances": absorbances,
        "loss_function_kwargs": {"use_weights": True, "preconditioner": preconditioner},
        "optimizer_kwargs": _optimizer(),
    }
    result = watch(lambda: run_mitra(container, maxiter=ITERATIONS, **settings))
    return {"tomogram": result["result"]["x"][..., 0]}


def _optimizer():
    return {"nestorov_weight": NESTEROV_WEIGHT, "no_tqdm": True}


def write(folder, watch):
    container = container_of(folder)
    container.write(str(folder / "theirs.h5"))
    container.geometry.write(str(folder / "theirs.mumott"))
    return {}


def read_other(folder, watch):
    """What mumott_dask wrote: the scan and its geometry file."""
    container, geometry = container_of(folder), Geometry()
    geometry.read(str(folder / "ours.mumott"))
    written = geometry_arrays("hdf5", _named(container.geometry))
    written |= {"diode": container.diode, "weights": container.weights[..., 0]}
    return written | geometry_arrays("geometry", _named(geometry))


def _named(geometry):
    return {
        "rotation": geometry.rotations_as_array,
        "j_offset": geometry.j_offsets_as_array,
        "k_offset": geometry.k_offsets_as_array,
        "inner_angle": geometry.inner_angles_as_array,
        "outer_angle": geometry.outer_angles_as_array,
        "inner_axis": geometry.inner_axes_as_array,
        "outer_axis": geometry.outer_axes_as_array,
        "p_direction_0": geometry.p_direction_0,
        "j_direction_0": geometry.j_direction_0,
        "k_direction_0": geometry.k_direction_0,
        "volume_shape": geometry.volume_shape,
    }


if __name__ == "__main__":
    operations = (absorbances, forward, adjoint, mitra, mitra_with_given_weights, write, read_other)
    by_name = operations_of("mumott")
    serve("theirs", {operation.__name__: operation for operation in operations} | by_name)
