"""The loop: reconstruct a little, reproject, step every projection's offsets; from coarse to fine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import islice
from os import PathLike
from pathlib import Path

import xarray as xr

from mumott_dask.devices import Backend, on_gpu
from mumott_dask.projector import Projector, VolumeChunks, with_slabs
from mumott_dask.scan import open_scan
from mumott_dask.scan.atomic import working_on
from mumott_dask.scan.schema import validate_scan

from .beginning import chosen_gauge, chosen_start, measured, with_room
from .checkpoint import (
    Checkpoint,
    begun,
    excluded_so_far,
    image_sums,
    question,
    resumed,
    write_end,
    write_progress,
)
from .ending import INTERRUPTED, STOPPED, interrupts_noted, verdict_of
from .iterations import first_state, outer_iterations, whole_step
from .level import Level
from .progress import Progress
from .records import AlignmentStep, Stage
from .result import alignment_dataset
from .settings import Background, Gauge, Part, Settings, check_settings, listed
from .start import given_start
from .steering import Steering, without

log = logging.getLogger(__name__)


def align(
    scan: xr.Dataset | str | PathLike[str],
    method: str = "auto",
    start: str | PathLike[str] | xr.Dataset = "scan",
    *,
    exclude: Iterable[int] = (),
    fixed: Iterable[int] = (),
    directions: str = "jk",
    window: tuple[Part, Part] | None = None,
    variable: str | None = None,
    background: Background = None,
    refine_angles: bool = False,
    refine_geometry: bool = False,
    upsampling: int = 20,
    shift_cap: float | None = None,
    segment: int | None = None,
    transmission_corrected: bool | None = None,
    gauge: Gauge = "auto",
    stages: Sequence[Stage] | None = None,
    iterations: int | None = None,
    tolerance: float = 0.001,
    backend: Backend = "auto",
    volume_chunks: VolumeChunks = None,
    checkpoint: str | PathLike[str] | None = None,
    overwrite: bool = False,
    watch: Callable[[AlignmentStep], Steering | None] | None = None,
) -> xr.Dataset:
    """Find the offsets of all projections of a scan.

    Parameters
    ----------
    scan : Dataset or path
        NumPy (solved in this process) or chunked (solved by Dask, on the active client if there is one). It
        is not changed.
    method : str
        ``"line"``: from the centre of mass of each projection, for a sample inside the view.
        ``"optical-flow"``: from `start`, by reprojection, from coarse to fine. ``"tutorial"``: by
        reprojection with the two stages of mumott's tutorial, from the centre of mass. ``"phase-matching"``:
        by registering each image to its reprojection, mumott's other method. ``"auto"``: optical flow from
        the centre of mass or from the scan's offsets, whichever leave less unexplained.
    start : str, path or Dataset
        ``"scan"`` (the offsets that it holds), ``"zero"``, or an alignment or its path.
    exclude : iterable of int
        Labels of projections that are left out; they keep their offsets.
    fixed : iterable of int
        Labels of projections that are used but not moved: their offsets come back bit for bit.
    directions : "jk", "j" or "k"
        The offsets to find; the others come back bit for bit.
    window : ((start, stop), (start, stop)), optional
        Pixels along j and along k that the offsets are found from, negative ones counted from the far edge;
        all by default.
    variable : str, optional
        The signal to align, or ``"data"`` for the detector's segments, where transmission has no contrast;
        the diode's absorbance by default.
    upsampling : int
        Phase matching finds shifts to ``1 / upsampling`` of a pixel, and ends when all are smaller.
    shift_cap : float, pixels, optional
        The largest shift that phase matching takes in one iteration; by default a quarter of the detector.
    segment : int, optional
        The segment of ``"data"`` to align, counted from 0; by default their mean.
    transmission_corrected : bool, optional
        Whether ``"data"`` is divided by what the diode reads of the scan's open beam, which takes out the
        absorption and the flux's drift; by default where there is a diode.
    background : "constant" or "linear", optional
        Also find an air level in each projection, absorbance: a constant, or with slopes along j and k. The
        tomogram's reconstruction leaves it free as well. By default none, or, with the method ``"auto"``,
        a constant where the views cut the sample, since no pixel may see the open beam then.
    refine_angles : bool
        Also find three small rotations of each projection, R <- R exp([omega]x) in the sample's frame. A
        turn of the sample as a whole, which no data can tell, is taken out. In the last stage only, so that
        offsets are nearly right by then.
    refine_geometry : bool
        Also find the rotation of the instrument, R <- exp([phi]x) R in the laboratory's frame, the same in
        all projections: a rotation axis that is off in the detector's plane, or that leans to the beam. With
        `refine_angles` as well, the mean of both kinds of turn is taken out of the projections' own.
    gauge : str or (x, y, z)
        What is done about the movement of the sample as a whole, which the data leave open: ``"keep"`` that
        of the start, ``"mass"`` (the sample's centre of mass to the volume's centre), a place for the centre
        of mass in voxels from the volume's centre, or ``"auto"``: keep where the start holds offsets, else
        mass. Fixed offsets limit it.
    stages : sequence of `mumott_dask.alignment.Stage`, optional
        From coarse to fine, instead of the method's own.
    iterations : int, optional
        The largest number of outer iterations over all stages.
    tolerance : float, pixels
        The alignment has converged when the largest step is smaller.
    backend : "auto", "cpu" or "gpu"
        Where to work: on a GPU, which has to be there (for a chunked scan, on every worker), or on the CPU;
        by default on a GPU where there is one.
    volume_chunks : int, "auto" or None
        For chunked scans: thickness of the slabs along x, voxels, that the tomogram is held in by the workers
        while it is worked on; ``"auto"`` for one that their memory has room for, None for whole.
    checkpoint : path, optional
        Zarr store that is written after each outer iteration, and holds the alignment in the end. Where it is
        there already, of the same scan with the same settings but interrupted or killed, it is gone on with,
        and ends with the offsets that it would have had.
    overwrite : bool
        Whether a finished alignment at `checkpoint`, or one with other settings, is replaced.
    watch : callable, optional
        Called with an `AlignmentStep` after each outer iteration. It may return a
        `mumott_dask.alignment.Steering`, to stop or to leave out further projections.

    Returns
    -------
    Dataset
        By projection: `j_offset` and `k_offset` (absolute, pixels), and, but for the method ``"line"``,
        their standard errors `j_offset_std` and `k_offset_std` (0 where an offset was held) and `weight` (1,
        less for a projection that is unlike what the others say of it). Where they were asked for:
        `background` by projection and term (absorbance: constant, change along j and along k from edge
        to edge), `rotation` (projection, 3, 3) and its standard error `rotation_std` (projection, 3;
        radians, about the sample's axes; 0 where angles were not refined), and with `refine_geometry`
        `instrument_std` (3; radians, about the laboratory's axes). By iteration: the history of the
        offsets, largest and median step, residual. The tomogram. Attributes `converged` and `reason`,
        `wrong` (labels of the projections of weight under 0.5: their offsets mean nothing), and the
        settings. An interrupt (Ctrl-C) returns the last whole iteration with ``converged=False``, and so
        does a watcher that asks to stop.

    Raises
    ------
    ScanError
        Whatever is wrong with the scan or the settings; where the checkpoint is that of another alignment, or
        being worked on by another process, or the disk is full.

    Notes
    -----
    The offsets stay in the geometry: images are never resampled, so nothing wraps around or is blurred.
    The estimator is that of `mumott_dask.alignment.flow`; mumott's own takes two separate ratios.
    """
    steps = align_steps(
        scan,
        method,
        start,
        exclude=exclude,
        fixed=fixed,
        directions=directions,
        window=window,
        variable=variable,
        background=background,
        refine_angles=refine_angles,
        refine_geometry=refine_geometry,
        upsampling=upsampling,
        shift_cap=shift_cap,
        segment=segment,
        transmission_corrected=transmission_corrected,
        gauge=gauge,
        stages=stages,
        iterations=iterations,
        tolerance=tolerance,
        backend=backend,
        volume_chunks=volume_chunks,
        checkpoint=checkpoint,
        overwrite=overwrite,
    )
    steering: Steering | None = None
    with interrupts_noted() as noted, closing(steps):  # or a traceback would hold the checkpoint's lock
        while True:
            try:
                if noted():
                    raise KeyboardInterrupt
                step = steps.send(steering)
                steering = None if watch is None else watch(step)
                del step
            except StopIteration as end:
                return end.value
            except KeyboardInterrupt as interrupt:
                # While the generator was suspended: handed in where the last whole iteration is known.
                try:
                    steps.throw(interrupt)
                except StopIteration as end:
                    return end.value


def align_steps(
    scan: xr.Dataset | str | PathLike[str],
    method: str = "auto",
    start: str | PathLike[str] | xr.Dataset = "scan",
    *,
    exclude: Iterable[int] = (),
    fixed: Iterable[int] = (),
    directions: str = "jk",
    window: tuple[Part, Part] | None = None,
    variable: str | None = None,
    background: Background = None,
    refine_angles: bool = False,
    refine_geometry: bool = False,
    upsampling: int = 20,
    shift_cap: float | None = None,
    segment: int | None = None,
    transmission_corrected: bool | None = None,
    gauge: Gauge = "auto",
    stages: Sequence[Stage] | None = None,
    iterations: int | None = None,
    tolerance: float = 0.001,
    backend: Backend = "auto",
    volume_chunks: VolumeChunks = None,
    checkpoint: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Generator[AlignmentStep, Steering | None, xr.Dataset]:
    """Find the offsets step by step.

    Parameters
    ----------
    scan, method, start, ...
        Those of `align`, but for `watch`.

    Yields
    ------
    AlignmentStep
        One an outer iteration. What is sent back, a `mumott_dask.alignment.Steering`, stops the alignment, or
        leaves out further projections.

    Returns
    -------
    Dataset
        The alignment, as the value of the generator.

    Raises
    ------
    ScanError
        See `align`.
    """
    scan = scan if isinstance(scan, xr.Dataset) else open_scan(scan)
    validate_scan(scan)
    settings = check_settings(
        scan,
        method,
        directions,
        gauge,
        window,
        variable,
        iterations,
        tolerance,
        exclude,
        fixed,
        background,
        refine_angles,
        refine_geometry,
        upsampling,
        shift_cap,
        segment,
        transmission_corrected,
        stages,
    )
    projector = replace(Projector.from_scan(scan), gpu=on_gpu(scan, backend))
    projector = with_slabs(projector, volume_chunks)
    steps = _steps(scan, settings, projector, start, checkpoint, overwrite)
    del scan  # which they let go of as soon as they can
    with nullcontext() if checkpoint is None else working_on(checkpoint):
        return (yield from steps)


def _steps(
    scan: xr.Dataset,
    settings: Settings,
    projector: Projector,
    start: str | PathLike[str] | xr.Dataset,
    checkpoint: str | PathLike[str] | None,
    overwrite: bool,
) -> Generator[AlignmentStep, Steering | None, xr.Dataset]:
    begin = given_start(scan, start)
    asked = question(scan, settings, start, (begin.j, begin.k))
    stored = None if checkpoint is None else begun(checkpoint, asked, overwrite)
    progress: Progress | None = None
    verdict = (False, INTERRUPTED)
    try:
        level, settings = with_room(measured(scan, settings, projector), settings)
        scan = scan.drop_vars(scan.data_vars)  # all that is asked of it now is its geometry
        settings = replace(settings, gauge=chosen_gauge(settings, begin))
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), asked, image_sums(level))
        if stored is None or kept is None:
            begin = chosen_start(level, settings, begin, isinstance(start, str) and start == "scan")
            progress = Progress([], first_state(level, begin))
        else:
            progress = resumed(stored, kept, settings)
            level, settings = without(level, settings, excluded_so_far(stored))
        further = _continued(level, settings, progress)
        while (reached := next(further, None)) is not None:
            progress, step = reached
            if kept is not None and settings.stages:
                write_progress(kept, progress, settings)
            steering = (yield step) or Steering()
            del step, reached
            if steering.stop:
                verdict = (False, STOPPED)
                break
            if steering.exclude:
                excluded = listed(settings.labels, steering.exclude, "exclude")
                level, settings = without(level, settings, excluded)
                further = _continued(level, settings, progress.begun_again())
        else:
            verdict = verdict_of(progress.history, settings)
    except KeyboardInterrupt:
        if progress is None or not progress.history:
            raise
    *history, last = progress.history
    history.append(whole_step(level, settings, last))
    result = alignment_dataset(scan, history, *verdict, settings.attrs(), settings.signal)
    if kept is not None:
        unfinished = verdict[1] in (INTERRUPTED, STOPPED)
        write_end(kept, result, (progress, settings) if unfinished else None)
    return result


def _continued(
    level: Level, settings: Settings, progress: Progress
) -> Iterator[tuple[Progress, AlignmentStep]]:
    """Progress after each outer iteration that is left of an alignment, and the step that led there."""
    history = progress.history
    steps = outer_iterations(level, settings, progress.state)
    del progress  # it holds a tomogram
    began = time.monotonic()
    for step, state in islice(steps, settings.iterations - len(history)):
        step = replace(step, seconds=time.monotonic() - began)
        log.info(
            "iteration %d/%d, %s: largest step %.4f px, median %.4f px, residual %.5f, %.2f s",
            *(step.iteration, step.iterations, step.stage, step.largest_step, step.median_step),
            *(step.residual, step.seconds),
        )
        if history:  # one tomogram is enough
            history = [*history[:-1], replace(history[-1], tomogram=None)]
        history = [*history, step.kept()]
        yield Progress(history, state), step
        del step
        began = time.monotonic()  # what a watcher takes is no part of the next iteration
