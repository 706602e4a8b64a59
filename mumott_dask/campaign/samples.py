"""What a campaign consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """A scan to work on, and how."""

    name: str
    path: Path  #: absolute
    align: Settings = field(default_factory=dict)  #: arguments of `align`
    reconstruct: Settings = field(default_factory=dict)  #: arguments of `reconstruct`
    crop: Settings = field(default_factory=dict)  #: [start, stop] along j and k, pixels
    bin: int = 1  #: pixels joined along a side
    nonfinite: float | None = None  #: what replaces NaN and infinite pixels
    tomogram: bool = True  #: whether one is reconstructed
    validate: bool = False  #: whether the alignment is tested with held-out projections
    variant: Settings = field(default_factory=dict)  #: what a sweep has set, by name

    @property
    def settings(self) -> dict[str, Any]:
        """All that the result depends on beside the scan, as JSON gives it back."""
        return {
            name: value for name, value in asdict(self).items() if name not in ("name", "path", "variant")
        }


@dataclass(frozen=True)
class Limits:
    """What may run at once."""

    samples: int | None = None
    memory: int | None = None  #: bytes: a sample that needs more has all workers to itself


@dataclass(frozen=True)
class Manifest:
    """A campaign; see `read_manifest`."""

    path: Path
    directory: Path  #: where its state and its results are
    samples: tuple[Sample, ...]
    limits: Limits = Limits()
