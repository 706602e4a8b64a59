"""Optical flow, by mumott's names.

Shifts are (projection, 2): by how much the content of an image is to move along j and along k, in pixels,
beside what the geometry's offsets say already. To undo an offset is to move the content by as much, so shifts
*are* offsets, whatever the signs of the rotation axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mumott_dask import Projector, align, make_scan
from mumott_dask.alignment import Stage
from mumott_dask.alignment.level import centre_of_mass, moved
from mumott_dask.compat.missing import backend, check_keywords, names_of_mumott
from mumott_dask.compat.scans import from_mumott, working_scan
from mumott_dask.errors import ScanError
from mumott_dask.measured import signal_and_mask

from .utilities.alignment_geometry import get_alignment_geometry

__all__ = [
    "line_vertical_alignment",
    "recenter_tomogram",
    "run_optical_flow_alignment",
    "shifts_to_geometry",
    "shifts_to_vector",
    "sinogram_line_vertical_alignment",
]

__getattr__ = names_of_mumott(__name__)

Floats = NDArray[Any]

_NO_FILTER = 0.01  # mumott's default, which takes out next to nothing
_DEFAULTS: dict[str, Any] = {
    "volume": None,
    "main_rot_axis": None,
    "smooth_data": False,
    "sigma_smooth": 0.0,
    "high_pass_filter": _NO_FILTER,
    "optimal_shift": 0.0,
    "rec_iteration": 20,
    "stop_max_iteration": 20,
    "stop_min_correction": 0.01,
    "align_horizontal": True,
    "align_vertical": True,
    "center_reconstruction": True,
    "use_gpu": False,
    "optimizer_kwargs": None,
}


def run_optical_flow_alignment(data_container: Any, **kwargs: Any) -> tuple[Floats, Floats, Floats]:
    """Shifts of all images by reprojection, in one stage; `mumott_dask.align` does it.

    Parameters
    ----------
    data_container : DataContainer
        Not changed.
    **kwargs
        These apply:

        main_rot_axis : int
            Axis of the images along the rotation axis; by default as the geometry says.
        smooth_data : bool
            Whether `sigma_smooth` (False) applies.
        sigma_smooth : float, pixels
            Smoothing of residuals and reprojections (in mumott, of the data, from projection to projection
            too).
        optimal_shift : (projection, 2) array, pixels
            Shifts to start from; zero by default.
        rec_iteration : int
            Iterations of MITRA before each step (20), going on from the tomogram before.
        stop_max_iteration : int
            The largest number of steps (20).
        stop_min_correction : float, pixels
            Ends when all steps are smaller (0.01).
        align_horizontal, align_vertical : bool
            Whether to find shifts across and along the rotation axis (True).
        center_reconstruction : bool
            Whether the sample's centre of mass is put to the volume's centre (True); otherwise its movement
            as a whole, which no data can tell, is left as it was at the start.
        use_gpu : bool
            Without a GPU: warns once, and runs on the CPU.

        Accepted without effect: `volume`, as in mumott, where the geometry's applies as well, and
        `optimizer_kwargs`, since each reconstruction goes on from the last. A `high_pass_filter` other than
        mumott's 0.01 raises.

    Returns
    -------
    shifts : (projection, 2)
        Along j and k, pixels, beside the geometry's offsets.
    sinogram : (j, k, projection)
        What the tomogram looks like with the images aligned.
    tomogram : (x, y, z, 1)

    Raises
    ------
    ScanError
        What makes no sense.

    Notes
    -----
    What differs from mumott 2.3: images are never shifted, so nothing wraps around; the two components of a
    step are found together; masked pixels don't count; the gauge is taken out as a movement of the sample in
    space, not as the median of the vertical shifts.
    """
    check_keywords("run_optical_flow_alignment", kwargs, _DEFAULTS, "see mumott_dask.align")
    options = _DEFAULTS | kwargs
    if not (options["high_pass_filter"] <= 0 or options["high_pass_filter"] == _NO_FILTER):
        raise ScanError(
            f"high_pass_filter is {options['high_pass_filter']}, which there is not here: "
            "mumott_dask.align(background='linear') finds air levels that drift"
        )
    scan = working_scan(data_container)
    held = np.stack([scan["j_offset"].values, scan["k_offset"].values], axis=1)
    begin = held + np.asarray(options["optimal_shift"], dtype=float)
    iterations = int(options["rec_iteration"])
    sigma = float(options["sigma_smooth"]) if options["smooth_data"] else 0.0
    tolerance = float(options["stop_min_correction"])
    steps = int(options["stop_max_iteration"])
    found = align(
        scan.assign_coords(j_offset=("projection", begin[:, 0]), k_offset=("projection", begin[:, 1])),
        "optical-flow",
        directions=_directions(data_container, options),
        gauge="mass" if options["center_reconstruction"] else "keep",
        stages=[Stage(f"smoothed by {sigma:g} px", 1, sigma, steps, iterations, iterations, tolerance)],
        tolerance=tolerance,
        backend=backend(options["use_gpu"], scan),
    )
    tomogram = found["tomogram"].values
    sinogram = np.moveaxis(Projector.from_scan(scan).forward(tomogram), 0, -1)
    shifts = np.stack([found["j_offset"].values, found["k_offset"].values], axis=1) - held
    return shifts, sinogram, tomogram[..., np.newaxis]


def _directions(data_container: Any, options: dict[str, Any]) -> str:
    """The image axes to align along."""
    along = options["main_rot_axis"]
    along = get_alignment_geometry(data_container)[0] if along is None else along
    wanted = {along: options["align_vertical"], 1 - along: options["align_horizontal"]}
    if not any(wanted.values()):
        raise ScanError("neither align_horizontal nor align_vertical is true, expected one of them")
    return "".join("jk"[axis] for axis in (0, 1) if wanted[axis])


def line_vertical_alignment(data_container: Any, threshold: float = 0, **kwargs: Any) -> Floats:
    """Shifts across the rotation axis that centre the mass of each image.

    Parameters
    ----------
    data_container : DataContainer
        Not changed.
    threshold : float, absorbance
        What counts for no more than this, where it is positive.
    **kwargs
        ``main_rot_axis``: axis of the images along the rotation axis; by default as the geometry says.

    Returns
    -------
    (projection, 2) float
        Pixels, beside the geometry's offsets; 0 along the rotation axis.

    Notes
    -----
    What differs from mumott 2.3: all of the image counts, not one row of it; masked pixels don't; `threshold`
    applies; the mass lands on the middle of the image, where a rotation axis projects, not on the mean of
    all images; nothing is printed.
    """
    check_keywords("line_vertical_alignment", kwargs, {"main_rot_axis"}, "see mumott_dask.align")
    along = kwargs.get("main_rot_axis", get_alignment_geometry(data_container)[0])
    scan = from_mumott(data_container)
    value, mask = signal_and_mask(scan)
    shift, across = sinogram_line_vertical_alignment(np.moveaxis(value * mask, 0, -1), along, threshold)
    shifts = np.zeros((len(shift), 2))
    shifts[:, across] = shift - scan["jk"[across] + "_offset"].values
    return shifts


def sinogram_line_vertical_alignment(
    sinogram: ArrayLike, main_rot_axis: int, threshold: float = 0
) -> tuple[Floats, int]:
    """Shifts across the rotation axis that centre the mass of each image of a stack.

    Parameters
    ----------
    sinogram : (j, k, projection) array, absorbance
    main_rot_axis : int
        Axis of the images along the rotation axis.
    threshold : float, absorbance
        What counts for no more than this, where it is positive.

    Returns
    -------
    shift : (projection,) float, pixels
    axis : int
        The axis of the images that it is along.

    Notes
    -----
    See `line_vertical_alignment`.
    """
    images = np.moveaxis(np.asarray(sinogram), -1, 0)
    images = np.minimum(images, threshold) if threshold > 0 else images
    still = np.tile(np.eye(3), (len(images), 1, 1))
    found = align(make_scan(images, rotation=still, signal="additive"), "line", start="zero")
    across = 1 - int(main_rot_axis)
    return found["jk"[across] + "_offset"].values, across


def shifts_to_vector(shifts: ArrayLike, data_container: Any, **kwargs: Any) -> Floats:
    """Shifts as vectors in the laboratory.

    Parameters
    ----------
    shifts : (projection, 2) array, pixels
    data_container : DataContainer
    **kwargs
        ``main_rot_axis`` is accepted without effect: the axes of the images say all.

    Returns
    -------
    (projection, 3) float, voxels
    """
    check_keywords("shifts_to_vector", kwargs, {"main_rot_axis"}, "the axes of the images say all")
    geometry = data_container.geometry
    return np.asarray(shifts, dtype=float) @ np.stack([geometry.j_direction_0, geometry.k_direction_0])


def shifts_to_geometry(data_container: Any, shifts: ArrayLike) -> tuple[Floats, Floats]:
    """Shifts as offsets along j and k, for a geometry whose offsets were zero when they were found.

    Parameters
    ----------
    data_container : DataContainer
    shifts : (projection, 2) array, pixels

    Returns
    -------
    j_offsets, k_offsets : (projection,) float, pixels

    Notes
    -----
    In mumott 2.3 each component is multiplied by an axis of rotation, so its sign depends on the axis's.
    """
    vectors, geometry = shifts_to_vector(shifts, data_container), data_container.geometry
    return vectors @ geometry.j_direction_0, vectors @ geometry.k_direction_0


def recenter_tomogram(tomogram: ArrayLike, step: float = 0.2, **kwargs: Any) -> Floats:
    """A tomogram moved towards the middle of its volume, across the rotation axis.

    Parameters
    ----------
    tomogram : (x, y, z, 1) array
        Not changed.
    step : float
        How much of the way.
    **kwargs
        ``axis``: the volume's axis along which it stays; by default the one of another length than the
        other two.

    Returns
    -------
    (x, y, z, 1) array

    Notes
    -----
    What differs from mumott 2.3: what leaves at one side does not enter at the other; ``axis`` applies.
    """
    check_keywords("recenter_tomogram", kwargs, {"axis"}, "see mumott_dask.align(gauge=)")
    volume = np.asarray(tomogram, np.float32)[..., 0]
    x, y, z = volume.shape
    axis = kwargs.get("axis", 2 if x == y else 1 if x == z else 0)
    d = -step * centre_of_mass(volume)
    d[axis] = 0
    return moved(volume, d)[..., np.newaxis]
