"""Nothing of this module is here: its names are mumott's, where that is installed."""

from mumott_dask.compat.missing import names_of_mumott

__getattr__ = names_of_mumott(
    __name__,
    "get_largest_eigenvalue",
    "get_sirt_preconditioner",
    "get_sirt_weights",
    "get_tensor_sirt_preconditioner",
    "get_tensor_sirt_weights",
)
