"""Whether each stage declares in `dvc.yaml` the modules that it imports.

DVC reruns a stage when one of its dependencies changes. A module that a stage imports and does not
declare may change without that, and the results are then of older code.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from vintage.base.console import InputError
from vintage.base.files import parse_yaml

FOR_OTHER_PROGRAMS = Path("vintage/__init__.py")  # what it imports, no stage calls
SCRIPT = re.compile(r"\bpython\S* -m ([\w.]+)")


def check_declared(root: Path) -> Iterator[str]:
    """Yields one line for each module that a stage imports from no declared file or folder.

    Raises:
        InputError: `dvc.yaml` or a module cannot be read.
    """
    for stage, spec in read_stages(root / "dvc.yaml").items():
        declared = {root / path for path in spec.get("deps", []) if isinstance(path, str)}
        for path in sorted(imported_modules(root, scripts_of(root, spec))):
            if declared.isdisjoint([path, *path.parents]):
                yield (
                    f"stage {stage} imports {path.relative_to(root).as_posix()}, which dvc.yaml "
                    "does not declare; add it to its deps"
                )


def read_stages(path: Path) -> dict[str, dict[str, Any]]:
    """The stages of `dvc.yaml` by name."""
    try:
        stages: dict[str, dict[str, Any]] = parse_yaml(path.read_bytes(), path.name)["stages"]
    except FileNotFoundError:
        raise InputError(f"{path.name}: no such file; run from the repository's root") from None
    except (TypeError, KeyError):
        raise InputError(f"{path.name}: has no stages; `dvc stage list` says why") from None
    return stages


def scripts_of(root: Path, spec: dict[str, Any]) -> set[Path]:
    """The files under `root` that a stage's command runs by `python -m`."""
    modules = SCRIPT.findall(str(spec.get("cmd")))
    return {file for module in modules for file in files_of(root, module)}


def imported_modules(root: Path, scripts: set[Path]) -> set[Path]:
    """These files, and all under `root` that they import, through others as well.

    An import counts wherever it stands. One by a name that the code puts together is not found.
    """
    found: set[Path] = set()
    due = set(scripts)
    while due:
        path = due.pop()
        found.add(path)
        due |= {file for name in imports_of(root, path) for file in files_of(root, name)} - found
    return found


def files_of(root: Path, name: str) -> set[Path]:
    """The files under `root` that importing a module runs: its own and its packages'."""
    path = root.joinpath(*name.split("."))
    packages = [path, *path.parents][: name.count(".") + 1]
    files = [path.with_suffix(".py"), *(package / "__init__.py" for package in packages)]
    return {file for file in files if file.is_file()}


@cache
def imports_of(root: Path, path: Path) -> frozenset[str]:
    """The names of the modules that a file imports, and of what may be a module in them."""
    relative = path.relative_to(root)
    if relative == FOR_OTHER_PROGRAMS:
        return frozenset()
    package = ".".join(relative.parent.parts)
    names = set()
    try:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                name = resolve_name("." * node.level + (node.module or ""), package)
                names |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{relative}: is not valid Python: {error}") from None
    return frozenset(names)
