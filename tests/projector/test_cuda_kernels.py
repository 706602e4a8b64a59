"""The CUDA kernels without a GPU: simulated beside the CPU's, and compiled for three generations of GPUs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nvidia
import pytest
from numba import cuda

from mumott_dask.projector import cuda_kernels

BESIDE = Path(__file__).with_name("cuda_beside_cpu.py")
MOST_REGISTERS = 64
GENERATIONS = [(8, 0), (9, 0), (10, 0)]

KERNELS = {
    "forward": (cuda_kernels.forward_kernel, cuda_kernels.FORWARD),
    "adjoint": (cuda_kernels.adjoint_kernel, cuda_kernels.ADJOINT),
    "splines": (cuda_kernels.spline_kernel, cuda_kernels.FORWARD),
}
CASES = [("forward", 1), ("forward", 32), ("adjoint", 1), ("adjoint", 32), ("splines", None)]


def test_simulated_they_agree_with_the_kernels_of_the_cpu():
    """All dominant axes, tilts, one and several channels, a volume of one slice; in a process of its own."""
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    outcome = subprocess.run([sys.executable, BESIDE], env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    differences = json.loads(outcome.stdout)
    assert {key.split()[0] for key in differences} == {"forward", "adjoint", "gradient", "loss", "reproject"}
    assert {key.split()[1] for key in differences} == set("xyz")
    assert max(differences.values()) < 1e-5


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def kernel(request):
    name, channels = request.param
    make, signature = KERNELS[name]
    return (make() if channels is None else make(channels)), signature


@pytest.mark.parametrize("generation", GENERATIONS, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
def test_compiled_they_fit_into_registers_and_know_no_float64(kernel, generation, tmp_path):
    """As machine code: no spills, at most 64 registers a thread; as PTX: no 64-bit floating point at all."""
    function, signature = kernel
    ptx, _ = cuda.compile_ptx(function, signature, cc=generation, **cuda_kernels.COMPILED)
    assert ".f64" not in ptx
    source, sm = tmp_path / "kernel.ptx", "sm_{}{}".format(*generation)
    source.write_text(ptx)
    (ptxas,) = (path for place in nvidia.__path__ for path in Path(place).glob("*/bin/ptxas"))
    command = [ptxas, "-v", f"-arch={sm}", source, "-o", tmp_path / "kernel.cubin"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert int(re.search(r"Used (\d+) registers", told)[1]) <= MOST_REGISTERS
    for what in ("stack frame", "spill stores", "spill loads"):
        assert re.search(rf"\b0 bytes {what}", told), told
