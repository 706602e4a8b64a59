"""Images filtered, shifted and weighted, by mumott's names; nothing in this package needs them.

A stack of images is (j, k, image). What differs from mumott 2.3: frequencies are right where a side is an odd
number of pixels (there, they are half a step off).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, signal

from mumott_dask.compat.missing import names_of_mumott

__all__ = [
    "center",
    "compute_tukey_window",
    "get_img_grad",
    "imfilter_high_pass_1d",
    "imshift_fft",
    "smooth_edges",
]

__getattr__ = names_of_mumott(__name__)

Floats = NDArray[np.float64]


def compute_tukey_window(width: int, length: int = 0) -> Floats:
    """Tukey window with a fifth of each side tapered.

    Parameters
    ----------
    width, length : int, pixels

    Returns
    -------
    (length, width, 1) float; (1, width, 1) without a length
    """
    along = signal.windows.tukey(length, 0.2) if length > 0 else np.ones(1)
    return np.outer(along, signal.windows.tukey(width, 0.2))[..., np.newaxis]


def get_img_grad(img: ArrayLike, x_axis_index: int = 1, y_axis_index: int = 0) -> tuple[Floats, Floats]:
    """Derivatives of an image along both axes, in Fourier space: the image goes on at the other side.

    Parameters
    ----------
    img : (j, k) array
    x_axis_index : int
        The axis of the first derivative.
    y_axis_index : int
        Accepted, without effect, as in mumott: the second derivative is along the other axis.

    Returns
    -------
    (j, k) arrays
        Per pixel.
    """
    image = np.asarray(img)
    by_j, by_k = (_filtered(image, axis, lambda frequency: 2j * np.pi * frequency) for axis in (0, 1))
    return (by_j, by_k) if x_axis_index == 0 else (by_k, by_j)


def imshift_fft(img: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats:
    """Images shifted by parts of a pixel, in Fourier space: what leaves at one side enters at the other.

    Parameters
    ----------
    img : (j, k, image) array
    x, y : (image,) array, pixels
        By how much the content moves along j and along k.

    Returns
    -------
    (j, k, image) float

    Raises
    ------
    ValueError
        Where there is not one shift for each image.
    """
    images, shifts = np.asarray(img), np.array([x, y], dtype=float)
    if shifts.shape != (2, images.shape[-1]):
        raise ValueError(
            f"the shifts are {shifts.shape[1:]}, expected {images.shape[-1:]}, one for each image"
        )
    moved = np.fft.fft2(images, axes=(0, 1))
    for image in range(images.shape[-1]):
        moved[..., image] = ndimage.fourier_shift(moved[..., image], shifts[:, image])
    return np.fft.ifft2(moved, axes=(0, 1)).real


def smooth_edges(img: ArrayLike, smooth_kernel: int = 3) -> Floats:
    """Images whose edges go over into the opposite ones, for a shift in Fourier space.

    Parameters
    ----------
    img : (j, k, image) array
        Not changed.
    smooth_kernel : int, pixels
        How far means are taken over.

    Returns
    -------
    (j, k, image) float
    """
    images = np.array(img, dtype=float)
    reach = np.arange(-smooth_kernel, smooth_kernel + 1)
    box = np.ones(smooth_kernel)
    for axis in (0, 1):
        side = images.shape[axis]
        edge = [slice(None)] * images.ndim
        edge[axis] = (2 * (-(-side // 2)) - 1 + reach) % side
        total, number = (
            ndimage.convolve1d(values, box, axis=axis, mode="constant")
            for values in (images[tuple(edge)], np.ones_like(images[tuple(edge)]))
        )
        images[tuple(edge)] = total / number
    return images


def imfilter_high_pass_1d(img: ArrayLike, ax: int, sigma: float) -> Floats:
    """Images without their low frequencies along one axis.

    Parameters
    ----------
    img : array
    ax : int
    sigma : float
        Share of the frequencies that is taken out, 0 to 1; none where it is not positive.

    Returns
    -------
    array of the same shape
    """
    image = np.asarray(img)
    if sigma <= 0:
        return image
    tiny = np.finfo(float).eps
    return _filtered(image, ax, lambda frequency: np.exp(-(sigma**2 + tiny) / (frequency**2 + tiny)))


def center(tomogram: ArrayLike, use_shift: bool = True) -> tuple[Floats, Floats, Floats]:
    """Centre of mass of each slice, and its mass.

    Parameters
    ----------
    tomogram : (x, y, slice) array
    use_shift : bool
        Whether places are counted from the slice's centre, or from 1 at its edge.

    Returns
    -------
    x, y : (slice,) float, pixels
    mass : (slice,) float
    """
    slices = np.asarray(tomogram, dtype=float)
    mass = slices.sum(axis=(0, 1)) + np.finfo(float).eps
    places = []
    for axis, side in enumerate(slices.shape[:2]):
        place = np.arange(1, side + 1) @ slices.sum(axis=1 - axis) / mass
        places.append(place - (side + 1) / 2 if use_shift else place)
    return places[0], places[1], mass


def _filtered(image: NDArray[Any], axis: int, response: Callable[[Any], Any]) -> NDArray[Any]:
    """An image whose frequencies along an axis, cycles a pixel, are multiplied by a response."""
    frequency = np.fft.fftfreq(image.shape[axis]).reshape(-1, *[1] * (image.ndim - 1 - axis % image.ndim))
    filtered = np.fft.ifft(np.fft.fft(image, axis=axis) * response(frequency), axis=axis)
    return filtered if np.iscomplexobj(image) else filtered.real
