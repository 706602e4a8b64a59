"""Reconstruction and alignment, by mumott's names."""

from mumott_dask.compat.missing import names_of_mumott

from .phase_matching_alignment import run_phase_matching_alignment
from .reconstruction import run_mitra, run_sirt

__all__ = ["run_mitra", "run_phase_matching_alignment", "run_sirt"]

__getattr__ = names_of_mumott(__name__, "run_discrete_directions", "run_fbp", "run_group_lasso", "run_sigtt")
