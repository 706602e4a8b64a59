"""Scans as labelled arrays: what they are, and how they are read, made and written (floor 3).

In: mumott's HDF5 files, this project's Zarr stores, or plain arrays. Out: an :class:`xarray.Dataset` that has
passed :func:`validate_scan`. Stands on ``geometry`` and ``errors`` alone.
"""

from .chunk_sizes import Capacity as Capacity
from .geometry_file import read_geometry as read_geometry
from .geometry_file import write_geometry as write_geometry
from .making import make_scan as make_scan
from .opening import open_scan as open_scan
from .resampling import bin_scan as bin_scan
from .resampling import crop as crop
from .schema import validate_scan as validate_scan
from .tomogram_files import write_tomogram as write_tomogram
from .writing import write_scan as write_scan
