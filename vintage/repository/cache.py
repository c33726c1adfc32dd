"""DVC's cache: where it is, whether it is as it was written, and copies of what it holds."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vintage.base.files import write_bytes
from vintage.repository.dvc_command import run_dvc
from vintage.repository.lock_file import read_lock_file

FILES = "files/md5"  # each by its hash; that of a folder ends in `.dir` and lists the files in JSON


def check_cache(root: Path) -> Iterator[str]:
    """Yields one line for each file in DVC's cache that does not have the hash in its name.

    DVC trusts whatever read-only file it finds there, and would restore one that was cut.
    """
    files = cache_folder(root) / FILES
    due = [out.md5 for stage in read_lock_file(root).stages.values() for out in stage.outs]
    while due:
        md5 = due.pop()
        path = files / md5[:2] / md5[2:]
        if not path.exists():  # a cache may be deleted while its files are in the workspace
            continue
        if md5_of(path) != md5.removesuffix(".dir"):
            here = root.resolve()
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            yield f"{shown}: damaged in DVC's cache; delete this file and run `dvc repro`"
        elif md5.endswith(".dir"):
            due += [entry["md5"] for entry in json.loads(path.read_bytes())]


def cache_folder(root: Path) -> Path:
    """Where DVC keeps its cache, which its configuration may move."""
    return Path(run_dvc(root, "cache", "dir").strip())


def holds(cache: Path, md5: str) -> bool:
    """Whether the cache has all of a file or of a whole folder, undamaged."""
    source = cache / FILES / md5[:2] / md5[2:]
    if not source.is_file() or md5_of(source) != md5.removesuffix(".dir"):
        return False
    listed = json.loads(source.read_bytes()) if md5.endswith(".dir") else []
    return all(holds(cache, file["md5"]) for file in listed)


def restore(cache: Path, md5: str, target: Path) -> bool:
    """Copy a file or a whole folder from the cache, if all of it is there and undamaged."""
    if not holds(cache, md5):
        return False
    _copy(cache, md5, target)
    return True


def _copy(cache: Path, md5: str, target: Path) -> None:
    source = cache / FILES / md5[:2] / md5[2:]
    if not md5.endswith(".dir"):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return
    for file in json.loads(source.read_bytes()):
        _copy(cache, file["md5"], target / file["relpath"])


def store(cache: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Write files by their names into the cache; returns how `dvc.lock` describes their folder."""
    listed, size = [], 0
    for name, content in sorted(files.items()):
        file = _stored(cache, content)
        listed.append({"md5": file["md5"], "relpath": name})
        size += file["size"]
    md5 = _stored(cache, json.dumps(listed).encode(), ".dir")["md5"]
    return {"hash": "md5", "md5": md5, "size": size, "nfiles": len(listed)}


def described(content: bytes, suffix: str = "") -> dict[str, Any]:
    """How `dvc.lock` describes a file with this content."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"hash": "md5", "md5": f"{md5}{suffix}", "size": len(content)}


def _stored(cache: Path, content: bytes, suffix: str = "") -> dict[str, Any]:
    """As `described`, once the content is in the cache, read-only as DVC has it."""
    found = described(content, suffix)
    path = cache / FILES / found["md5"][:2] / found["md5"][2:]
    if not path.is_file() or md5_of(path) != found["md5"].removesuffix(".dir"):
        write_bytes(path, content)
        path.chmod(0o444)
    return found


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(folder: Path) -> str:
    """How `dvc.lock` names a folder with these files."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    listed = [
        {"md5": md5_of(path), "relpath": name}
        for name, path in sorted(files.items())
        if path.is_file()
    ]
    md5: str = described(json.dumps(listed).encode(), ".dir")["md5"]
    return md5
