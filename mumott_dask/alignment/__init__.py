"""Alignment: the offset of every projection, from centres of mass or by reprojection (floor 6).

In: a scan, NumPy or chunked. Out: an alignment, a Dataset. The loop yields one small record an outer
iteration and knows nothing of who watches it or where its tasks run.
"""

from .comparison import compare
from .loop import align, align_steps
from .records import AlignmentStep, Stage
from .result import open_alignment, with_offsets, write_alignment
from .steering import Steering
from .validation import validate

__all__ = [
    "AlignmentStep",
    "Stage",
    "Steering",
    "align",
    "align_steps",
    "compare",
    "open_alignment",
    "validate",
    "with_offsets",
    "write_alignment",
]
