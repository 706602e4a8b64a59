"""Phase matching, by mumott's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mumott_dask import align
from mumott_dask.alignment import Stage
from mumott_dask.compat.methods.projectors import SAXSProjector
from mumott_dask.compat.missing import backend, check_keywords, names_of_mumott
from mumott_dask.compat.scans import working_scan
from mumott_dask.errors import ScanError
from mumott_dask.measured import checked_signal, signal_and_mask

from .reconstruction import run_mitra

__all__ = ["run_phase_matching_alignment"]

__getattr__ = names_of_mumott(__name__)


def run_phase_matching_alignment(
    data_container: Any,
    ignored_subset: set[int] | None = None,
    projection_cropping: tuple[slice, slice] = np.s_[:, :],
    reconstruction_pipeline: Callable[..., Any] = run_mitra,
    reconstruction_pipeline_kwargs: Mapping[str, Any] | None = None,
    use_gpu: bool = False,
    use_absorbances: bool = True,
    maxiter: int = 20,
    upsampling: int = 1,
    shift_tolerance: float | None = None,
    shift_cutoff: float | None = None,
    relative_sample_size: float = 1.0,
    relaxation_weight: float = 0.0,
    center_of_mass_shift_weight: float = 0.0,
    align_j: bool = True,
    align_k: bool = True,
) -> dict[str, Any]:
    """Offsets of a scan by registering each image to its reprojection; `mumott_dask.align` does it.

    Parameters
    ----------
    data_container : DataContainer
        Its geometry's offsets are where it starts, and are set to what was found; nothing else changes.
    ignored_subset : set of int, optional
        Projections that are used but keep their offsets.
    projection_cropping : (slice, slice)
        The part of the images that is registered, along j and along k.
    reconstruction_pipeline : callable
        `run_mitra` alone.
    reconstruction_pipeline_kwargs : dict, optional
        ``maxiter``: iterations of MITRA before each step of the alignment, and no coarse stage before the
        fine one. ``use_gpu`` and ``use_absorbances`` override the arguments. The others of `run_mitra` are
        accepted without effect.
    use_gpu : bool
        Without a GPU: warns once, and runs on the CPU.
    use_absorbances : bool
        Whether the diode's absorbance is aligned, or else the mean of the detector's segments.
    maxiter : int
        The largest number of alignment iterations.
    upsampling : int
        Shifts are found to ``1 / upsampling`` pixel; masked pixels are left out whatever it is.
    shift_tolerance : float, pixels, optional
        Ends when all shifts are smaller; ``1 / upsampling`` by default, and at least that.
    shift_cutoff : float, pixels, optional
        The largest shift of one iteration; by default a quarter of the detector (in mumott,
        ``5 / upsampling``).
    relative_sample_size, relaxation_weight, center_of_mass_shift_weight : float
        Accepted without effect: all projections are aligned in each iteration, and none is drawn to where the
        data don't put it.
    align_j, align_k : bool
        Which offsets to find.

    Returns
    -------
    dict
        `reconstruction` (x, y, z, 1), `projections` of it and `reference`, the images aligned,
        (projection, j, k, 1) each.

    Raises
    ------
    ScanError
        What makes no sense.
    """
    options = dict(reconstruction_pipeline_kwargs or {})
    if getattr(reconstruction_pipeline, "__name__", None) != "run_mitra":
        raise ScanError("reconstruction_pipeline is another than run_mitra, expected run_mitra")
    if ignored_subset is not None and not isinstance(ignored_subset, set):
        raise TypeError(f"ignored_subset is a {type(ignored_subset).__name__}, expected a set")
    if not (align_j or align_k):
        raise ValueError("neither align_j nor align_k is true, expected one of them")
    check_keywords("reconstruction_pipeline_kwargs", options, _PIPELINE, "align(method='phase-matching')")
    scan = working_scan(data_container)
    variable = None if options.get("use_absorbances", use_absorbances) else "data"
    tolerance = shift_tolerance or 1 / upsampling
    inner = options.get("maxiter")
    found = align(
        scan,
        "phase-matching",
        fixed=ignored_subset or (),
        directions="j" * align_j + "k" * align_k,
        window=projection_cropping,
        variable=variable,
        upsampling=upsampling,
        shift_cap=shift_cutoff,
        stages=None if inner is None else [Stage("phase matching", 1, 0, maxiter, inner, inner, tolerance)],
        iterations=maxiter,
        tolerance=tolerance,
        backend=backend(options.get("use_gpu", use_gpu), scan),
    )
    geometry = data_container.geometry
    geometry.j_offsets, geometry.k_offsets = found["j_offset"].values, found["k_offset"].values
    tomogram = found["tomogram"].values[..., np.newaxis]
    reference, _ = signal_and_mask(scan, checked_signal(scan, variable))
    return {
        "reconstruction": tomogram,
        "projections": SAXSProjector(geometry).forward(tomogram),
        "reference": np.asarray(reference)[..., np.newaxis],
    }


_PIPELINE = {
    "maxiter",
    "ftol",
    "use_gpu",
    "use_absorbances",
    "use_sirt_weights",
    "optimizer_kwargs",
    "no_tqdm",
}
