"""DVC's experiments, listed and written by Git's own commands.

An experiment is a commit whose parent is the one that it started from, under
`refs/exps/<2 digits>/<38 digits>/<name>`. Written so, no queue and no worker of DVC is needed, and
`dvc exp show`, `apply` and `push` take it as one of theirs.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from vintage.base.console import InputError, one_line
from vintage.repository.git import run_git


def experiments_of(base: str) -> dict[str, str]:
    """The commits of the experiments that started from the commit `base`, by their names."""
    folder = _folder(base)
    listed = run_git("for-each-ref", "--format=%(objectname) %(refname)", folder).stdout.decode()
    found = (line.split(" ", 1) for line in listed.splitlines())
    return {ref.removeprefix(f"{folder}/"): commit for commit, ref in found}


def write_experiment(
    base: str, name: str, message: str, files: Mapping[str, bytes], removed: Sequence[str]
) -> None:
    """Make an experiment of the commit `base`; neither the workspace nor Git's index is touched.

    Args:
        files: by path, what it has instead of, or beside, what `base` has.
        removed: files and folders of `base` that it has not.

    Raises:
        InputError: Git refuses, such as for want of a name and an address to commit by.
    """
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        index = str(Path(folder) / "index")

        def git(*arguments: str, stdin: bytes = b"") -> str:
            done = run_git(*arguments, stdin=stdin, GIT_INDEX_FILE=index)
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
                raise InputError(f"{name}: Git makes no experiment of it: {one_line(said)}")
            return done.stdout.decode().strip()

        git("read-tree", base)
        if removed:
            git("rm", "-r", "-f", "-q", "--cached", "--ignore-unmatch", "--", *removed)
        prefix = git("rev-parse", "--show-prefix")
        for path, content in files.items():
            blob = git("hash-object", "-w", "--stdin", stdin=content)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{prefix}{path}")
        commit = git("commit-tree", git("write-tree"), "-p", base, "-m", message)
        git("update-ref", f"{_folder(base)}/{name}", commit)


def _folder(base: str) -> str:
    return f"refs/exps/{base[:2]}/{base[2:]}"
