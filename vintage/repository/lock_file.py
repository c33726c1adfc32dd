"""`dvc.lock`: what each stage ran with, and what came out."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from vintage.base.console import InputError
from vintage.base.files import parse_yaml

LOCK_FILE = "dvc.lock"


class Stored(BaseModel):
    """A file or folder; the md5 of a folder ends in `.dir`."""

    path: str
    md5: str = Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")
    size: int


class LockedStage(BaseModel):
    """A stage's entry, without what is not used here."""

    cmd: str
    params: dict[str, dict[str, Any]] = {}
    deps: list[Stored] = []
    outs: list[Stored] = []

    def md5_of(self, path: str) -> str | None:
        """That of an output; None if there is none."""
        return next((out.md5 for out in self.outs if out.path == path), None)


class LockFile(BaseModel):
    """All of `dvc.lock`."""

    version: Literal["2.0"] = Field(alias="schema")
    stages: dict[str, LockedStage]

    def params_of(self, stage: str) -> dict[str, Any]:
        """The sections of `params.yaml` that a stage ran with; {} without the stage."""
        return self.stages[stage].params.get("params.yaml", {}) if stage in self.stages else {}


def read_lock_file(root: Path) -> LockFile:
    """Read the `dvc.lock` in the folder `root`.

    Raises:
        InputError: it is missing, empty or cut.
    """
    try:
        content = (root / LOCK_FILE).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{LOCK_FILE}: no such file; run `dvc repro` to make it") from None
    return parse_lock_file(content, LOCK_FILE)


def parse_lock_file(content: bytes, source: str) -> LockFile:
    """As `read_lock_file`, from bytes; the error names `source`."""
    try:
        if not content.endswith(b"\n"):  # a cut number or word would still be YAML
            raise InputError
        return LockFile.model_validate(parse_yaml(content, source))
    except (InputError, ValidationError):
        raise InputError(f"{source}: empty or cut; `make repro` mends it") from None
