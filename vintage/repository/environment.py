"""Whether the packages that are installed are the pinned ones."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vintage.base.console import InputError

PIN = re.compile(r"(\S+)==(\S+)")


def differing_packages(root: Path, paths: Iterable[Path]) -> Iterator[str]:
    """Yields one line for each package that is not installed as a file of `paths` pins it."""
    for path in paths:
        for name, pinned in read_pins(root / path).items():
            found = installed(name)
            if found != pinned:
                yield (
                    f"{name} {f'{found} is' if found else 'is not'} installed, and {path} pins "
                    f"{pinned}; run `pip install -r {path}`"
                )


def read_pins(path: Path) -> dict[str, str]:
    """The pinned version by package.

    Raises:
        InputError: it is missing, or a line is not `name==version`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; take it out of dvc.yaml, or `git checkout` it")
    pins = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not (pin := PIN.fullmatch(line)):
            raise InputError(f"{path}, line {number}: found {line!r}, not name==version")
        pins[pin[1]] = pin[2]
    return pins


def installed(package: str) -> str | None:
    """The version without what a build adds, such as `+cpu`."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None
