"""Forward, adjoint, gradient: one operator; a file for each kind of array it works on (floor 4).

In: a scan's geometry and volumes or projections as NumPy or Dask arrays. Out: the same kind.
"""

from .operator import Projector
from .slabs import VolumeChunks, with_slabs

__all__ = ["Projector", "VolumeChunks", "with_slabs"]
