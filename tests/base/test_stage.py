"""An edit in the middle of a run is not recorded as what was run."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Edit, Project

if TYPE_CHECKING:
    from tests.processes import Training

pytestmark = pytest.mark.slow


def edit(path: str, old: str, new: str) -> Edit:
    return lambda project: project.edit(path, old, new)


def add_a_byte(project: Project) -> None:
    path = project.root / "data/tensors/val.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b" ")


EDITS: dict[str, tuple[Edit, str]] = {
    "a parameter": (edit("params.yaml", "epochs: 150", "epochs: 500"), "params.yaml: train"),
    "code": (edit("vintage/base/losses.py", '"""', '"""Now: '), "vintage/base/losses.py"),
    "data": (add_a_byte, "data/tensors/val.safetensors"),
    "a pin": (edit("requirements/network.txt", "torch==", "torch==9"), "requirements/network.txt"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_while_a_stage_runs_fails_it(
    training: "Training", tmp_path: Path, what: str
) -> None:
    from tests.processes import REPRO, start

    change, named = EDITS[what]
    project = training.copy_to(tmp_path / "project")
    lock = (project.root / "dvc.lock").read_bytes()
    group = start(project, *REPRO)
    assert group.until_shown("epoch ")
    change(project)
    assert group.end() != 0
    errors = re.findall(r"^error: .*", group.complained, re.M)
    assert errors == [
        f"error: {named}: changed while stage train ran, so its results belong to neither "
        "version; run `dvc repro` again"
    ]
    assert (project.root / "dvc.lock").read_bytes() == lock


def test_an_edit_of_what_the_stage_does_not_read_is_let_pass(
    training: "Training", tmp_path: Path
) -> None:
    from tests.processes import REPRO, start

    project = training.copy_to(tmp_path / "project")
    group = start(project, *REPRO, "train")
    assert group.until_shown("epoch ")
    project.edit("params.yaml", "confidence: 0.95", "confidence: 0.9")
    project.edit("vintage/report/page.py", '"""', '"""Now: ')
    assert group.end() == 0, group.complained
    assert "stage: 'train'" not in project.run("dvc", "status", "train").stdout
