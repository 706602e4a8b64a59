"""Compare mumott_dask with mumott 2.3 on the same scans, in two processes that exchange files.

`python tests/parity MUMOTT_PYTHON [FOLDER]`: MUMOTT_PYTHON is an interpreter that has mumott; files go to FOLDER, or
to a temporary one. Prints a table and the times of one forward and one adjoint; exits with 1 where a bar is
missed. mumott takes minutes to align the one scan that both align.

mumott reads the wrong voxel for positions between -1 and 0, so the outermost layer of a tomogram that is not zero
there differs, and what is within by what that layer takes away: those differences are shown, and held to a bar
without that layer alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from cases import CASES, write_inputs

from mumott_dask import compare, open_scan

ROUNDS = 3
PROJECTOR_BAR, ABSORBANCE_BAR, EXACT, NO_BAR = 1e-5, 1e-6, 0.0, float("inf")
MITRA_BAR = 1e-4
MITRA_OWN_WEIGHTS_BAR = 0.05


_FILTERS = ("window", "gradient", "shifted", "smoothed", "filtered", "center", "mass")
# Bars of what `by_name.py` gives; where mumott is wrong (see its comments) the difference is shown.
NAMES = {
    "transmittivities": {"transmittivity": 1e-6, "lower": EXACT, "upper": EXACT},
    "container": {"diode": EXACT, "data": 1e-6, "corrected": 1e-6, "weights": EXACT},
    "geometry": {"from_angles": 1e-12, "turned": 1e-12, "directions": 1e-12},
    "probed_coordinates": {"vector": 1e-12, "great_circle_offset": 1e-12},
    "subsets": {"forward": PROJECTOR_BAR, "adjoint": PROJECTOR_BAR},
    "alignment_geometry": {"axis": EXACT, "volume_shape": EXACT},
    "shifts": {"vector": NO_BAR, "offsets": NO_BAR},
    "image_processing": dict.fromkeys(_FILTERS, 1e-9),
    "recentred": {"tomogram": NO_BAR},
    "saved": {"array": EXACT, "number": EXACT},
    "sirt": {"tomogram": NO_BAR, "inside": MITRA_OWN_WEIGHTS_BAR},
    "mitra_by_name": {"tomogram": MITRA_BAR},
}


# RMS errors of what mumott_dask finds, pixels; mumott's are shown.
ALIGNMENTS = {"line": NO_BAR, "optical_flow": 0.05, "phase_matching": 0.05}


class Row(NamedTuple):
    """One line of the table; a difference of NaN fails."""

    what: str
    unit: str
    difference: float
    bar: float

    @property
    def passed(self):
        return self.difference <= self.bar

    @property
    def verdict(self):
        """The bar, and whether it was met."""
        if self.bar == NO_BAR and self.passed:
            return f"{'-':>9}  shown"
        return f"{self.bar:9.0e}  {'passed' if self.passed else 'MISSED'}"


class Side:
    """A process that holds one of the two libraries."""

    def __init__(self, python, script):
        self.name = script
        answers, answer_here = os.pipe()
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name(f"{script}.py")), str(answer_here)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(answer_here,),
            text=True,
        )
        os.close(answer_here)
        self._answers = os.fdopen(answers)

    def __call__(self, operation, folder):
        """Arrays of an operation and the seconds that it took."""
        self._process.stdin.write(json.dumps({"operation": operation, "case": str(folder)}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.readline()
        if not answer:
            raise SystemExit(f"{self.name}: {operation} failed, see above")
        with np.load(folder / f"{operation}.{self.name}.npz") as arrays:
            return dict(arrays), json.loads(answer)["seconds"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._answers.close()


def largest_difference(a, b):
    """Largest absolute difference; NaN where the shapes differ."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("nan")


def relative_difference(a, b):
    """Largest absolute difference, over the largest value of `b`."""
    return largest_difference(a, b) / float(np.abs(b).max())


def numbers(case, folder, ours, theirs):
    """Compare absorbance, projector and, on small scans, MITRA."""
    (a, _), (b, _) = ours("absorbances", folder), theirs("absorbances", folder)
    yield Row("absorbance", "", largest_difference(a["absorbance"], b["absorbance"]), ABSORBANCE_BAR)
    masks = float((a["mask"] != b["mask"]).sum())
    yield Row("absorbance: mask", "pixels differ", masks, EXACT)
    for operation, result in (("forward", "projections"), ("adjoint", "volume")):
        (a, _), (b, _) = ours(operation, folder), theirs(operation, folder)
        yield Row(operation, "of the largest", relative_difference(a[result], b[result]), PROJECTOR_BAR)
    if not case.small:
        return
    (a, _), (b, _) = (side("mitra_with_given_weights", folder) for side in (ours, theirs))
    difference = relative_difference(a["tomogram"], b["tomogram"])
    yield Row("MITRA x 20, equal weights", "of the largest", difference, MITRA_BAR)
    (a, _), (b, _) = ours("mitra", folder), theirs("mitra", folder)
    difference = relative_difference(a["tomogram"], b["tomogram"])
    yield Row("MITRA x 20, own weights", "of the largest", difference, NO_BAR)
    within = relative_difference(*(side["tomogram"][1:-1, 1:-1, 1:-1] for side in (a, b)))
    yield Row("  without the outermost layer", "of the largest", within, MITRA_OWN_WEIGHTS_BAR)


def names(folder, ours, theirs):
    """Compare what a script gets by mumott's names from mumott, and from the room that has the same ones."""
    for operation, bars in NAMES.items():
        (a, _), (b, _) = ours(operation, folder), theirs(operation, folder)
        for name, bar in bars.items():
            difference = largest_difference(a[name], b[name]) / max(1e-30, float(np.abs(b[name]).max()))
            yield Row(f"{operation}: {name}", "of the largest", difference, bar)


def alignments(folder, ours, theirs):
    """Errors of the offsets that each side finds, from those that were simulated, and the seconds that it took."""
    scan = open_scan(folder / "scan.h5")  # which holds the true ones
    for operation, bar in ALIGNMENTS.items():
        for side, own_bar in ((ours, bar), (theirs, NO_BAR)):
            found, seconds = side(operation, folder)
            j, k = found["offsets"]
            aligned = scan.assign_coords(j_offset=("projection", j), k_offset=("projection", k))
            error = compare(aligned, scan, scan).attrs["rms"]
            name = "mumott_dask" if side is ours else "mumott"
            yield Row(f"{operation}: {name}, {seconds:.0f} s", "pixel RMS", error, own_bar)


def files(folder, ours, theirs):
    """Compare what each reads of what the other wrote."""
    theirs("write", folder)
    (truth, _), (by_mumott, _), (by_us, _) = (
        ours("read_own", folder),
        theirs("read_other", folder),
        ours("read_other", folder),
    )
    for label, read in (("mumott reads our", by_mumott), ("we read mumott's", by_us)):
        for kind, title in (("hdf5", "HDF5"), ("geometry", "geometry file")):
            named = {name: name.replace("file.", f"{kind}.") for name in truth if name.startswith("file.")}
            if kind == "hdf5":
                named |= {"diode": "diode", "weights": "weights"}
            worst = max(_difference(truth[a], read[b]) for a, b in named.items())
            yield Row(f"{label} {title}", f"in {len(named)} arrays", worst, EXACT)


def _difference(a, b):
    difference = largest_difference(a, b.reshape(a.shape) if a.size == b.size else b)
    return float("inf") if np.isnan(difference) else difference


def times(folder, ours, theirs):
    """Median seconds of a call, taken in turns, after compilation."""
    for operation in ("forward", "adjoint"):
        seconds = [(ours(operation, folder)[1], theirs(operation, folder)[1]) for _ in range(ROUNDS)]
        yield operation, *(median(each) for each in zip(*seconds, strict=True))


def show(line=""):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def compare_all(folder, mumott_python):
    """Print the table; whether all bars were met."""
    ours, theirs = Side(sys.executable, "ours"), Side(mumott_python, "theirs")
    passed, seconds = True, []
    try:
        for number, case in enumerate(CASES):
            at = folder / str(number)
            write_inputs(case, at)
            show(f"\n{case.name}\n{'what':36}{'largest difference':>24}{'bar':>10}")
            named = names(at, ours, theirs) if case.small else ()
            aligned = alignments(at, ours, theirs) if case.aligned else ()
            for row in chain(numbers(case, at, ours, theirs), named, aligned, files(at, ours, theirs)):
                show(f"{row.what:36}{row.difference:10.2g} {row.unit:14}{row.verdict}")
                passed &= row.passed
            if not case.small:
                seconds = list(times(at, ours, theirs))
    finally:
        ours.close()
        theirs.close()
    show(f"\nseconds on the scan of the tutorial's size, median of {ROUNDS} calls in turns, compiled before")
    for operation, mine, other in seconds:
        show(
            f"{operation:12} mumott_dask {mine:7.3f}   mumott {other:7.3f}   {other / mine:6.1f} times as fast"
        )
    show("\nall bars met" if passed else "\na bar was missed")
    return passed


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    if len(sys.argv) == 3:
        Path(sys.argv[2]).mkdir(parents=True)
        sys.exit(not compare_all(Path(sys.argv[2]), sys.argv[1]))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(not compare_all(Path(temporary), sys.argv[1]))
