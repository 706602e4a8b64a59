"""mumott's names over this package, for scripts written for mumott 2.3 (floor 9).

In: a script whose imports were changed from ``mumott`` to ``mumott_dask.compat``. Out: the same objects, with
arrays of shape (projection, j, k[, segment]) and a geometry whose fields can be set; what they compute is
done by the functions of this package, on the workers of the active Dask client if there is one. A name that
is not here is taken from mumott, where that is installed.
"""

from .core.geometry import Geometry
from .core.probed_coordinates import ProbedCoordinates
from .data_handling import DataContainer
from .missing import names_of_mumott
from .scans import from_mumott, to_mumott_geometry

__all__ = ["DataContainer", "Geometry", "ProbedCoordinates", "from_mumott", "to_mumott_geometry"]

__getattr__ = names_of_mumott(__name__, "Simulator", "SphericalHarmonicMapper")
