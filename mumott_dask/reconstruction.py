"""SIRT weights and MITRA: from a scan to a tomogram (floor 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from . import arrays, devices
from .devices import Backend, on_gpu
from .errors import ScanError
from .measured import Signal, checked_signal, signal_and_mask
from .projector import Projector, VolumeChunks, with_slabs
from .scan import open_scan
from .updates import accelerated_step, elementwise

Volume = NDArray[np.float32]

_AGE = 10  # iterations of MITRA after which what workers hold is cut off from what it was made of
_TOGETHER = 100  # chunks and slabs whose tasks are handed out at once: workers wait for those of more
_SMALLEST_SUM = 0.1  # below it a ray or a voxel counts as not seen


class SirtWeights(NamedTuple):
    """Weights of the rays and preconditioner of the voxels, both 0 where nothing is seen."""

    rays: Any  #: (projection, j, k): 1 / A(1)
    voxels: Any  #: (x, y, z): 1 / A.T(1)


class MitraStep(NamedTuple):
    """State of MITRA after an iteration."""

    tomogram: Any  #: (x, y, z) float32, NumPy, or Dask where the data are
    loss: Any  #: weighted sum of squares, halved, where the gradient was taken (momentum included)


def sirt_weights(
    projector: Projector,
    chunks: tuple[int, ...] | None = None,
    mask: Any = None,
    smallest_sums: tuple[float, float] = (_SMALLEST_SUM, _SMALLEST_SUM),
) -> SirtWeights:
    """Weights ``1 / A(1)`` and preconditioner ``1 / A.T(1)``, each 0 where its sum is under the smallest.

    They depend on the geometry alone, but for the mask.

    Parameters
    ----------
    projector : Projector
    chunks : tuple of int, optional
        Chunk sizes along projection, for Dask arrays that workers hold.
    mask : (projection, j, k) array
        What the weights of the rays are multiplied with.
    smallest_sums : (float, float)
        Of a ray and of a voxel, in voxels and in pixels: below it, they count as not seen.

    Returns
    -------
    SirtWeights
        `rays` (projection, j, k) and `voxels` (x, y, z).

    Notes
    -----
    Gregor and Benson, IEEE Trans. Med. Imaging 27, 918 (2008).
    """
    slabs = None if chunks is None else projector.slab_lengths
    rays = projector.forward(arrays.constant(1, projector.volume_shape, slabs, mask), chunks)
    out = None if arrays.is_chunked(rays) else rays  # in its place, so that no more images are held
    of_ray, of_voxel = smallest_sums
    masks = () if mask is None else (mask,)
    rays = arrays.in_batches(partial(_reciprocal, of_ray), rays, *masks, out=out)
    voxels = _reciprocal(of_voxel, projector.adjoint(arrays.constant(1, projector.shape, chunks, mask)))
    return SirtWeights(*arrays.keep_images(rays), *arrays.keep_on_workers(voxels))


def _reciprocal(smallest: float, total: Any, mask: Any = None) -> Any:
    xp = devices.namespace(total)
    seen = xp.astype(total >= smallest, xp.float32) / xp.maximum(total, smallest)
    return seen if mask is None else seen * xp.astype(mask, xp.float32)


def mitra_steps(
    projector: Projector,
    data: Any,
    weights: Any,
    preconditioner: Any,
    start: NDArray[np.float32] | None = None,
    nesterov_weight: float = 0.95,
    nonnegative: bool = True,
    background: int = 0,
    every: int = 1,
) -> Iterator[MitraStep]:
    """Accelerated, preconditioned, projected gradient descent, without end.

    Parameters
    ----------
    projector : Projector
    data, weights : (projection, j, k[, channel]) array
        NumPy or Dask; the weights include the mask. Channels are solved side by side.
    preconditioner : (x, y, z[, channel]) array
        NumPy, or of the kind of the data; with one channel where it is the same for all.
    start : (x, y, z[, channel]) array, optional
        Zero by default; not changed.
    nesterov_weight : float
        Share of the momentum that goes on into the next iteration.
    nonnegative : bool
        Whether the tomogram is kept from going below zero.
    background : int
        Terms of a background that each image is free to hold; see `Projector.gradient`.
    every : int
        The number of iterations after which the state is wanted, time and again: workers do those before it
        without asking this process.

    Yields
    ------
    MitraStep
        Of chunked data one that is still being computed, so that workers need not wait for who asks.
    """
    slabs = projector.slab_lengths if arrays.is_chunked(data) else None
    momentum = arrays.zeros((*projector.volume_shape, *data.shape[3:]), slabs, data)
    ahead = devices.copied(momentum) if start is None else arrays.in_slabs(devices.copied(start), slabs)
    (preconditioner,) = arrays.keep_on_workers(preconditioner)
    step = partial(accelerated_step, nesterov_weight=nesterov_weight, nonnegative=nonnegative)
    together = max(1, _TOGETHER // (len(slabs) * data.numblocks[0])) if slabs else 1
    for number in count(1):
        gradient, loss = projector.gradient(ahead, data, weights, background)
        ahead, momentum = elementwise(step, 2, ahead, momentum, gradient, preconditioner)
        del gradient
        if not all(number % each for each in (every, together, _AGE)):
            ahead, momentum, loss = arrays.keep_on_workers(ahead, momentum, loss)
        if number % every == 0:
            yield MitraStep(ahead + momentum, loss)
        if number % _AGE == 0:
            ahead, momentum = arrays.without_past(ahead, momentum)


def iterated(steps: Iterator[MitraStep], number: int = 1) -> MitraStep:
    """The last of so many states, in memory; those before it are let go."""
    for _ in range(number - 1):
        next(steps)
    return MitraStep(*arrays.materialise(*next(steps)))


def reconstruct(
    scan: xr.Dataset | str,
    iterations: int = 20,
    tolerance: float | None = None,
    nesterov_weight: float = 0.95,
    nonnegative: bool = True,
    start: xr.DataArray | None = None,
    variable: str | None = None,
    segment: int | None = None,
    transmission_corrected: bool | None = None,
    backend: Backend = "auto",
    volume_chunks: VolumeChunks = None,
    watch: Callable[[int, int, float], None] | None = None,
) -> xr.DataArray:
    """Tomogram of a scan with the geometry that it holds, by MITRA.

    Parameters
    ----------
    scan : Dataset or path
        NumPy (solved in this process) or chunked (solved by Dask, on the active client if there is one).
    iterations : int
        The largest number of iterations.
    tolerance : float, optional
        Stop where an iteration lowers the loss by less than this fraction.
    nesterov_weight, nonnegative
        See `mitra_steps`.
    start : (x, y, z) DataArray, optional
        A tomogram to start from instead of zero.
    variable : str, optional
        The signal to reconstruct, or ``"data"`` for the detector's segments; the diode's absorbance by
        default.
    segment : int, optional
        The segment of ``"data"``, counted from 0; by default their mean.
    transmission_corrected : bool, optional
        Whether ``"data"`` is divided by what the diode reads of the scan's open beam, which takes out the
        absorption and the flux's drift; by default where there is a diode.
    backend : "auto", "cpu" or "gpu"
        As `align` takes it.
    volume_chunks : int, "auto" or None
        For chunked scans: thickness of the slabs along x, voxels, that the tomogram is held in by the
        workers while it is worked on; ``"auto"`` for one that their memory has room for, None for whole.
    watch : callable, optional
        Called after each iteration with its number from 1, the largest number, and the loss.

    Returns
    -------
    (x, y, z) DataArray, float32
        Absorbance per voxel, or the additive signal per voxel.

    Raises
    ------
    ScanError
        Whatever is wrong with the scan, or `start` of another shape than its volume.

    Notes
    -----
    The same iteration as mumott's ``run_mitra``.
    """
    scan = open_scan(scan) if not isinstance(scan, xr.Dataset) else scan
    if iterations < 1:
        raise ScanError(f"iterations is {iterations}, expected at least 1")
    projector = replace(Projector.from_scan(scan), gpu=on_gpu(scan, backend))
    projector = with_slabs(projector, volume_chunks)
    if start is not None and start.shape != projector.volume_shape:
        raise ScanError(f"start has shape {start.shape}, expected the scan's volume {projector.volume_shape}")
    signal = checked_signal(scan, variable, segment, transmission_corrected)
    data, mask = signal_and_mask(scan, signal, projector.gpu)
    weights = sirt_weights(projector, arrays.chunk_lengths(data), mask)
    first = None if start is None else np.asarray(start, np.float32)
    every = iterations if watch is None and tolerance is None else 1
    steps = mitra_steps(
        projector, data, weights.rays, weights.voxels, first, nesterov_weight, nonnegative, every=every
    )
    before = np.inf
    for number, step in zip(count(every, every), steps, strict=False):
        if watch is not None:
            watch(number, iterations, float(step.loss))
        slow = tolerance is not None and before - float(step.loss) < tolerance * before
        if number == iterations or (slow and number > 1):
            break
        before = step.loss
    (tomogram,) = arrays.materialise(step.tomogram)
    return tomogram_array(devices.to_host(tomogram), scan, signal)


def tomogram_array(values: NDArray[np.float32], scan: xr.Dataset, signal: Signal) -> xr.DataArray:
    """A tomogram with its dims, its unit and the size of its voxels."""
    attrs: dict[str, Any] = {"units": f"{signal.unit} per voxel", "long_name": signal.label}
    if "pixel_size" in scan.attrs:
        attrs["voxel_size"] = scan.attrs["pixel_size"]
    return xr.DataArray(values, dims=("x", "y", "z"), name="tomogram", attrs=attrs)
