"""Results that were not made with what `dvc.lock` names, although `dvc status` is content."""

import re

import pytest
import safetensors.numpy

from tests.conftest import Edit, Project, run_here

pytestmark = pytest.mark.slow

TRAIN, TEST = (f"data/tensors/{name}.safetensors" for name in ("train", "test"))


def put_twin(project: Project) -> None:
    """Give a train row the features of a test row."""
    tensors = safetensors.numpy.load_file(project.root / TRAIN)
    test = safetensors.numpy.load_file(project.root / TEST)
    tensors["features"][0] = test["features"][0]
    (project.root / TRAIN).unlink()
    safetensors.numpy.save_file(tensors, project.root / TRAIN)


LIES: dict[str, tuple[str, Edit, str]] = {
    "a parameter of the training": (
        "train",
        lambda project: project.edit("params.yaml", "epochs: 10", "epochs: 500"),
        r"data/checkpoint: was trained with train\.epochs 10, and .* give 500",
    ),
    "the seed of the training": (
        "train",
        lambda project: project.edit("params.yaml", "42 # of initial", "7 # of initial"),
        r"data/checkpoint: was trained with replicas\.seeds \[42, 43,",
    ),
    "a cell of the table": (
        "split",
        lambda project: project.edit("data/wine.csv", "\n7.4,0.7,", "\n7.4,0.71,"),
        r"data/tensors/train\.safetensors: is not what data/wine\.csv and params\.yaml give",
    ),
    "a twin on the other side of the split": (
        "split",
        put_twin,
        r"data/tensors: row \d+ has a twin on another side of the split",
    ),
    "a parameter of the split": (
        "split",
        lambda project: project.edit("params.yaml", "42 # of the random", "7 # of the random"),
        r"data/tensors/train\.safetensors: is not what data/wine\.csv and params\.yaml give",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lock_that_names_what_was_never_run_is_found(reproduced: Project, lie: str) -> None:
    stage, edit, expected = LIES[lie]
    edit(reproduced)
    reproduced.run("dvc", "commit", "--force", stage)  # as DVC does after the command has run
    status = reproduced.run("dvc", "status", stage).stdout
    assert "up to date" in status
    done = run_here(reproduced.root, "check")
    assert done.returncode == 1
    assert re.search(rf"^wrong: {expected}", done.stdout, re.M), done.stdout
