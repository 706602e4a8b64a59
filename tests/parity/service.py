"""One side of the comparison: a process that is asked for one operation after another.

Runs in both virtual environments, so it needs nothing but NumPy. A request is a line of JSON on standard
input, `{"operation": ..., "case": folder}`; the operation's arrays go to `folder/operation.side.npz`, and the
answer is a line with the seconds that it took, on a pipe of its own since mumott logs to standard output. The
pipe's number is the script's argument.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np


class Stopwatch:
    """Times the one call that is to be compared, without the reading and writing around it."""

    seconds = float("nan")

    def __call__(self, function, *arguments):
        start = time.perf_counter()
        result = function(*arguments)
        self.seconds = time.perf_counter() - start
        return result


def serve(side, operations):
    """Answer requests until standard input ends; `operations` maps names to `function(folder, watch)`."""
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            folder, watch = Path(request["case"]), Stopwatch()
            arrays = operations[request["operation"]](folder, watch)
            np.savez(folder / f"{request['operation']}.{side}.npz", **arrays)
            answers.write(json.dumps({"seconds": watch.seconds}) + "\n")
            answers.flush()


def geometry_arrays(prefix, values):
    """Arrays to save, named `prefix.name`."""
    return {f"{prefix}.{name}": np.asarray(value) for name, value in values.items()}
