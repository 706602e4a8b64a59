"""Scans as labelled arrays: what they are, and how they are read, made and written (floor 3).

In: mumott's HDF5 files, this project's Zarr stores, or plain arrays. Out: an :class:`xarray.Dataset` that has
passed :func:`validate_scan`. Stands on ``geometry`` and ``errors`` alone.
"""

import lazy_loader

# What a format is read and written with takes memory: it is imported where that format is met.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
