"""Where a model is.

It does not load NumPy, see `vintage.base.numerics`.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vintage.base.console import InputError
from vintage.repository.dvc_command import run_dvc
from vintage.repository.git import find_commit

CHECKPOINT = "data/checkpoint"


@contextlib.contextmanager
def located(name: str) -> Iterator[Path]:
    """The checkpoint's folder that `name` is, or a copy of the one in a Git revision.

    The copy is removed at the end, and the workspace is left alone.

    Raises:
        InputError: it is neither, or DVC cannot get the checkpoint.
    """
    path = Path(name)
    if path.is_dir():
        yield path
        return
    if path == Path(CHECKPOINT):
        raise InputError(
            f"{name}: there is no model; run `dvc repro` or `dvc pull`, or name another model"
        )
    try:
        commit = find_commit(name)
    except InputError as error:
        raise InputError(f"{error}; there is no folder of this name either") from None
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        copy = Path(folder) / "checkpoint"
        try:
            run_dvc(Path(), "get", ".", CHECKPOINT, "--rev", commit, "--out", str(copy))
        except InputError as error:
            raise InputError(f"{CHECKPOINT} of {name}: {error}; try `dvc fetch`") from None
        yield copy
