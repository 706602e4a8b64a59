"""What an alignment begins with: the level that it works on, the offsets to start from, and the gauge."""

from __future__ import annotations

import logging
from dataclasses import replace

import xarray as xr

from mumott_dask import arrays
from mumott_dask.measured import signal_and_mask
from mumott_dask.projector import Projector

from .level import Level, whole_level
from .records import default_stages
from .settings import Gauge, Settings
from .start import Start, better_start, line_start
from .views import beyond_view, iterations_for

log = logging.getLogger(__name__)

_TRIAL_BINNING = 4


def measured(scan: xr.Dataset, settings: Settings, projector: Projector) -> Level:
    """The level of what was measured, without the excluded projections."""
    data, mask = signal_and_mask(scan, settings.signal, projector.gpu)
    if settings.excluded.any():
        mask = arrays.scaled(mask, ~settings.excluded)
    counting = settings.signal.kind == "transmission"
    return whole_level(projector, data, mask, settings.window, counting)


def with_room(level: Level, settings: Settings) -> tuple[Level, Settings]:
    """Level and settings for a sample that the views cut: more volume, and an open beam that nobody saw.

    Offsets that follow a tomogram which has not settled there come to rest too early: the last of the default
    stages reconstructs for longer between its steps.
    """
    beyond = beyond_view(level)
    if not any(beyond) or not settings.stages:
        return level, settings
    level = level.with_room(beyond)
    if settings.method == "auto" and settings.background is None and level.counting:
        settings = replace(settings, background="constant")
    if settings.stages == default_stages(level.detector_shape, settings.tolerance):
        *coarse, last = settings.stages
        inner = iterations_for(last.inner_iterations, beyond, settings.unknowns)
        settings = replace(settings, stages=(*coarse, replace(last, inner_iterations=inner)))
    log.info(
        "the views cut the sample: volume %s, background %s",
        level.projector.volume_shape,
        settings.background,
    )
    return level, settings


def chosen_start(level: Level, settings: Settings, begin: Start, may_choose: bool) -> Start:
    """Offsets to start from: those given, or those of the centres of mass where these explain more."""
    if settings.method == "optical-flow" or (settings.method == "tutorial" and begin.meant):
        return begin
    line = line_start(level, settings, begin)
    if settings.method in ("line", "tutorial"):
        return line
    if not may_choose:
        return begin
    side = min(level.detector_shape)
    trial = level.binned(_TRIAL_BINNING if side >= 8 * _TRIAL_BINNING else 1)
    return better_start(trial, begin, line)


def chosen_gauge(settings: Settings, begin: Start) -> Gauge:
    """The gauge asked for; with "auto", that of offsets that were meant is kept."""
    if settings.gauge != "auto":
        return settings.gauge
    return "keep" if begin.meant else "mass"
