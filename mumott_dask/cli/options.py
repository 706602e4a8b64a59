"""Options that several commands share, and how what is typed becomes what Python takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Labels(click.ParamType):
    """Labels of projections: ``3,17-20`` is 3, 17, 18, 19 and 20."""

    name = "labels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Numbers of a list of numbers and ranges."""
        if not isinstance(value, str):
            return tuple(value)
        labels: list[int] = []
        for part in value.split(","):
            first, dash, last = part.strip().partition("-")
            try:
                labels += range(int(first), int(last if dash else first) + 1)
            except ValueError:
                self.fail(f"{value!r} is no list of projections, expected one such as 3,17-20", param, ctx)
        return tuple(labels)


class Window(click.ParamType):
    """A window of the detector: ``5:60,:40`` is pixels 5 to 59 along j and 0 to 39 along k."""

    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Start and stop along j and along k."""
        if not isinstance(value, str):
            return value
        try:
            j, k = (_bounds(part) for part in value.split(","))
        except ValueError:
            self.fail(
                f"{value!r} is no window, expected one such as 5:60,:40 (pixels along j, along k)", param, ctx
            )
        return j, k


class Gauge(click.ParamType):
    """Where the sample lies in the volume: auto, keep, mass, or its centre of mass as ``x,y,z``."""

    name = "gauge"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take the word, or the three numbers."""
        if not isinstance(value, str) or value in ("auto", "keep", "mass"):
            return value
        try:
            x, y, z = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no gauge, expected auto, keep, mass or x,y,z (voxels)", param, ctx)
        return x, y, z


class Chunks(click.ParamType):
    """Projections in a chunk: a number, or ``auto``."""

    name = "chunks"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take the number or the word."""
        if value == "auto":
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is no number of projections, expected one, or auto", param, ctx)


class Size(click.ParamType):
    """Pixels of a detector: ``65x55`` is 65 along j and 55 along k."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Pixels along j and along k."""
        try:
            j, k = (int(part) for part in str(value).split("x"))
        except ValueError:
            self.fail(
                f"{value!r} is no size, expected one such as 65x55 (pixels along j, along k)", param, ctx
            )
        return j, k


class Degrees(click.ParamType):
    """Angles in degrees, ``-70,70``, as radians: so many of them where it is given."""

    name = "degrees"

    def __init__(self, count: int | None = None):
        self.count = count

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Radians of a list of degrees."""
        if not isinstance(value, str):
            return tuple(value)
        try:
            angles = tuple(math.radians(float(part)) for part in value.split(","))
        except ValueError:
            angles = ()
        if not angles or self.count not in (None, len(angles)):
            number = "angles" if self.count is None else f"{self.count} angles"
            self.fail(f"{value!r} is not {number}, expected such as -70,70 (degrees)", param, ctx)
        return angles


def _bounds(part: str) -> tuple[int | None, int | None]:
    start, stop = (int(bound) if bound.strip() else None for bound in part.split(":"))
    return start, stop


backend_option: Decorator = click.option(
    "--backend",
    type=click.Choice(("auto", "cpu", "gpu")),
    default="auto",
    show_default=True,
    help="Where to work: with gpu, --workers starts one for each of N GPUs.",
)
chunks_option: Decorator = click.option(
    "--chunks",
    type=Chunks(),
    metavar="N|auto",
    help="Projections in a chunk.  [default: with workers, what suits their threads and memory; without, "
    "everything is loaded]",
)
quiet_option: Decorator = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
overwrite_option: Decorator = click.option("--overwrite", is_flag=True, help="Replace what is there.")
alignment_option: Decorator = click.option(
    "--alignment",
    type=click.Path(),
    metavar="RESULT",
    help="Apply what align found: offsets, and rotations where they were refined.",
)


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which help lists them."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


segment_options: Decorator = together(
    click.option(
        "--segment",
        type=click.IntRange(min=0),
        metavar="N",
        help="The detector's segment, with --variable data.  [default: the mean over all]",
    ),
    click.option(
        "--uncorrected",
        "transmission_corrected",
        flag_value=False,
        default=None,
        help="With --variable data, don't divide it by the diode's transmission.",
    ),
)
"""For the variable data."""
