"""The basis set that there is here, by mumott's name."""

from dataclasses import dataclass

from mumott_dask.compat.missing import names_of_mumott

__all__ = ["TrivialBasis"]

__getattr__ = names_of_mumott(__name__, "GaussianKernels", "NearestNeighbor", "SphericalHarmonics")


@dataclass(frozen=True)
class TrivialBasis:
    """Each channel of the data is a channel of the tomogram.

    Parameters
    ----------
    channels : int
    """

    channels: int = 1
