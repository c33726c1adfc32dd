"""The groups of the package import one way.        python -m tests.repository.test_imports

As a program it prints the groups and the arrows between them.
"""

import ast
import graphlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project

# a group may import from those before it
SCORED = ("base", "table", "network", "training", "scores")
GROUPS = (*SCORED, "explain", "report", "repository", "predict")


def imported(root: Path, module: Path) -> set[Path]:
    """The other modules of the package that a module imports by their full name."""
    names = set()
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = {(root / name.replace(".", "/")).with_suffix(".py") for name in names}
    return {file for file in files - {module} if file.is_file()}


def modules_of(root: Path) -> dict[Path, set[Path]]:
    """By module, what it imports."""
    return {
        module: imported(root, module)
        for group in GROUPS
        for module in sorted((root / "vintage" / group).rglob("*.py"))
    }


def problems(root: Path) -> Iterator[str]:
    """One line for each import that runs backwards, and for a circle."""
    modules = modules_of(root)
    for module, targets in modules.items():
        for target in sorted(targets):
            names = [file.relative_to(root).as_posix() for file in (module, target)]
            places = [GROUPS.index(name.split("/")[1]) for name in names]
            if places[0] < places[1]:
                yield "{} imports {}, which runs backwards".format(*names)
    try:
        graphlib.TopologicalSorter(modules).prepare()
    except graphlib.CycleError as error:
        circle = (file.relative_to(root).as_posix() for file in error.args[1])
        yield f"imports run in a circle: {' -> '.join(circle)}"


def test_no_import_runs_backwards_or_in_a_circle() -> None:
    assert list(problems(ROOT)) == []


def test_every_module_lies_in_a_group_that_says_what_belongs_there() -> None:
    package = ROOT / "vintage"
    assert {path.name for path in package.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.parent.name for path in package.glob("*/*.py")} == set(GROUPS)
    for group in GROUPS:
        said = (package / group / "__init__.py").read_text(encoding="utf-8")
        assert said.startswith('"""')
        assert "belong" in said, f"{group} does not say what belongs into it"
        assert "import" not in said.replace("imports", ""), f"{group} hands on names"


@pytest.mark.parametrize(
    ("module", "line", "problem"),
    [
        (
            "vintage/base/files.py",
            "from vintage.report import page",
            "vintage/base/files.py imports vintage/report/page.py, which runs backwards",
        ),
        (
            "vintage/training/fit.py",
            "from vintage.predict import new_rows",
            "vintage/training/fit.py imports vintage/predict/new_rows.py, which runs backwards",
        ),
        (
            "vintage/base/console.py",
            "from vintage.base import files",
            "imports run in a circle: vintage/base/",
        ),
    ],
)
def test_a_wrong_import_is_named(fresh: Project, module: str, line: str, problem: str) -> None:
    path = fresh.root / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert any(found.startswith(problem) for found in problems(fresh.root))


if __name__ == "__main__":
    arrows = Counter(
        (module.parent.name, target.parent.name)
        for module, targets in modules_of(ROOT).items()
        for target in targets
        if module.parent != target.parent
    )
    for group in GROUPS:
        used = [f"{to} ({n})" for (of, to), n in sorted(arrows.items()) if of == group]
        print(f"{group:10}  {', '.join(used) or '-'}")
    wrong = list(problems(ROOT))
    print(*wrong or [f"{len(arrows)} arrows between groups, none backwards, no circle"], sep="\n")
