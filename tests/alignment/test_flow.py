"""What an image says of its unknowns: derivatives, small systems, noise, against numbers found otherwise."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from mumott_dask import geometry
from mumott_dask.alignment.flow import (
    Systems,
    derivatives,
    noise_variance,
    small_systems,
    turned_images,
)
from mumott_dask.alignment.level import whole_level
from mumott_dask.alignment.records import Unknowns
from mumott_dask.alignment.steps import solved, turned
from mumott_dask.images import smooth
from mumott_dask.projector import Projector
from mumott_dask.projector.backgrounds import background_terms
from mumott_dask.projector.turning import turned_volume

VOLUME, DETECTOR, N = (30, 28, 32), (36, 38), 9
UNKNOWNS = Unknowns(background=3, rotations=True)
WHOLE = (slice(None), slice(None))


@pytest.fixture(scope="module")
def projector():
    """Three tilts, rays along all axes of the volume, the sample well within the view."""
    inner, outer = np.linspace(0, 5.5, N), np.tile([0.0, 0.5, -0.9], N // 3)
    rotation = geometry.rotations_from_angles(inner, outer, (0, 0, 1), (1, 0, 0))
    j, k = np.random.default_rng(0).normal(0, 1, (2, N))
    return Projector(rotation, j, k, VOLUME, DETECTOR)


@pytest.fixture(scope="module")
def tomogram():
    """Gaussians of 2.5 voxels in several places: smooth, without symmetry, 0.5 of absorbance through all."""
    random = np.random.default_rng(1)
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in VOLUME), indexing="ij", sparse=True)
    total = np.zeros(VOLUME)
    for cx, cy, cz in random.uniform(-6, 6, (8, 3)):
        total += random.uniform(0.4, 1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 12.5)
    return (0.04 * total).astype(np.float32)


def images_of(projector, tomogram, j=0.0, k=0.0, omega=None):
    """Images where the unknowns are changed by that much."""
    moved = projector.with_offsets(projector.j_offset + j, projector.k_offset + k)
    if omega is not None:
        moved = moved.with_rotation(turned(projector.rotation, np.tile(omega, (N, 1))))
    return moved.reproject(tomogram).astype(np.float64)


CHANGES = {
    "j": (0, 0.2, {"j": 1.0}),
    "k": (1, 0.2, {"k": 1.0}),
    "about x": (5, 0.01, {"omega": np.array([1.0, 0, 0])}),
    "about y": (6, 0.01, {"omega": np.array([0, 1.0, 0])}),
    "about z": (7, 0.01, {"omega": np.array([0, 0, 1.0])}),
}


def slopes_of(projector, tomogram, predicted, smoothing, unknowns):
    turns = turned_images(projector, tomogram, unknowns)
    return derivatives(predicted, turns, smoothing, unknowns)


@pytest.mark.parametrize("smoothing", [0.0, 1.5])
@pytest.mark.parametrize("change", CHANGES)
def test_derivatives_are_the_differences_that_changed_unknowns_make(projector, tomogram, change, smoothing):
    """Sign and size, in each projection. Differences of neighbouring voxels lose some parts in a hundred."""
    place, size, unit = CHANGES[change]
    ahead, behind = (
        images_of(projector, tomogram, **{name: sign * size * value for name, value in unit.items()})
        for sign in (1, -1)
    )
    expected = smooth((ahead - behind) / (2 * size), smoothing, "nearest")
    predicted = projector.reproject(tomogram)
    found = slopes_of(projector, tomogram, predicted, smoothing, UNKNOWNS)[place]
    off = np.sqrt(np.mean((found - expected) ** 2, axis=(1, 2)))
    assert off.max() < 0.1 * np.sqrt(np.mean(expected**2))


def test_the_derivatives_of_a_background_are_its_terms(projector, tomogram):
    slopes = slopes_of(projector, tomogram, projector.reproject(tomogram), 1.0, UNKNOWNS)
    assert len(slopes) == UNKNOWNS.count
    for slope, term in zip(slopes[2:5], background_terms(DETECTOR), strict=True):
        np.testing.assert_array_equal(slope, np.broadcast_to(term, (N, *DETECTOR)))


def test_only_the_derivatives_of_what_is_unknown_are_taken(projector, tomogram):
    predicted = projector.reproject(tomogram)
    everything = slopes_of(projector, tomogram, predicted, 1.0, UNKNOWNS)
    for unknowns, places in (
        (Unknowns(), [0, 1]),
        (Unknowns(background=1), [0, 1, 2]),
        (Unknowns(rotations=True), [0, 1, 5, 6, 7]),
    ):
        some = slopes_of(projector, tomogram, predicted, 1.0, unknowns)
        assert len(some) == unknowns.count
        for slope, place in zip(some, places, strict=True):
            np.testing.assert_allclose(slope, everything[place], atol=1e-6)


def test_a_turn_about_the_centre_leaves_a_ball_there_as_it_is():
    x, y, z = np.meshgrid(*(np.arange(21) - 10.0,) * 3, indexing="ij")
    ball = np.exp(-(x**2 + y**2 + z**2) / 18).astype(np.float32)
    moved = ball.copy()
    moved[1:] = ball[:-1]  # off the axes of y and z, not off that of x
    still, turned_off = (
        [np.abs(turned_volume(each, axis)).max() for axis in range(3)] for each in (ball, moved)
    )
    assert max(still) < 0.07 * max(turned_off)
    assert turned_off[0] < 0.07 * max(turned_off)


CHANGED, OTHERS = 4, np.delete(np.arange(N), 4)
TRUTH = {
    "a shift": (Unknowns(), [0.15, -0.1]),
    "a shift and a constant": (Unknowns(background=1), [0.15, -0.1, 0.02]),
    "a shift and a turn": (Unknowns(rotations=True), [0.15, -0.1, 0.008, -0.006, 0.01]),
    "everything": (UNKNOWNS, [-0.1, 0.15, -0.02, 0.015, -0.01, -0.01, 0.008, 0.006]),
}


def level_with(projector, tomogram, unknowns, change, counting, noise=0.0):
    """Images of the true geometry, with a change of the unknowns in one projection that nobody knows of."""
    values = np.array(change)
    back, omega = np.zeros((N, 3)), np.zeros((N, 3))
    j, k = projector.j_offset.copy(), projector.k_offset.copy()
    j[CHANGED], k[CHANGED] = j[CHANGED] + values[0], k[CHANGED] + values[1]
    back[CHANGED, : unknowns.background] = values[unknowns.background_part]
    if unknowns.rotations:
        omega[CHANGED] = values[unknowns.rotation_part]
    true = projector.with_offsets(j, k).with_rotation(turned(projector.rotation, omega))
    data = true.reproject(tomogram) + np.tensordot(back, np.stack(background_terms(DETECTOR)), 1)
    data = (data + noise * np.random.default_rng(3).normal(size=data.shape)).astype(np.float32)
    return whole_level(projector, data, np.ones_like(data), WHOLE, counting)


@pytest.mark.parametrize("counting", [True, False], ids=["counts", "absorbance"])
@pytest.mark.parametrize("smoothing", [0.5, 1.2])
@pytest.mark.parametrize("truth", TRUTH)
def test_a_change_in_one_projection_is_found_in_it_alone(projector, tomogram, truth, smoothing, counting):
    """Given the true tomogram: most of it in a step, all but a few parts in a hundred in four."""
    unknowns, change = TRUTH[truth]
    level = level_with(projector, tomogram, unknowns, change, counting)
    size = np.array([0.15, 0.15, *[0.02] * unknowns.background, *[0.01] * 3 * unknowns.rotations])
    found = np.zeros((N, unknowns.count))
    for bar in (1 / 3, 1 / 5, 1 / 10, 1 / 16):
        rotation = (
            turned(projector.rotation, found[:, unknowns.rotation_part])
            if unknowns.rotations
            else projector.rotation
        )
        here = projector.with_offsets(projector.j_offset + found[:, 0], projector.k_offset + found[:, 1])
        systems = small_systems(
            replace(level, projector=here.with_rotation(rotation)), tomogram, smoothing, unknowns
        )
        step = solved(systems, unknowns, np.ones((N, unknowns.count), bool))
        found[:, :2] += np.column_stack([step.j, step.k])
        found[:, unknowns.background_part] = step.background[:, : unknowns.background]
        if unknowns.rotations:
            found[:, unknowns.rotation_part] += step.rotation
        np.testing.assert_allclose(found[CHANGED] / size, change / size, rtol=0, atol=bar)
        np.testing.assert_allclose(found[OTHERS] / size, 0, atol=0.02)
        if bar == 1 / 3:
            assert systems.residuals.argmax() == CHANGED


def test_masked_pixels_say_nothing(projector, tomogram):
    level = level_with(projector, tomogram, UNKNOWNS, TRUTH["everything"][1], True)
    mask = level.mask.copy()
    mask[:, 8:14, 10:20] = 0
    spoilt = np.where(mask > 0, level.data, np.float32(5))
    one, other = (
        small_systems(whole_level(projector, data, mask, WHOLE, True), tomogram, 1.0, UNKNOWNS)
        for data in (level.data, spoilt)
    )
    for first, second in zip(one[:6], other[:6], strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(one.pixels, mask.sum(axis=(1, 2)))


def test_the_pull_of_a_wrong_pixel_is_bounded(projector, tomogram):
    """Two absorbances off pull no less than sixty, in either direction; less than a pixel."""
    level = level_with(projector, tomogram, Unknowns(), [0, 0], True)
    for sign in (1, -1):
        steps = []
        for off in (2, 60):
            data = level.data.copy()
            data[:, 20, 15] += sign * off
            spoilt = whole_level(projector, data, level.mask, WHOLE, True)
            step = solved(small_systems(spoilt, tomogram, 0.5, Unknowns()), Unknowns(), np.ones((N, 2), bool))
            steps.append([step.j, step.k])
        np.testing.assert_allclose(steps[0], steps[1], rtol=0, atol=1e-6)
        assert np.abs(steps).max() < 1


@pytest.mark.parametrize("chunks", [1, 4, 9])
def test_dask_and_numpy_agree(projector, tomogram, chunks):
    level = level_with(projector, tomogram, UNKNOWNS, TRUTH["everything"][1], True, noise=0.01)
    data, mask = (da.from_array(each, chunks=(chunks, -1, -1)) for each in (level.data, level.mask))
    chunked = whole_level(projector, data, mask, WHOLE, True)
    expected = small_systems(level, tomogram, 0.5, UNKNOWNS)
    for one, other in zip(small_systems(chunked, tomogram, 0.5, UNKNOWNS), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7 * np.abs(other).max())


def test_the_spread_is_the_scatter_of_the_right_hand_sides(projector, tomogram):
    """Over 60 draws of noise, the solutions scatter as the standard errors of one draw say."""
    unknowns, free = Unknowns(), np.ones((N, 2), bool)
    noise, found, stated = 0.02, [], []
    clean = projector.reproject(tomogram)
    for seed in range(60):
        data = clean + noise * np.random.default_rng(seed).normal(size=clean.shape).astype(np.float32)
        level = whole_level(projector, data, np.ones_like(data), WHOLE, False)
        systems = small_systems(level, tomogram, 0.5, unknowns)._replace(filled=0.0)
        step = solved(systems, unknowns, free)
        found.append([step.j, step.k])
        stated.append(step.deviations.T)
    ratio = np.std(found, axis=0) / np.mean(stated, axis=0)
    assert ratio.mean() == pytest.approx(1, abs=0.06)
    assert 0.65 < ratio.min() < ratio.max() < 1.35


SHAPE = (6, 60, 50)


@pytest.mark.parametrize("smooth_part", [0.0, 0.3], ids=["noise alone", "and what varies slowly"])
def test_the_variance_of_white_noise(smooth_part):
    """Of 3,000 pixels: known to some four parts in a hundred, whatever slowly varying misfit lies below."""
    random = np.random.default_rng(0)
    sigma = np.linspace(0.01, 0.06, SHAPE[0])
    j, k = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[2]), indexing="ij")
    misfit = smooth_part * (np.sin(j / 9) * np.cos(k / 11) + j / 60)
    residual = (sigma[:, None, None] * random.normal(size=SHAPE) + misfit).astype(np.float32)
    ones = np.ones(SHAPE, np.float32)
    found = noise_variance(residual, ones, ones)
    assert found.shape == SHAPE
    np.testing.assert_allclose(found, np.broadcast_to(sigma[:, None, None] ** 2, SHAPE), rtol=0.15)
    assert (found[:, 0, 0] / sigma**2).mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("photons", [300, 40_000])
def test_the_variance_of_counts_follows_the_flux(photons):
    """Relative counts N / (n T) less 1 have the variance 1 / (n T): in the air, and behind the sample."""
    random = np.random.default_rng(1)
    transmitted = np.ones(SHAPE)
    transmitted[:, 10:50, 10:40] = 10**-0.6
    counts = random.poisson(photons * transmitted)
    residual = (counts / (photons * transmitted) - 1).astype(np.float32)
    found = noise_variance(residual, np.ones(SHAPE, np.float32), transmitted.astype(np.float32))
    for part in (transmitted == 1, transmitted < 1):
        assert (found * photons * transmitted)[part].mean() == pytest.approx(1, abs=0.06)
        assert found[part].mean() == pytest.approx(residual[part].var(), rel=0.1)


def test_masked_pixels_are_no_noise():
    random = np.random.default_rng(2)
    residual = random.normal(size=SHAPE).astype(np.float32)
    mask = (random.random(SHAPE) > 0.1).astype(np.float32)
    mask[2] = 0
    spoilt = np.where(mask > 0, residual, np.float32(1e4))
    found = noise_variance(spoilt, mask, np.ones(SHAPE, np.float32))
    assert not found[2].any()
    np.testing.assert_allclose(np.delete(found, 2, axis=0), 1, rtol=0.2)


def test_the_share_that_the_tomogram_takes_is_its_voxels_in_pixels():
    """A cube of 8 voxels a side, seen by 64 pixels of each of 20 projections along an axis."""
    n = 20
    projector = Projector(np.tile(np.eye(3), (n, 1, 1)), np.zeros(n), np.zeros(n), (20, 20, 20), (20, 20))
    cube = np.zeros((20, 20, 20), np.float32)
    cube[6:14, 6:14, 6:14] = 0.05
    data = projector.reproject(cube)
    level = whole_level(projector, data, np.ones_like(data), WHOLE, True)
    systems = small_systems(level, cube, 0.5, Unknowns())
    np.testing.assert_allclose(systems.seen, 64, rtol=0.15)
    assert systems.filled == pytest.approx(512, rel=1e-5)
    assert systems.taken == pytest.approx(512 / (64 * n), rel=0.15)
    few = small_systems(
        whole_level(projector[:3], data[:3], level.mask[:3], WHOLE, True), cube, 0.5, Unknowns()
    )
    assert few.taken == 0.9


def test_residuals_are_root_mean_squares_over_unmasked_pixels():
    ones = np.ones(2)
    systems = Systems(ones, ones, ones, np.array([4.0, 0.0]), np.array([100.0, 0.0]), ones, 1.0)
    np.testing.assert_allclose(systems.residuals, [0.2, 0])
    assert systems.residual == pytest.approx(0.2)
