"""Simulated scans: where content lands, how much of it, what noise; all against formulae written out here."""

import numpy as np
import pytest
import xarray as xr

from mumott_dask import geometry
from mumott_dask.errors import ScanError
from mumott_dask.scan import open_scan, write_scan
from mumott_dask.simulation import simulate, stage

SMALL = {"shape": (24, 20), "tilts": 2, "rotations": 9}
STILL = {"jitter": 0.0, "jumps": 0.0, "drift": 0.0, "flux_drift": 0.0}


def gaussian(volume_shape, oversampling, centre, sigma, peak):
    """Gaussian blob on a grid of sub-voxels, `centre` from the centre of the volume, voxels."""
    place = [(np.arange(n * oversampling) + 0.5) / oversampling - n / 2 for n in volume_shape]
    r2 = sum((c - d) ** 2 for c, d in zip(np.meshgrid(*place, indexing="ij"), centre, strict=True))
    return peak * np.exp(-r2 / (2 * sigma**2))


def absorbance_of(scan):
    return -np.log10(scan["diode"].values.astype(np.float64))


@pytest.mark.parametrize("inner_axis", [(0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0)])
def test_a_blob_lands_where_the_geometry_says(inner_axis):
    centre, sigma, peak = np.array([3.1, -2.3, 2.6]), 1.5, 0.02
    shape = (28, 26)
    volume_shape = (28, 28, 26) if inner_axis[2] else (28, 26, 26)
    scan = simulate(
        shape,
        tilts=3,
        rotations=8,
        photons=None,
        largest_tilt=np.radians(80),
        inner_axis=inner_axis,
        phantom=gaussian(volume_shape, 2, centre, sigma, peak),
        flux_drift=0,
        jitter=0.7,
        jumps=2,
        drift=0.5,
        seed=3,
    )
    assert scan.attrs["volume_shape"] == list(volume_shape)
    rotation = scan["rotation"].values
    directions = rotation[:, 1]  # R.T @ (0, 1, 0)
    assert set(np.abs(directions).argmax(axis=1)) == {0, 1, 2}

    absorbance = absorbance_of(scan)
    j, k = np.arange(28) + 0.5 - 14, np.arange(26) + 0.5 - 13
    mass = absorbance.sum(axis=(1, 2))
    found_j = np.einsum("njk,j->n", absorbance, j) / mass
    found_k = np.einsum("njk,k->n", absorbance, k) / mass
    lab = rotation @ centre
    np.testing.assert_allclose(found_j, lab[:, 0] - scan["j_offset_true"], atol=0.01)
    np.testing.assert_allclose(found_k, lab[:, 2] - scan["k_offset_true"], atol=0.01)
    np.testing.assert_allclose(mass, peak * (2 * np.pi * sigma**2) ** 1.5, rtol=2e-3)


def test_a_positive_inner_angle_about_z_turns_x_towards_y():
    # A quarter turn about +z carries x to y (along the beam) and -y to x: written out, without `geometry`.
    blob = gaussian((20, 20, 16), 2, (0.0, -4.0, 3.0), 1.2, 0.02)
    scan = simulate((20, 16), tilts=1, rotations=2, photons=None, phantom=blob, inner_axis=(0, 0, 1), **STILL)
    image = absorbance_of(scan)[1]
    assert image.sum(axis=1) @ (np.arange(20) + 0.5 - 10) / image.sum() == pytest.approx(4.0, abs=0.01)
    assert image.sum(axis=0) @ (np.arange(16) + 0.5 - 8) / image.sum() == pytest.approx(3.0, abs=0.01)


def test_the_projection_of_a_gaussian_is_a_gaussian():
    sigma, peak = 2.0, 0.05
    blob = gaussian((24, 24, 20), 3, (0, 0, 0), sigma, peak)
    scan = simulate((24, 20), 2, 5, None, phantom=blob, oversampling=3, **STILL)
    j, k = np.arange(24) + 0.5 - 12, np.arange(20) + 0.5 - 10
    height = peak * np.sqrt(2 * np.pi) * sigma
    expected = height * np.exp(-(j[:, None] ** 2 + k**2) / (2 * (sigma**2 + 1 / 12)))
    expected *= sigma**2 / (sigma**2 + 1 / 12)  # a pixel's mean widens it by the variance of a pixel
    assert np.abs(absorbance_of(scan) - expected).max() < 0.005 * height


def test_the_true_tomogram_sums_to_the_absorbance():
    scan = simulate((32, 30), tilts=1, rotations=2, photons=None, extent=0.8, **STILL)
    tomogram = scan["tomogram_true"].values.astype(np.float64)
    # About (0, 0, -1), the quarter turn carries y to x.
    for image, along in zip(absorbance_of(scan), (tomogram.sum(1), tomogram.sum(0)), strict=True):
        assert np.sqrt(np.mean((image - along) ** 2)) < 0.01 * image.max()
        assert image.sum() == pytest.approx(tomogram.sum(), rel=0.02)


def test_the_noise_is_that_of_photons():
    clean = simulate(**SMALL, photons=None)["diode"].values.astype(np.float64) * 400
    noisy = simulate(**SMALL, photons=400)["diode"].values
    assert np.array_equal(noisy, np.round(noisy))
    pull = (noisy - clean) / np.sqrt(clean)
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert pull.var() == pytest.approx(1, abs=6 / np.sqrt(pull.size))


def test_the_flux_drifts_slowly_by_what_was_asked():
    scan = simulate((24, 20), 2, 30, None, flux_drift=0.03)
    flux = scan["diode"].values[:, 0, 0]
    assert flux.std() == pytest.approx(0.03, rel=0.01)
    assert np.abs(np.diff(flux)).max() < 0.02


def test_seeds_repeat_and_differ():
    first, again, other = (simulate(**SMALL, seed=seed) for seed in (5, 5, 6))
    xr.testing.assert_identical(first, again)
    for name in ("diode", "tomogram_true", "j_offset_true"):
        assert not np.array_equal(first[name], other[name])
    quiet = simulate(**SMALL, seed=5, photons=None)
    for name in ("tomogram_true", "j_offset_true", "k_offset_true"):
        np.testing.assert_array_equal(first[name], quiet[name])


def test_the_bone_does_not_depend_on_the_sampling():
    coarse, fine = (simulate((40, 36), 1, 2, oversampling=s)["tomogram_true"].values for s in (2, 3))
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.995


def test_the_bone_is_a_core_of_thin_walls_cut_at_its_ends():
    tomogram = simulate((48, 48), 1, 2)["tomogram_true"].values
    x, y, z = np.meshgrid(*(np.arange(48) - 23.5,) * 3, indexing="ij")
    radius = 0.75 * 24
    core = (np.hypot(x, y) < 0.75 * radius) & (np.abs(z) < 0.6 * radius)
    solid = tomogram > tomogram.max() / 2
    assert 0.2 < solid[core].mean() < 0.4
    assert not solid[np.hypot(x, y) > radius + 1].any()
    assert not solid[np.abs(z) > 0.68 * radius + 1].any()
    # A wall is two to three voxels thick: most of the bone has marrow within two voxels of it.
    inner = solid & core
    near_marrow = np.zeros_like(solid)
    for axis in range(3):
        for step in (-2, 2):
            near_marrow |= ~np.roll(solid, step, axis)
    assert near_marrow[inner].mean() > 0.9


def test_absorbance_is_scaled_as_asked():
    scan = simulate((40, 36), 1, 4, None, absorbance=0.6, **STILL)
    assert 0.45 < absorbance_of(scan).max() < 0.8


def test_the_default_view_holds_all_of_the_bone_and_a_large_one_does_not():
    small = {"tilts": 6, "rotations": 2, "photons": None, "flux_drift": 0, "oversampling": 1}
    whole, cut = (absorbance_of(simulate(**small, extent=extent)) for extent in (0.75, 1.4))
    edges = [np.concatenate([a[:, [0, -1]].ravel(), a[:, :, [0, -1]].ravel()]) for a in (whole, cut)]
    assert edges[0].max() < 0.01
    assert edges[1].max() > 0.2
    assert cut.shape == (12, 65, 55)


def test_offsets_are_what_was_asked_for():
    rng = np.random.default_rng(0)
    tilt = stage.angles(np.linspace(0, np.pi / 4, 6), 500).tilt
    jitter = np.array(stage.offsets(tilt, 0.8, 0, 0, rng))
    assert jitter.std() == pytest.approx(0.8, rel=0.05)
    jumps = np.array(stage.offsets(tilt, 0, 10, 0, rng))
    steps = np.linalg.norm(np.diff(jumps[:, ::500], axis=1), axis=0)
    assert steps.min() > 8.7
    assert steps.max() <= 10
    assert np.count_nonzero(np.diff(jumps[0])) == 5
    drift = np.array(stage.offsets(tilt, 0, 0, 1.5, rng)).reshape(2, 6, 500)
    np.testing.assert_allclose(np.sqrt(np.mean(drift**2, axis=2)), 1.5, rtol=1e-6)
    assert np.abs(np.diff(drift, axis=2)).max() < 0.05


def test_angles_are_those_of_tensor_tomography():
    scan = simulate((24, 20), tilts=3, rotations=4, largest_tilt=np.radians(40))
    np.testing.assert_allclose(np.degrees(scan["outer_angle"])[::4], [0, 20, 40])
    np.testing.assert_allclose(np.degrees(scan["inner_angle"])[:8], [0, 45, 90, 135, 0, 90, 180, 270])
    np.testing.assert_array_equal(scan["inner_axis"][0], (0, 0, -1))
    np.testing.assert_array_equal(scan["outer_axis"][0], (1, 0, 0))
    assert geometry.rotation_fault(scan["rotation"].values) is None


def test_the_scan_and_its_truth_survive_storage(tmp_path):
    scan = simulate(**SMALL, pixel_size=25.0)
    assert not scan["j_offset"].any()
    assert scan["diode"].dtype == scan["tomogram_true"].dtype == np.float32
    assert scan["diode"].attrs["kind"] == "transmission"
    assert scan.attrs["pixel_size"] == 25.0
    write_scan(scan, tmp_path / "scan.zarr")
    xr.testing.assert_identical(
        open_scan(tmp_path / "scan.zarr").drop_attrs(deep=False), scan.drop_attrs(deep=False)
    )


def test_tilts_and_the_arc_of_rotation_are_those_given():
    scan = simulate((24, 20), rotations=5, tilt_angles=np.radians([10, -20]), arc=np.radians([-70, 70]))
    np.testing.assert_allclose(np.degrees(scan["outer_angle"]), [10] * 5 + [-20] * 5)
    np.testing.assert_allclose(np.degrees(scan["inner_angle"]), [-70, -35, 0, 35, 70] * 2, atol=1e-12)


def test_numbers_of_a_seed_stay_what_they_were():
    # Written down before faults, slabs and the compiled forward model came.
    scan = simulate((24, 20), 2, 9, None, seed=5)
    np.testing.assert_allclose(scan["j_offset_true"][[0, 8, 17]], [2.63631382, -2.49641878, -0.14839379])
    np.testing.assert_allclose(scan["k_offset_true"][[0, 8, 17]], [3.47800641, 0.51090272, -2.28107906])
    assert scan["tomogram_true"].values.sum(dtype=float) == pytest.approx(39.02198857794204, rel=1e-6)
    assert scan["diode"].values.sum(dtype=float) == pytest.approx(7558.113712899387, rel=1e-6)
    assert scan["diode"].values[12, 10, 8] == pytest.approx(0.6767186, rel=2e-6)
    assert {"rotation_true", "wrong_true", "j_offset_bound"}.isdisjoint(scan.coords)


def test_the_volume_may_be_other_than_what_the_detector_sees():
    plain, wide = (simulate(**SMALL, volume_shape=v, extent=1.3) for v in (None, (30, 30, 10)))
    assert wide.attrs["volume_shape"] == [30, 30, 10]
    assert wide["tomogram_true"].shape == (30, 30, 10)
    np.testing.assert_array_equal(wide["diode"], plain["diode"])
    np.testing.assert_array_equal(wide["tomogram_true"][3:-3, 3:-3], plain["tomogram_true"][:, :, 5:-5])


def test_a_slab_fills_every_view_alike():
    scan = simulate((40, 34), 1, 24, None, sample="slab", tilt_angles=[np.radians(61)], flux_drift=0, seed=4)
    absorbance = absorbance_of(scan)
    middle = absorbance[:, 12:28, 10:24].mean()
    for corner in (np.s_[:, :6, :6], np.s_[:, -6:, :6], np.s_[:, :6, -6:], np.s_[:, -6:, -6:]):
        assert absorbance[corner].mean() == pytest.approx(middle, rel=0.3)
        assert absorbance[corner].mean(axis=(1, 2)).min() > 0.3 * middle
    tomogram = scan["tomogram_true"].values
    filled = np.flatnonzero((tomogram > tomogram.max() / 2).any(axis=(0, 1)))
    assert filled[-1] - filled[0] + 1 == pytest.approx(0.3 * 34, abs=1)
    np.testing.assert_allclose(0.8, tomogram.sum(axis=2).max(), rtol=0.3)
    assert tomogram[0].max() > tomogram.max() / 2  # it reaches beyond the volume


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 5)}, "shape is (0, 5), expected two positive"),
        ({"shape": (4, 5)}, "bone would be 3 pixels across"),
        ({"tilts": 0}, "tilts is 0, expected a positive whole number"),
        ({"rotations": 2.5}, "rotations is 2.5, expected a positive whole number"),
        ({"photons": -1}, "photons is -1, expected a positive number"),
        ({"extent": 0}, "extent is 0, expected a positive number"),
        ({"jitter": -0.5}, "jitter is -0.5, expected 0 or a positive number"),
        ({"drift": np.nan}, "drift is nan, expected 0 or a positive number"),
        ({"inner_axis": (0, 0, 0)}, "axis has length 0"),
        ({"tilt_angles": []}, "tilt_angles is [], expected one or more angles in radians"),
        ({"tilt_angles": [0, np.nan]}, "tilt_angles is [0, nan], expected finite angles"),
        ({"arc": (0, 1, 2)}, "arc is (0, 1, 2), expected 2 angles in radians"),
        ({"axis_error": 0.1}, "axis_error is 0.1, expected 2 angles in radians"),
        ({"angle_error": -0.1}, "angle_error is -0.1, expected 0 or a positive number"),
        ({"background": np.inf}, "background is inf, expected 0 or a positive number"),
        ({"wrong": 2}, "wrong is 2, expected a whole number from 0 to 1"),
        ({"hot": 1.5}, "hot is 1.5, expected 0 to 1"),
        ({"dead_columns": 24}, "dead_columns is 24, expected a whole number from 0 to 23"),
        ({"sample": "foam"}, "sample is 'foam', expected 'bone' or 'slab'"),
        ({"sample": "slab"}, "slab is seen nearly edge-on, expected tilts of at least 30 degrees"),
        ({"sample": "slab", "thickness": 0.1}, "slab would be 2 pixels thick, expected at least 6"),
        ({"volume_shape": (5, 5)}, "volume_shape is (5, 5), expected three positive numbers of voxels"),
        ({"photons": None, "bounds": True}, "bounds are those of photon noise, expected a number of photons"),
        (
            {"phantom": np.ones((4, 4))},
            "phantom has shape (4, 4), expected 2 (oversampling) times (24, 24, 20)",
        ),
        ({"phantom": np.ones((46, 48, 40))}, "phantom has shape (46, 48, 40)"),
        ({"phantom": np.full((48, 48, 40), np.inf)}, "not finite"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ScanError) as error:
        simulate(**{"shape": (24, 20), "tilts": 1, "rotations": 2} | arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_offsets_of_ones_own():
    wanted = np.arange(8.0).reshape(2, 4) / 10
    given, other = (
        simulate((24, 20), tilts=1, rotations=4, offsets=offsets, photons=None) for offsets in (wanted, None)
    )
    np.testing.assert_array_equal([given["j_offset_true"], given["k_offset_true"]], wanted)
    np.testing.assert_array_equal(given["tomogram_true"], other["tomogram_true"])
    for wrong in (wanted.T, wanted[:, :3], wanted * np.nan):
        with pytest.raises(ScanError, match="expected two rows"):
            simulate((24, 20), tilts=1, rotations=4, offsets=wrong)
