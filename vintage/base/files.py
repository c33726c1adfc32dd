"""Small files: JSON, YAML and bytes, each written whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from vintage.base.console import InputError, one_line


def check_regular(path: Path) -> None:
    """InputError if the path is a folder, or a pipe or a device, which may have no end."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is a folder, a pipe or a device, not a file")


def read_bytes(path: Path) -> bytes:
    """The content of a regular file, see `check_regular`; FileNotFoundError if it is missing."""
    check_regular(path)
    return path.read_bytes()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename it into place."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path`, open to write, which is renamed into place at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_temporaries(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(path: Path) -> None:
    """Remove what a killed process left of writing `path`."""
    for temporary in path.parent.glob(f".{path.name}.*.tmp"):
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys and `\\n` line ends. NaN and infinity are refused."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode("utf-8"))


def parse_yaml(content: bytes, source: str) -> Any:
    """Read YAML 1.2, as DVC does; PyYAML, which reads YAML 1.1, takes `no` and `010` otherwise.

    InputError, which names `source`, if it is not YAML.
    """
    try:
        return YAML(typ="safe").load(content.decode("utf-8"))
    except Exception as error:  # besides YAMLError, whatever int(), date() and the like raise
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InputError(
            f"{source}{where}: not valid YAML: {one_line(problem or 'a wrong value')[:200]}"
        ) from None


class Strict(BaseModel):
    """A record that refuses unknown keys, other types, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Content = TypeVar("Content")


def read_json(path: Path, kind: type[Content]) -> Content:
    """Read a JSON file of the pipeline; InputError if it is missing, cut, or not of `kind`."""
    try:
        return parse_json(read_bytes(path), str(path), kind)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` to make it") from None


def parse_json(content: bytes, source: str, kind: type[Content], context: object = None) -> Content:
    """As `read_json`, from bytes; the error names `source`, and validators are given `context`."""
    try:
        return TypeAdapter(kind).validate_json(content, context=context)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        problem = one_line(f"{key}: {first['msg']}" if key else first["msg"])[:200]
        raise InputError(f"{source}: {problem}; delete it and run `dvc repro`") from None
