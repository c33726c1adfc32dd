"""DVC's command, in a process of its own: DVC loads NumPy, see `vintage.base.numerics`."""

import os
import subprocess
import sys
from pathlib import Path

from vintage.base.console import InputError, one_line

ERRORS = ("error: ", "ERROR: ")  # of a stage, which says why it failed, and of DVC


def run_dvc(folder: Path, *arguments: str, **environment: str) -> str:
    """Run DVC in `folder` and return what it prints; InputError with the reason if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,  # so that DVC asks nobody
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(ERRORS)]
        reason = said[0].partition(": ")[2] if said else "no reason given"
        raise InputError(f"dvc {arguments[0]} failed: {one_line(reason)[:200]}")
    return done.stdout
