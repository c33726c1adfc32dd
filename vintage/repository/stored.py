"""Compare what lies on disk with `dvc.lock`, byte by byte.

DVC itself looks at a file's size and time only, and trusts whatever read-only file it finds in its
cache; a file that was cut there would be restored as it is.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from vintage.base.console import InputError
from vintage.base.files import check_regular, read_bytes
from vintage.base.params import PARAMS_PATH, load_params
from vintage.repository.dvc_command import run_dvc

LOCK_FILE = "dvc.lock"


class Stored(BaseModel):
    """A file or a folder as `dvc.lock` names it; the md5 of a folder ends in `.dir`."""

    path: str
    md5: str = Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")
    size: int


class LockedStage(BaseModel):
    """A stage's entry in `dvc.lock`, as far as it is of use here."""

    cmd: str
    params: dict[str, dict[str, Any]] = {}
    deps: list[Stored] = []
    outs: list[Stored] = []


class LockFile(BaseModel):
    """`dvc.lock`."""

    version: Literal["2.0"] = Field(alias="schema")
    stages: dict[str, LockedStage]


def read_lock_file(path: Path) -> LockFile:
    """Read `dvc.lock`.

    Raises:
        InputError: it is missing, empty or cut.
    """
    try:
        text = read_bytes(path).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path.name}: no such file; run `dvc repro` to make it") from None
    except UnicodeDecodeError:
        text = ""
    return parse_lock_file(text, path.name)


def parse_lock_file(text: str, source: str) -> LockFile:
    """As `read_lock_file`, from its text; `source` is named in the error."""
    try:
        if not text.endswith("\n"):  # a cut number or word would still be YAML
            raise ValueError
        return LockFile.model_validate(yaml.safe_load(text))
    except (ValueError, RecursionError, ValidationError, yaml.YAMLError):
        raise InputError(f"{source}: empty or cut; `make repro` mends it") from None


def locked_params(lock: LockFile, stage: str) -> dict[str, Any]:
    """The parameters that a stage ran with, as `params.yaml` had them; {} without the stage."""
    return lock.stages[stage].params.get("params.yaml", {}) if stage in lock.stages else {}


def check_stored(root: Path) -> Iterator[str]:
    """Yields one line for each output that is not what `dvc.lock` says, here or in DVC's cache.

    What is missing is not wrong: `dvc status` tells of a missing output, and a cache may be deleted
    while its files lie in the workspace.
    """
    try:
        stages = read_lock_file(root / LOCK_FILE).stages
    except InputError as error:
        yield str(error)
        return
    root = root.resolve()
    cache = cache_folder(root)
    for stage in stages.values():
        for out in stage.outs:
            try:
                yield from _check_cached(root, cache, out.md5)
                if (root / out.path).exists() and _md5(root / out.path) != out.md5:
                    path = _differing(root / out.path, _cached(cache, out.md5))
                    yield f"{path.relative_to(root)}: is not what dvc.lock says; run `dvc repro`"
            except InputError as error:
                yield str(error)


def check_kinds_of_files(root: Path) -> None:
    """Refuse a pipe or a device among the files of the stages, at which DVC would wait for ever."""
    paths = [root / LOCK_FILE, root / PARAMS_PATH]
    for path in paths:
        check_regular(path)
    with contextlib.suppress(InputError):  # who reads them tells what is wrong with them
        paths.append(root / load_params(root / PARAMS_PATH).data.path)
    with contextlib.suppress(InputError):
        for stage in read_lock_file(root / LOCK_FILE).stages.values():
            paths += [root / file.path for file in [*stage.deps, *stage.outs]]
    for path in dict.fromkeys(paths):
        for each in path.iterdir() if path.is_dir() else [path]:
            if not each.is_dir():
                check_regular(each)


def _check_cached(root: Path, cache: Path, md5: str) -> Iterator[str]:
    path = _cached(cache, md5)
    if not path.exists():
        return
    if _md5(path) != md5.removesuffix(".dir"):
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        yield f"{shown}: damaged in DVC's cache; delete this file and run `dvc repro`"
    elif md5.endswith(".dir"):
        for content in _listing(path).values():
            yield from _check_cached(root, cache, content)


def cache_folder(root: Path) -> Path:
    """Where DVC keeps its cache, which its configuration may move."""
    return Path(run_dvc(root, "cache", "dir").strip())


def _cached(cache: Path, md5: str) -> Path:
    return cache / "files/md5" / md5[:2] / md5[2:]


def _md5(path: Path) -> str:
    """DVC's name for a file or folder: of a folder, the hash of its listing and `.dir`."""
    if not path.is_dir():
        check_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, _new_md5).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listing = [{"md5": _md5(f), "relpath": f.relative_to(path).as_posix()} for f in files]
    listing.sort(key=lambda entry: entry["relpath"])
    text = json.dumps(listing, sort_keys=True)
    return f"{_new_md5(text.encode()).hexdigest()}.dir"


def _differing(path: Path, listing: Path) -> Path:
    """The first file that makes a folder differ from its listing in the cache, if that is there."""
    if not (path.is_dir() and listing.exists()):
        return path
    for name, content in _listing(listing).items():
        if (path / name).exists() and _md5(path / name) != content:
            return path / name
    return path


def _listing(path: Path) -> dict[str, str]:
    """The md5 of each file of a folder, by its path there."""
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(read_bytes(path))}
    except (ValueError, TypeError, KeyError, RecursionError):  # damaged, told elsewhere
        return {}


def _new_md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)  # a name, and no defence
