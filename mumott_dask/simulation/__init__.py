"""Scans with known truth: a bone-like phantom, an independent forward model, a stage that wanders (floor 5).

Numbers come in, a scan with its true offsets and its true tomogram leaves. The forward model shares no code
with the projector: only the rotations and the basis vectors of `geometry` are common to both.
"""

from .assembly import simulate as simulate

__all__ = ["simulate"]
