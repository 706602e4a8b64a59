"""Steps from small systems that are made up: what is solved, damped, held, taken out, cut and relaxed."""

import numpy as np
import pytest

from mumott_dask import geometry
from mumott_dask.alignment.flow import Systems
from mumott_dask.alignment.records import Unknowns
from mumott_dask.alignment.steps import (
    Step,
    Taken,
    admissible,
    capped,
    damped_inverse,
    instrument,
    own_turns,
    relaxed,
    solved,
    turned,
    without_common_turns,
)

N = 40
ANGLES = Unknowns(rotations=True)
EVERYTHING = Unknowns(background=3, rotations=True)


def rotations(tilts, n=N):
    """Turns about the vertical axis over a circle at each tilt, in radians, about the horizontal one."""
    inner = np.tile(np.linspace(0, 2 * np.pi, n // len(tilts), endpoint=False), len(tilts))
    outer = np.repeat(tilts, n // len(tilts))
    return geometry.rotations_from_angles(inner, outer, (0, 0, 1), (1, 0, 0))


THREE, SINGLE = rotations([0.0, 0.4, 0.7, -0.5]), rotations([0.0])


def systems_of(unknowns, truth, seed=0, noise=0.0):
    """Well-conditioned systems with a known solution, (projection, unknown), and noise on the right-hand side."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(len(truth), 30, unknowns.count)) * random.uniform(0.5, 20, unknowns.count)
    error = noise * random.normal(size=rows.shape[:2])
    matrix = np.einsum("nra,nrb->nab", rows, rows)
    side = np.einsum("nab,nb->na", matrix, truth) + np.einsum("nra,nr->na", rows, error)
    ones = np.ones(len(truth))
    return Systems(matrix, side, noise**2 * matrix, ones, ones, 1e6 * ones, 1.0)


def all_free(unknowns, n=N):
    return np.ones((n, unknowns.count), bool)


def step_of(j=None, k=None, rotation=None):
    zeros = np.zeros(N)
    return Step(
        zeros if j is None else j,
        zeros if k is None else k,
        np.zeros((N, 3)),
        np.zeros((N, 3)) if rotation is None else rotation,
        np.zeros((N, 5)),
    )


def test_the_inverse_of_what_is_well_determined_is_the_inverse():
    matrix = systems_of(EVERYTHING, np.zeros((N, 8))).matrix
    found = damped_inverse(matrix, all_free(EVERYTHING))
    np.testing.assert_allclose(found @ matrix, np.broadcast_to(np.eye(8), matrix.shape), atol=2e-3)


def test_what_is_held_is_exactly_zero_and_the_others_are_solved_without_it():
    matrix = systems_of(EVERYTHING, np.zeros((N, 8))).matrix
    free = np.random.default_rng(1).random((N, 8)) > 0.4
    free[0] = False
    found = damped_inverse(matrix, free)
    for one, inverse, here in zip(matrix, found, free, strict=True):
        assert not inverse[~here].any()
        assert not inverse[:, ~here].any()
        part = np.ix_(here, here)
        np.testing.assert_allclose(inverse[part] @ one[part], np.eye(here.sum()), atol=2e-3)


def test_units_do_not_matter_to_the_damping():
    matrix = systems_of(EVERYTHING, np.zeros((N, 8))).matrix
    unit = np.geomspace(1e-4, 1e4, 8)
    scaled = damped_inverse(matrix * unit[:, None] * unit, all_free(EVERYTHING))
    np.testing.assert_allclose(
        scaled * unit[:, None] * unit, damped_inverse(matrix, all_free(EVERYTHING)), rtol=1e-6
    )


def test_a_direction_that_the_data_do_not_determine_is_damped():
    """Two unknowns that do the same share a step; one that does nothing takes none; nothing is infinite."""
    matrix = np.array([[[4.0, 4.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 0.0]]])
    inverse = damped_inverse(matrix, np.ones((1, 3), bool))
    np.testing.assert_allclose(inverse[0] @ [4.0, 4.0, 0.0], [0.5, 0.5, 0.0], atol=1e-3)
    assert np.abs(inverse).max() < 1
    assert not damped_inverse(np.zeros((2, 3, 3)), np.ones((2, 3), bool)).any()


def test_solved_finds_offsets_background_and_rotations_each_in_its_place():
    truth = np.random.default_rng(2).normal(size=(N, 8))
    step = solved(systems_of(EVERYTHING, truth), EVERYTHING, all_free(EVERYTHING))
    for found, expected in (
        (step.j, truth[:, 0]),
        (step.k, truth[:, 1]),
        (step.background, truth[:, 2:5]),
        (step.rotation, truth[:, 5:]),
    ):
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_what_is_not_asked_for_stays_zero():
    truth = np.random.default_rng(2).normal(size=(N, 3))
    unknowns = Unknowns(background=1)
    step = solved(systems_of(unknowns, truth), unknowns, all_free(unknowns))
    np.testing.assert_allclose(step.background[:, 0], truth[:, 2], atol=0.01)
    assert not step.background[:, 1:].any()
    assert not step.rotation.any()


def test_standard_errors_are_the_scatter_of_the_solution():
    """Of noise that the systems state; over 200 draws of all projections, within the scatter's own error."""
    unknowns, noise, draws = ANGLES, 30.0, 200
    truth = np.zeros((N, unknowns.count))
    found, stated = [], None
    base = systems_of(unknowns, truth)
    random = np.random.default_rng(3)
    root = np.linalg.cholesky(noise**2 * base.matrix)
    for _ in range(draws):
        side = np.einsum("nab,nb->na", root, random.normal(size=truth.shape))
        systems = base._replace(side=side, spread=noise**2 * base.matrix)
        step = solved(systems, unknowns, all_free(unknowns))
        found.append(np.column_stack([step.j, step.k, step.rotation]))
        stated = step.deviations
    ratio = np.array(found).std(axis=0) / stated
    np.testing.assert_allclose(ratio.mean(axis=0), 1, atol=0.02)
    assert 0.75 < ratio.min() < ratio.max() < 1.25


def test_errors_grow_by_what_the_tomogram_takes():
    systems = systems_of(ANGLES, np.zeros((N, 5)), noise=1.0)
    half = systems._replace(seen=np.full(N, 2.0), filled=1.0 * N)
    assert half.taken == 0.5
    plain, more = (solved(each, ANGLES, all_free(ANGLES)).deviations for each in (systems, half))
    np.testing.assert_allclose(more[:, 2:] / plain[:, 2:], np.sqrt(2), rtol=1e-3)


def lab_and_sample(rotation, phi, psi):
    """Each projection's turn in the sample's frame of a turn of the laboratory and one of the sample."""
    omega = np.swapaxes(rotation, 1, 2) @ phi + psi
    return np.column_stack([np.random.default_rng(4).normal(size=(len(rotation), 2)), omega])


PHI, PSI = np.array([0.02, 0.05, -0.01]), np.array([-0.03, 0.01, 0.04])


@pytest.mark.parametrize("psi", [np.zeros(3), PSI], ids=["the instrument alone", "beside the sample's"])
def test_the_instruments_turn_is_found_and_the_samples_ignored(psi):
    systems = systems_of(ANGLES, lab_and_sample(THREE, PHI, psi))
    found = instrument(systems, ANGLES, THREE, all_free(ANGLES))
    np.testing.assert_allclose(found.turn, PHI, atol=2e-4)


def test_a_turn_of_the_sample_alone_is_none_of_the_instrument():
    systems = systems_of(ANGLES, lab_and_sample(THREE, np.zeros(3), PSI))
    np.testing.assert_allclose(instrument(systems, ANGLES, THREE, all_free(ANGLES)).turn, 0, atol=2e-4)


def test_with_a_single_tilt_the_turn_about_the_axis_stays_zero_and_the_others_are_found():
    systems = systems_of(ANGLES, lab_and_sample(SINGLE, PHI, PSI))
    found = instrument(systems, ANGLES, SINGLE, all_free(ANGLES))
    np.testing.assert_allclose(found.turn, PHI * [1, 1, 0], atol=2e-4)
    assert found.deviation[2] == 0


def test_held_offsets_and_projections_without_a_say_do_not_move_the_instrument():
    """The wrong projections' systems ask for nonsense."""
    truth = lab_and_sample(THREE, PHI, PSI)
    truth[:, :2] = 0
    free = all_free(ANGLES)
    free[::2, :2] = False
    np.testing.assert_allclose(
        instrument(systems_of(ANGLES, truth), ANGLES, THREE, free).turn, PHI, atol=2e-4
    )


def test_the_instruments_standard_error_is_the_scatter_of_its_turn():
    noise, random = 0.3, np.random.default_rng(5)
    base = systems_of(ANGLES, np.zeros((N, 5)))
    base = base._replace(spread=noise**2 * base.matrix)
    root = np.linalg.cholesky(base.spread)
    found = []
    for _ in range(400):
        side = np.einsum("nab,nb->na", root, random.normal(size=(N, 5)))
        result = instrument(base._replace(side=side), ANGLES, THREE, all_free(ANGLES))
        found.append(result.turn)
    np.testing.assert_allclose(np.std(found, axis=0) / result.deviation, 1, atol=0.12)


def test_own_turns_are_all_with_tilts_and_those_across_the_axis_without():
    np.testing.assert_allclose(own_turns(THREE), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(own_turns(SINGLE), np.diag([1, 1, 0]), atol=1e-12)


@pytest.mark.parametrize("rotation", [THREE, SINGLE], ids=["tilts", "single tilt"])
@pytest.mark.parametrize("lab", [False, True])
def test_common_turns_are_taken_out_and_nothing_else(rotation, lab):
    turns = 0.01 * np.random.default_rng(6).normal(size=(N, 3))
    everyone = np.ones(N, bool)
    left = without_common_turns(turns, everyone, rotation, lab)
    common = np.swapaxes(rotation, 1, 2) @ PHI
    np.testing.assert_allclose(without_common_turns(turns + PSI, everyone, rotation, lab), left, atol=1e-12)
    np.testing.assert_allclose(without_common_turns(left, everyone, rotation, lab), left, atol=1e-12)
    np.testing.assert_allclose(left.sum(axis=0), 0, atol=1e-12)
    moved = without_common_turns(turns + common, everyone, rotation, lab) - left
    if lab:
        np.testing.assert_allclose(moved, 0, atol=1e-12)
    else:
        np.testing.assert_allclose(moved, common - common.mean(axis=0), atol=1e-12)


def test_what_does_not_count_has_no_say_in_what_is_common():
    turns = 0.01 * np.random.default_rng(6).normal(size=(N, 3))
    counted = np.arange(N) % 3 > 0
    spoilt = np.where(counted[:, None], turns, turns + 1)
    left, other = (without_common_turns(each, counted, THREE, True) for each in (turns, spoilt))
    np.testing.assert_allclose(other - left, spoilt - turns, atol=1e-12)


def test_turned_turns_in_the_samples_frame():
    omega = np.array([0.0, 0.0, np.pi / 2])
    quarter = turned(THREE, np.tile(omega, (N, 1)))
    np.testing.assert_allclose(quarter @ [1, 0, 0], THREE @ [0, 1, 0], atol=1e-12)
    np.testing.assert_array_equal(turned(THREE, np.zeros((N, 3))) == THREE, True)


def random_step(seed=7):
    random = np.random.default_rng(seed)
    return step_of(*random.normal(size=(2, N)), random.normal(size=(N, 3)))


def scaled(step, factor):
    return step_of(factor * step.j, factor * step.k, factor * step.rotation)


@pytest.mark.parametrize(
    ("after", "factor"),
    [
        (0.0, 1.0),  # the last step was right: nothing is known better
        (-1 / 3, 3 / 4),  # it overshot by a third
        (-1.0, 1 / 2),
        (-9.0, 0.4),  # no less than 0.4
        (0.2, 1.25),  # four fifths of the way
        (1 / 3, 1.5),
        (0.9, 1.5),  # a creep: no more than 1.5
        (1.5, 1.5),  # and where it made things worse
    ],
)
def test_a_step_is_relaxed_by_how_the_last_one_was_answered(after, factor):
    before = random_step()
    step = scaled(before, after)
    found = relaxed(step, Taken(before, before))
    for name in ("j", "k", "rotation"):
        np.testing.assert_allclose(getattr(found, name), factor * getattr(step, name), rtol=1e-9, atol=1e-15)


def test_what_was_taken_counts_not_what_was_asked_for():
    """Asked for 1, took 1.5, now asks for -0.5: a step of 1 would have been right."""
    asked = random_step()
    step = scaled(asked, -0.5)
    np.testing.assert_allclose(relaxed(step, Taken(asked, scaled(asked, 1.5))).j, step.j)


def test_an_overshoot_of_known_size_is_halved_down_in_a_few_steps():
    """A projection that asks for 1.8 times its error, left alone, takes dozens of steps to a thousandth."""
    for gain in (1.8, 0.5):
        error, before = np.ones(N), None
        for _ in range(6):
            asked = step_of(gain * error)
            taken = relaxed(asked, before)
            before, error = Taken(asked, taken), error - taken.j
        assert np.abs(error).max() < 1e-3


def test_shifts_and_turns_are_relaxed_by_themselves_and_each_projection_by_itself():
    before = random_step()
    step = step_of(-before.j, -before.k, before.rotation / 3)
    step.j[5], step.k[5] = 0, 0
    found = relaxed(step, Taken(before, before))
    others = np.arange(N) != 5
    np.testing.assert_allclose(found.j[others], step.j[others] / 2)
    np.testing.assert_allclose(found.k[others], step.k[others] / 2)
    np.testing.assert_allclose(found.rotation, step.rotation * 1.5)


def test_the_first_step_and_one_after_none_are_as_they_are():
    step = random_step()
    assert relaxed(step, None) is step
    nothing = step_of()
    found = relaxed(step, Taken(nothing, nothing))
    for name in ("j", "k", "rotation"):
        np.testing.assert_array_equal(getattr(found, name), getattr(step, name))


def test_a_step_is_cut_to_the_largest_size():
    step = random_step()
    found = capped(step, 0.7, 0.9)
    np.testing.assert_array_equal(found.j, np.clip(step.j, -0.7, 0.7))
    np.testing.assert_array_equal(found.k, np.clip(step.k, -0.7, 0.7))
    before, after = (np.linalg.norm(each.rotation, axis=1) for each in (step, found))
    np.testing.assert_allclose(after, np.minimum(before, 0.9))
    np.testing.assert_allclose(np.cross(step.rotation, found.rotation), 0, atol=1e-12)
    assert not capped(step_of(), 0.7, 0.9).rotation.any()


AXES = geometry.basis(THREE, (0, 1, 0), (1, 0, 0), (0, 0, 1))


def admitted(step, held_j=None, held_k=None, trusted=None):
    held_j, held_k = (np.zeros(N, bool) if held is None else held for held in (held_j, held_k))
    trusted = np.ones(N, bool) if trusted is None else trusted
    free = geometry.free_gauge(AXES, held_j, held_k)
    return admissible(step, held_j, held_k, trusted, AXES, free)


def test_the_sample_does_not_move_as_a_whole():
    step = random_step()
    dj, dk = geometry.gauge_offsets([0.3, -2.0, 1.0], AXES)
    found, moved = admitted(step), admitted(step_of(step.j + dj, step.k + dk))
    np.testing.assert_allclose(geometry.gauge_vector(found.j, found.k, AXES), 0, atol=1e-12)
    np.testing.assert_allclose(moved.j, found.j, atol=1e-12)
    np.testing.assert_allclose(moved.k, found.k, atol=1e-12)


def test_held_offsets_stay_exactly():
    held = np.arange(N) % 7 == 0
    for held_j, held_k in ((held, held), (held, ~held), (np.ones(N, bool), held)):
        found = admitted(random_step(), held_j, held_k)
        assert not found.j[held_j].any()
        assert not found.k[held_k].any()
        assert found.k[~held_k].all()


def test_what_is_not_trusted_moves_but_has_no_say():
    trusted = np.arange(N) % 5 > 0
    step = random_step()
    wild = step_of(np.where(trusted, step.j, 50.0), step.k)
    one, other = admitted(step, trusted=trusted), admitted(wild, trusted=trusted)
    np.testing.assert_array_equal(one.j[trusted], other.j[trusted])
    np.testing.assert_array_equal(one.k, other.k)
    assert (other.j[~trusted] > 40).all()
