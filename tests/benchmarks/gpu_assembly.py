"""What a sample costs, read from the machine code of the CUDA kernels, and the times that follow from it."""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from numba import cuda

from mumott_dask.projector import cuda_kernels

KERNELS = {
    "forward": (cuda_kernels.forward_kernel, (1,), cuda_kernels.FORWARD, 4),
    "adjoint": (cuda_kernels.adjoint_kernel, (1,), cuda_kernels.ADJOINT, 4),
    "splines": (cuda_kernels.spline_kernel, (), cuda_kernels.FORWARD, 16),
}
"""Kernel, its channels, its signature, and the values that a sample loads."""

ISSUED = 4 * 32
"""Instructions that a multiprocessor starts a clock, times the lanes of each: of NVIDIA's guides for 8.0 to 9.0."""


@dataclass(frozen=True)
class Card:
    """A GPU as its vendor describes it."""

    multiprocessors: int
    clock: float  #: Hz, boost
    bandwidth: float  #: bytes/s of its memory


CARDS = {
    "A100 80 GB SXM": Card(108, 1.41e9, 2.039e12),
    "H100 SXM": Card(132, 1.98e9, 3.35e12),
    "H200 SXM": Card(132, 1.98e9, 4.8e12),
}


@dataclass(frozen=True)
class Cost:
    """Of one sample, in the innermost loop that costs least."""

    instructions: float
    floating: float  #: of which on floating-point numbers
    loads: float  #: of which from memory


def tool(name):
    """A program of the CUDA toolkit: PyPI's, or what is on the path."""
    import nvidia

    found = [path for place in nvidia.__path__ for path in Path(place).glob(f"*/bin/{name}")]
    return str(found[0]) if found else name


def cost(name, cc=(9, 0)):
    """What a sample costs in a kernel, for a compute capability."""
    make, channels, signature, loads = KERNELS[name]
    ptx, _ = cuda.compile_ptx(make(*channels), signature, cc=cc, **cuda_kernels.COMPILED)
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        subprocess.run([tool("ptxas"), "-arch=sm_{}{}".format(*cc), source, "-o", binary], check=True)
        told = subprocess.run(
            [tool("nvdisasm"), "-c", binary], check=True, capture_output=True, text=True, env=os.environ
        )
    costs = [each for each in (_of_loop(lines, loads) for lines in _loops(told.stdout)) if each]
    return min(costs, key=lambda each: each.instructions)


def _loops(assembly):
    """Instructions of each innermost loop: from a label to a branch back to it."""
    lines, labels = [], {}
    for line in assembly.splitlines():
        label = re.match(r"\s*(\.L_x_\d+):", line)
        if label:
            labels[label[1]] = len(lines)
        operation = re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*);", line)
        if operation:
            lines.append(operation[1])
    back = [
        (labels[target[1]], end)
        for end, line in enumerate(lines)
        if (target := re.search(r"BRA.*`\((\.L_x_\d+)\)", line)) and labels.get(target[1], end) < end
    ]
    inner = [one for one in back if not any(one[0] <= other[0] and other[1] < one[1] for other in back)]
    return [lines[start : end + 1] for start, end in inner]


def _of_loop(lines, loads):
    names = [re.sub(r"^@!?U?P\w+\s+", "", line).split()[0].split(".")[0] for line in lines]
    loaded = names.count("LDG")
    if loaded < loads:
        return None
    samples = loaded / loads
    floating = sum(name in ("FADD", "FMUL", "FFMA", "FMNMX") for name in names)
    return Cost(len(names) / samples, floating / samples, loads)


def seconds(card, cost, samples, bytes_moved):
    """The larger of two times: to start all instructions, and to move all bytes once."""
    issue = samples * cost.instructions / (ISSUED * card.multiprocessors * card.clock)
    return max(issue, bytes_moved / card.bandwidth)
