"""SLURM's commands, and what they say when they fail."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mumott_dask.errors import ScanError

_PATIENCE = 60  # seconds that a busy controller may take


def run(*line: str, stdin: str | None = None) -> str:
    """Run one of SLURM's commands; what it prints.

    Raises
    ------
    ScanError
        Where it is not installed, or fails: with its last line.
    """
    try:
        done = subprocess.run(
            line, input=stdin, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except FileNotFoundError as error:
        raise ScanError(f"{line[0]}: not found, expected SLURM's commands on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise ScanError(f"{line[0]}: no answer from SLURM within {_PATIENCE} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise ScanError(f"SLURM: {said[-1].strip()}")
    return done.stdout


def check_script(script: str) -> None:
    """Ask SLURM whether a job could ever run; it is not submitted."""
    run("sbatch", "--test-only", stdin=script)


def submit(script: str) -> str:
    """Submit a job; its number."""
    return run("sbatch", "--parsable", stdin=script).strip().split(";")[0]


def queued(*names: str) -> dict[str, tuple[str, str]]:
    """Jobs of this user in the queue that have one of the names: state and reason, by number."""
    listed = run(
        "squeue", "--noheader", f"--user={os.getuid()}", f"--name={','.join(names)}", "--format=%A %T %R"
    )
    jobs = (line.split(maxsplit=2) for line in listed.splitlines())
    return {number: (state, reason) for number, state, reason in jobs}


def cancel(*names: str) -> None:
    """Cancel all jobs of this user that have one of the names."""
    for name in names:
        run("scancel", "--quiet", f"--user={os.getuid()}", f"--name={name}")


def last_line(log: Path) -> str:
    """Last line of a job's log that is not srun's, which tells of exit codes alone."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        lines = []
    said = [line for line in lines if line and not line.startswith("srun: ")]
    return said[-1] if said else "it said nothing"
