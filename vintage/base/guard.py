"""What a stage was given must be what DVC notes: its inputs may not change while it runs.

DVC hashes a stage's dependencies and parameters after its command has ended, so that an edit in
between would be recorded as what was run. So a stage looks at what `dvc.yaml` declares when it
starts and again when it ends. What stays unseen is an edit while Python starts, and one between the
end of the stage and DVC's hashing, a fraction of a second each.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vintage.base.console import InputError

GRAPH = Path("dvc.yaml")
TABLE = "${data.path}"


def guarded(stage: str, main: Callable[[], None]) -> Callable[[], None]:
    """`main`, which fails at its end if an input of the stage has changed meanwhile.

    Raises:
        InputError: a file or a parameter that the stage declares is not what it was.
    """

    def run() -> None:
        from ruamel.yaml import YAML

        spec = YAML(typ="safe").load(GRAPH)["stages"][stage]
        before = _inputs(spec)
        main()
        after = _inputs(spec)
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        if changed:
            raise InputError(
                f"{changed[0]}: changed while stage {stage} ran, so that its results belong to "
                "neither; run `dvc repro` again"
            )

    return run


def _inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """By path or dotted key, what tells whether a declared file or parameter has changed."""
    from vintage.base.params import PARAMS_PATH, load_params

    params = load_params().model_dump()
    inputs: dict[str, Any] = {}
    for dep in spec["deps"]:
        path = Path(dep.replace(TABLE, params["data"]["path"]))
        files = [path]
        # os.path answers where pathlib raises, such as for a name that is too long
        if os.path.isdir(path):  # noqa: PTH112
            # of a package only its modules, which is what .dvcignore leaves of it
            files = sorted(path.rglob("*.py" if (path / "__init__.py").exists() else "*"))
        inputs |= {file.as_posix(): _identity(file) for file in files if os.path.isfile(file)}  # noqa: PTH113
    for key in spec.get("params", []):
        section, _, name = key.partition(".")
        values = params[section]
        inputs[f"{PARAMS_PATH}: {key}"] = values[name] if name else values
    return inputs


def _identity(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
