"""What a result was made with: versions, commit, host."""

from __future__ import annotations

import shutil
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import mumott_dask
from mumott_dask.versions import versions


def provenance() -> dict[str, Any]:
    """Versions of Python and packages, the commit where it is known, host and date (UTC)."""
    return {
        "versions": versions(),
        "commit": _commit(),
        "host": socket.gethostname(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _commit() -> str | None:
    """Commit of the checkout that this package runs from, with ``-dirty`` where files were changed since."""
    package = Path(mumott_dask.__file__).resolve().parent
    git = shutil.which("git")
    if git is None or not (package.parent / ".git").exists():
        return None
    line = [git, "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
