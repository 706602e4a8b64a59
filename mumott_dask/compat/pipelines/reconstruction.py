"""MITRA and SIRT, by mumott's names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mumott_dask import Projector, absorbance, arrays
from mumott_dask.compat.methods.projectors import SAXSProjector
from mumott_dask.compat.missing import NotHere, check_keywords, names_of_mumott, on_cpu
from mumott_dask.compat.scans import working_scan
from mumott_dask.errors import ScanError
from mumott_dask.reconstruction import MitraStep, iterated, mitra_steps, sirt_weights
from mumott_dask.scan.schema import pixel_weights

__all__ = ["run_mitra", "run_sirt"]

__getattr__ = names_of_mumott(__name__, "run_discrete_directions", "run_group_lasso", "run_sigtt")

_APPLY = {"absorbances", "preconditioner_cutoff", "weights_cutoff", "basis_set_kwargs", "BasisSet"}
_IGNORED = {"Projector", "no_tqdm", "weights", "nestorov_weight", "enforce_non_negativity"}
_OPTIMIZER = {"x0", "step_size", "nestorov_weight", "maxiter", "ftol", "enforce_non_negativity"}
_SILENT = {"no_tqdm", "display_loss"}
_INSTEAD = "the loss is the squared one, and the tomogram is solved by mitra_steps; mumott itself has more"
_ABSENT = ("optimizer", "loss_function", "residual_calculator", "basis_set")
_SETTLED = 6  # iterations before `ftol` may end a reconstruction


def run_mitra(
    data_container: Any,
    use_absorbances: bool = True,
    use_sirt_weights: bool = True,
    use_gpu: bool = False,
    maxiter: int = 20,
    ftol: float | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Tomogram of a scan by accelerated, preconditioned, projected gradient descent.

    Parameters
    ----------
    data_container : DataContainer
        Not changed.
    use_absorbances : bool
        Whether the diode's absorbance is reconstructed, or else the detector's segments, each by itself: that
        needs ``BasisSet=TrivialBasis``, since mumott's default, Gaussian kernels on the sphere, is not here.
    use_sirt_weights : bool
        Whether rays and voxels are weighted by SIRT's weights, or rays by the container's and voxels not at
        all.
    use_gpu : bool
        Without a GPU: warns once, and runs on the CPU.
    maxiter : int
        The largest number of iterations.
    ftol : float, optional
        Relative change of the loss under which the iterations end.
    **kwargs
        These apply: ``absorbances`` (projection, j, k, 1) instead of the diode's; ``weights_cutoff`` and
        ``preconditioner_cutoff`` (0.1 both); ``optimizer_kwargs`` with ``nestorov_weight`` (0.95),
        ``enforce_non_negativity`` (True), ``x0`` (zero), ``step_size`` (1), ``maxiter`` and ``ftol``;
        ``loss_function_kwargs`` with ``use_weights`` and ``preconditioner``, if `use_sirt_weights` is false.
        These are accepted without effect: ``no_tqdm``, ``Projector`` and ``weights``; and, as in mumott,
        ``nestorov_weight`` and ``enforce_non_negativity`` by themselves: they belong into
        ``optimizer_kwargs``. All others raise.

    Returns
    -------
    dict
        `result` with `x` (x, y, z, channel), `loss` and `nit`; `absorbances`, `weights`
        (projection, j, k, channel), `preconditioner` (x, y, z, 1) and `projector`. What mumott's other
        entries hold (`optimizer`, `loss_function`, `residual_calculator`, `basis_set`) is not here, and says
        so.

    Raises
    ------
    ScanError
        Where a keyword means nothing here: what to use instead.

    Notes
    -----
    What differs from mumott 2.3: neither the container's weights nor ``optimizer_kwargs`` are changed, a
    container without segments will do, and arrays are float32.
    """
    known = _APPLY | _IGNORED | {"optimizer_kwargs", "loss_function_kwargs"}
    check_keywords("run_mitra", kwargs, known, _INSTEAD)
    optimizer = {"nestorov_weight": 0.95, "enforce_non_negativity": True, "maxiter": maxiter, "ftol": ftol}
    optimizer |= kwargs.get("optimizer_kwargs", {})
    loss = kwargs.get("loss_function_kwargs", {})
    check_keywords("optimizer_kwargs", optimizer, _OPTIMIZER | _SILENT, _INSTEAD)
    check_keywords("loss_function_kwargs", loss, {"use_weights", "preconditioner"}, _INSTEAD)
    on_cpu(use_gpu)
    return _solved(data_container, use_absorbances, None if use_sirt_weights else loss, optimizer, kwargs)


def run_sirt(
    data_container: Any,
    use_absorbances: bool = True,
    use_gpu: bool = False,
    maxiter: int = 20,
    enforce_non_negativity: bool = False,
    **kwargs: Any,
) -> dict[str, Any]:
    """Tomogram of a scan by SIRT: `run_mitra` without momentum.

    Parameters
    ----------
    data_container : DataContainer
        Not changed.
    use_absorbances, use_gpu, maxiter
        See `run_mitra`.
    enforce_non_negativity : bool
        Whether the tomogram is kept from going below zero.
    **kwargs
        ``absorbances``, ``weights_cutoff``, ``preconditioner_cutoff`` and ``BasisSet`` apply, see
        `run_mitra`; ``no_tqdm`` and ``Projector`` are accepted without effect. All others raise.

    Returns
    -------
    dict
        See `run_mitra`.

    Raises
    ------
    ScanError
        Where a keyword means nothing here.
    """
    check_keywords("run_sirt", kwargs, _APPLY | {"Projector", "no_tqdm"}, "use run_mitra")
    on_cpu(use_gpu)
    optimizer = {
        "nestorov_weight": 0.0,
        "enforce_non_negativity": enforce_non_negativity,
        "maxiter": maxiter,
        "ftol": None,
    }
    return _solved(data_container, use_absorbances, None, optimizer, kwargs)


def _solved(
    container: Any,
    use_absorbances: bool,
    own_weights: Mapping[str, Any] | None,
    optimizer: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Result of a reconstruction; with `own_weights`, those and a preconditioner instead of SIRT's."""
    scan = working_scan(container)
    data, mask = _measured(scan, use_absorbances, options)
    projector, chunks = Projector.from_scan(scan), arrays.chunk_lengths(data)
    if own_weights is None:
        cutoffs = options.get("weights_cutoff", 0.1), options.get("preconditioner_cutoff", 0.1)
        rays, voxels = sirt_weights(projector, chunks, smallest_sums=cutoffs)
    else:
        given = _weights(scan, not use_absorbances)
        rays = given if own_weights.get("use_weights", True) else (given > 0).astype(np.float32)
        voxels = _voxels(own_weights.get("preconditioner"), projector)
    if data.ndim == 4:
        rays, voxels = (each if each.ndim == 4 else each[..., np.newaxis] for each in (rays, voxels))
    rays = np.broadcast_to(rays * mask, data.shape)
    start = optimizer.get("x0")
    steps = mitra_steps(
        projector,
        data,
        rays,
        voxels * np.float32(optimizer.get("step_size", 1.0)),
        None if start is None else np.reshape(start, (*projector.volume_shape, *data.shape[3:])),
        optimizer["nestorov_weight"],
        optimizer["enforce_non_negativity"],
    )
    last, iterations = _ended(steps, optimizer["maxiter"], optimizer["ftol"])
    tomogram, loss, data, rays, voxels = arrays.materialise(*last, data, rays, voxels)
    absent = {what: NotHere(f"mumott's {what}", _INSTEAD) for what in _ABSENT}
    return absent | {
        "result": {"x": _with_channel(tomogram), "loss": float(loss), "nit": iterations},
        "projector": SAXSProjector(container.geometry),
        "absorbances": _with_channel(data) if use_absorbances else None,
        "weights": _with_channel(rays),
        "preconditioner": _with_channel(voxels),
    }


def _measured(scan: xr.Dataset, use_absorbances: bool, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """What the rays add up, (projection, j, k[, channel]), and the mask of the pixels that hold it."""
    channels = options.get("basis_set_kwargs", {}).get("channels")
    basis = getattr(options.get("BasisSet"), "__name__", None)
    if basis not in (None, "TrivialBasis") or (basis is None and not use_absorbances):
        raise ScanError(
            f"run_mitra has no basis set {basis or 'GaussianKernels'} here: pass BasisSet=TrivialBasis to "
            "reconstruct each detector segment by itself, or use mumott itself"
        )
    if not use_absorbances:
        if "data" not in scan:
            raise ScanError("the container has no detector segments, expected one read with skip_data=False")
        if channels not in (None, scan.sizes["segment"]):
            raise ScanError(f"channels is {channels}, expected {scan.sizes['segment']}, as the data have")
        return scan["data"].data, (_weights(scan, True) > 0).astype(np.float32)
    if options.get("absorbances") is None:
        found = absorbance(scan)
        return found["absorbance"].data, found["mask"].data
    mask = (_weights(scan, False) > 0).astype(np.float32)
    given = np.asarray(options["absorbances"], np.float32).reshape(mask.shape)
    return arrays.chunked_like(given, mask) if arrays.is_chunked(mask) else given, mask


def _weights(scan: xr.Dataset, of_segments: bool) -> Any:
    """Weights of pixels, or of each of their segments, which may be one segment long."""
    if not of_segments:
        return pixel_weights(scan).data
    weights = scan["weights"].data
    return weights if weights.ndim == 4 else weights[..., np.newaxis]


def _voxels(preconditioner: ArrayLike | None, projector: Projector) -> NDArray[np.float32]:
    if preconditioner is None:
        return np.ones(projector.volume_shape, np.float32)
    return np.asarray(preconditioner, np.float32).reshape(projector.volume_shape)


def _ended(steps: Any, most: int, tolerance: float | None) -> tuple[MitraStep, int]:
    """The last step, and its number."""
    if tolerance is None:
        return iterated(steps, most), most
    before = -1.0
    for number in count(1):
        step = next(steps)
        loss = float(step.loss)
        if number == most or (number > _SETTLED and (before - loss) / loss < tolerance):
            return step, number
        before = loss
    raise AssertionError("the count has no end")


def _with_channel(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.ndim == 4 else values[..., np.newaxis]
