"""Two commits in turns: `compare.py BEFORE [AFTER]` prints what AFTER (the working tree by default) takes of BEFORE.

Each commit gets a worktree, a cache of kernels and a process of its own; the two processes measure one operation
after the other, in turns, so that whatever else runs on the machine slows both.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
ROUNDS = 11

SIDE = """
import json, sys, time
import numpy as np
import mumott_dask as md

scan, small = md.simulate(), md.simulate((33, 28), tilts=3, rotations=20)
volume, A = scan["tomogram_true"].values, md.Projector.from_scan(scan)
images = A.forward(volume)
ones, channels = np.ones_like(images), np.repeat(volume[:, :, :, None], 8, axis=3)
operations = {
    "forward": lambda: A.forward(volume),
    "adjoint": lambda: A.adjoint(images),
    "gradient": lambda: A.gradient(volume, images, ones),
    "reprojection": lambda: A.reproject(volume),
    "forward, 8 channels": lambda: A.forward(channels),
    "absorbance": lambda: md.absorbance(scan),
    "align, 60 images of 33 x 28": lambda: md.align(small, iterations=4),
}
for operation in operations.values():
    operation()
print(json.dumps(list(operations)), flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    operations[json.loads(line)]()
    print(time.perf_counter() - start, flush=True)
"""


class Side:
    """A process that times the operations of one tree."""

    def __init__(self, tree, cache):
        environment = os.environ | {"PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(cache)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SIDE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=cache,
        )
        self.operations = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def seconds(self, operation):
        self._process.stdin.write(json.dumps(operation) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("one of the two sides failed, see above")
        return json.loads(line)


@contextmanager
def worktree(commit, folder):
    """The files of a commit, while they are needed."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def compare(before, after):
    """Print medians of both sides, and the median of their ratios with its quartiles."""
    print(f"{'':30}{'before, ms':>12}{'after, ms':>12}{'ratio':>8}   quartiles")
    for operation in before.operations:
        turns = [(before.seconds(operation), after.seconds(operation)) for _ in range(ROUNDS)]
        ratios = sorted(b / a for a, b in turns)
        low, high = ratios[ROUNDS // 4], ratios[-1 - ROUNDS // 4]
        a, b = (1e3 * median(each) for each in zip(*turns, strict=True))
        print(f"{operation:30}{a:12.1f}{b:12.1f}{median(ratios):8.3f}   {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        sides = []
        for name, commit in zip(("before", "after"), (*sys.argv[1:], ""), strict=False):
            tree = stack.enter_context(worktree(commit, Path(temporary, name))) if commit else ROOT
            cache = Path(temporary, f"cache-{name}")
            cache.mkdir()
            sides.append(stack.enter_context(Side(tree, cache)))
        compare(*sides)
