"""Accuracy on scans whose projections are known in closed form, made without any code of the package.

Sums of Gaussian blobs and of ellipsoids (solid, or bodies full of pores), seen by a detector that averages
intensity over 4 x 4 points a pixel, with Poisson noise; written with h5py in the layout of mumott's files.
Rotations are made here, by Rodrigues' formula, from the definition: laboratory vector = R_outer @ R_inner @
sample vector, and pixel (j, k) looks along the ray through (j + 1/2 + j_offset - J/2) u + (k + 1/2 + k_offset
- K/2) w.
"""

import sys
from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from mumott_dask import align

RMS_BAR = 0.02  # pixels, after the gauge
SUBPIXELS = 4
RAY, ALONG_J, ALONG_K = np.eye(3)[[1, 0, 2]]  # laboratory


class Bodies(NamedTuple):
    """Sum of ellipsoids or of Gaussians: centres (n, 3), shapes (n, 3, 3), strengths (n,), per voxel."""

    centres: np.ndarray
    shapes: np.ndarray  # covariance of a Gaussian; for an ellipsoid, of which it is the unit ball's image
    strengths: np.ndarray
    solid: bool


class Truth(NamedTuple):
    """True offsets and detector axes in the sample's frame, by projection."""

    j: np.ndarray
    k: np.ndarray
    u: np.ndarray
    w: np.ndarray


@dataclass(frozen=True)
class Case:
    """A held-out scan."""

    name: str
    shape: tuple  # (J, K)
    tilts: tuple  # degrees
    rotations: int
    sample: str  # "blobs", "ellipsoids" or "pores"
    inner_axis: tuple = (0, 0, -1)
    outer_axis: tuple = (1, 0, 0)
    photons: float = 40_000
    seed: int = 0


CASES = (
    Case("blobs, 48 x 60, three tilts", (48, 60), (0, 25, -35), 36, "blobs"),
    Case("ellipsoids, 48 x 60, four tilts", (48, 60), (0, 12, 30, 50), 30, "ellipsoids", seed=1),
    Case("pores, J = K = 56, inner axis +z", (56, 56), (0, 20, 40), 40, "pores", (0, 0, 1), seed=2),
    Case("pores, J = K = N = 50, one tilt", (50, 50), (0,), 50, "pores", seed=3),
    Case("pores, along j, 60 x 44", (60, 44), (0, 15, -30), 40, "pores", (1, 0, 0), (0, 0, 1), seed=4),
    Case("pores, 80 x 48, 4,000 photons", (80, 48), (0, 22, 44), 40, "pores", photons=4_000, seed=5),
)


@pytest.fixture(scope="module", autouse=True)
def _heading():
    columns = f"{'RMS':>8}{'largest':>9}  bar {RMS_BAR} px RMS"
    sys.stdout.write(f"\n\n{'held-out scan':36}{'seconds':>8}{columns}\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_accuracy(benchmark, case, tmp_path):
    truth = write_case(case, tmp_path / "scan.h5")
    found = benchmark.pedantic(align, (str(tmp_path / "scan.h5"),), rounds=1)
    rms, largest = rms_without_gauge(found["j_offset"].values, found["k_offset"].values, truth)
    benchmark.extra_info |= {"rms_pixels": rms, "largest_pixels": largest}
    verdict = ("met" if rms < RMS_BAR else "MISSED") + ("" if found.attrs["converged"] else ", not converged")
    seconds = benchmark.stats["mean"]
    sys.stdout.write(f"{case.name:36}{seconds:8.1f}{rms:8.4f}{largest:9.4f}  {verdict}\n")
    assert rms < RMS_BAR


def write_case(case, path):
    """Write a held-out scan; what it is made from is returned and is not in the file."""
    random = np.random.default_rng([7, case.seed])
    tilt = np.repeat(np.arange(len(case.tilts)), case.rotations)
    outer = np.radians(case.tilts)[tilt]
    steps = np.tile(np.arange(case.rotations), len(case.tilts))
    inner = steps * np.where(outer == 0, np.pi, 2 * np.pi) / case.rotations + 0.3 * tilt
    rotation = turned(outer, case.outer_axis) @ turned(inner, case.inner_axis)
    p, u, w = (np.einsum("nlx,l->nx", rotation, axis) for axis in (RAY, ALONG_J, ALONG_K))
    j, k = _offsets(tilt, steps / case.rotations, random)
    bodies = _bodies(case, random)
    flux = case.photons * (1 + 0.03 * np.sin(np.linspace(0, 9, len(tilt))))
    with h5py.File(path, "w") as file:
        file["inner_axis"], file["outer_axis"] = np.float64(case.inner_axis), np.float64(case.outer_axis)
        file["detector_angles"] = [0.0, np.pi / 2]
        file["volume_shape"] = _volume_shape(case)
        for n in range(len(tilt)):
            expected = flux[n] * transmitted(bodies, p[n], u[n], w[n], j[n], k[n], case.shape)
            group = file.create_group(f"projections/{n}")
            group["diode"] = random.poisson(expected).astype(np.float64)
            group["data"] = np.zeros((*case.shape, 2), np.float32)
            group["inner_angle"], group["outer_angle"] = inner[n], outer[n]
    return Truth(j, k, u, w)


def turned(angle, axis):
    """Rotation matrices about one axis by Rodrigues' formula, (n, 3, 3)."""
    x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def rms_without_gauge(j, k, truth):
    """RMS and largest error of offsets, less the movement of the sample that explains them best."""
    error = np.concatenate([j - truth.j, k - truth.k])
    design = np.concatenate([truth.u, truth.w])
    error = error - design @ np.linalg.lstsq(design, error, rcond=None)[0]
    return float(np.sqrt(np.mean(error**2))), float(np.abs(error).max())


def transmitted(bodies, p, u, w, j_offset, k_offset, shape):
    """Transmitted fraction in every pixel of one projection, (J, K)."""
    fine = (np.arange(max(shape) * SUBPIXELS) + 0.5) / SUBPIXELS
    a = fine[: shape[0] * SUBPIXELS] + j_offset - shape[0] / 2
    b = fine[: shape[1] * SUBPIXELS] + k_offset - shape[1] / 2
    absorbance = np.zeros((len(a), len(b)))
    for centre, spread, strength in zip(bodies.centres, bodies.shapes, bodies.strengths, strict=True):
        absorbance += strength * _path(bodies.solid, centre, spread, np.stack([u, w]), p, a, b)
    fraction = 10**-absorbance
    return fraction.reshape(shape[0], SUBPIXELS, shape[1], SUBPIXELS).mean(axis=(1, 3))


def _path(solid, centre, spread, axes, p, a, b):
    """Integral along the ray of a Gaussian of unit height, or the chord of an ellipsoid, (a, b)."""
    inverse = np.linalg.inv(axes @ spread @ axes.T)
    da, db = a[:, None] - axes[0] @ centre, b[None, :] - axes[1] @ centre
    distance = inverse[0, 0] * da**2 + 2 * inverse[0, 1] * da * db + inverse[1, 1] * db**2
    along = 1 / np.sqrt(p @ np.linalg.inv(spread) @ p)
    if solid:
        return 2 * along * np.sqrt(np.maximum(1 - distance, 0))
    return np.sqrt(2 * np.pi) * along * np.exp(-distance / 2)


def _offsets(tilt, phase, random):
    jumps = random.uniform(-3, 3, (2, tilt.max() + 1))[:, tilt]
    wander = np.cumsum(random.normal(0, 0.2, (2, len(tilt))), axis=1)
    return jumps + random.normal(0, 0.7, (2, len(tilt))) + (wander - wander.mean(axis=1, keepdims=True)) / 2


def _volume_shape(case):
    j, k = case.shape
    return [j, k, k] if case.inner_axis[0] else [j, j, k]


def _bodies(case, random):
    radius = 0.3 * min(case.shape)  # with offsets of up to some five pixels, all of it stays in view
    if case.sample == "blobs":
        return _scattered(random, 60, radius, (1.0, 3.0), 1 / 25, solid=False)
    if case.sample == "ellipsoids":
        return _scattered(random, 40, radius, (1.5, 5.0), 1 / 30, solid=True)
    pores = _scattered(random, 150, 0.85 * radius, (1.2, 2.6), -1 / 90, solid=True)
    body = np.diag(np.square(radius * np.array([1.0, 0.85, 0.95])))
    return Bodies(
        np.concatenate([np.zeros((1, 3)), pores.centres]),
        np.concatenate([body[None], pores.shapes]),
        np.concatenate([[1 / 45], pores.strengths]),
        True,
    )


def _scattered(random, count, radius, semi_axes, strength, solid):
    directions = random.normal(size=(count, 3))
    places = random.random((count, 1)) ** (1 / 3) * (radius - semi_axes[1])
    frames = np.linalg.qr(random.normal(size=(count, 3, 3)))[0]
    lengths = random.uniform(*semi_axes, (count, 1, 3))
    shapes = (frames * lengths**2) @ np.swapaxes(frames, 1, 2)
    strengths = strength * random.uniform(0.5, 1.0, count)
    return Bodies(
        places * directions / np.linalg.norm(directions, axis=1, keepdims=True), shapes, strengths, solid
    )
