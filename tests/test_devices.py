"""What is done on a device, done on one that NumPy can't look into: array-api-strict's.

Its arrays know the functions of the array-API standard and no others, and refuse to mix with NumPy's. The
kernels and filters stand in for those of a GPU; all else is the code that runs there.
"""

from dataclasses import replace
from types import SimpleNamespace

import array_api_strict as strict
import numpy as np
import pytest
from array_api_compat import is_dask_array
from scipy import ndimage

import mumott_dask as md
from mumott_dask import devices, measured
from mumott_dask.alignment.beginning import chosen_start
from mumott_dask.alignment.iterations import first_state, outer_iterations
from mumott_dask.alignment.level import whole_level
from mumott_dask.alignment.settings import check_settings
from mumott_dask.alignment.start import given_start
from mumott_dask.errors import ScanError
from mumott_dask.projector import Projector, numpy_arrays, operator
from mumott_dask.reconstruction import iterated, mitra_steps, sirt_weights
from mumott_dask.scan.schema import validate_scan

DEVICE = strict.Device("device1")


class Traffic:
    """Bytes to the device and back."""

    def __init__(self):
        self.there = self.back = 0

    def to_device(self, array):
        if is_dask_array(array):
            return array.map_blocks(self.to_device, dtype=array.dtype, meta=array._meta)
        if not isinstance(array, np.ndarray | np.generic):
            return array
        self.there += array.nbytes
        return strict.asarray(np.ascontiguousarray(array), device=DEVICE)

    def numbers(self, array):
        if not isinstance(array, np.ndarray | np.generic):
            array = looked_into(array)
            self.back += array.nbytes
        return array


def looked_into(array):
    """An array of the device as only a kernel or a filter may see it."""
    if not hasattr(array, "__array_namespace__") or isinstance(array, np.ndarray | np.generic):
        return array
    return np.array(array.to_device(strict.Device("CPU_DEVICE")))


def on_the_device(function):
    """A function of NumPy arrays as one of the device's."""

    def called(*arguments, **named):
        found = function(*map(looked_into, arguments), **named)
        several = isinstance(found, tuple)
        found = [strict.asarray(np.array(each), device=DEVICE) for each in (found if several else [found])]
        return tuple(found) if several else found[0]

    return called


@pytest.fixture
def traffic(monkeypatch):
    counted = Traffic()
    names = ("forward", "adjoint", "gradient", "reproject")
    kernels = SimpleNamespace(**{name: on_the_device(getattr(numpy_arrays, name)) for name in names})
    filters = {name: on_the_device(getattr(ndimage, name)) for name in dir(ndimage) if name[0] != "_"}
    monkeypatch.setattr(
        operator, "_kernels", lambda array: numpy_arrays if devices.on_host(array) else kernels
    )
    given = devices.filters
    monkeypatch.setattr(
        devices,
        "filters",
        lambda array: given(array) if devices.on_host(array) else SimpleNamespace(**filters),
    )
    for name in ("to_device", "numbers"):
        monkeypatch.setattr(devices, name, getattr(counted, name))
    monkeypatch.setattr(devices, "to_host", looked_into)
    return counted


@pytest.fixture(scope="module")
def scan():
    scan = md.simulate(shape=(16, 14), tilts=2, rotations=7, jumps=1, seed=3)
    weights = np.ones(scan["diode"].shape, np.float32)
    weights[3, 4:6, 2:9] = 0
    return scan.assign(weights=(scan["diode"].dims, weights))


def begun(scan, gpu, **options):
    """Level, settings and state before the first outer iteration of an alignment."""
    validate_scan(scan)
    given = {"refine_angles": False, "refine_geometry": False, "background": None} | options
    settings = check_settings(
        scan, "auto", "jk", "mass", None, None, None, 0.001, (2,), (), given["background"],
        given["refine_angles"], given["refine_geometry"], 20, None, None, None,
    )  # fmt: skip
    projector = replace(Projector.from_scan(scan), gpu=gpu)
    data, mask = measured.signal_and_mask(scan, settings.signal, gpu)
    level = whole_level(projector, data, mask, settings.window, True)
    start = chosen_start(level, settings, given_start(scan, "scan"), True)
    return level, settings, first_state(level, start)


OPTIONS = [
    {},
    {"background": "linear"},
    {"refine_angles": True, "background": "constant"},
    {"refine_geometry": True, "refine_angles": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=["offsets", "background", "angles", "instrument"])
def test_outer_iterations_send_the_shifts_and_nothing_else(traffic, scan, options):
    """Each with the same steps as on the host, and no more traffic than some numbers a projection."""
    both = (outer_iterations(*begun(scan, gpu, **options)) for gpu in (True, False))
    pairs = zip(*both, strict=True)
    count = 0
    for (there, _), (here, _) in pairs:
        count += 1
        np.testing.assert_allclose(there.j_offset, here.j_offset, atol=2e-4)
        np.testing.assert_allclose(there.k_offset, here.k_offset, atol=2e-4)
        np.testing.assert_allclose(there.residual, here.residual, rtol=1e-4)
        if count > 1:  # the first brings what stays there
            unknowns, projections = 8, scan.sizes["projection"]
            numbers = projections * (2 * unknowns**2 + unknowns + 3) + sum(scan.attrs["volume_shape"]) + 16
            assert 0 < traffic.back <= 8 * numbers
            sides = sum(scan.attrs["volume_shape"])  # of lines that slopes are made of, there
            assert traffic.there <= 8 * (4 * projections + sides)
        traffic.there = traffic.back = 0
    assert count > 4


def test_absorbance_is_that_of_the_host(traffic, scan):
    found = [looked_into(each) for each in measured.signal_and_mask(scan, gpu=True)]
    for there, here in zip(found, measured.signal_and_mask(scan), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-6)


def test_chunks_go_to_the_device_as_they_are_read_and_stay_there(traffic, scan):
    """Absorbance is made there: readings and weights go there once, numbers come back."""
    chunked = scan.chunk(projection=5)
    made = measured.signal_and_mask(chunked, gpu=True)
    inputs = scan["diode"].nbytes + scan["weights"].nbytes
    for there, here in zip(made, measured.signal_and_mask(scan), strict=True):
        blocks = [block.compute() for block in there.blocks]
        assert all(block.device == DEVICE for block in blocks)
        np.testing.assert_allclose(np.concatenate([looked_into(each) for each in blocks]), here, atol=1e-6)
    assert inputs <= traffic.there < 3 * inputs  # once for the levels, once for the images
    assert traffic.back <= 8 * scan.sizes["projection"] * (2 * 20 + 8)  # of the steps to the level of the air


@pytest.mark.parametrize("background", [0, 1, 3])
def test_reconstruction_is_that_of_the_host(traffic, scan, background):
    found = {}
    for gpu in (True, False):
        level, _, _ = begun(scan, gpu)
        rays, voxels = sirt_weights(level.projector, None, level.mask)
        steps = mitra_steps(level.projector, level.data, rays, voxels, background=background)
        found[gpu] = looked_into(iterated(steps, 8).tomogram)
    np.testing.assert_allclose(found[True], found[False], atol=1e-5 * found[False].max())


def test_a_gpu_is_asked_for_where_there_is_none(scan, monkeypatch):
    if devices.missing_gpu() is None:  # where there is one, it is hidden
        monkeypatch.setattr(devices, "missing_gpu", lambda: "hidden")
    for call in (md.align, md.reconstruct):
        with pytest.raises(ScanError, match="backend is 'gpu', but this process has none"):
            call(scan, backend="gpu")


def test_another_backend_is_none(scan):
    with pytest.raises(ScanError, match="backend is 'tpu', expected 'auto', 'cpu' or 'gpu'"):
        md.align(scan, backend="tpu")


def test_workers_that_say_nothing_have_no_gpu_unless_one_is_asked_for(scan, monkeypatch):
    monkeypatch.setattr(devices.placement, "told_by_workers", lambda function: {})
    chunked = scan.chunk(projection=4)
    assert not devices.on_gpu(chunked, "auto")
    assert devices.on_gpu(chunked, "gpu")
