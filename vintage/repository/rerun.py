"""Run a stage of a commit again in a temporary clone, and compare what it makes with the record.

Each stage runs alone, forced and without the run cache, from the inputs that `dvc.lock` records: a
stage that differs does not make those after it differ. The workspace and DVC's cache are only read.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Literal

from vintage.base.console import InputError, one_line
from vintage.repository.cache import cache_folder, md5_of, restore
from vintage.repository.dvc_command import run_dvc
from vintage.repository.first_difference import first_difference
from vintage.repository.git import run_git
from vintage.repository.lock_file import LOCK_FILE, LockedStage, Stored, read_lock_file

FORCED = ("repro", "--single-item", "--force", "--no-run-cache", "--no-commit")


@dataclass(frozen=True)
class Result:
    """What running a stage again has shown.

    Attributes:
        verdict: whether the outputs are the recorded ones; `void` if that cannot be told.
        details: what differs, file by file, or why it is void.
    """

    stage: str
    verdict: Literal["identical", "differs", "void"]
    details: list[str]


class Rerun:
    """A commit in two folders: as it is recorded, and where its stages run again."""

    def __init__(self, folder: Path, commit: str) -> None:
        """Clone a commit into the empty `folder`; what Git does not hold comes from DVC's cache.

        Raises:
            InputError: Git cannot clone it, or it has no valid `dvc.lock`.
        """
        self._memory = folder / "memory"  # of DVC, whose own one would remember each clone
        clone = folder / "recorded"
        inside = run_git("rev-parse", "--show-toplevel", "--show-prefix").stdout.split(b"\n")
        top, prefix = map(os.fsdecode, inside[:2])
        _git("clone", "--quiet", "--shared", "--no-checkout", top, str(clone))
        _git("-C", str(clone), "checkout", "--quiet", "--detach", commit)
        self.recorded, self.again = clone / prefix, folder / "again" / prefix
        self.lock = read_lock_file(self.recorded)
        cache = cache_folder(Path())
        for entry in self.lock.stages.values():
            for stored in (*entry.deps, *entry.outs):
                path = self.recorded / stored.path
                if _is_inside(self.recorded, path) and not path.exists():
                    restore(cache, stored.md5, path)
        shutil.copytree(clone, folder / "again", symlinks=True)

    def stages(self) -> list[str]:
        """The names of the stages, each behind those whose outputs it reads."""
        made = {out.path: name for name, entry in self.lock.stages.items() for out in entry.outs}
        graph: dict[str, list[str]] = {}
        for name in self._dvc("stage", "list", "--name-only").split():
            deps = self.lock.stages[name].deps if name in self.lock.stages else []
            paths = {path for dep in deps for path in _with_parents(dep.path)}
            graph[name] = sorted({made[path] for path in paths & made.keys()})
        return [name for name in TopologicalSorter(graph).static_order() if name in graph]

    def run(self, stage: str) -> Result:
        """Run a stage again, and leave its recorded outputs in place as far as they exist."""
        if stage not in self.lock.stages:
            return Result(stage, "void", [f"{LOCK_FILE}: has no entry of it; run `dvc repro`"])
        entry = self.lock.stages[stage]
        if hindrances := list(self._hindrances(entry)):
            return Result(stage, "void", hindrances)
        for out in entry.outs:  # what is there afterwards, this run has made
            _remove(self.again / out.path)
        try:
            self._dvc(*FORCED, stage)
            fresh = read_lock_file(self.again).stages[stage]
        except InputError as error:
            self._put_back(entry.outs)
            return Result(stage, "void", [str(error)])
        md5s = {out.path: out.md5 for out in fresh.outs}
        differing = [text for out in entry.outs for text in self._differences(out, md5s)]
        self._put_back([out for out in entry.outs if md5s.get(out.path) != out.md5])
        if changed := _changed(entry, fresh):
            why = f"not what {LOCK_FILE} says; run `dvc repro`"
            return Result(stage, "void", [f"{name}: {why}" for name in changed])
        return Result(stage, "differs" if differing else "identical", differing)

    def change_a_bit(self, stage: str) -> str:
        """Change a recorded output of a stage, and its hash in the lock; returns its path."""
        for out in self.lock.stages[stage].outs if stage in self.lock.stages else []:
            path = self.recorded / out.path
            if path.is_file() and (content := bytearray(path.read_bytes())):
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
                out.md5 = md5_of(path)
                return out.path
        raise InputError(f"stage {stage}: has no recorded output to change; run `dvc repro`")

    def _hindrances(self, entry: LockedStage) -> Iterator[str]:
        for dep in entry.deps:
            if not (self.again / dep.path).exists():
                yield f"{dep.path}: neither in Git nor in DVC's cache; try `dvc fetch`"
        for out in entry.outs:
            if not _is_inside(self.again, self.again / out.path):
                yield f"{out.path}: outside of the repository, where nothing is written"

    def _differences(self, out: Stored, md5s: dict[str, str]) -> list[str]:
        """What tells an output of this run, with its hash in `md5s`, from the recorded one."""
        was, now = self.recorded / out.path, self.again / out.path
        differing = []
        for name in sorted(_files(was) | _files(now)) if was.exists() else ():
            a, b = was / name, now / name
            path = (PurePosixPath(out.path) / name).as_posix()
            if not a.exists() or not b.exists():
                differing.append(f"{path}: {'not made' if a.exists() else 'not recorded'}")
            elif a.read_bytes() != b.read_bytes():
                differing.append(f"{path}: {first_difference(a, b)}")
        if not differing and md5s.get(out.path) != out.md5:
            where = "but what Git holds" if was.exists() else "and DVC's cache has no copy"
            differing.append(f"{out.path}: not what {LOCK_FILE} says, {where}")
        return differing

    def _put_back(self, outs: list[Stored]) -> None:
        for out in outs:
            was, now = self.recorded / out.path, self.again / out.path
            _remove(now)
            if was.is_dir():
                shutil.copytree(was, now)
            elif was.exists():
                shutil.copyfile(was, now)

    def _dvc(self, *arguments: str) -> str:
        """Run DVC where the stages run again, and them with this Python."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return run_dvc(self.again, *arguments, PATH=path, DVC_SITE_CACHE_DIR=str(self._memory))


def _git(*arguments: str) -> None:
    if (done := run_git(*arguments)).returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InputError(f"no clone can be made: {one_line(reason)}")


def _changed(recorded: LockedStage, fresh: LockedStage) -> list[str]:
    """What of the stage itself is not as it was recorded: its command, inputs, list of outputs."""
    a, b = (
        {
            "its command": entry.cmd,
            "its outputs": {out.path for out in entry.outs},
            **{dep.path: dep.md5 for dep in entry.deps},
            **{
                f"{file}: {key}": x
                for file, keys in entry.params.items()
                for key, x in keys.items()
            },
        }
        for entry in (recorded, fresh)
    )
    return [name for name in sorted({*a, *b}) if a.get(name) != b.get(name)]


def _is_inside(root: Path, path: Path) -> bool:
    """Whether `path` lies below `root`, links followed."""
    return path.resolve().is_relative_to(root.resolve())


def _with_parents(path: str) -> list[str]:
    return [path, *(parent.as_posix() for parent in PurePosixPath(path).parents)]


def _files(path: Path) -> set[str]:
    """The files of a folder by their paths in it; of a file, `.`, itself."""
    if path.is_dir():
        return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    return {"."} if path.exists() else set()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
