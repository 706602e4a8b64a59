"""Pictures of scans, tomograms and alignments (floor 7).

Scans, tomograms and alignments come in, matplotlib axes leave. What is drawn on can be given; a figure is
made only where it is not, and matplotlib is imported no sooner than something is drawn.
"""

from .curves import comparison as comparison
from .curves import convergence as convergence
from .curves import offsets as offsets
from .images import sinogram as sinogram
from .images import slices as slices
from .validation import validation as validation

__all__ = ["comparison", "convergence", "offsets", "sinogram", "slices", "validation"]
