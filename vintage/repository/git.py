"""Git: which commit a revision is. It loads no NumPy, see `vintage.base.numerics`."""

import os
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
    # the refs of experiments are refs/exps/<2 digits>/<38>/<name>
    listed = run_git("for-each-ref", "--format=%(objectname) %(refname)", f"refs/exps/*/*/{name}")
    commit_of = {ref: oid for oid, ref in map(str.split, listed.stdout.decode().splitlines())}
    head = run_git("rev-parse", "HEAD").stdout.decode().strip()
    own = {f"refs/exps/{head[:2]}/{head[2:]}/{name}"} & commit_of.keys()  # DVC prefers it, too
    commits = {commit_of[ref] for ref in own or commit_of}
    if len(commits) > 1:
        raise InputError(f"{name}: {len(commits)} experiments have this name; give one's commit")
    if not commits and name == "HEAD":
        raise InputError("HEAD: this repository has no commit yet; commit first")
    if not commits:
        raise InputError(f"{name}: no such Git revision or DVC experiment")
    return commits.pop()


def run_git(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a Git command here; InputError if there is no Git."""
    try:
        return subprocess.run(
            ["git", *arguments],
            input=stdin,
            env=os.environ | environment,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise InputError("git is not installed, so no revision can be read") from None
