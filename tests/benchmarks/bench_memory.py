"""The largest resident size of an alignment, scan by scan, in processes of their own."""

from pathlib import Path

import peak
import pytest
from measuring import python

SHAPES = (246, 65, 55), (1200, 90, 90), (400, 120, 120), (400, 250, 240)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the peak that Linux keeps")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_peak(figure, compiled, tmp_path, shape):
    projections, j, k = shape
    scan = tmp_path / "scan.h5"
    python(peak.__file__, "write", scan, *shape)
    held = float(python(peak.__file__, "align", scan)[1]) / 1e6
    note = f"absorbances {4e-6 * projections * j * k:.0f} MB, volume {4e-6 * j * j * k:.0f} MB"
    what = f"{projections} projections of {j} x {k}"
    figure("Memory of `align` at most", what, held, "MB", peak.aim(shape) / 1e6, note=note)
