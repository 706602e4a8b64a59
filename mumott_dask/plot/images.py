"""Slices of tomograms, and sinograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from mumott_dask.absorption import absorbance
from mumott_dask.errors import ScanError
from mumott_dask.scan.schema import DIRECTIONS, TOMOGRAM_DIMS, signal_variable

from .style import colour_limits, colour_map, finish_bar, new_axes, row_of_axes, thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


def slices(
    tomogram: xr.DataArray,
    axes: Sequence[Axes] | None = None,
    limits: tuple[float, float] | None = None,
) -> NDArray[Any]:
    """Draw the three slices through the centre of a tomogram on a common scale.

    Parameters
    ----------
    tomogram : DataArray
        (x, y, z), NumPy or Dask; `voxel_size` (micrometre) and `units` are read from its attrs.
    axes : three matplotlib Axes, optional
        For the planes xy, xz and yz.
    limits : (float, float), optional
        Values at the ends of the colour scale, the tomogram's units. By default what the slices hold.

    Returns
    -------
    (3,) array of matplotlib Axes
    """
    if set(tomogram.dims) != set(TOMOGRAM_DIMS):
        raise ScanError(f"plot.slices: the tomogram has dims {tomogram.dims}, expected {TOMOGRAM_DIMS}")
    size = dict(tomogram.sizes)
    planes = (("x", "y", "z"), ("x", "z", "y"), ("y", "z", "x"))
    images = [
        np.asarray(tomogram.isel({normal: size[normal] // 2}).transpose(up, across))
        for across, up, normal in planes
    ]
    low, high = colour_limits(images) if limits is None else limits
    shapes = [(size[across], size[up]) for across, up, _ in planes]
    panels = row_of_axes(shapes) if axes is None else np.asarray(axes, dtype=object)
    step = tomogram.attrs.get("voxel_size", 1.0)
    unit = "µm" if "voxel_size" in tomogram.attrs else "voxel"
    for ax, image, (across, up, _) in zip(panels, images, planes, strict=True):
        half = np.array([image.shape[1], image.shape[0]]) * step / 2
        drawn = ax.imshow(
            image,
            cmap=colour_map(),
            vmin=low,
            vmax=high,
            origin="lower",
            interpolation="nearest",
            extent=(-half[0], half[0], -half[1], half[1]),
        )
        ax.set_xlabel(f"{across} ({unit})")
        ax.set_ylabel(f"{up} ({unit})")
        thin(ax)
    bar = drawn.figure.colorbar(drawn, ax=list(panels), fraction=0.025, pad=0.02, shrink=0.8, aspect=25)
    finish_bar(bar, tomogram.attrs.get("units", "absorbance per voxel"))
    return panels


def sinogram(
    scan: xr.Dataset | xr.DataArray,
    ax: Axes | None = None,
    *,
    variable: str | None = None,
    row: int | None = None,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Draw one row of the detector, across the axis of rotation, by projection.

    Every projection is shown where its offsets put it: a scan without offsets as it was measured,
    ``with_offsets(scan, alignment)`` as it was aligned.

    Parameters
    ----------
    scan : Dataset or DataArray
        A scan, of which the absorbance is shown (or an additive signal as it is), or a stack of dims
        (projection, j, k) with the scan's coordinates.
    ax : matplotlib Axes, optional
    variable : str, optional
        The signal to show.
    row : int, pixels
        The row's number along the axis of rotation; by default the one in the middle.
    limits : (float, float), optional
        Values at the ends of the colour scale. By default what the sinogram holds.

    Returns
    -------
    matplotlib Axes
    """
    across = _across(scan)
    along = "k" if across == "j" else "j"
    row = scan.sizes[along] // 2 if row is None else row
    if not 0 <= row < scan.sizes[along]:
        raise ScanError(f"plot.sinogram: row is {row}, expected 0 to {scan.sizes[along] - 1}")
    stack, label = _stack(scan, variable)
    image = _aligned_row(
        stack.transpose("projection", across, along), _offset(scan, across), _offset(scan, along), row
    )
    low, high = colour_limits([image]) if limits is None else limits
    ax = new_axes((4.2, 4.0)) if ax is None else ax
    drawn = ax.imshow(
        image,
        cmap=colour_map(),
        vmin=low,
        vmax=high,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5),
    )
    ax.set_xlabel(f"{across} (pixel)")
    ax.set_ylabel("projection")
    ax.set_title(f"{along} = {row}", fontsize=9)
    thin(ax)
    finish_bar(drawn.figure.colorbar(drawn, ax=ax, fraction=0.05, pad=0.03), label)
    return ax


def _across(scan: xr.Dataset | xr.DataArray) -> str:
    """Detector's axis across the axis of rotation: j unless the sample turns about j."""
    if "inner_axis" not in scan.coords:
        return "j"
    axis = scan["inner_axis"].values[0]
    j, k = (scan.attrs.get(f"{name}_direction_0", DIRECTIONS[f"{name}_direction_0"]) for name in "jk")
    return "k" if abs(axis @ np.asarray(j)) > abs(axis @ np.asarray(k)) else "j"


def _stack(scan: xr.Dataset | xr.DataArray, variable: str | None) -> tuple[xr.DataArray, str]:
    """Images to show, and what to call their values."""
    if isinstance(scan, xr.DataArray):
        return scan, str(scan.attrs.get("long_name", scan.name or "value"))
    if variable == "data" and "data" in scan:
        return scan["data"].mean("segment"), "data, mean over segments"
    name = signal_variable(scan, variable)
    if scan[name].attrs["kind"] == "additive":
        return scan[name], name
    if name != "diode":
        scan = scan.drop_vars("diode", errors="ignore").rename({name: "diode"})
    return absorbance(scan)["absorbance"], "absorbance"


def _offset(scan: xr.Dataset | xr.DataArray, axis: str) -> Floats:
    name = f"{axis}_offset"
    return np.asarray(scan[name].values if name in scan.coords else np.zeros(scan.sizes["projection"]))


def _aligned_row(stack: xr.DataArray, across: Floats, along: Floats, row: int) -> Floats:
    """One row of every projection, read where its offsets put it (bilinear, 0 beyond the edges)."""
    wanted = row - along
    first = int(np.clip(np.floor(wanted.min()) - 1, 0, stack.shape[2] - 1))
    last = int(np.clip(np.ceil(wanted.max()) + 2, first + 1, stack.shape[2]))
    images = np.asarray(stack[:, :, first:last], dtype=np.float64)
    places = np.arange(stack.shape[1])
    return np.array(
        [
            ndimage.map_coordinates(
                image, [places - a, np.full(len(places), w - first)], order=1, mode="grid-constant"
            )
            for image, a, w in zip(images, across, wanted, strict=True)
        ]
    )
