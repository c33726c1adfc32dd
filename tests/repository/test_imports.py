"""The groups of the package import one way."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, Project
from vintage.repository.imports import GROUPS, imports_by_module, problems


def test_no_import_runs_backwards_or_in_a_circle() -> None:
    assert list(problems(ROOT, imports_by_module(ROOT))) == []


def test_every_module_lies_in_a_group_that_says_what_belongs_there() -> None:
    top = {path.name for path in (ROOT / "vintage").iterdir() if path.suffix == ".py"}
    assert top == {"__init__.py", "__main__.py"}
    for group in GROUPS:
        said = (ROOT / "vintage" / group / "__init__.py").read_text(encoding="utf-8")
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
        ("vintage/other/new.py", "", "vintage/other has no place in the order of the groups"),
        (
            "vintage/base/console.py",
            "from vintage.base import files",
            "imports run in a circle: vintage/base/",
        ),
    ],
)
def test_a_wrong_import_is_named(fresh: Project, module: str, line: str, problem: str) -> None:
    path: Path = fresh.root / module
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    done = fresh.run("python", "-m", "vintage.repository.imports", check=False)
    assert done.returncode == 1
    assert f"wrong: {problem}" in done.stdout
