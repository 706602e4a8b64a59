"""What the benchmarks of speed share: times taken in turns, processes of their own, the table."""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "bench-output" / "speed.json"
TABLE = ROOT / "docs" / "speed_table.md"


def in_turns(*operations, rounds=10):
    """Seconds of each operation, (rounds, operation), after a call of each."""
    for operation in operations:
        operation()
    times = np.empty((rounds, len(operations)))
    for turn in times:
        for n, operation in enumerate(operations):
            start = time.perf_counter()
            operation()
            turn[n] = time.perf_counter() - start
    return times


def fastest(*operations, rounds=10):
    """Shortest time of each operation, seconds, measured in turns."""
    return in_turns(*operations, rounds=rounds).min(axis=0)


def python(*arguments, **environment):
    """Seconds that a fresh Python takes, and what it prints."""
    start = time.perf_counter()
    outcome = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )
    return time.perf_counter() - start, outcome.stdout


def machine():
    """Kind and cores of this machine, and what else ran there, in words."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in _lines("/proc/cpuinfo")
            if line.startswith(("model name", "Model"))
        ),
        platform.processor() or platform.machine(),
    )
    load = f", {os.getloadavg()[0]:.1f} processes running at the start" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores{load}; {platform.system()}, Python {platform.python_version()}"


def _lines(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    group: str
    what: str
    value: float
    unit: str
    aim: float | None
    most: bool  # whether the aim is the largest value allowed, or the smallest
    note: str

    @property
    def met(self):
        if self.aim is None:
            return ""
        met = self.value <= self.aim if self.most else self.value >= self.aim
        return "met" if met else "**missed**"

    @property
    def cells(self):
        aim = "" if self.aim is None else f"{'≤' if self.most else '≥'} {_short(self.aim)}"
        return self.what, f"{_short(self.value)} {self.unit}".strip(), aim, self.met, self.note


def _short(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Figures:
    """All that one run measures. Figures of earlier runs stay in the file until they are measured again."""

    def __init__(self):
        self.machine = machine()
        self.measured = []

    def add(self, group, what, value, unit="", aim=None, most=True, note=""):
        figure = Figure(group, what, float(value), unit, aim, most, note)
        self.measured.append(figure)
        sys.stdout.write("\n" + "  ".join(cell for cell in (group, *figure.cells) if cell) + "\n")

    def all(self):
        """Figures by group and what they are of: of this run, and those of earlier ones that it has not measured."""
        earlier = json.loads(OUTPUT.read_text())["figures"] if OUTPUT.exists() else []
        figures = {(row["group"], row["what"]): Figure(**row) for row in earlier}
        return figures | {(figure.group, figure.what): figure for figure in self.measured}

    def write(self):
        """The JSON, and the manual's table of all that it holds."""
        figures = self.all()
        OUTPUT.parent.mkdir(exist_ok=True)
        rows = [asdict(figure) for figure in figures.values()]
        OUTPUT.write_text(json.dumps({"machine": self.machine, "figures": rows}, indent=1))
        TABLE.write_text(table(self.machine, list(figures.values())))


def table(machine, figures):
    lines = [f"Measured on: {machine}."]
    for group in dict.fromkeys(figure.group for figure in figures):
        lines += ["", f"| {group} | measured | aim | | |", "| --- | ---: | ---: | --- | --- |"]
        lines += ["| " + " | ".join(figure.cells) + " |" for figure in figures if figure.group == group]
    return "\n".join(lines) + "\n"
