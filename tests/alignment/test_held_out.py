"""What half of a projection's pixels add to its offsets, against what these pixels say by themselves."""

from dataclasses import replace

import numpy as np
import pytest

from mumott_dask import geometry
from mumott_dask.alignment.flow import small_systems
from mumott_dask.alignment.held_out import sides_of_halves
from mumott_dask.alignment.level import whole_level
from mumott_dask.alignment.records import Unknowns
from mumott_dask.alignment.steps import solved
from mumott_dask.projector import Projector
from mumott_dask.projector.backgrounds import background_terms

N, VOLUME, DETECTOR = 8, (26, 26, 24), (30, 28)
NOISE = 0.02


@pytest.fixture(scope="module")
def tomogram():
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in VOLUME)
    near = np.exp(-((x[:, None, None] - 3) ** 2 + (y[:, None] + 2) ** 2 + z**2) / 30)
    far = np.exp(-((x[:, None, None] + 4) ** 2 + (y[:, None] - 3) ** 2 + (z - 3) ** 2) / 12)
    return (0.04 * (near + far)).astype(np.float32)


@pytest.fixture(scope="module")
def exact(tomogram):
    """A level whose images are the tomogram's own, without noise."""
    rotation = geometry.rotations_from_angles(np.linspace(0, 5.5, N), np.full(N, 0.3), (0, 0, 1), (1, 0, 0))
    projector = Projector(rotation, np.zeros(N), np.zeros(N), VOLUME, DETECTOR)
    images = projector.reproject(tomogram)
    return whole_level(projector, images, np.ones_like(images), (slice(None), slice(None)), False)


def noisy(level, seed):
    noise = np.random.default_rng(seed).normal(size=level.data.shape)
    return replace(level, data=(level.data + NOISE * noise).astype(np.float32))


def test_halves_differ_by_what_every_other_pixel_says(exact, tomogram):
    level = noisy(exact, 0)
    j, k = np.indices(DETECTOR)
    white = replace(level, data=np.where((j + k) % 2 == 0, level.data, exact.data))  # the others have no say
    every, half = (small_systems(each, tomogram, 0.5, Unknowns()).side for each in (level, white))
    signed = small_systems(level, tomogram, 0.5, Unknowns(), sides_of_halves).side
    np.testing.assert_allclose(signed, 2 * half - every, rtol=0, atol=1e-5 * np.abs(every).max())


def test_a_background_is_no_difference_of_halves(exact, tomogram):
    unknowns = Unknowns(background=3)
    background = sum(
        size * term for size, term in zip((0.1, 0.05, -0.05), background_terms(DETECTOR), strict=True)
    )
    level = replace(exact, data=exact.data + background.astype(np.float32))
    systems = small_systems(level, tomogram, 0.5, unknowns, sides_of_halves)
    step = solved(systems, unknowns, np.ones((N, unknowns.count), bool))
    np.testing.assert_allclose([step.j, step.k], 0, atol=1e-5)


def test_halves_scatter_as_their_standard_errors_say(exact, tomogram):
    """Over 40 draws of noise; of one projection few blocks tell it, of all of them many."""
    found, stated = [], []
    for seed in range(40):
        systems = small_systems(noisy(exact, seed), tomogram, 0.5, Unknowns(), sides_of_halves)
        step = solved(systems._replace(filled=0.0), Unknowns(), np.ones((N, 2), bool))
        found.append([step.j, step.k])
        stated.append(step.deviations.T)
    assert np.sqrt(np.mean(np.square(found)) / np.mean(np.square(stated))) == pytest.approx(1, abs=0.1)
