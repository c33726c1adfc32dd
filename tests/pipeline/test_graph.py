"""Only what changed reruns, on the real graph with the real `dvc`."""

import json
import re
import shutil

import pandas as pd
import pytest

from tests.conftest import Edit, Project
from vintage.repository.status import stale_stages

pytestmark = pytest.mark.slow

VERIFY = ("python", "-m", "vintage", "verify")
EVERYTHING = ["split", "baseline", "train", "evaluate", "splits", "explain", "report"]


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


NO_RERUN: list[Edit] = [
    edit("params.yaml", "# of Adam", "# Adam's"),
    edit("params.yaml", "workers: 1", "workers: 2"),
    edit("params.yaml", "streaming: auto", "streaming: false"),
    edit(".dvc/plots/curves.json", '"width": 400', '"width": 500'),
    leave_stray_files,
]
CHANGES: dict[str, tuple[Edit, list[str]]] = {
    "an evaluate key": (
        edit("params.yaml", "confidence: 0.95", "confidence: 0.9"),
        ["baseline", "evaluate", "explain", "report"],
    ),
    "the gate": (edit("params.yaml", "require: {}", "require: {log_loss: 1.2}"), ["report"]),
    "evaluate.splits": (edit("params.yaml", "splits: 1", "splits: 0"), ["splits", "report"]),
    "one cell of the table": (edit("data/wine.csv", "\n7.4,0.7,", "\n7.4,0.71,"), EVERYTHING),
    "numbers written as other text": (rewrite_numbers, ["split", "splits"]),
    "a figure": (said_otherwise("vintage/report/figures.py"), ["evaluate", "report"]),
    "a template": (edit("vintage/report/page.html.jinja", "<main ", "<main  "), ["report"]),
    "a rule of slices": (said_otherwise("vintage/explain/slices.py"), ["explain"]),
    "a reader of tables": (said_otherwise("vintage/table/read.py"), ["split", "splits"]),
    "a rule of auto": (said_otherwise("vintage/training/auto.py"), ["train", "explain", "splits"]),
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


def test_what_no_result_depends_on_reruns_nothing(quick: Project) -> None:
    assert quick.repro() == []
    for apply in NO_RERUN:
        apply(quick)
    assert quick.repro() == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_only(quick: Project, change: str) -> None:
    apply, expected = CHANGES[change]
    apply(quick)
    assert sorted(quick.repro()) == sorted(expected)
    assert quick.repro() == []


def test_a_folder_of_files_reruns_what_its_one_file_did(quick: Project) -> None:
    def tensors() -> dict[str, bytes]:
        return {name: content for name, content in quick.outputs().items() if "tensors" in name}

    before = tensors()
    header, *rows = (quick.root / "data/wine.csv").read_text().splitlines(keepends=True)
    parts = {"2025/a.csv": rows[:100], "2026/a.csv": rows[100:], "_new/a.csv": rows[:9]}
    for name, part in parts.items():
        path = quick.root / "data/rows" / name
        path.parent.mkdir(parents=True)
        path.write_text("".join([header, *part]))
    quick.run("dvc", "add", "-q", "data/rows")
    quick.edit("params.yaml", "data/wine.csv", "data/rows")
    assert quick.repro() == ["split", "splits", "report"]
    assert tensors() == before
    assert quick.repro() == []
    quick.commit("a folder")
    assert "split: identical" in quick.run(*VERIFY, "--stage", "split").stdout
    (quick.root / "data/rows/2027.csv").write_text("".join([header, *rows[:50]]))
    assert stale_stages(quick.root) == ["split", "splits"]
    assert quick.repro("split") == ["split"]
    assert tensors() != before
    (quick.root / "data/rows/2027.csv").unlink()
    assert quick.repro("split") == []  # it is in DVC's run cache
    assert tensors() == before


def test_another_split_makes_stale_what_splits_and_what_shows_it(quick: Project) -> None:
    """And what it leaves, which is another table's as well, makes all else stale, see above."""
    quick.edit("params.yaml", "42 # of the random", "7 # of the random")
    assert stale_stages(quick.root) == ["split", "splits", "report"]


def test_a_new_version_makes_stale_what_loads_the_package(reproduced: Project) -> None:
    for path, package, stale in VERSIONS:
        file = reproduced.root / path
        pinned = file.read_text(encoding="utf-8")
        file.write_text(re.sub(rf"(?m)^{package}==", r"\g<0>9", pinned), encoding="utf-8")
        assert file.read_text(encoding="utf-8") != pinned
        assert sorted(stale_stages(reproduced.root)) == sorted(stale), package
        file.write_text(pinned, encoding="utf-8")


@pytest.mark.parametrize(
    ("groups", "rerun"),
    [(("scores", "explain", "report"), True), (("repository", "predict"), False)],
)
def test_no_edit_of_what_comes_after_trains_again(
    quick: Project, groups: tuple[str, ...], rerun: bool
) -> None:
    for group in groups:
        for path in (quick.root / "vintage" / group).glob("*.py"):
            path.write_text(f"{path.read_text()}\n# another line\n")
    ran = quick.repro()
    assert not {"split", "train"} & set(ran)
    assert bool(ran) == rerun


def test_the_scores_wait_for_nothing_else_and_a_setting_used_before_is_restored(
    quick: Project,
) -> None:
    before = quick.outputs()
    quick.edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02")
    assert quick.repro("evaluate") == ["train", "evaluate"]
    assert quick.repro() == ["splits", "explain", "report"]
    assert quick.repro() == []
    assert quick.outputs() != before
    quick.edit("params.yaml", "learning_rate: 0.02", "learning_rate: auto")
    assert quick.repro() == ["report"]  # all else is in DVC's run cache
    assert quick.outputs() == before


def test_what_dvc_shows_as_metrics_is_for_people(quick: Project) -> None:
    shown = json.loads(quick.run("dvc", "metrics", "show", "--json").stdout)
    (file, found), *others = next(iter(shown.values()))["data"].items()
    assert not others
    numbers = [value for part in found["data"].values() for value in part.values()]
    assert file == "metrics/evaluation.json"
    assert 9 <= len(numbers) <= 12
    assert {type(number) for number in numbers} <= {int, float}


def test_an_experiment_shows_in_the_metrics_and_plots_what_is_meant_and_nothing_else(
    quick: Project,
) -> None:
    quick.run("dvc", "exp", "run", "-S", "train.learning_rate=0.003")
    assert "learning_rate: 0.003" in (quick.root / "params.yaml").read_text(encoding="utf-8")
    shown = json.loads(quick.run("dvc", "metrics", "diff", "--json").stdout)
    assert list(shown) == ["metrics/evaluation.json"]
    assert shown["metrics/evaluation.json"]["test.log_loss"]["diff"] != 0
    revisions = ["workspace"], ["workspace", "HEAD"]
    for command, expected in zip((["show"], ["diff", "HEAD"]), revisions, strict=True):
        done = quick.run("dvc", "plots", *command, "--json")
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
        page = quick.run("dvc", "plots", *command, "--out", "shown")
        assert "failed" not in page.stderr
        text = (quick.root / "shown/index.html").read_text(encoding="utf-8")
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
        shutil.rmtree(quick.root / "shown")


def test_a_clone_runs_its_own_code(quick: Project) -> None:
    """And DVC stops where a stage leaves what it left before."""
    quick.edit("stages/evaluate.py", 'f"scored {', 'f"this clone scored {')
    shown = quick.run("dvc", "repro").stdout
    assert "this clone scored" in shown
    assert re.findall(r"^Running stage '(\w+)'", shown, re.M) == ["evaluate"]


def test_a_failed_run_loses_nothing(quick: Project) -> None:
    """DVC removes a stage's outputs before it runs; both ways back restore every byte."""
    before = quick.outputs()
    for way_back in (
        ["git checkout -q .", "dvc checkout"],
        ["git checkout -q params.yaml", "dvc repro"],
    ):
        quick.edit("params.yaml", "target: quality", "target: colour")
        failed = quick.run("dvc", "repro", check=False)
        assert failed.returncode != 0
        assert "error: data/wine.csv: data.target names 'colour'" in failed.stderr
        assert quick.outputs() != before
        for command in way_back:
            quick.run(*command.split())
        assert quick.outputs() == before


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
