"""Fourier shell correlation of two tomograms, and the resolution that it tells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Volume = NDArray[np.float32]

_SOFT = 0.2  # share of the sphere's radius over which its edge falls to 0


class ShellCorrelation(NamedTuple):
    """Correlation of two tomograms in shells of equal spatial frequency."""

    frequency: Floats  #: (shell,), cycles per voxel
    correlation: Floats  #: (shell,), -1 to 1
    half_bit: Floats  #: (shell,): the correlation that half a bit of information per voxel gives

    @property
    def resolution(self) -> float:
        """Period at which the correlation first falls below the criterion, voxels; 2 where it never does."""
        below = np.flatnonzero(self.correlation < self.half_bit)
        if not below.size:
            return 2.0
        n = below[0]
        if n == 0:
            return float(1 / self.frequency[0])
        before, after = (self.correlation - self.half_bit)[n - 1 : n + 1]
        share = before / (before - after)
        return float(1 / (self.frequency[n - 1] * (1 - share) + self.frequency[n] * share))


def shell_correlation(a: Volume, b: Volume) -> ShellCorrelation:
    """Fourier shell correlation of two tomograms of the same sample, up to half a cycle per voxel.

    Both are multiplied by a sphere that fits into the volume, its edge softened, so that neither corners nor
    sides correlate.

    Parameters
    ----------
    a, b : (x, y, z) array
        Of equal shape.

    Notes
    -----
    With F and G the transforms, ``sum(F G*) / sqrt(sum |F|^2 sum |G|^2)`` over each shell. The criterion is
    half a bit of information per voxel of the mean of both, ``(0.2071 + 1.9102 / sqrt(n)) / (1.2071 +
    0.9102 / sqrt(n))`` for n independent voxels in the shell (van Heel and Schatz, J. Struct. Biol. 151, 250
    (2005)). Independent are half of a shell's (the other half are their conjugates), times the share of the
    volume that the sphere leaves.
    """
    sphere = soft_sphere(a.shape)
    f, g = (np.fft.rfftn(each * sphere) for each in (a, b))
    frequencies = (*(np.fft.fftfreq(n) for n in a.shape[:2]), np.fft.rfftfreq(a.shape[2]))
    radius = np.sqrt(sum(np.square(each) for each in np.meshgrid(*frequencies, indexing="ij", sparse=True)))
    shells = min(a.shape) // 2
    shell = np.rint(radius * 2 * shells).astype(int).ravel()
    twice = np.full(f.shape, 2.0)  # what a real transform leaves out
    twice[..., 0] = 1
    if a.shape[2] % 2 == 0:
        twice[..., -1] = 1

    def total(values: NDArray[np.floating]) -> Floats:
        return np.asarray(
            np.bincount(shell, (values * twice).ravel(), minlength=shells + 1)[1 : shells + 1],
            dtype=np.float64,
        )

    powers = total(np.abs(f) ** 2) * total(np.abs(g) ** 2)
    share = float(sphere.sum() ** 2 / np.square(sphere).sum() / sphere.size)
    independent = np.maximum(total(np.ones(f.shape)) / 2 * share, 1)
    root = np.sqrt(independent)
    return ShellCorrelation(
        np.arange(1, shells + 1) / (2 * shells),
        total((f * g.conj()).real) / np.sqrt(np.maximum(powers, 1e-300)),
        (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root),
    )


def soft_sphere(shape: tuple[int, int, int]) -> Volume:
    """1 within a sphere that fits into a volume, falling to 0 at its surface as a cosine, (x, y, z)."""
    axes = (np.arange(n) - (n - 1) / 2 for n in shape)
    radius = np.sqrt(sum(np.square(each) for each in np.meshgrid(*axes, indexing="ij", sparse=True)))
    depth = np.clip((1 - radius / (min(shape) / 2)) / _SOFT, 0, 1)
    return ((1 - np.cos(np.pi * depth)) / 2).astype(np.float32)
