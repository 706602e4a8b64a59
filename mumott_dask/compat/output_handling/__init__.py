"""Results as files, by mumott's names."""

from mumott_dask.compat.missing import names_of_mumott

from .saving import dict_to_h5

__all__ = ["dict_to_h5"]

__getattr__ = names_of_mumott(
    __name__, "OrientationImageMapper", "ProjectionViewer", "ReconstructionDerivedQuantities"
)
