"""A search makes experiments of DVC that have the bytes of their own `dvc repro`."""

import json
import os
import platform
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from benchmarks.sweep import grid_of
from tests.conftest import (
    GIT_USER,
    HAS_RAY,
    PARAMS,
    ROOT,
    Project,
    Run,
    environment,
    only_error,
    run_here,
)
from vintage.base.console import InputError
from vintage.base.files import parse_yaml, read_json
from vintage.network.checkpoint import read_checkpoint
from vintage.repository.cache import store
from vintage.repository.experiments import write_experiment
from vintage.repository.git import find_commit
from vintage.repository.grid import Range, Values, parse_grid, parse_space
from vintage.repository.lock_file import parse_lock_file
from vintage.repository.pack import digests_of
from vintage.repository.pack_process import request, response
from vintage.repository.revisions import read_revision
from vintage.repository.search import Search, check_committed, stages_after_train
from vintage.repository.show_revision import revision_lines
from vintage.repository.sweep_figure import draw_slices
from vintage.repository.sweep_table import rank, table_lines
from vintage.repository.trials import JOURNAL, run_trials
from vintage.repository.validation import read_tensors, validate
from vintage.scores.evaluation import Evaluation, plain_scores

SWEEP = ("python", "-m", "vintage", "sweep")
GRID = ("model.hidden=[8],[4]", "train.learning_rate=0.003,0.03", "model.dropout=0.5,0.1")


@dataclass(frozen=True)
class Swept:
    """A clone in which a search was killed and run again.

    Attributes:
        names: of the experiments by their settings, as their commits' messages tell them.
        printed: by the second run.
    """

    project: Project
    names: dict[str, str]
    n_before: int
    printed: str

    def copy_to(self, folder: Path) -> Project:
        return self.project.copy_to(folder)


def experiments(project: Project) -> dict[str, str]:
    """The names by message."""
    listed = project.run("git", "for-each-ref", "--format=%(refname) %(subject)", "refs/exps")
    pairs = [line.split(" ", 1) for line in listed.stdout.splitlines()]
    return {said.removeprefix("vintage sweep: "): ref.split("/")[4] for ref, said in pairs}


@pytest.fixture(scope="module")
def swept(_reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    project = _reproduced.copy_to(tmp_path_factory.mktemp("swept") / "project")
    search = subprocess.Popen(
        [*SWEEP, *GRID], cwd=project.root, env=environment(), stdout=subprocess.DEVNULL
    )
    while len(experiments(project)) < 4 and search.poll() is None:
        time.sleep(0.05)
    search.send_signal(signal.SIGKILL)
    search.wait()
    n_before = len(experiments(project))
    printed = project.run(*SWEEP, *GRID).stdout
    return Swept(project, experiments(project), n_before, printed)


@pytest.mark.slow
def test_a_killed_search_goes_on_with_what_is_missing(swept: Swept) -> None:
    assert 4 <= swept.n_before < 8
    assert swept.printed.startswith(f"{swept.n_before} of 8 settings were trained before\n")
    assert len(swept.names) == 8
    assert "9 settings by their log loss on 459 train rows" in swept.printed
    assert swept.project.run("git", "status", "--short").stdout == ""
    shown = swept.project.run(*SWEEP, "--show", "--figure", "slices.svg").stdout
    assert swept.printed.endswith(shown)
    path = swept.project.root / "slices.svg"
    figure = path.read_text()
    path.unlink()
    assert all(f">{text}<" in figure for text in ("hidden", "dropout", "learning_rate", "best"))
    assert all(name in shown for name in swept.names.values())


@pytest.mark.slow
def test_dvc_shows_validation_scores_and_no_others(swept: Swept) -> None:
    (shown,) = json.loads(swept.project.run("dvc", "exp", "show", "--json").stdout)[1:]
    found = {each["name"]: each["revs"][0]["data"] for each in shown["experiments"]}
    assert found.keys() == set(swept.names.values())
    for data in found.values():
        assert data["metrics"]["metrics/evaluation.json"]["data"].keys() == {"val", "epochs"}
        assert data["outs"].keys() >= {"data/checkpoint", "data/tensors/test.safetensors"}
    name = swept.names["model.hidden=[4] train.learning_rate=0.03 model.dropout=0.1"]
    params = found[name]["params"]["params.yaml"]["data"]
    assert params["model"]["hidden"] == [4]
    assert params["train"]["learning_rate"] == 0.03
    ref = f"refs/exps/*/*/{name}"
    commit = swept.project.run("git", "for-each-ref", "--format=%(objectname)", ref).stdout.strip()
    files = swept.project.run("git", "ls-tree", "-r", "--name-only", commit).stdout.splitlines()
    kept = {file for file in files if file.startswith("metrics/")}
    assert kept == {f"metrics/{name}.json" for name in ("baseline", "evaluation", "losses")}


@pytest.mark.slow
def test_a_colleague_applies_what_has_the_bytes_of_its_own_run(
    swept: Swept, tmp_path: Path
) -> None:
    project = swept.copy_to(tmp_path / "project")
    project.run("git", "init", "-q", "--bare", str(tmp_path / "remote"))
    project.run("git", "remote", "add", "origin", str(tmp_path / "remote"))
    # not committed: the experiments are those of HEAD
    storage = ("dvc", "remote", "add", "-q", "--local", "-d", "storage", str(tmp_path / "storage"))
    project.run(*storage)
    setting = "model.hidden=[4] train.learning_rate=0.03 model.dropout=0.1"
    name = swept.names[setting]
    project.run("git", "push", "-q", "origin", "main")
    project.run("dvc", "exp", "push", "origin", name)

    project.run("git", "clone", "-q", "-b", "main", str(tmp_path / "remote"), "../colleague")
    colleague = Project(tmp_path / "colleague")
    colleague.run(*storage)
    colleague.run("dvc", "exp", "pull", "origin", name)
    colleague.run("dvc", "exp", "apply", name)
    recorded = read_json(colleague.root / "metrics/evaluation.json", dict[str, Any])
    assert colleague.repro("evaluate") == ["evaluate"]
    evaluated = read_json(colleague.root / "metrics/evaluation.json", dict[str, Any])
    assert recorded == {key: evaluated[key] for key in ("val", "epochs")}

    project.run("git", "clone", "-q", "-b", "main", str(tmp_path / "remote"), "../own")
    own = Project(tmp_path / "own")
    (values,) = parse_grid(setting.split(" "))
    own.set_params(**{".".join(key): value for key, value in values.items()})
    assert own.repro("train") == ["split", "train"]
    a, b = colleague.outputs(), own.outputs()
    locks = [parse_yaml(each.pop("dvc.lock"), "dvc.lock")["stages"] for each in (a, b)]
    assert locks[0]["train"] == locks[1]["train"]
    trained = [path for path in b if path.startswith(("data/checkpoint", "metrics/losses"))]
    assert len(trained) == 4
    assert [path for path in trained if a[path] != b[path]] == []


@pytest.mark.slow
def test_the_test_rows_have_no_part_in_it(swept: Swept, tmp_path: Path) -> None:
    """They are damaged, and what DVC's cache no longer has comes out as it was."""
    project = swept.copy_to(tmp_path / "project")
    before = trees(project)
    project.run("dvc", "gc", "-q", "-w", "-f")
    path = project.root / "data/tensors/test.safetensors"
    path.unlink()
    path.write_bytes(b"damaged")
    grid = [*GRID[:2], "model.dropout=0.1"]
    shown = project.run(*SWEEP, *grid).stdout
    assert trees(project) == before
    assert "were trained before" not in shown
    assert "5 settings by their log loss" in shown


def trees(project: Project) -> dict[str, str]:
    """What each experiment holds, by its ref."""
    listed = project.run("git", "for-each-ref", "--format=%(refname) %(tree)", "refs/exps/*/*/*")
    return dict(line.split(" ") for line in listed.stdout.splitlines())


@pytest.mark.slow
def test_compare_says_that_one_has_no_evaluation(swept: Swept) -> None:
    name = next(iter(swept.names.values()))
    done = run_here(swept.project.root, "compare", "HEAD", name)
    assert only_error(done) == (
        f"error: {name}: has no evaluation, only a validation score; "
        f"`dvc exp apply {name} && dvc repro` makes it"
    )


@pytest.mark.slow
def test_what_git_does_not_have_is_no_start(swept: Swept, tmp_path: Path) -> None:
    project = swept.copy_to(tmp_path / "project")

    def refused(*arguments: str) -> str:
        return only_error(run_here(project.root, "sweep", *arguments))

    project.edit("params.yaml", "epochs: 10", "epochs: 11")
    changed = refused("train.patience=3")
    assert changed.startswith("error: params.yaml: not as in HEAD, which the experiments start")
    project.run("git", "commit", "-q", "-a", "-m", "eleven")
    assert refused("train.patience=3") == (
        "error: stage train is not up to date; run `dvc repro` and commit first"
    )


@pytest.mark.slow
def test_a_setting_that_cannot_be_trained_leaves_the_others(swept: Swept, tmp_path: Path) -> None:
    project = swept.copy_to(tmp_path / "project")
    done = project.run(*SWEEP, "train.learning_rate=0.02,1000,0.01", "model.normalize=none")
    assert done.stdout.count(": not trained: the loss is no longer finite") == 1
    assert len(experiments(project)) == 10


TRIALS = ("--trials", "18", "train.learning_rate=1e-3..1e-1", "model.dropout=0..0.5")


@pytest.mark.slow
def test_a_killed_search_by_optuna_goes_on_with_its_proposals(swept: Swept, tmp_path: Path) -> None:
    project = swept.copy_to(tmp_path / "project")
    n_before = len(experiments(project))
    search = subprocess.Popen(
        [*SWEEP, *TRIALS], cwd=project.root, env=environment(), stdout=subprocess.DEVNULL
    )
    while len(experiments(project)) == n_before and search.poll() is None:
        time.sleep(0.05)
    search.send_signal(signal.SIGKILL)
    search.wait()
    running = TrialState.RUNNING
    assert [trial.state for trial in trials_of(project)].count(running) == 16
    shown = project.run(*SWEEP, *TRIALS).stdout
    assert "18 of 18 trials" in shown
    trials = trials_of(project)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 18
    assert all(0.001 <= trial.params["train.learning_rate"] <= 0.1 for trial in trials)
    assert len(experiments(project)) == n_before + 18
    best = min(trial.value or 9 for trial in trials)
    assert f"  {best:.4f}  " in shown
    assert project.run("git", "status", "--short").stdout == ""


def trials_of(project: Project) -> list[optuna.trial.FrozenTrial]:
    path = project.root / "data/resume/sweep.journal"
    storage = JournalStorage(JournalFileBackend(str(path)))
    (study,) = optuna.study.get_all_study_names(storage)
    return optuna.load_study(study_name=study, storage=storage).get_trials()


@pytest.mark.slow
def test_without_optuna_one_line_says_how_to_get_it(fresh: Project, tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ImportError\n")
    done = fresh.run(*SWEEP, *TRIALS, check=False, env={"PYTHONPATH": str(tmp_path)})
    assert only_error(done) == "error: --trials needs Optuna; run `pip install optuna`"


@pytest.mark.parametrize("text", ["1..1", "0.1..a", "a..0.1", "true..2", "0.5..0.1", "1...inf"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no range; write two numbers"):
        parse_space([f"train.learning_rate={text}"])


def test_ranges_and_values_of_a_space() -> None:
    space = parse_space(
        ["train.learning_rate=1e-3..1e-1", "model.dropout=0..0.5", "train.patience=4..32"]
    )
    rate, dropout, patience = space.values()
    assert isinstance(rate, Range)
    assert isinstance(dropout, Range)
    assert (rate, rate.is_log) == ((0.001, 0.1, False), True)
    assert (dropout, dropout.is_log) == ((0, 0.5, False), False)
    assert patience == (4, 32, True)
    assert parse_space(["model.hidden=auto,[64]"]) == {("model", "hidden"): ["auto", [64]]}


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        (["data.path=a,b"], "data.path: not a parameter of the stage train; it has model.name,"),
        (["split.seed=1"], "split.seed: not a parameter of the stage train"),
        (["evaluate.margin=0.1"], "evaluate.margin: not a parameter of the stage train"),
        (["train.rate=1"], "train.rate: not a parameter of the stage train"),
        (["train=1"], "train: not a parameter of the stage train"),
        (["train.seed=1,2"], "train.seed: nothing to search, because the best of several seeds"),
        (["train.epochs"], "train.epochs: has no values; write train.epochs=VALUE,VALUE"),
        (["train.epochs=1,,2"], "train.epochs=1,,2: has an empty value"),
        (["train.epochs=[,"], "train.epochs: has no values"),
        (["train.epochs=2026-01-01"], "train.epochs=2026-01-01: a value must be a number, text,"),
        (["train.epochs=1,.nan"], "train.epochs=1,.nan: a value must be a number, text, list or"),
        (["train.epochs=.inf"], "train.epochs=.inf: a value must be a number"),
        (["train.epochs=!!set {1, 2}"], "train.epochs=!!set {1, 2}: a value must be a number"),
        (["train.epochs=3..9"], "train.epochs=3..9: a range needs --trials; or list its values"),
        (["train.epochs=1", "train.epochs=2"], "train.epochs: given twice"),
        (
            ["train.epochs=1,2,3,4,5,6,7,8,9,10,11", "train.replicas=1,2,3,4,5,6,7,8,9,10"],
            "the grid has 110 settings; 100 are the most",
        ),
    ],
)
def test_what_is_no_grid_is_refused(assignments: list[str], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_grid(assignments)
    assert str(caught.value).startswith(reason)


def test_values_are_those_of_yaml() -> None:
    grid = parse_grid(["model.hidden=auto,[64, 32],[],auto", "train.learning_rate=1e-3,.1"])
    assert [list(values.values()) for values in grid] == [
        [hidden, rate] for hidden in ("auto", [64, 32], []) for rate in (0.001, 0.1)
    ]


def test_the_stages_whose_outputs_an_experiment_lacks() -> None:
    after = stages_after_train(ROOT)
    assert after.keys() == {"evaluate", "splits", "explain", "report"}
    assert after["report"] == [
        f"metrics/{x}" for x in ("comparison.json", "report.md", "report.html")
    ]


@pytest.mark.parametrize("val_size", ["folds", 0.3])
def test_the_validation_score_is_that_of_the_stage_evaluate(run: Run, val_size: object) -> None:
    rows = [f"{i % 7},{i * i % 11},{'abc'[i % 3]}\n" for i in range(90)]
    changes = {"split.val_size": val_size, "train.replicas": 8, "split.group_by": "none"}
    root = run("x,y,kind\n" + "".join(rows), "split", "train", "evaluate", **changes)
    validation = validate(read_checkpoint(root / "data/checkpoint"), read_tensors(root))
    expected = read_json(root / "metrics/details.json", Evaluation).val
    assert plain_scores(validation.rows.labels, validation.probabilities) == expected
    assert validation.row_losses.mean == pytest.approx(expected["log_loss"], abs=1e-6)
    known = validation.row_losses.seed_variance
    assert (known is None) == (val_size == "folds")  # one replica a fold


def identify(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in GIT_USER.items():
        monkeypatch.setenv(key, value)


def test_what_is_committed_is_told_by_git_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(monkeypatch)
    project = Project(tmp_path / "project")
    (project.root / "data").mkdir(parents=True)
    (project.root / "params.yaml").write_text("a: 1\n")
    project.run("git", "init", "-q")
    project.run("git", "config", "status.showUntrackedFiles", "no")
    project.commit("start")
    monkeypatch.chdir(project.root)
    elsewhere = ["../table.csv", str(tmp_path / "table.csv")]
    check_committed(Path(), ["params.yaml", *elsewhere])
    (project.root / "data/table.csv").write_text("untracked\n")
    with pytest.raises(InputError, match=r"^data/table.csv: not as in HEAD"):
        check_committed(Path(), ["params.yaml", "data/table.csv", *elsewhere])
    (project.root / "params.yaml").write_text("a: 2\n")
    with pytest.raises(InputError, match=r"^params.yaml: not as in HEAD"):
        check_committed(Path(), ["params.yaml", *elsewhere])
    monkeypatch.setenv("GIT_INDEX_FILE", str(project.root))
    with pytest.raises(InputError, match=r"^git status failed: "):
        check_committed(Path(), ["params.yaml"])


def test_without_a_name_for_git_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in (*GIT_USER, "EMAIL"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    project = Project(tmp_path)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.useConfigOnly", "true")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^Git has no name and address to commit experiments by;"):
        check_committed(Path(), ["params.yaml"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("train.epochs=1", "--figure", "a.png"), "a.png: a figure is SVG; write a name that"),
        (("--show", "--trials", "9"), "--show trains nothing; leave --trials and --ray out"),
        (("--show", "--ray"), "--show trains nothing; leave --trials and --ray out"),
    ],
)
def test_impossible_arguments_are_refused_before_a_search(
    arguments: tuple[str, ...], reason: str, fresh: Project
) -> None:
    done = run_here(fresh.root, "sweep", *arguments)
    assert only_error(done).startswith(f"error: {reason}")


@pytest.mark.slow
def test_a_process_of_its_own_makes_the_same_bytes(swept: Swept, tmp_path: Path) -> None:
    """As on a node of a Ray cluster, which the tests of .ci/ray have."""
    name = swept.names["model.hidden=[4] train.learning_rate=0.03 model.dropout=0.1"]

    def of_experiment(path: str) -> str:
        ref = f"refs/exps/*/*/{name}"
        oid = swept.project.run("git", "for-each-ref", "--format=%(objectname)", ref).stdout.strip()
        return swept.project.run("git", "show", f"{oid}:{path}").stdout

    digests = digests_of(swept.project.root)
    texts = [of_experiment("params.yaml")]
    done = train_in_a_process(swept.project, request(texts, digests))
    assert done.returncode == 0, done.stderr
    (files,) = response(done.stdout)
    assert isinstance(files, dict)
    for path in ("metrics/losses.json", "metrics/evaluation.json"):
        assert files.pop(path).decode() == of_experiment(path)
    lock = parse_lock_file(of_experiment("dvc.lock").encode(), "dvc.lock")
    checkpoint = {path.removeprefix("data/checkpoint/"): files[path] for path in files}
    expected = lock.stages["train"].md5_of("data/checkpoint")
    assert store(tmp_path / "cache", checkpoint)["md5"] == expected

    other = digests | {"data/tensors/val.safetensors": ""}
    done = train_in_a_process(swept.project, request(texts, other))
    assert done.returncode == 2
    assert done.stderr.decode() == (
        f"error: {platform.node()} has another data/tensors/val.safetensors than the machine that "
        "searches; give all nodes the same files and packages, such as a folder that all share\n"
    )


def train_in_a_process(project: Project, asked: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ("python", "-m", "vintage.repository.pack_process")
    return subprocess.run(
        command, input=asked, cwd=project.root, env=environment(), capture_output=True, check=False
    )


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_one_line_says_how_to_get_it(fresh: Project) -> None:
    done = fresh.run(*SWEEP, "train.epochs=1,2", "--ray", check=False)
    assert only_error(done) == "error: --ray needs Ray; run `pip install -e '.[ray]'`"


class Overtaken(Search):
    """One beside which another search of the same ends first."""

    def __init__(self, root: Path) -> None:
        self.root, self.base, self.text = root, "0" * 40, PARAMS.read_text(encoding="utf-8")
        self.lock = {"stages": {"train": {"params": {"params.yaml": {"train": {"seed": 1}}}}}}

    def train(self, grid: Sequence[Values]) -> list[float | None]:
        storage = JournalStorage(JournalFileBackend(str(self.root / JOURNAL)))
        (name,) = optuna.study.get_all_study_names(storage)
        for number in range(len(grid)):
            optuna.load_study(study_name=name, storage=storage).tell(number, 0.5)
        return [0.5] * len(grid)


def test_a_result_that_another_search_has_told_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_trials(Overtaken(tmp_path), parse_space(["model.dropout=0..0.5"]), 2)
    assert capsys.readouterr().out == "2 of 2 trials\n"


@pytest.mark.slow
def test_who_cannot_be_read_is_left_out_and_told(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(monkeypatch)
    project = swept.copy_to(tmp_path / "project")
    monkeypatch.chdir(project.root)
    head, (name, *others) = find_commit("HEAD"), experiments(project).values()
    for other in others:
        project.run("git", "update-ref", "-d", f"refs/exps/{head[:2]}/{head[2:]}/{other}")
    lock = (project.root / "dvc.lock").read_bytes()
    md5 = parse_lock_file(lock, "dvc.lock").stages["train"].md5_of("data/checkpoint")
    assert md5 is not None
    (project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    without = lock.replace(b"path: data/checkpoint", b"path: data/network")
    schema = {"schema.json": (project.root / "data/tensors/schema.json").read_bytes()}
    foreign = store(project.root / ".dvc/cache", schema)["md5"]
    for said, text in {
        "cut": lock[:99],
        "without": without,
        "foreign": lock.replace(md5.encode(), foreign.encode()),
    }.items():
        write_experiment(head, said, said, {"dvc.lock": text}, [])
    ranking = rank(Path())
    assert ranking.notes == [
        "HEAD is left out: DVC's cache does not have its checkpoint.",
        "cut is left out: dvc.lock of cut: empty or cut; `make repro` mends it.",
        "foreign is left out: data/checkpoint/model.json: no such file; run `dvc repro` to make "
        "it.",
        "without is left out: its dvc.lock has no data/checkpoint.",
    ]
    assert [each.name for each in ranking.tried] == [name]
    shown = list(table_lines(ranking))
    assert shown[0].startswith("1 setting by its log loss on 459 train rows")
    assert "Holm" not in " ".join(shown)
    with pytest.raises(InputError, match=r"^the settings differ in nothing to draw$"):
        draw_slices(tmp_path / "slices.svg", ranking)


@pytest.mark.slow
def test_show_says_it_too_and_what_makes_it_for_a_commit(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = swept.copy_to(tmp_path / "project")
    monkeypatch.chdir(project.root)
    name = next(iter(swept.names.values()))
    commit = find_commit(name)
    lacks = "has no evaluation, only a validation score"
    with pytest.raises(InputError) as caught:
        list(revision_lines(name))
    assert str(caught.value) == f"{name}: {lacks}; `dvc exp apply {name} && dvc repro` makes it"
    head = find_commit("HEAD")
    project.run("git", "update-ref", "-d", f"refs/exps/{head[:2]}/{head[2:]}/{name}")
    with pytest.raises(InputError) as caught:
        read_revision(commit)
    assert str(caught.value) == f"{commit}: {lacks}; check it out and run `dvc repro`"


def test_without_a_commit_it_says_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Project(tmp_path).run("git", "init", "-q")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^HEAD: this repository has no commit yet; commit first"):
        Search(Path())


@pytest.mark.parametrize(("asked", "made"), [(0, 5), (3, 5), (14, 10), (50, 50), (999, 100)])
def test_the_benchmark_has_a_grid_whatever_is_asked(asked: int, made: int) -> None:
    assignments, n_settings = grid_of(asked)
    assert len(parse_grid(assignments)) == n_settings == made
