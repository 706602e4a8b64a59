"""What can go wrong with a scan, in one line each (floor 0)."""


class ScanError(ValueError):
    """A scan, a file or a setting that cannot be used: what is wrong, where, and what would be right."""


class ConvergenceError(ScanError):
    """A computation that cannot go on with the data that it was given."""


class ScanWarning(UserWarning):
    """Something in a scan that was left out or put right, named once."""
