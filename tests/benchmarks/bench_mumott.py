"""Forward and adjoint beside mumott 2.3, in turns, in the environment that `make parity` makes for it."""

import runpy
import sys

import pytest
from measuring import ROOT

MUMOTT = ROOT / ".venv-mumott" / "bin" / "python"


@pytest.mark.skipif(not MUMOTT.exists(), reason="`make parity` makes the environment of mumott")
def test_beside_mumott(figure, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "parity")
    parity = runpy.run_path(str(ROOT / "tests" / "parity" / "__main__.py"), run_name="parity")
    folder = tmp_path / "case"
    parity["write_inputs"](parity["CASES"][0], folder)
    ours, theirs = parity["Side"](sys.executable, "ours"), parity["Side"](str(MUMOTT), "theirs")
    try:
        for side in (ours, theirs):  # compiles
            for operation in ("forward", "adjoint"):
                side(operation, folder)
        rows = list(parity["times"](folder, ours, theirs))
    finally:
        ours.close()
        theirs.close()
    mine, other = (sum(row[n] for row in rows) for n in (1, 2))
    note = f"{mine:.3f} s, mumott {other:.2f} s"
    figure(
        "Beside mumott", "forward and adjoint, times as fast", other / mine, aim=100, most=False, note=note
    )
