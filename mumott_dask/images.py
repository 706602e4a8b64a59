"""What is done to images wherever they live: smoothing, binning, differences, sums, quantiles (floor 1).

Written against the array-API standard, but where NumPy or a library of filters does better.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from . import arrays, devices

Images = Any  #: (projection, j, k), NumPy or on a device


def smooth(images: Images, sigma: float, mode: Literal["constant", "nearest"] = "constant") -> Images:
    """Gaussian smoothing of each image over its last two axes.

    Parameters
    ----------
    images : (..., j, k) array
    sigma : float, pixels
        0 leaves the images as they are.
    mode : "constant" or "nearest"
        What lies outside an image: zero, or its edge.
    """
    if sigma <= 0:
        return images
    filters = devices.filters(images)
    return filters.gaussian_filter(images, sigma, axes=(-2, -1), mode=mode, truncate=3.0)


def binned(images: Any, n: int) -> Any:
    """Mean over n x n pixels of each image; the far ends are padded with zeros to whole bins.

    Parameters
    ----------
    images : (projection, j, k) array
        Of floating-point numbers; or Dask in chunks along projection.
    n : int
    """
    if n == 1:
        return images
    if arrays.is_chunked(images):
        sides = tuple((-(-side // n),) for side in images.shape[1:])
        whole = images.rechunk({1: -1, 2: -1})
        return whole.map_blocks(binned, n, chunks=(whole.chunks[0], *sides), dtype=images.dtype)
    xp = devices.namespace(images)
    count, side_j, side_k = images.shape
    j, k = -(-side_j // n), -(-side_k // n)
    if (side_j, side_k) != (j * n, k * n):
        padded = xp.zeros((count, j * n, k * n), dtype=images.dtype, device=devices.device_of(images))
        padded[:, :side_j, :side_k] = images
        images = padded
    return xp.mean(xp.reshape(images, (count, j, n, k, n)), axis=(2, 4))


def differences(array: Any, axes: Sequence[int]) -> list[Any]:
    """Derivative along each of some axes: half the difference of the neighbours, at the ends to the one."""
    return [_difference(array, axis) for axis in axes]


def _difference(array: Any, axis: int) -> Any:
    def along(part: slice) -> tuple[slice, ...]:
        return tuple(part if n == axis else slice(None) for n in range(array.ndim))

    result = devices.namespace(array).zeros_like(array)
    if array.shape[axis] == 1:
        return result
    inner, before, after = along(slice(1, -1)), along(slice(None, -2)), along(slice(2, None))
    result[inner] = array[after]  # in place: a volume's temporary copies would be the most that is held
    result[inner] -= array[before]
    result[inner] *= 0.5
    for end, other, sign in ((0, 1, -1.0), (-1, -2, 1.0)):
        here, there = along(slice(end, end + 1 or None)), along(slice(other, other + 1 or None))
        result[here] = (array[here] - array[there]) * sign
    return result


def ranks_of_nine(images: Images) -> tuple[Images, Images, Images]:
    """Third smallest, median and third largest of the 3 x 3 pixels around each, edges repeated.

    Parameters
    ----------
    images : (projection, j, k) array

    Notes
    -----
    What `scipy.ndimage.rank_filter` gives, several times as fast: three neighbours share a column in order,
    and there are no branches. (Median: Smith, Xilinx XCell 23 (1996).)
    """
    xp = devices.namespace(images)
    less, more = xp.minimum, xp.maximum
    padded = xp.concat([images[:, :1, :], images, images[:, -1:, :]], axis=1)
    padded = xp.concat([padded[:, :, :1], padded, padded[:, :, -1:]], axis=2)
    side_j, side_k = images.shape[1:]
    first, second, third = (padded[:, n : n + side_j, :] for n in range(3))
    low, high = less(first, second), more(first, second)
    between = less(high, third)
    ordered = less(low, third), more(low, between), more(high, third)
    columns = [[row[:, :, n : n + side_k] for row in ordered] for n in range(3)]
    (low_a, mid_a, high_a), (low_b, mid_b, high_b), (low_c, mid_c, high_c) = columns
    middle = _median_of_three(
        more(more(low_a, low_b), low_c),
        _median_of_three(mid_a, mid_b, mid_c),
        less(less(high_a, high_b), high_c),
    )
    return _third(columns, less, more), middle, _third([column[::-1] for column in columns], more, less)


def _median_of_three(a: Images, b: Images, c: Images) -> Images:
    xp = devices.namespace(a)
    return xp.maximum(xp.minimum(a, b), xp.minimum(xp.maximum(a, b), c))


def _third(columns: list[list[Images]], less: Any, more: Any) -> Images:
    """Third least of three times three in order."""
    (a, b, c), *others = columns
    for d, e, f in others:
        later, early = more(a, d), less(b, e)
        a, b, c = less(a, d), less(later, early), less(more(later, early), less(c, f))
    return c


def products(a: Images, b: Images) -> Any:
    """Sum of the products of each image's pixels, (projection,) float64; the second may be a mask."""
    if devices.on_host(a):
        return np.einsum("njk,njk->n", a, b, dtype=np.float64)
    xp = devices.namespace(a)
    return xp.sum(a * xp.astype(b, a.dtype, copy=False), axis=(1, 2), dtype=xp.float64)


def products_of_pairs(first: Sequence[Images], second: Sequence[Images]) -> list[Any]:
    """`products` of each of some images with each of others, first by first."""
    if devices.on_host(first[0]):
        return [products(a, b) for a in first for b in second]
    xp = devices.namespace(first[0])
    rows, columns = (
        xp.stack([xp.reshape(xp.astype(each, xp.float64), (each.shape[0], -1)) for each in stack], axis=1)
        for stack in (first, second)
    )
    every = rows @ xp.matrix_transpose(columns)  # one call for all of them
    return [every[:, a, b] for a in range(len(first)) for b in range(len(second))]


def quantiles(images: Images, shares: Sequence[float], valid: Images | None = None) -> list[Any]:
    """Quantiles of the pixels of each image, linear between neighbours, (projection,) each.

    Parameters
    ----------
    images : (projection, j, k) array
    shares : sequence of float
        0 for the smallest, 1 for the largest.
    valid : (projection, j, k) bool, optional
        The pixels that count, at least one of each image; all by default.
    """
    xp = devices.namespace(images)
    flat = xp.reshape(images, (images.shape[0], -1))
    if valid is None:
        last = xp.full((flat.shape[0],), flat.shape[1] - 1, dtype=xp.float64, device=devices.device_of(flat))
    else:
        last = xp.astype(xp.count_nonzero(valid, axis=(1, 2)) - 1, xp.float64)
        flat = xp.where(xp.reshape(valid, flat.shape), flat, xp.inf)
    places = [share * last for share in shares]
    below = [xp.astype(xp.floor(place), xp.int64) for place in places]
    above = [xp.astype(xp.ceil(place), xp.int64) for place in places]
    if devices.on_host(flat):  # no more in order than is asked for
        flat = np.partition(flat, np.unique([*below, *above]), axis=1)
    else:
        flat = xp.sort(flat, axis=1)

    def at(place: Any) -> Any:
        return xp.take_along_axis(flat, place[:, None], axis=1)[:, 0]

    ends = zip(places, below, above, strict=True)
    return [at(low) + (at(high) - at(low)) * (place - xp.floor(place)) for place, low, high in ends]
