"""Nothing of this module is here: its names are mumott's, where that is installed."""

from mumott_dask.compat.missing import names_of_mumott

__getattr__ = names_of_mumott(
    __name__, "GroupLasso", "HuberNorm", "L1Norm", "L2Norm", "Laplacian", "TotalVariation"
)
