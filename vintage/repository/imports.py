"""The picture of the imports between the groups.        python -m vintage.repository.imports

Each line is a group, with how many of its modules' imports lead to which other group. Imports run
one way, towards `base`, and in no circle; exit code 1 if one does not.
"""

import graphlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vintage.base import console
from vintage.repository.declared import files_of, imports_of

PACKAGE = "vintage"
# a group may import from those before it
GROUPS = ("base", "table", "network", "training", "scores", "report", "repository", "predict")

Modules = dict[Path, set[Path]]


def imports_by_module(root: Path) -> Modules:
    """By module of the package, the other modules of it that it imports."""
    modules = sorted((root / PACKAGE).rglob("*.py"))
    return {
        module: {
            file
            for name in imports_of(root, module)
            for file in files_of(root, name)
            if file in modules and file.name != "__init__.py" and file != module
        }
        for module in modules
    }


def group_of(root: Path, module: Path) -> str | None:
    """The folder of the package that a module lies in; None at the package's top."""
    relative = module.relative_to(root / PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else None


def arrows(root: Path, modules: Modules) -> Counter[tuple[str, str]]:
    """How many imports lead from one group to another."""
    pairs = (
        (group_of(root, module), group_of(root, imported))
        for module, targets in modules.items()
        for imported in targets
    )
    return Counter((a, b) for a, b in pairs if a is not None and b is not None and a != b)


def problems(root: Path, modules: Modules) -> Iterator[str]:
    """One line for each group without a place in the order, import that runs backwards, circle."""
    for name in sorted({group for module in modules if (group := group_of(root, module))}):
        if name not in GROUPS:
            yield f"{PACKAGE}/{name} has no place in the order of the groups"
    for module, targets in modules.items():
        for imported in sorted(targets):
            pair = group_of(root, module), group_of(root, imported)
            if set(pair) <= set(GROUPS) and GROUPS.index(str(pair[0])) < GROUPS.index(str(pair[1])):
                names = (file.relative_to(root).as_posix() for file in (module, imported))
                yield "{} imports {}, which runs backwards".format(*names)
    try:
        graphlib.TopologicalSorter(modules).prepare()
    except graphlib.CycleError as error:
        circle = (file.relative_to(root).as_posix() for file in error.args[1])
        yield f"imports run in a circle: {' -> '.join(circle)}"


def main() -> int:
    root = Path()
    modules = imports_by_module(root)
    between = arrows(root, modules)
    for group in GROUPS:
        targets = [f"{to} {between[group, to]}" for to in GROUPS if between[group, to]]
        console.say(f"{group:11}" + (f"-> {', '.join(targets)}" if targets else ""))
    found = list(problems(root, modules))
    for problem in found:
        console.say(f"wrong: {problem}")
    if not found:
        console.say(f"{len(between)} arrows between groups, none backwards, no circle")
    return 1 if found else 0


if __name__ == "__main__":
    console.run(main)
