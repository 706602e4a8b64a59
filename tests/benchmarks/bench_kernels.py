"""Speed of forward and adjoint at the tutorial's size, beside what plain loads reach on this machine.

A sample is one bilinear interpolation in one channel: four numbers are loaded. The yardsticks are two plain
loops in one thread that load and add up as many: where one projection's voxels land (places known beforehand,
no weights), and all in a row from the nearest cache, which nothing can pass.
"""

import sys
import time

import numba
import numpy as np
import pytest

from mumott_dask import Projector
from mumott_dask.geometry import rotations_from_angles
from mumott_dask.projector.layout import pairs

SHAPE, VOLUME = (65, 55), (65, 65, 55)
TILTS, ROTATIONS = 6, 41
SAMPLES = TILTS * ROTATIONS * int(np.prod(VOLUME))
ROUNDS = 10


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


def fastest(*operations):
    """Shortest time of each, seconds, measured in turns."""
    times = np.empty((ROUNDS, len(operations)))
    for operation in operations:
        operation()
    for turn in times:
        for n, operation in enumerate(operations):
            start = time.perf_counter()
            operation()
            turn[n] = time.perf_counter() - start
    return times.min(axis=0)


def operation(projector, name, channels):
    shape = VOLUME if name == "forward" else projector.shape
    data = np.random.default_rng(0).random((*shape, channels) if channels > 1 else shape, np.float32)
    return lambda: getattr(projector, name)(data)


def say(line):
    sys.stdout.write(f"\n{line}\n")


@pytest.mark.parametrize("channels", [1, 4, 32])
@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_speed(benchmark, projector, plain, name, channels):
    """Samples a second and core, over all threads, and the share of what plain loads reach."""
    run = operation(projector, name, channels)
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    seconds, *loads = fastest(run, *plain)
    threads = numba.get_num_threads()
    speed = SAMPLES * channels / seconds / threads / 1e6
    there, in_a_row = np.prod(VOLUME) / np.array(loads) / 1e6
    benchmark.extra_info.update(
        samples_per_second_and_core=speed, plain_loads=there, plain_loads_in_a_row=in_a_row
    )
    say(
        f"{name}, {channels} channels, {threads} threads: {seconds * 1e3:.1f} ms, "
        f"{speed:.0f} million samples a second and core "
        f"(plain loads: {there:.0f} where they lie, {in_a_row:.0f} in a row)"
    )


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="there is one core only")
@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_two_threads(benchmark, projector, name):
    """How much faster two threads are than one, and whether a task's kernel is as fast as one thread."""
    alone = operation(projector.single_threaded(), name, 1)
    run = operation(projector, name, 1)

    def over(threads):
        numba.set_num_threads(threads)
        run()

    most = numba.get_num_threads()
    benchmark.pedantic(alone, rounds=ROUNDS, warmup_rounds=1)
    one, two, task = fastest(lambda: over(1), lambda: over(2), alone)
    numba.set_num_threads(most)
    benchmark.extra_info.update(two_threads=one / two, task=task)
    say(
        f"{name}: one thread {one * 1e3:.1f} ms, a task {task * 1e3:.1f} ms, "
        f"two threads {one / two:.2f} times as fast"
    )


@pytest.mark.parametrize("name", ["forward", "adjoint"])
def test_channels(benchmark, projector, name):
    """How many more channel-samples a second 32 channels give than one."""
    task = projector.single_threaded()
    many = operation(task, name, 32)
    benchmark.pedantic(many, rounds=1, warmup_rounds=1)
    single, several = fastest(operation(task, name, 1), many)
    benchmark.extra_info["channels"] = 32 * single / several
    say(f"{name}: 32 channels give {32 * single / several:.2f} times the samples a second of one")
