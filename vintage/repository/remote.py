"""What a DVC remote has of the outputs, so that a colleague does not train again."""

from pathlib import Path

from vintage.base.console import InputError
from vintage.repository.declared import read_stages
from vintage.repository.dvc_command import run_dvc


def pull(root: Path) -> str:
    """Put the outputs that `dvc.lock` names into the workspace and DVC's cache.

    An output that is in no cache, such as a half written one, is replaced, as `dvc repro` would do.
    What no stage makes is left alone, such as a table under `dvc add` that somebody has edited.
    What the remote lacks is left to `dvc repro`. Returns DVC's summary, such as "3 files fetched".

    Raises:
        InputError: there is no default remote, or no access to it.
    """
    if not (name := run_dvc(root, "config", "core.remote").strip()):
        raise InputError("no DVC remote is set; run `dvc remote add --default NAME URL`")
    try:
        said = run_dvc(root, "pull", "--allow-missing", "--force", *read_stages(root / "dvc.yaml"))
    except InputError as error:
        raise InputError(
            f"the remote {name!r} cannot be used, `dvc repro` computes what it would have: {error}"
        ) from None
    return said.strip().splitlines()[-1]
