"""Middle slices of a sweep's tomograms side by side: a row for each sample, a column for each combination."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from mumott_dask.plot.style import colour_limits, colour_map
from mumott_dask.scan.atomic import replacing

from .samples import Manifest, Sample
from .state import DONE, State

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = "contact_sheet.png"
_ROWS = 20  # samples: a longer sheet can't be looked at
_TILE = 1.8  # inches


def draw_contact_sheet(manifest: Manifest) -> Path | None:
    """Draw the results of a sweep into the campaign's folder, and say where; None where there is no sweep.

    Each slice has a colour scale of its own, since binned voxels are longer on a ray's way. The first samples
    alone are shown where there are many.
    """
    from matplotlib.figure import Figure

    columns = sum(bool(each.variant) and each.path == manifest.samples[0].path for each in manifest.samples)
    if not columns:
        return None
    shown = manifest.samples[: _ROWS * columns]
    rows = len(shown) // columns
    figure = Figure(figsize=(_TILE * columns, _TILE * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    state = State(manifest.directory)
    for ax, sample in zip(axes.flat, shown, strict=True):
        _draw(ax, sample, state)
    path = manifest.directory / FILE
    with replacing(path, overwrite=True) as partial:
        figure.savefig(partial, dpi=110)
    return path


def _draw(ax: Axes, sample: Sample, state: State) -> None:
    record = state.record(sample)
    ax.set_xticks([])
    ax.set_yticks([])
    words = "\n".join(f"{name.rpartition('.')[2]}: {value}" for name, value in sample.variant.items())
    ax.set_title(f"{sample.name}\n{words}", fontsize=6, parse_math=False)
    if record is None or record["status"] != DONE or not sample.tomogram:
        ax.text(0.5, 0.5, "no tomogram", ha="center", va="center", fontsize=6, transform=ax.transAxes)
        return
    tomogram: Any = zarr.open_array(state.store(sample) / "tomogram", mode="r")
    image = np.asarray(tomogram[:, :, tomogram.shape[2] // 2])
    low, high = colour_limits([image])
    ax.imshow(image.T, cmap=colour_map(), vmin=low, vmax=high, origin="lower", interpolation="nearest")
