from __future__ import annotations

import numpy as np
import pytest
from distributed import Client

from mumott_dask import Projector, ScanError, compare, reconstruct
from mumott_dask.compat import DataContainer
from mumott_dask.compat.pipelines import optical_flow_alignment as amo
from mumott_dask.compat.pipelines import run_phase_matching_alignment
from mumott_dask.compat.scans import from_mumott


def error(container, scan, shifts=0):
    """RMS error of the geometry's offsets and shifts beside them, the gauge taken out; pixels."""
    j, k = np.array([container.geometry.j_offsets, container.geometry.k_offsets]) + np.transpose(shifts)
    found = scan.assign_coords(j_offset=("projection", j), k_offset=("projection", k))
    return compare(found, "truth", scan).attrs["rms"]


@pytest.fixture
def still(container):
    """The container with its offsets taken away."""
    container.geometry.j_offsets = np.zeros(len(container))
    container.geometry.k_offsets = np.zeros(len(container))
    return container


def flow(container, **kwargs):
    settings = {"smooth_data": True, "sigma_smooth": 1.0, "rec_iteration": 8, "stop_max_iteration": 10}
    return amo.run_optical_flow_alignment(container, **settings | kwargs)


def test_optical_flow_finds_shifts_beside_the_geometrys_offsets(still, scan):
    assert error(still, scan) > 0.5
    shifts, sinogram, tomogram = flow(still)
    assert error(still, scan, shifts) < 0.02
    assert tomogram.shape == (*still.geometry.volume_shape, 1)
    found = amo.shifts_to_geometry(still, shifts)
    np.testing.assert_allclose(found, shifts.T)
    native = Projector.from_scan(from_mumott(still)).forward(tomogram[..., 0])
    np.testing.assert_array_equal(sinogram, np.moveaxis(native, 0, -1))
    assert set(still.geometry.j_offsets) == {0}


def test_offsets_that_the_geometry_holds_are_taken_from_the_shifts(still, scan):
    some = np.random.default_rng(0).normal(size=(2, len(still)))
    still.geometry.j_offsets, still.geometry.k_offsets = some
    shifts, _, _ = flow(still)
    assert error(still, scan, shifts) < 0.02
    again, _, _ = flow(still, optimal_shift=shifts, stop_max_iteration=1, center_reconstruction=False)
    np.testing.assert_allclose(again, shifts, atol=0.05)


def test_it_runs_on_the_workers_of_an_active_client(still):
    here, _, _ = flow(still, stop_max_iteration=2)
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0"):
        there, _, _ = flow(still, stop_max_iteration=2)
    np.testing.assert_allclose(there, here, atol=1e-3)


@pytest.mark.parametrize(("keyword", "axis"), [("align_horizontal", 0), ("align_vertical", 1)])
def test_one_direction_can_be_left_alone(still, keyword, axis):
    shifts, _, _ = flow(still, **{keyword: False}, stop_max_iteration=2, center_reconstruction=False)
    assert not shifts[:, axis].any()
    assert shifts[:, 1 - axis].any()
    with pytest.raises(ScanError, match="expected one of them"):
        flow(still, align_horizontal=False, align_vertical=False)


def test_what_means_nothing_here_is_refused_in_a_line(still):
    with pytest.raises(ScanError, match=r"align\(background='linear'\)"):
        flow(still, high_pass_filter=0.2)
    with pytest.raises(ScanError, match="takes no 'stop_max_iterations' here"):
        flow(still, stop_max_iterations=3)


def test_the_line_works_across_the_axis_and_starts_an_alignment(still, scan):
    shifts = amo.line_vertical_alignment(still)
    assert not shifts[:, 1].any()
    truth = scan["j_offset_true"].values
    assert np.std(shifts[:, 0] - truth) < 0.5 * np.std(truth)
    still.geometry.j_offsets = [1.5] * len(still)
    np.testing.assert_allclose(amo.line_vertical_alignment(still), shifts - [1.5, 0])
    assert amo.line_vertical_alignment(still, main_rot_axis=0)[:, 1].any()


def test_the_line_of_a_sinogram_centres_its_mass_up_to_a_threshold():
    sinogram = np.zeros((11, 9, 2))
    sinogram[2, 3:6, 0], sinogram[8, 3:6, 1] = 1, 1
    shift, axis = amo.sinogram_line_vertical_alignment(sinogram, 1)
    assert axis == 0
    np.testing.assert_allclose(shift, [3, -3])
    sinogram[10, 0, 0] = 97.0
    hot, _ = amo.sinogram_line_vertical_alignment(sinogram, 1)
    capped, _ = amo.sinogram_line_vertical_alignment(sinogram, 1, threshold=1)
    assert hot[0] < -4
    np.testing.assert_allclose(capped, [1, -3])


@pytest.mark.parametrize("axis", [(0, 0, -1), (0, 0, 1)])
def test_shifts_are_offsets_whatever_the_signs_of_the_axes(container, axis):
    container.geometry.inner_axes = axis
    shifts = np.random.default_rng(0).normal(size=(len(container), 2))
    np.testing.assert_allclose(amo.shifts_to_vector(shifts, container)[:, [0, 2]], shifts)
    np.testing.assert_allclose(amo.shifts_to_geometry(container, shifts), shifts.T)


def test_a_tomogram_moves_to_the_middle_and_not_along_the_axis():
    tomogram = np.zeros((21, 21, 15, 1))
    tomogram[12:15, 5:8, 2:5] = 1
    kept = tomogram.copy()
    moved = amo.recenter_tomogram(tomogram, step=1.0)
    x, y, z = (
        np.average(np.arange(n), weights=moved.sum(axis=tuple({0, 1, 2, 3} - {a})))
        for a, n in enumerate((21, 21, 15))
    )
    np.testing.assert_allclose([x, y, z], [10, 10, 3], atol=0.01)
    some = amo.recenter_tomogram(tomogram)
    assert np.average(np.arange(21), weights=some.sum(axis=(1, 2, 3))) == pytest.approx(
        13 - 0.2 * 3, abs=0.01
    )
    np.testing.assert_array_equal(tomogram, kept)


def test_phase_matching_sets_the_geometrys_offsets(still, scan):
    kept = still.weights
    found = run_phase_matching_alignment(still, upsampling=20, ignored_subset={3})
    assert error(still, scan) < 0.05
    assert still.geometry.j_offsets[3] == still.geometry.k_offsets[3] == 0
    assert found["reconstruction"].shape == (*still.geometry.volume_shape, 1)
    assert np.abs(found["projections"] - found["reference"]).mean() < 0.1 * found["reference"].mean()
    np.testing.assert_array_equal(still.weights, kept)


def test_what_is_cropped_can_be_counted_from_the_far_edge(still):
    whole = run_phase_matching_alignment(still, maxiter=1, projection_cropping=np.s_[2:-2, 3:])
    j, k = still.geometry.projection_shape
    found = still.geometry.j_offsets
    still.geometry.j_offsets, still.geometry.k_offsets = np.zeros((2, len(still.geometry)))
    again = run_phase_matching_alignment(still, maxiter=1, projection_cropping=np.s_[2 : j - 2, 3:k])
    assert found == still.geometry.j_offsets
    np.testing.assert_array_equal(whole["reconstruction"], again["reconstruction"])


def test_phase_matching_takes_the_detectors_segments_and_one_direction(segmented, scan):
    container = DataContainer(segmented)
    container.geometry.k_offsets = container.geometry.k_offsets_as_array + np.arange(len(container)) % 2
    j = container.geometry.j_offsets
    pipeline = {"maxiter": 10, "use_absorbances": False}
    run_phase_matching_alignment(
        container, upsampling=10, align_j=False, reconstruction_pipeline_kwargs=pipeline
    )
    assert container.geometry.j_offsets == j
    assert error(container, scan) < 0.1
    assert pipeline == {"maxiter": 10, "use_absorbances": False}


def test_phase_matching_says_what_it_can_not_do(container):
    with pytest.raises(ScanError, match="expected run_mitra"):
        run_phase_matching_alignment(container, reconstruction_pipeline=reconstruct)
    with pytest.raises(TypeError, match="expected a set"):
        run_phase_matching_alignment(container, ignored_subset=[1])
    with pytest.raises(ValueError, match="expected one of them"):
        run_phase_matching_alignment(container, align_j=False, align_k=False)
