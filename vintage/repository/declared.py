"""Whether each stage declares in `dvc.yaml` the modules that it imports.

DVC reruns a stage when one of its dependencies changes. A module that a stage imports and does not
declare may change without that, and the results are then of older code.
"""

import re
from collections.abc import Iterator
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from vintage.base.console import InputError
from vintage.base.files import parse_yaml

FOR_OTHER_PROGRAMS = "vintage.predict"  # which `vintage.load` imports, and no stage calls
SCRIPT = re.compile(r"\bpython\S* -m ([\w.]+)")


def check_declared(root: Path) -> Iterator[str]:
    """Yields one line for each module that a stage imports from no declared file or folder.

    Raises:
        InputError: `dvc.yaml` cannot be read.
    """
    root = root.absolute()
    for stage, spec in read_stages(root / "dvc.yaml").items():
        declared = {root / path for path in spec.get("deps", []) if isinstance(path, str)}
        for path in sorted(imported_modules(root, spec)):
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


def imported_modules(root: Path, spec: dict[str, Any]) -> set[Path]:
    """The scripts that a stage runs by `python -m`, and all under `root` that they import.

    An import counts wherever it stands. One by a name that the code puts together is not found.
    """
    modules = _traced(root, spec).modules.values()
    files = (getattr(module, "__file__", None) for module in modules)
    return {Path(file) for file in files if file}


def imports_from_elsewhere(root: Path, spec: dict[str, Any]) -> set[str]:
    """The names of the modules that these import and that are not under `root`."""
    return set(_traced(root, spec).badmodules)


def scripts_of(spec: dict[str, Any]) -> list[str]:
    """The modules that a stage runs by `python -m`."""
    return SCRIPT.findall(str(spec.get("cmd")))


def _traced(root: Path, spec: dict[str, Any]) -> ModuleFinder:
    finder = ModuleFinder([str(root)], excludes=[FOR_OTHER_PROGRAMS])
    for name in scripts_of(spec):
        script = (root / name.replace(".", "/")).with_suffix(".py")
        if script.is_file():
            finder.run_script(str(script))
    return finder
