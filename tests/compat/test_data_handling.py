from __future__ import annotations

import sys
from types import ModuleType

import h5py
import numpy as np
import pytest
import xarray as xr

from mumott_dask import ScanError, absorbance, open_scan
from mumott_dask.compat import Geometry, from_mumott, to_mumott_geometry
from mumott_dask.compat.core.projection_stack import Projection
from mumott_dask.compat.data_handling import DataContainer
from mumott_dask.compat.data_handling.utilities import get_absorbances, get_transmittivities


def test_a_container_holds_the_scan(container, scan):
    assert len(container) == scan.sizes["projection"]
    np.testing.assert_array_equal(container.diode, scan["diode"])
    assert container.weights.shape == (*container.diode.shape, 1)
    assert container.data is None
    np.testing.assert_array_equal(container.geometry.j_offsets, scan["j_offset"])
    np.testing.assert_array_equal(container.geometry.rotations_as_array, scan["rotation"])
    assert tuple(container.geometry.projection_shape) == container.diode.shape[1:]


def test_a_container_gives_the_scan_back(path, segmented):
    for file in (path, segmented):
        scan, back = open_scan(file), from_mumott(DataContainer(file))
        for name in set(scan.variables) - {"tomogram_true", "j_offset_true", "k_offset_true"}:
            np.testing.assert_array_equal(back[name], scan[name], err_msg=str(name))
        for name in ("volume_shape", "p_direction_0", "detector_direction_origin", "two_theta"):
            assert back.attrs[name] == scan.attrs[name]


def test_what_is_written_is_read_again(container, tmp_path):
    container.geometry.k_offsets[0] = 3.25
    container.projections[1].diode[2, 3] = 17.0
    container.write(tmp_path / "written")
    container.write(tmp_path / "written.h5")
    with pytest.raises(ValueError, match=r"written.zip"):
        container.write(tmp_path / "written.zip")
    again = DataContainer(tmp_path / "written.h5")
    assert again.geometry.k_offsets[0] == 3.25
    assert again.diode[1, 2, 3] == 17


def test_single_projections_are_views_of_their_stack(container):
    stack = container.projections
    stack[2].j_offset, stack[-1].diode[0, 0] = 4.5, 9.0
    assert container.geometry.j_offsets[2] == 4.5
    assert container.diode[-1, 0, 0] == 9
    stack.weights *= 0.5
    assert container.weights.max() == 0.5
    gone, count = stack[2], len(stack)
    del stack[2]
    assert not gone.attached
    assert gone.j_offset == 4.5
    assert len(stack) == len(container.geometry) == count - 1
    stack[0] = gone
    assert container.geometry.j_offsets[0] == 4.5
    stack.append(Projection(diode=np.ones(container.diode.shape[1:]), k_offset=2.0))
    assert container.geometry.k_offsets[-1] == 2
    with pytest.raises(ValueError, match="in a stack already"):
        stack.append(gone)
    with pytest.raises(ValueError, match=r"\(3, 3\), expected \(25, 21\)"):
        stack.append(Projection(diode=np.ones((3, 3))))


def test_segments_are_corrected_once_and_skipped_where_asked(segmented):
    container = DataContainer(segmented)
    before, diode = container.data, container.diode
    container.projections[0].diode[0, 0] = diode[0, 0, 0] = 0.0
    container.correct_for_transmission()
    container.correct_for_transmission()
    np.testing.assert_allclose(container.data[1:], before[1:] / diode[1:, ..., np.newaxis])
    assert container.data[0, 0, 0, 0] == container.weights[0, 0, 0, 0] == 0
    skipped = DataContainer(segmented, skip_data=True)
    assert skipped.data is None
    with pytest.raises(ValueError, match="skip_data=False"):
        skipped.correct_for_transmission()


def test_what_is_not_finite_is_an_error_or_replaced(path, tmp_path):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(path.read_bytes())
    with h5py.File(bad, "r+") as file:
        file["projections/1/diode"][0, 0] = np.nan
    with pytest.raises(ScanError, match="projection 1"):
        DataContainer(bad)
    assert DataContainer(bad, nonfinite_replacement_value=5.0).diode[1, 0, 0] == 5


@pytest.mark.parametrize("per_projection", [True, False])
def test_transmittivity_and_absorbance_are_the_percentiles_and_the_logarithms(container, per_projection):
    diode = container.diode
    diode[0, 0, 0] = 1e-9
    kept = diode.copy()
    found = get_transmittivities(diode, normalize_per_projection=per_projection, cutoff_values=(0.01, 0.98))
    axis = (1, 2) if per_projection else None
    ratio = diode / np.percentile(diode, 99.9, axis=axis, keepdims=True)
    np.testing.assert_allclose(found["transmittivity"], np.clip(ratio, 0.01, 0.98), rtol=1e-6)
    # What is within single precision of a cut-off may lie on either side of it.
    clear = np.abs(ratio / 0.98 - 1) > 1e-6
    assert ((found["cutoff_mask_lower"][..., 0] > 0) == (ratio >= 0.01)).all()
    assert ((found["cutoff_mask_upper"][..., 0] > 0) == (ratio <= 0.98))[clear].all()
    values = get_absorbances(diode, normalize_per_projection=per_projection, cutoff_values=(0.01, 0.98))
    np.testing.assert_allclose(10 ** -values["absorbances"][..., 0], found["transmittivity"], rtol=1e-12)
    assert values["cutoff_mask"].shape == (*diode.shape, 1)
    assert not values["cutoff_mask"][0, 0, 0]
    np.testing.assert_array_equal(diode, kept)


def test_absorbances_are_this_packages(container, scan):
    found, ours = get_absorbances(container.diode, normalize_per_projection=True), absorbance(scan)
    np.testing.assert_allclose(found["absorbances"][..., 0], ours["absorbance"], atol=1e-6)
    np.testing.assert_array_equal(found["cutoff_mask"][..., 0], ours["mask"])


def test_cutoffs_outside_of_0_and_1_are_refused(container):
    for cutoffs in ((0, 1), (0.1, 1.5), (0.5, 0.1)):
        with pytest.raises(ValueError, match="cutoff_values"):
            get_transmittivities(container.diode, cutoff_values=cutoffs)


def test_mumotts_own_geometry_gets_the_alignments_offsets(scan, monkeypatch):
    theirs = ModuleType("mumott")
    theirs.Geometry = Geometry  # reads the same file as mumott's own
    monkeypatch.setitem(sys.modules, "mumott", theirs)
    offsets = {"j_offset": scan["j_offset"].values + 1, "k_offset": scan["k_offset"].values * 2}
    alignment = xr.Dataset(
        {name: ("projection", values) for name, values in offsets.items()},
        coords={"projection": scan["projection"].values},
    )
    found = to_mumott_geometry(alignment, scan)
    np.testing.assert_array_equal(found.j_offsets, scan["j_offset"] + 1)
    np.testing.assert_array_equal(found.k_offsets, scan["k_offset"] * 2)
    np.testing.assert_array_equal(found.rotations_as_array, scan["rotation"])


def test_mumotts_own_geometry_needs_mumott(scan):
    with pytest.raises(ImportError, match=r"write_scan\(with_offsets"):
        to_mumott_geometry(scan, scan)
