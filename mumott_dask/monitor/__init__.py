"""Watching work as it goes (floor 8).

In: the records that the loops yield, or Dask's own counts. Out: a progress bar on a terminal, lines
elsewhere. The rooms below know nothing of it: they call whoever watches, or let Dask be watched.
"""

from .plugin import page as page
from .progress import watch_alignment as watch_alignment
from .progress import watch_computation as watch_computation
from .progress import watch_reconstruction as watch_reconstruction
from .progress import watch_validation as watch_validation
from .reports import report as report
from .serving import serve as serve
