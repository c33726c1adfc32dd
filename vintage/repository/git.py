"""Git: which commit a revision is. It loads no NumPy, see `vintage.base.numerics`."""

import subprocess

from vintage.base.console import InputError, one_line


def find_commit(name: str) -> str:
    """The commit that Git or, if Git knows none, a DVC experiment calls `name`."""
    inside = run_git("rev-parse", "--git-dir")
    if inside.returncode:
        reason = one_line(inside.stderr.decode(errors="replace").partition("\n")[0])
        raise InputError(f"{name}: no revision can be read without a Git repository: {reason}")
    found = run_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    commit = found.stdout.decode().strip()
    if found.returncode == 0 and not commit.startswith("^"):  # as `^HEAD`, all but HEAD
        return commit
    commits = _experiments().get(name, set())
    if len(commits) == 1:
        return next(iter(commits))
    if commits:
        raise InputError(f"{name}: {len(commits)} experiments have this name; give one's commit")
    raise InputError(f"{name}: no such Git revision or DVC experiment")


def run_git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a Git command here; InputError if there is no Git."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError("git is not installed, so no revision can be read") from None


def _experiments() -> dict[str, set[str]]:
    """The commits of experiments by name; their refs are refs/exps/<2 digits>/<38>/<name>."""
    listed = run_git(
        "for-each-ref", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps/*/*/*"
    )
    commits: dict[str, set[str]] = {}
    for line in listed.stdout.decode("utf-8", errors="replace").splitlines():
        commit, _, name = line.partition(" ")
        commits.setdefault(name, set()).add(commit)
    return commits
