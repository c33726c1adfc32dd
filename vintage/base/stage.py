"""What a stage needs before it imports anything, and what it must have kept when it ends.

Each script begins with `STAGE = Stage(name)`, ahead of NumPy and PyTorch, and ends with
`STAGE.run(main)`. DVC hashes a stage's dependencies and parameters after its command has ended, so
an edit meanwhile would be recorded as what was run. So a stage looks at what `dvc.yaml` declares
when it starts and again when it ends. An edit stays unseen while Python starts, and between the end
of the stage and DVC's hashing: a fraction of a second each.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from vintage.base import console, numerics
from vintage.base.console import InputError
from vintage.base.files import parse_yaml
from vintage.base.params import PARAMS_PATH, load_params

GRAPH = Path("dvc.yaml")
TABLE = "${data.path}"


class Stage:
    """The stage that runs; one that is only imported leaves its process alone."""

    def __init__(self, name: str) -> None:
        """Answer signals and errors by one line from here on, and pin what the bits depend on.

        Args:
            name: as in `dvc.yaml`.
        """
        self.name = name
        program = sys.modules["__main__"].__spec__
        if program is None or program.name != f"stages.{name}":
            return
        console.listen()
        load_params()  # a wrong one is told of ahead of all else
        self._declared: dict[str, Any] = parse_yaml(GRAPH.read_bytes(), str(GRAPH))["stages"][name]
        self._inputs = _inputs(self._declared)
        numerics.pin()

    def run(self, main: Callable[[], None]) -> NoReturn:
        """Run `main` and exit; exit code 2 if an input of the stage has changed meanwhile."""
        console.run(lambda: self._run(main))

    def _run(self, main: Callable[[], None]) -> None:
        main()
        before, after = self._inputs, _inputs(self._declared)
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        if changed:
            raise InputError(
                f"{changed[0]}: changed while stage {self.name} ran, so its results belong to "
                "neither version; run `dvc repro` again"
            )


def _inputs(declared: dict[str, Any]) -> dict[str, Any]:
    """By path or dotted key, what tells whether a declared file or parameter has changed."""
    params = load_params().model_dump()
    inputs: dict[str, Any] = {}
    for dep in declared["deps"]:
        path = Path(dep.replace(TABLE, params["data"]["path"]))
        files = [path]
        # os.path answers where pathlib raises, such as for a name that is too long
        if os.path.isdir(path):  # noqa: PTH112
            # of a package only its modules and templates, which is what .dvcignore leaves of it
            of_package = (path / "__init__.py").exists()
            patterns = ("*.py", "*.jinja") if of_package else ("*",)
            files = sorted(file for pattern in patterns for file in path.rglob(pattern))
        inputs |= {file.as_posix(): _identity(file) for file in files if os.path.isfile(file)}  # noqa: PTH113
    for key in declared.get("params", []):
        section, _, name = key.partition(".")
        values = params[section]
        inputs[f"{PARAMS_PATH}: {key}"] = values[name] if name else values
    return inputs


def _identity(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
