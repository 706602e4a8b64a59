"""What a scan, an alignment or a tomogram is, in a screen of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mumott_dask.scan.schema import detector_shape, holds_offsets, signals, volume_shape
from mumott_dask.words import listed

if TYPE_CHECKING:
    import xarray as xr

Rows = list[tuple[str, str]]

_SAME_TILT = 1e-4  # radians
_MOST_TILTS = 12
_LABORATORY = {"p": "the beam", "j": "the detector's j", "k": "its k"}
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
        rows += [("true offsets", offsets_range(scan, "_true")), *_truth(scan)]
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
    return [*rows, ("offsets", offsets_range(result)), *_standard_errors(result), *_besides(result)]


def unfinished_summary(stored: xr.Dataset) -> Rows:
    """Describe how far an alignment that was not finished has come."""
    stages = "; ".join(f"{count} {name}" for name, count in Counter(stored.attrs["stages"]).items())
    most, median, residual = (stored.attrs[name][-1] for name in ("largest_step", "median_step", "residual"))
    return [
        ("finished", "NO: the command that began it goes on with it"),
        ("iterations", f"{stored.attrs['iteration']} ({stages})"),
        ("last step", f"{most:.5f} pixel at most, {median:.5f} median"),
        ("residual", f"{residual:.6g} (RMS)"),
        ("projections", str(stored.sizes["projection"])),
        ("method", stored.attrs["asked"]["method"]),
    ]


def turns_summary(result: xr.Dataset, scan: xr.Dataset) -> Rows:
    """Describe how far refined rotations are from those of the scan."""
    if "rotation" not in result:
        return []
    from scipy.spatial.transform import Rotation

    right = ~np.isin(result["projection"], result.attrs.get("wrong", []))
    found, nominal = (Rotation.from_matrix(each["rotation"].values[right]) for each in (result, scan))
    turned = found * nominal.inv()
    angles = turned.magnitude()
    rows = [
        ("turned by", f"{degrees(float(np.sqrt(np.mean(angles**2))))} RMS, {degrees(angles.max())} at most")
    ]
    if result.attrs.get("refine_geometry"):
        common = turned.mean().as_rotvec()
        deviation = np.abs(result["instrument_std"].values)
        axes = ((np.array(scan.attrs[f"{axis}_direction_0"]), name) for axis, name in _LABORATORY.items())
        shares = (
            f"{degrees(float(common @ axis))} +- {degrees(float(deviation @ np.abs(axis)))} about {name}"
            for axis, name in axes
        )
        rows.append(("instrument", f"turned by {', '.join(shares)}"))
    return rows


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


def degrees(angle: float) -> str:
    """Radians as degrees, to three digits."""
    return f"{np.degrees(angle):.3g}°"


def _standard_errors(result: xr.Dataset) -> Rows:
    """Standard errors of the offsets that were found, not of those that were held."""
    if "j_offset_std" not in result:
        return []
    errors = np.stack([result[f"{axis}_offset_std"].values for axis in "jk"])
    counted = errors[(errors > 0) & ~np.isin(result["projection"], result.attrs.get("wrong", []))]
    if not counted.size:
        return []
    rms = np.sqrt(np.mean(counted**2))
    return [("their error", f"{rms:.4f} pixel RMS, {np.median(counted):.4f} median (standard errors)")]


def _besides(result: xr.Dataset) -> Rows:
    """What an alignment says of wrong projections, of backgrounds and of rotations."""
    rows = []
    if "weight" in result:
        wrong = result.attrs.get("wrong", [])
        rows.append(("wrong", listed(wrong) if len(wrong) else "no projection"))
    if "background" in result:
        background = result["background"].values
        names = ("constant", "slope along j", "slope along k")
        parts = zip(names, background.T, strict=False)
        ranges = (f"{name} {values.min():.4f} to {values.max():.4f}" for name, values in parts)
        rows.append(("background", f"{', '.join(ranges)} absorbance"))
    if "rotation" in result:
        angles = np.linalg.norm(result["rotation_std"].values, axis=1)
        error = f", standard error {degrees(float(np.median(angles)))} median" if angles.any() else ""
        what = {"refine_angles": "of each projection", "refine_geometry": "of the instrument"}
        rows.append(
            ("rotations", f"refined {' and '.join(v for k, v in what.items() if result.attrs.get(k))}{error}")
        )
    return rows


def _truth(scan: xr.Dataset) -> Rows:
    """What a simulated scan knows of itself besides its offsets."""
    from scipy.spatial.transform import Rotation

    rows = []
    if "offset_bound" in scan.attrs:
        rows.append(("bound", f"{scan.attrs['offset_bound']:.4f} pixel RMS, whoever aligns it (Cramér-Rao)"))
    wrong = np.asarray(scan.get("wrong_true", np.zeros(scan.sizes["projection"], bool)))
    if wrong.any():
        rows.append(("wrong", listed(scan["projection"].values[wrong])))
    if "rotation_true" in scan.coords:
        true, stated = (
            Rotation.from_matrix(scan[name].values[~wrong]) for name in ("rotation_true", "rotation")
        )
        angles = (true * stated.inv()).magnitude()
        rows.append(("angles", f"off by {degrees(float(np.sqrt(np.mean(angles**2))))} RMS"))
    return rows


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
