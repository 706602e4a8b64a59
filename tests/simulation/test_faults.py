"""What is wrong with a simulated scan beyond its offsets: as much as was asked for, where it was asked for."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mumott_dask.scan import open_scan, write_scan
from mumott_dask.simulation import simulate

SMALL = {"shape": (24, 20), "tilts": 2, "rotations": 15, "oversampling": 1}
STILL = {"jitter": 0.0, "jumps": 0.0, "drift": 0.0, "flux_drift": 0.0}
DEGREE = np.radians(1)


def rotation_vectors(matrices):
    return Rotation.from_matrix(matrices).as_rotvec()


def transposed(matrices):
    return np.swapaxes(matrices, -1, -2)


def centres(scan):
    """Centre of mass of the absorbance in every projection, (projection, jk), pixels from the middle."""
    absorbance = -np.log10(scan["diode"].values.astype(np.float64))
    j, k = (np.arange(n) + 0.5 - n / 2 for n in absorbance.shape[1:])
    mass = absorbance.sum(axis=(1, 2))
    return np.stack([absorbance.sum(axis=2) @ j / mass, absorbance.sum(axis=1) @ k / mass], axis=1)


def blob(centre, shape=(24, 24, 20)):
    place = np.meshgrid(*((np.arange(2 * n) + 0.5) / 2 - n / 2 for n in shape), indexing="ij")
    return 0.02 * np.exp(-sum((x - c) ** 2 for x, c in zip(place, centre, strict=True)) / (2 * 1.5**2))


def test_angles_are_wrong_by_what_was_asked():
    scan = simulate(**SMALL | {"rotations": 150}, angle_error=0.5 * DEGREE, extent=0.4)
    nominal, true = scan["rotation"].values, scan["rotation_true"].values
    omega = rotation_vectors(transposed(nominal) @ true)  # R_true = R exp([omega]x)
    np.testing.assert_allclose(np.sqrt(np.mean(omega**2, axis=0)), 0.5 * DEGREE, rtol=0.15)
    assert np.abs(np.corrcoef(omega[1:].T, omega[:-1].T) - np.eye(6)).max() < 0.3
    right = simulate(**SMALL, extent=0.4)
    np.testing.assert_array_equal(right["rotation"], nominal.reshape(2, 150, 3, 3)[:, ::10].reshape(-1, 3, 3))


def test_wrong_angles_are_those_of_the_sample_whatever_the_tilts():
    flat, steep = (
        simulate(**SMALL, angle_error=0.01, extent=0.4, tilt_angles=tilts) for tilts in ([0.0], [1.0])
    )
    flat, steep = (transposed(s["rotation"].values) @ s["rotation_true"].values for s in (flat, steep))
    np.testing.assert_allclose(flat, steep, atol=1e-12)


def test_the_axis_is_off_in_the_laboratory_alike_in_all_projections():
    scan = simulate(**SMALL, axis_error=(3 * DEGREE, 1 * DEGREE))
    phi = rotation_vectors(scan["rotation_true"].values @ transposed(scan["rotation"].values))
    np.testing.assert_allclose(phi, np.tile([DEGREE, 3 * DEGREE, 0], (30, 1)), atol=1e-12)
    np.testing.assert_allclose(scan.attrs["axis_error_true"], [DEGREE, 3 * DEGREE, 0])
    about_j = simulate((20, 24), 1, 4, axis_error=(3 * DEGREE, 1 * DEGREE), inner_axis=(1, 0, 0))
    np.testing.assert_allclose(about_j.attrs["axis_error_true"], [0, 3 * DEGREE, DEGREE])


def test_an_axis_off_in_the_plane_turns_the_images_and_a_pitch_nods_them():
    settings = {"shape": (24, 20), "tilts": 1, "rotations": 7, "photons": None, "phantom": blob((3, -2, 4))}
    right = simulate(**settings, **STILL)
    a = 4 * DEGREE
    turned = simulate(**settings, **STILL, axis_error=(a, 0))
    x, z = centres(right).T  # turning about +y carries z to x
    expected = np.stack([x * np.cos(a) + z * np.sin(a), z * np.cos(a) - x * np.sin(a)], axis=1)
    np.testing.assert_allclose(centres(turned), expected, atol=0.01)
    nodded = simulate(**settings, **STILL, axis_error=(0, a))
    depth = right["rotation"].values[:, 1] @ (3, -2, 4)  # turning about +x carries y to z
    np.testing.assert_allclose(
        centres(nodded), np.stack([x, z * np.cos(a) + depth * np.sin(a)], axis=1), atol=0.01
    )


def test_the_sample_is_seen_along_the_true_rotations():
    centre = np.array([3.0, -2.0, 1.5])
    errors = {"angle_error": 0.1, "axis_error": (0.1, 0.05)}
    scan = simulate((24, 20), 2, 6, None, phantom=blob(centre), flux_drift=0, jumps=1, drift=0.3, **errors)
    expected = (scan["rotation_true"].values @ centre)[:, [0, 2]]
    expected -= np.stack([scan["j_offset_true"], scan["k_offset_true"]], axis=1)
    np.testing.assert_allclose(centres(scan), expected, atol=0.02)


def test_the_background_is_a_constant_and_a_slope_in_each_projection():
    settings = SMALL | {"rotations": 60, "photons": None, "extent": 0.5}
    clean, sloping = (simulate(**settings, background=b)["diode"].values for b in (0.0, 0.05))
    level = np.log10(clean.astype(np.float64) / sloping)
    j, k = (
        np.broadcast_to(p, (24, 20))
        for p in np.meshgrid(np.arange(24) / 24, np.arange(20) / 20, indexing="ij")
    )
    design = np.stack([np.ones(480), j.ravel() - j.mean(), k.ravel() - k.mean()], axis=1)
    (constant, *slope), rest, *_ = np.linalg.lstsq(design, level.reshape(120, -1).T, rcond=None)
    assert np.sqrt(rest / 480).max() < 1e-6
    steepness = np.hypot(*slope)
    assert steepness.max() == pytest.approx(0.05, rel=1e-3)
    assert np.median(steepness) > 0.035
    assert 0.02 < constant.std() < 0.08
    for course in slope:
        assert 0.3 < np.mean(course > 0) < 0.7
        assert 0.1 < np.corrcoef(course[1:], course[:-1])[0, 1] < 0.95  # it drifts, and it jitters


@pytest.mark.parametrize("photons", [None, 3000])
def test_wrong_projections_are_closed_or_turned_and_the_others_as_before(photons):
    settings = SMALL | {"photons": photons, "flux_drift": 0}
    right, scan = simulate(**settings), simulate(**settings, wrong=5)
    wrong = scan["wrong_true"].values
    assert wrong.dtype == bool
    assert wrong.sum() == 5
    closed = scan["diode"].mean(("j", "k")).values < 0.01 * (photons or 1)
    assert closed.sum() == 2
    assert wrong[closed].all()
    if photons is None:
        np.testing.assert_array_equal(scan["diode"][~wrong], right["diode"][~wrong])
        difference = np.abs(scan["diode"] - right["diode"]).max(("j", "k")).values
        assert difference[wrong & ~closed].min() > 0.1
    omega = rotation_vectors(transposed(scan["rotation"].values) @ scan["rotation_true"].values)
    off = np.degrees(np.linalg.norm(omega, axis=1))
    np.testing.assert_allclose(off[~wrong | closed], 0, atol=1e-6)
    assert np.all((off[wrong & ~closed] > 19.9) & (off[wrong & ~closed] < 60.1))
    other = simulate(**settings, wrong=5, seed=1)["wrong_true"].values
    assert (other != wrong).any()


@pytest.mark.parametrize("photons", [None, 3000])
def test_hot_pixels_and_dead_columns_are_as_many_as_asked(photons):
    right, hot = (simulate(**SMALL, photons=photons, hot=h)["diode"].values for h in (0.0, 0.05))
    differs = hot != right
    np.testing.assert_array_equal(differs.sum(axis=(1, 2)), 24)
    bright = hot[differs] > 0
    assert bright.mean() == 0.5
    readings = hot[differs][bright] / (photons or 1)
    assert 3 <= readings.min() < 5 < 60 < readings.max() <= 100
    assert (differs[0] != differs[1]).any()
    dead = simulate(**SMALL, photons=photons, dead_columns=2)["diode"].values
    columns = (dead == 0).all(axis=(0, 2))
    assert columns.sum() == 2
    np.testing.assert_array_equal(dead[:, ~columns], right[:, ~columns])


@pytest.mark.parametrize("name", ["scan.zarr", "scan.h5"])
def test_the_truth_of_faults_survives_storage(tmp_path, name):
    scan = simulate(**SMALL, wrong=3, angle_error=0.01, axis_error=(0.1, 0.1), bounds=True)
    write_scan(scan, tmp_path / name)
    again = open_scan(tmp_path / name)
    for coordinate in ("rotation_true", "wrong_true", "j_offset_bound", "k_offset_bound"):
        assert again[coordinate].dtype == scan[coordinate].dtype
        np.testing.assert_array_equal(again[coordinate], scan[coordinate])
    np.testing.assert_array_equal(again.attrs["axis_error_true"], scan.attrs["axis_error_true"])
    assert again.attrs["offset_bound"] == scan.attrs["offset_bound"]
