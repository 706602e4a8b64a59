"""Alignment and reconstruction of tensor and absorption tomography, chunked and distributed with Dask."""

import lazy_loader

from ._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
