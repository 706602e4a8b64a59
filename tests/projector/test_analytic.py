"""Forward and adjoint against waves and Gaussians, whose projections are known in closed form.

Pixel (j, k) looks along p through (j + 1/2 + j_offset - J/2) u + (k + 1/2 + k_offset - K/2) w: that is all
that is taken from the package's conventions. What linear interpolation may do to a smooth function is known
too: over a voxel it loses at most an eighth of the second derivatives, and it blurs by a triangle, of
variance 1/6, along each of the axes that it runs along.
"""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mumott_dask import Projector

VOLUME, DETECTOR = (44, 36, 40), (47, 42)
TURNS = np.array([0.0, 0.3, 1.1, 1.9, 3.4, 5.0, 0.7, 2.5])
TILTS = np.array([0.0, 0.4, -0.6, 0.2, 0.0, 0.7, 1.2, -1.3])
OFFSETS = np.array(
    [[0, 1.3, -2.7, 0.45, 5.2, -0.1, 2.25, -1.6], [0, -0.8, 3.1, 0.2, -2.9, 1.5, 0.35, 2.4]], float
)


@pytest.fixture(scope="module")
def projector():
    return Projector(rotations(), *OFFSETS, VOLUME, DETECTOR)


def rotations():
    """Turns about -z, then tilts about x: rays along x, y and z, in either direction."""
    inner, outer = np.outer(TURNS, [0, 0, -1]), np.outer(TILTS, [1, 0, 0])
    return (Rotation.from_rotvec(outer) * Rotation.from_rotvec(inner)).as_matrix()


def views():
    """Ray, detector axes and the pixels' coordinates (j, 1) and (1, k) on them, of each projection."""
    for rotation, j_offset, k_offset in zip(rotations(), *OFFSETS, strict=True):
        p, u, w = rotation.T @ [0, 1, 0], rotation.T @ [1, 0, 0], rotation.T @ [0, 0, 1]
        a = (np.arange(DETECTOR[0]) + 0.5 + j_offset - DETECTOR[0] / 2)[:, None]
        b = (np.arange(DETECTOR[1]) + 0.5 + k_offset - DETECTOR[1] / 2)[None, :]
        yield p, u, w, a, b


def voxels():
    """Centres of the voxels from the middle of the volume, (3, x, y, z)."""
    return np.stack(np.meshgrid(*(np.arange(n) + 0.5 - n / 2 for n in VOLUME), indexing="ij"))


def test_the_views_are_of_every_kind():
    rays = np.array([p for p, *_ in views()])
    assert set(np.abs(rays).argmax(axis=1)) == {0, 1, 2}
    assert {1.0, -1.0} == set(np.sign(rays[np.arange(len(rays)), np.abs(rays).argmax(axis=1)]))
    assert np.abs(OFFSETS).max() > 5


CENTRES = [(0, 0, 0), (3.2, -1.7, 2.4), (-4.1, 2.2, -3.3)]


def gaussian(centre, sigma):
    distance = ((voxels() - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0)
    return np.exp(-distance / (2 * sigma**2)).astype(np.float32)


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("sigma", [2.0, 3.0])
def test_a_gaussian_projects_to_a_gaussian(projector, centre, sigma):
    """Within what interpolation may lose of a Gaussian at its peak: second derivatives of 1/sigma^2, twice."""
    images = projector.forward(gaussian(centre, sigma))
    largest = np.sqrt(2 * np.pi) * sigma
    for image, (_, u, w, a, b) in zip(images, views(), strict=True):
        expected = largest * np.exp(-((a - u @ centre) ** 2 + (b - w @ centre) ** 2) / (2 * sigma**2))
        np.testing.assert_allclose(image, expected, rtol=0, atol=largest * 2 / (8 * sigma**2))


@pytest.mark.parametrize("centre", CENTRES)
def test_mass_place_and_width_of_a_projected_gaussian(projector, centre):
    """Sums over pixels of something this smooth are integrals, but for a few parts in 10^4 by the voxels' grid.

    Interpolation keeps mass and place, and adds the triangle's variance along the axes of a slice; not in the
    views without tilt, where all samples of an image lie alike between two layers of voxels.
    """
    sigma = 3.0
    for image, (p, u, w, a, b) in zip(projector.forward(gaussian(centre, sigma)), views(), strict=True):
        image = image.astype(np.float64)
        mass = image.sum()
        assert mass == pytest.approx((2 * np.pi * sigma**2) ** 1.5, rel=2e-4)
        place = np.array([(image * a).sum(), (image * b).sum()]) / mass
        np.testing.assert_allclose(place, [u @ centre, w @ centre], atol=1e-3)
        if np.isclose(w[2], 1):
            continue
        da, db = a - place[0], b - place[1]
        spread = np.array([(image * x * y).sum() / mass for x, y in ((da, da), (da, db), (db, db))])
        within = np.delete(np.stack([u, w]), np.abs(p).argmax(), axis=1)
        triangle = (within @ within.T / 6)[[0, 0, 1], [0, 1, 1]]
        np.testing.assert_allclose(spread, sigma**2 * np.array([1, 0, 1]) + triangle, atol=5e-3)


WAVES = [(0.12, 0.05, -0.08), (-0.02, 0.15, 0.03), (0.06, -0.07, 0.14)]


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("phase", [0.0, 1.0])
def test_a_plane_wave_projects_to_a_plane_wave(projector, wave, phase):
    """Rays that enter and leave by the faces across their dominant axis, so their path is known.

    The integral of cos(c + d t) over a path of length L is L cos(c) sin(d L / 2) / (d L / 2). Interpolation
    loses up to an eighth of the squared wave number within a slice, the sum over slices a 24th of d^2.
    """
    q = np.array(wave)
    images = projector.forward(np.cos(np.tensordot(q, voxels(), 1) + phase).astype(np.float32))
    seen = 0
    for image, (p, u, w, a, b) in zip(images, views(), strict=True):
        through = np.multiply.outer(u, a + 0 * b) + np.multiply.outer(w, b + 0 * a)
        main = np.abs(p).argmax()
        half = VOLUME[main] / 2 / abs(p[main])
        middle = through - p[:, None, None] * (
            through[main] / p[main]
        )  # where the ray crosses the middle slice
        whole = np.ones(DETECTOR, bool)
        for axis in {0, 1, 2} - {main}:
            whole &= np.abs(middle[axis]) + half * abs(p[axis]) < (VOLUME[axis] - 1) / 2
        along = q @ p
        expected = 2 * half * np.cos(np.tensordot(q, middle, 1) + phase) * np.sinc(along * half / np.pi)
        slope = np.delete(q, main)
        loss = (slope @ slope) / 8 + (along / p[main]) ** 2 / 24
        np.testing.assert_allclose(image[whole], expected[whole], rtol=0, atol=2 * half * loss)
        seen += whole.sum()
    assert seen > 0.15 * images.size


@pytest.mark.parametrize("wave", [(0.1, -0.07), (0.03, 0.15)])
def test_waves_on_the_detector_are_smeared_back_along_the_rays(projector, wave):
    """A voxel gets what the wave is where it lands, from every projection that it lands on."""
    images, expected = [], 0
    landed = np.ones(VOLUME, bool)
    for _, u, w, a, b in views():
        images.append(np.cos(wave[0] * a + wave[1] * b))
        at_u, at_w = np.tensordot(u, voxels(), 1), np.tensordot(w, voxels(), 1)
        landed &= (at_u >= a.min()) & (at_u <= a.max()) & (at_w >= b.min()) & (at_w <= b.max())
        expected = expected + np.cos(wave[0] * at_u + wave[1] * at_w)
    volume = projector.adjoint(np.stack(images).astype(np.float32))
    loss = len(images) * (wave[0] ** 2 + wave[1] ** 2) / 8
    assert landed.sum() > 0.2 * landed.size
    np.testing.assert_allclose(volume[landed], expected[landed], rtol=0, atol=loss)


def test_spots_on_the_detector_are_smeared_back_along_the_rays(projector):
    """One voxel sees all of them: the one that they were all drawn for."""
    centre, sigma = np.array([2.5, -1.5, 0.5]), 2.5
    spots = [
        np.exp(-((a - u @ centre) ** 2 + (b - w @ centre) ** 2) / (2 * sigma**2)) for _, u, w, a, b in views()
    ]
    volume = projector.adjoint(np.stack(spots).astype(np.float32))
    expected = 0
    for _, u, w, *_ in views():
        distance = np.tensordot(np.stack([u, w]), voxels() - centre.reshape(3, 1, 1, 1), 1)
        expected = expected + np.exp(-(distance**2).sum(axis=0) / (2 * sigma**2))
    np.testing.assert_allclose(volume, expected, rtol=0, atol=len(spots) * 2 / (8 * sigma**2))
    assert np.unravel_index(volume.argmax(), VOLUME) == tuple(
        np.add(centre + 0.5 * 0, np.array(VOLUME) / 2 - 0.5).astype(int)
    )
