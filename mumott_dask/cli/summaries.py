"""What a scan, an alignment or a tomogram is, in a screen of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mumott_dask.scan.schema import detector_shape, holds_offsets, signals, volume_shape

if TYPE_CHECKING:
    import xarray as xr

Rows = list[tuple[str, str]]

_SAME_TILT = 1e-4  # radians
_MOST_TILTS = 12
_UNITS = ("B", "kB", "MB", "GB", "TB")


def text(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they are, one below the other."""
    return "\n".join(f"{name:<14}{value}".rstrip() for name, value in rows)


def scan_summary(scan: xr.Dataset) -> Rows:
    """Describe a scan, without looking at its pixels."""
    labels = scan["projection"].values
    pixel = f", {scan.attrs['pixel_size']:g} µm each" if "pixel_size" in scan.attrs else ", of unknown size"
    rows = [
        ("projections", f"{len(labels)}, labelled {labels.min()} to {labels.max()}"),
        ("detector", f"{_by(detector_shape(scan))} pixels (j x k){pixel}"),
        ("volume", f"{_by(volume_shape(scan))} voxels (x, y, z)"),
        *_tilts(scan),
        ("offsets", offsets_range(scan) if holds_offsets(scan) else "none held, all are 0"),
    ]
    if "j_offset_true" in scan.coords:
        rows.append(("true offsets", offsets_range(scan, "_true")))
    rows += [(name if i else "variables", line) for i, (name, line) in enumerate(_variables(scan))]
    chunks = scan.chunksizes.get("projection")
    if chunks:
        rows.append(("chunks", f"{len(chunks)}, of up to {max(chunks)} projections"))
    return [*rows, ("source", str(scan.attrs.get("source", "unknown")))]


def pixel_summary(scan: xr.Dataset) -> Rows:
    """Range of each signal and the share of masked pixels; reads all pixels, chunk by chunk."""
    from dask.base import compute

    names = signals(scan)
    asked = [(scan[name].min(), scan[name].max(), scan[name].mean(dtype=np.float64)) for name in names]
    ranges, masked = compute(asked, (scan["weights"] == 0).mean())
    rows = [
        (name, f"{float(low):.6g} to {float(high):.6g}, mean {float(mean):.6g}")
        for name, (low, high, mean) in zip(names, ranges, strict=True)
    ]
    return [*rows, ("masked", f"{float(masked):.2%} of the pixels")]


def alignment_summary(result: xr.Dataset) -> Rows:
    """Describe how an alignment ended, and what it found."""
    verdict = "yes" if result.attrs.get("converged") else "NO"
    rows = [("converged", f"{verdict}: {result.attrs.get('reason', 'unknown')}")]
    if result.sizes.get("iteration"):
        last = result.isel(iteration=-1)
        rows += [
            ("iterations", f"{result.sizes['iteration']} ({_stages(result)})"),
            (
                "last step",
                f"{float(last['largest_step']):.5f} pixel at most, {float(last['median_step']):.5f} median",
            ),
            ("residual", f"{float(last['residual']):.6g} {result['residual'].attrs['units']} (RMS)"),
        ]
    return [*rows, ("offsets", offsets_range(result))]


def alignment_settings(result: xr.Dataset) -> Rows:
    """Describe what an alignment was asked to do."""
    rows = [
        ("projections", str(result.sizes["projection"])),
        ("method", str(result.attrs.get("method", "unknown"))),
    ]
    for name in (
        "directions",
        "gauge",
        "window",
        "variable",
        "tolerance",
        "excluded",
        "fixed",
        "version",
        "source",
    ):
        value = result.attrs.get(name)
        if value is not None and not (hasattr(value, "__len__") and len(value) == 0):
            rows.append((name, str(value)))
    return rows


def tomogram_summary(tomogram: xr.DataArray) -> Rows:
    """Size and range of a tomogram."""
    size = tomogram.attrs.get("voxel_size")
    return [
        ("volume", f"{_by(tomogram.shape)} voxels ({', '.join(map(str, tomogram.dims))})"),
        ("voxel", f"{size:g} µm" if size else "of unknown size"),
        (
            "values",
            f"{float(tomogram.min()):.6g} to {float(tomogram.max()):.6g} {tomogram.attrs.get('units', '')}",
        ),
    ]


def offsets_range(offsets: xr.Dataset, suffix: str = "") -> str:
    """Smallest and largest offset along each direction."""
    values = {axis: offsets[f"{axis}_offset{suffix}"].values for axis in "jk"}
    return ", ".join(f"{axis} {v.min():.3f} to {v.max():.3f}" for axis, v in values.items()) + " pixel"


def _tilts(scan: xr.Dataset) -> Rows:
    if "outer_angle" not in scan.coords or "inner_angle" not in scan.coords:
        return [("tilts", "unknown, the scan holds rotation matrices alone")]
    outer, inner = np.degrees(scan["outer_angle"].values), np.degrees(scan["inner_angle"].values)
    groups = _groups(outer)
    if len(groups) > _MOST_TILTS:
        return [
            ("tilts", f"{len(groups)}, {outer.min():.1f}° to {outer.max():.1f}°"),
            ("rotations", _angles(inner)),
        ]
    lines = [
        f"{outer[group[0]]:6.1f}°  {len(group)} projections, rotated {_angles(inner[group])}"
        for group in groups
    ]
    return [
        (f"{len(groups)} tilt{'s' * (len(groups) > 1)}" if i == 0 else "", line)
        for i, line in enumerate(lines)
    ]


def _groups(angles: np.ndarray) -> list[np.ndarray]:
    """Group the indices of projections of (nearly) the same angle, smallest angle first."""
    order = np.argsort(angles, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(angles[order]) > np.degrees(_SAME_TILT)) + 1)


def _angles(angles: np.ndarray) -> str:
    return f"{angles.min():.1f}° to {angles.max():.1f}°"


def _variables(scan: xr.Dataset) -> list[tuple[str, str]]:
    kinds = {name: str(scan[name].attrs.get("kind", "")) for name in scan.data_vars}
    return [
        ("", f"{name!s:<14}{_by(variable.shape)}  {variable.dtype}  {_bytes(variable.nbytes)}  {kinds[name]}")
        for name, variable in scan.data_vars.items()
    ]


def _stages(result: xr.Dataset) -> str:
    counts = Counter(map(str, result["stage"].values))
    return "; ".join(f"{count} {name}" for name, count in counts.items())


def _by(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _bytes(number: int) -> str:
    power = min(len(str(number)) - 1, 3 * (len(_UNITS) - 1)) // 3
    return f"{number / 1000**power:.3g} {_UNITS[power]}"
