"""Watching work as it goes (floor 8).

In: the records that the loops yield, or Dask's own counts. Out: a progress bar on a terminal, lines
elsewhere. The rooms below know nothing of it: they call whoever watches, or let Dask be watched.
"""

import lazy_loader

# Progress of work in this process needs neither the pages nor what they are served with.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
