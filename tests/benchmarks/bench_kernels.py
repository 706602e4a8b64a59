"""Speed of forward and adjoint at the tutorial's size, beside what plain loads reach on this machine.

A sample is one bilinear interpolation in one channel: four numbers are loaded. The yardsticks are two plain
loops in one thread that load and add up as many: where one projection's voxels land (places known beforehand,
no weights), and all in a row from the nearest cache, which nothing can pass.
"""

from statistics import median

import numba
import numpy as np
import pytest
from measuring import fastest, in_turns

from mumott_dask import Projector
from mumott_dask.geometry import rotations_from_angles
from mumott_dask.projector.layout import pairs

SHAPE, VOLUME = (65, 55), (65, 65, 55)
TILTS, ROTATIONS = 6, 41
SAMPLES = TILTS * ROTATIONS * int(np.prod(VOLUME))
RATIOS = "Kernels: ratios, medians of turns"


@pytest.fixture(scope="module")
def projector():
    inner = np.tile(np.arange(ROTATIONS) * 2 * np.pi / ROTATIONS, TILTS)
    outer = np.repeat(np.linspace(0, np.pi / 4, TILTS), ROTATIONS)
    rotation = rotations_from_angles(inner, outer, (0, 0, -1), (1, 0, 0))
    offsets = np.random.default_rng(0).normal(0, 2, (2, len(rotation)))
    return Projector(rotation, *offsets, VOLUME, SHAPE)


@numba.njit(fastmath=True, error_model="numpy", boundscheck=False)
def plain_loads(flat, at):
    total = np.float32(0)
    for n in range(at.size):
        place = at[n]
        total += flat[place] + flat[place + 1] + flat[place + 2] + flat[place + 3]
    return total


@numba.njit(fastmath=True, error_model="numpy", boundscheck=False)
def loads_in_a_row(flat, samples):
    total = np.float32(0)
    for turn in range(samples * 4 // flat.size):
        subtotal = np.float32(0)
        for n in range(flat.size):
            subtotal += flat[n]
        flat[0] = turn  # or the compiler would add up once only
        total += subtotal
    return total


@pytest.fixture(scope="module")
def plain(projector):
    """The plain loops over the loads of one projection."""
    image = pairs(np.ones((1, *SHAPE), np.float32))
    x, y, z = (n.ravel() for n in np.indices(VOLUME))
    lands = [
        np.clip(p[0] + p[1] * x + p[2] * y + p[3] * z, -1, side).astype(int) + 1
        for p, side in zip((along[:, len(projector) // 2] for along in projector.landing), SHAPE, strict=True)
    ]
    at = np.ravel_multi_index((*lands, np.zeros_like(x)), image.shape[1:])
    near = np.zeros(4096, np.float32)
    return lambda: plain_loads(image.ravel(), at), lambda: loads_in_a_row(near, len(at))


def operation(projector, name, channels):
    shape = VOLUME if name == "forward" else projector.shape
    data = np.random.default_rng(0).random((*shape, channels) if channels > 1 else shape, np.float32)
    return lambda: getattr(projector, name)(data)


@pytest.mark.parametrize("channels", [1, 4, 32])
@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_speed(figure, projector, plain, name, channels):
    """Samples a second and core, over all threads, beside what plain loads reach."""
    seconds, *loads = fastest(operation(projector, name, channels), *plain)
    speed = SAMPLES * channels / seconds / numba.get_num_threads() / 1e6
    there, in_a_row = np.prod(VOLUME) / np.array(loads) / 1e6
    figure(
        "Kernels: million samples a second and core",
        f"{name}, {channels} channel{'s' * (channels > 1)}",
        speed,
        note=f"plain loads where samples lie: {there:.0f}, in a row: {in_a_row:.0f}",
    )


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="there is one core only")
@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_two_threads(figure, projector, name):
    """How much faster two threads are than one, and whether a task's kernel is as fast as one thread."""
    alone = operation(projector.single_threaded(), name, 1)
    run = operation(projector, name, 1)

    def over(threads):
        numba.set_num_threads(threads)
        run()

    most = numba.get_num_threads()
    one, two, task = in_turns(lambda: over(1), lambda: over(2), alone).T
    numba.set_num_threads(most)
    figure(RATIOS, f"{name}: two threads against one", median(one / two), aim=1.8, most=False)
    figure(RATIOS, f"{name}: the kernel of a Dask task against one thread", median(one / task))


@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_channels(figure, projector, name):
    """How many more channel-samples a second 32 channels give than one."""
    task = projector.single_threaded()
    one, many = in_turns(operation(task, name, 1), operation(task, name, 32), rounds=5).T
    what = f"{name}: channel-samples a second, 32 channels against one"
    figure(RATIOS, what, median(32 * one / many), aim=3, most=False)
