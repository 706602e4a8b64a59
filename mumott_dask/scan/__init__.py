"""Scans as labelled arrays: what they are, and how they are read, made and written (floor 3).

In: mumott's HDF5 files, this project's Zarr stores, or plain arrays. Out: an :class:`xarray.Dataset` that has
passed :func:`validate_scan`. Stands on ``geometry`` and ``errors`` alone.
"""

from .making import make_scan as make_scan
from .opening import open_scan as open_scan
from .schema import validate_scan as validate_scan
