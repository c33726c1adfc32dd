"""Only what changed reruns, on the real graph with the real `dvc`."""

import json
import re
import shutil

import pandas as pd
import pytest

from tests.conftest import Edit, Project
from vintage.repository.status import stale_stages

pytestmark = pytest.mark.slow

EVERYTHING = ["split", "baseline", "train", "evaluate", "splits", "explain", "report"]
TRAINED = ["train", "evaluate", "splits", "explain", "report"]


def edit(path: str, old: str, new: str) -> Edit:
    return lambda project: project.edit(path, old, new)


def rewrite_numbers(project: Project) -> None:
    """Write `0.7` as `0.70`: another text of the same table."""
    path = project.root / "data/wine.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    rows = [",".join(cell + "0" if "." in cell else cell for cell in r.split(",")) for r in rows]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert "0.70," in path.read_text(encoding="utf-8")


def said_otherwise(path: str) -> Edit:
    return edit(path, '"""', '"""In other words: ')


def leave_stray_files(project: Project) -> None:
    """What editors, Python and people leave in a folder that stages depend on."""
    for group in ("base", "table", "network", "training", "scores", "explain", "report"):
        for name in (".params.py.swp", "notes.txt", "params.py~", "__pycache__/params.pyc"):
            path = project.root / "vintage" / group / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("stray")


CHANGES: dict[str, tuple[Edit, list[str]]] = {
    "a comment in params.yaml": (edit("params.yaml", "# of Adam", "# Adam's"), []),
    "train.learning_rate": (
        edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02"),
        TRAINED,
    ),
    "an evaluate key": (
        edit("params.yaml", "confidence: 0.95", "confidence: 0.9"),
        ["baseline", "evaluate", "explain", "report"],
    ),
    "the gate": (edit("params.yaml", "require: {}", "require: {log_loss: 1.2}"), ["report"]),
    "compute.workers": (edit("params.yaml", "workers: 1", "workers: 2"), []),
    "compute.streaming": (edit("params.yaml", "streaming: auto", "streaming: false"), []),
    "evaluate.splits": (edit("params.yaml", "splits: 2", "splits: 1"), ["splits", "report"]),
    "split.seed": (edit("params.yaml", "42 # of the random", "7 # of the random"), EVERYTHING),
    "one cell of the table": (edit("data/wine.csv", "\n7.4,0.7,", "\n7.4,0.71,"), EVERYTHING),
    "numbers written as other text": (rewrite_numbers, ["split", "splits"]),
    "a template of dvc plots": (edit(".dvc/plots/curves.json", '"width": 400', '"width": 500'), []),
    "a sentence of evaluate": (
        edit("stages/evaluate.py", 'f"scored {', 'f"has scored {'),
        ["evaluate"],
    ),
    "a figure": (said_otherwise("vintage/report/figures.py"), ["evaluate", "report"]),
    "a template": (edit("vintage/report/page.html.jinja", "<main ", "<main  "), ["report"]),
    "a rule of slices": (said_otherwise("vintage/explain/slices.py"), ["explain"]),
    "a reader of tables": (said_otherwise("vintage/table/read.py"), ["split", "splits"]),
    "a rule of auto": (said_otherwise("vintage/training/auto.py"), ["train", "explain", "splits"]),
    "stray files": (leave_stray_files, []),
}


VERSIONS = [
    ("requirements/dev.txt", "ruff", []),
    ("requirements/dev.txt", "onnx", []),
    ("requirements/dvc.txt", "aiohttp", []),
    ("requirements/network.txt", "torch", ["train", "evaluate", "explain", "splits", "report"]),
    ("requirements/table.txt", "scikit-learn", ["split", "baseline", "splits"]),
    ("requirements/figures.txt", "matplotlib", ["evaluate", "report"]),
    ("requirements/base.txt", "numpy", EVERYTHING),
]


def test_nothing_changed(reproduced: Project) -> None:
    assert reproduced.repro() == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_only(reproduced: Project, change: str) -> None:
    apply, expected = CHANGES[change]
    apply(reproduced)
    assert sorted(reproduced.repro()) == sorted(expected)
    assert reproduced.repro() == []


def test_a_new_version_makes_stale_what_loads_the_package(reproduced: Project) -> None:
    for path, package, stale in VERSIONS:
        file = reproduced.root / path
        pinned = file.read_text(encoding="utf-8")
        file.write_text(re.sub(rf"(?m)^{package}==", r"\g<0>9", pinned), encoding="utf-8")
        assert file.read_text(encoding="utf-8") != pinned
        assert sorted(stale_stages(reproduced.root)) == sorted(stale), package
        file.write_text(pinned, encoding="utf-8")


def test_the_scores_do_not_wait_for_other_splits(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02")
    assert reproduced.repro("evaluate") == ["train", "evaluate"]


@pytest.mark.parametrize("group", ["scores", "explain", "report", "repository", "predict"])
def test_no_edit_of_what_comes_after_trains_again(reproduced: Project, group: str) -> None:
    for path in (reproduced.root / "vintage" / group).glob("*.py"):
        path.write_text(f"{path.read_text()}\n# another line\n")
    ran = reproduced.repro()
    assert not {"split", "train"} & set(ran)
    assert bool(ran) == (group in ("scores", "explain", "report"))


def test_a_setting_used_before_is_restored_from_the_run_cache(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "epochs: 10", "epochs: 5")
    assert reproduced.repro() == TRAINED
    before = reproduced.outputs()
    reproduced.edit("params.yaml", "epochs: 5", "epochs: 6")
    assert reproduced.repro() == TRAINED
    assert reproduced.outputs() != before
    reproduced.edit("params.yaml", "epochs: 6", "epochs: 5")
    assert reproduced.repro() == ["report"]
    assert reproduced.outputs() == before


def test_nothing_but_the_report_waits_for_the_explanation(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "epochs: 10", "epochs: 5")
    assert reproduced.repro("evaluate") == ["train", "evaluate"]
    assert reproduced.repro() == ["splits", "explain", "report"]


def test_an_experiment_runs_and_metrics_diff_shows_the_difference(reproduced: Project) -> None:
    reproduced.run("dvc", "exp", "run", "-S", "train.learning_rate=0.003")
    assert "learning_rate: 0.003" in (reproduced.root / "params.yaml").read_text(encoding="utf-8")
    shown = json.loads(reproduced.run("dvc", "metrics", "diff", "--json").stdout)
    assert list(shown) == ["metrics/evaluation.json"]
    assert shown["metrics/evaluation.json"]["test.log_loss"]["diff"] != 0


def test_what_dvc_shows_as_metrics_is_for_people(reproduced: Project) -> None:
    shown = json.loads(reproduced.run("dvc", "metrics", "show", "--json").stdout)
    (file, found), *others = next(iter(shown.values()))["data"].items()
    assert not others
    numbers = [value for part in found["data"].values() for value in part.values()]
    assert file == "metrics/evaluation.json"
    assert 9 <= len(numbers) <= 12
    assert {type(number) for number in numbers} <= {int, float}


def test_dvc_plots_show_and_diff_draw_what_is_meant_and_nothing_else(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02")
    reproduced.repro()
    revisions = ["workspace"], ["workspace", "HEAD"]
    for command, expected in zip((["show"], ["diff", "HEAD"]), revisions, strict=True):
        done = reproduced.run("dvc", "plots", *command, "--json")
        assert "failed" not in done.stderr
        listed = json.loads(done.stdout)["data"]
        drawn = {name: plots for name, plots in listed.items() if plots}
        assert {name: plots[0]["type"] for name, plots in drawn.items()} == {
            "metrics/losses.json": "vega",
            "metrics/predictions.csv": "vega",
            "metrics/explanation.json": "vega",
            **{
                f"metrics/figures/{name}.svg": "image"
                for name in ("calibration", "confusion", "losses")
            },
        }
        for name in ("metrics/losses.json", "metrics/predictions.csv", "metrics/explanation.json"):
            assert drawn[name][0]["revisions"] == expected
        axes = drawn["metrics/predictions.csv"][0]["content"]["spec"]["encoding"]
        assert [axes[axis]["field"] for axis in "xy"] == ["predicted", "actual"]
        assert [axes[axis]["title"] for axis in "xy"] == ["Predicted", "Actual"]
        page = reproduced.run("dvc", "plots", *command, "--out", "shown")
        assert "failed" not in page.stderr
        text = (reproduced.root / "shown/index.html").read_text(encoding="utf-8")
        for said in (
            "Cross entropy by epoch",
            "train_loss",
            "val_loss",
            "Actual",
            "Predicted",
            "Column",
        ):
            assert said in text, f"{said!r} is not shown by dvc plots {command[0]}"
        assert not re.search(r"<(script|link)[^>]+(src|href)=", text), "it wants a network"
        hidden = re.search(r"^(#.*) \{ display: none; \}$", text, re.M)
        assert hidden
        empty = {f"#{re.sub('[/.]', '_', name)}" for name in listed.keys() - drawn.keys()}
        assert set(hidden[1].split(", ")) == empty
        shutil.rmtree(reproduced.root / "shown")


def test_a_clone_runs_its_own_code(reproduced: Project) -> None:
    reproduced.edit("stages/evaluate.py", 'f"scored {', 'f"this clone scored {')
    assert "this clone scored" in reproduced.run("dvc", "repro").stdout


def test_a_failed_run_loses_nothing(reproduced: Project) -> None:
    """DVC removes a stage's outputs before it runs; both ways back restore every byte."""
    before = reproduced.outputs()
    for way_back in (
        ["git checkout -q .", "dvc checkout"],
        ["git checkout -q params.yaml", "dvc repro"],
    ):
        reproduced.edit("params.yaml", "target: quality", "target: colour")
        failed = reproduced.run("dvc", "repro", check=False)
        assert failed.returncode != 0
        assert "error: data/wine.csv: data.target names 'colour'" in failed.stderr
        assert reproduced.outputs() != before
        for command in way_back:
            reproduced.run(*command.split())
        assert reproduced.outputs() == before


def test_the_tensors_are_what_the_table_says(reproduced: Project) -> None:
    from vintage.base.tensors import read_examples, read_schema

    table = pd.read_csv(reproduced.root / "data/wine.csv")
    tensors = reproduced.root / "data/tensors"
    schema = read_schema(tensors / "schema.json")
    for name in ("train", "val", "test"):
        examples = read_examples(tensors / f"{name}.safetensors", schema)
        rows = table.iloc[examples.rows]
        expected = rows.drop(columns="quality").to_numpy(dtype="float32")
        assert (examples.features == expected).all()
        assert [schema.classes[label] for label in examples.labels] == [
            str(grade) for grade in rows["quality"]
        ]
