"""Scans with known truth: bone-like samples, an independent forward model, a faulty instrument (floor 5).

Numbers come in, a scan with its true offsets and its true tomogram leaves. The forward model shares no code
with the projector: only the rotations and the basis vectors of `geometry` are common to both.
"""

from .assembly import simulate as simulate
from .cases import CASES as CASES
from .cases import Case as Case
from .cases import simulate_case as simulate_case

__all__ = ["CASES", "Case", "simulate", "simulate_case"]
