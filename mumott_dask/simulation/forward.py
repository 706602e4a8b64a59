"""What a detector sees of a phantom: the phantom turned into each projection's frame, summed along the rays.

Independent of the projector on purpose: the phantom is resampled on a grid that lies along the rays and the
sub-pixels of the detector, by spline interpolation in three dimensions, and the detector averages intensity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from dask.base import compute
from dask.delayed import delayed
from numpy.typing import NDArray
from scipy import ndimage

from mumott_dask.geometry import Basis

Volume = NDArray[np.float32]
Floats = NDArray[np.float64]

EDGE_SAMPLES = 2
"""Zeros put around the phantom, so that interpolation fades out at its faces, sub-voxels."""


class Sampled(NamedTuple):
    """A phantom as spline coefficients, with the radius (voxels) of what is not empty in it."""

    coefficients: Volume
    radius: float
    oversampling: int
    order: int


def sampled(phantom: Volume, oversampling: int, order: int) -> Sampled:
    """Prepare a phantom for interpolation.

    Parameters
    ----------
    phantom : (x, y, z) float32, absorbance per voxel
        Values at the centres of sub-voxels; the centre of the array is the centre of the volume.
    oversampling : int
        Sub-voxels along the side of a voxel.
    order : int
        Order of the interpolating spline: 1 is trilinear, 3 cubic.
    """
    padded = np.pad(phantom, EDGE_SAMPLES)
    filled = np.argwhere(padded) - (np.array(padded.shape) - 1) / 2
    reach = np.sqrt((filled**2).sum(axis=1).max()) + EDGE_SAMPLES if filled.size else 0.0
    coefficients = ndimage.spline_filter(padded, order, output=np.float32) if order > 1 else padded
    return Sampled(coefficients, float(reach) / oversampling, oversampling, order)


def transmission(
    phantom: Sampled, axes: Basis, j_offset: Floats, k_offset: Floats, shape: tuple[int, int]
) -> Volume:
    """Return the transmitted fraction of the intensity in every pixel of every projection.

    Parameters
    ----------
    phantom : Sampled
    axes : Basis
        Ray direction and detector axes of each projection, sample's frame.
    j_offset, k_offset : (projection,) float, pixels
    shape : (J, K)

    Returns
    -------
    (projection, j, k) float32
        The mean over each pixel of ``10 ** -absorbance``.
    """
    views = zip(axes.p, axes.u, axes.w, j_offset, k_offset, strict=True)
    images = [delayed(_image)(phantom, np.array(view[:3]), view[3:], shape) for view in views]
    return np.stack(compute(*images, scheduler="threads"))


def _image(phantom: Sampled, axes: Floats, offset: tuple[float, float], shape: tuple[int, int]) -> Volume:
    """Return the transmitted fraction in one projection, (j, k)."""
    image = np.ones(shape, dtype=np.float32)
    (j_first, j_last), (k_first, k_last) = (
        _window(phantom.radius, o, n) for o, n in zip(offset, shape, strict=True)
    )
    if j_first < j_last and k_first < k_last:
        fine = phantom.oversampling
        counts = (j_last - j_first, k_last - k_first)
        steps = (int(np.ceil(2 * phantom.radius * fine)), counts[0] * fine, counts[1] * fine)
        # Centre of the first sub-voxel of the box along the rays, from the centre of the volume, sub-voxels.
        corner = (
            np.array(
                [
                    -steps[0] / 2,
                    (j_first + offset[0] - shape[0] / 2) * fine,
                    (k_first + offset[1] - shape[1] / 2) * fine,
                ]
            )
            + 0.5
        )
        box = ndimage.affine_transform(
            phantom.coefficients,
            axes.T,
            offset=axes.T @ corner + (np.array(phantom.coefficients.shape) - 1) / 2,
            output_shape=steps,
            order=phantom.order,
            prefilter=False,
        )
        absorbance = box.sum(axis=0, dtype=np.float64) / fine
        intensity = (10**-absorbance).reshape(counts[0], fine, counts[1], fine).mean(axis=(1, 3))
        image[j_first:j_last, k_first:k_last] = intensity
    return image


def _window(radius: float, offset: float, pixels: int) -> tuple[int, int]:
    """First pixel that sees the phantom, and the one after the last, along one axis of the detector."""
    centre = pixels / 2 - offset
    return max(int(np.floor(centre - radius)), 0), min(int(np.ceil(centre + radius)), pixels)
