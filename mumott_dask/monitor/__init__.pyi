from .plugin import page as page
from .progress import watch_alignment as watch_alignment
from .progress import watch_computation as watch_computation
from .progress import watch_reconstruction as watch_reconstruction
from .progress import watch_validation as watch_validation
from .reports import report as report
from .serving import serve as serve
