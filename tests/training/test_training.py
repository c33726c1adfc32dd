"""The training: the plain recipe, the replicas, and what a run leaves behind."""

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from benchmarks import plain_loop
from benchmarks.numeric import numeric_schema, plain_network
from tests.conftest import Project, Run, only_error, run_here, stage_here
from vintage.base.files import read_json
from vintage.base.losses import LossRecord
from vintage.base.recipe import Recipe
from vintage.base.tensors import read_examples, read_schema
from vintage.network.ensemble import build_ensemble
from vintage.report.verdict import curve_in_words
from vintage.scores.evaluation import Epochs, Evaluation, best_epoch, is_still_falling
from vintage.training.fit import fit
from vintage.training.rows import Part

PLAIN_SPLIT = {"split.val_size": 0, "split.stratify": False, "split.group_by": "none"}
PLAIN_MODEL = {
    "model.normalize": "none",
    "model.dropout": 0.0,
    "model.activation": "relu",
    "model.scaling_layer": False,
}
PLAIN_TRAIN = {
    "train.patience": 0,
    "train.replicas": 1,
    "train.weight_decay": 0.0,
    "train.learning_rate": 0.01,
    "train.batch_size": "all",
}


def losses_of(project: Project) -> list[dict[str, Any]]:
    losses: list[dict[str, Any]] = json.loads((project.root / "metrics/losses.json").read_text())
    return losses


def train(project: Project, **changes: Any) -> list[dict[str, Any]]:
    project.set_params(**changes)
    stage_here(project.root, "train")
    return losses_of(project)


@pytest.fixture
def split_only(reproduced: Project) -> Project:
    """A small project whose split stage is done, and whose training is short."""
    reproduced.set_params(**{"train.epochs": 8, "train.replicas": 3})
    return reproduced


def test_it_agrees_with_the_plain_recipe(fresh: Project) -> None:
    """As far as arithmetic can: few of the seeds may differ by more, see `plain_loop`."""
    inputs, labels, table_rows = plain_loop.wine()
    seeds = [42, *range(1, 20)]
    for hidden in plain_loop.SIZES:
        found = plain_loop.exact_loops(inputs, labels, hidden, seeds)
        expected = [plain_loop.plain_loop(inputs, labels, hidden, seed) for seed in seeds]
        early, late = plain_loop.differences(found, expected)
        assert np.median(early) <= 1e-6
        assert (early > plain_loop.LIMIT).sum() <= 4
        assert late[:5].max() <= 0.03
        assert (late > 0.03).sum() <= 1

    # the stages do the same
    fresh.set_params(**PLAIN_SPLIT, **PLAIN_MODEL, **PLAIN_TRAIN, **{"model.hidden": hidden})
    stage_here(fresh.root, "split")
    tensors = fresh.root / "data/tensors"
    rows = read_examples(tensors / "train.safetensors", read_schema(tensors / "schema.json")).rows
    assert rows.tolist() == table_rows
    recorded = train(fresh, **{"train.seed": 42, "train.epochs": 100})
    losses = [record["train_loss"] for record in recorded]
    assert losses == pytest.approx(found[0].tolist(), rel=1e-8)


def test_a_replica_alone_has_the_same_curve(split_only: Project) -> None:
    """The mean curve of three replicas is the mean of three single runs, to 1e-5 for 50 epochs."""
    same = {"train.epochs": 50, "train.batch_size": "all", "train.patience": 0}
    split_only.set_params(**{"split.val_size": 0.1, "model.dropout": 0.0})
    stage_here(split_only.root, "split")
    together = train(split_only, **same)
    alone = [
        train(split_only, **same, **{"train.replicas": 1, "train.seed": 42 + replica})
        for replica in range(3)
    ]
    for key in ("train_loss", "val_loss"):
        mean = np.mean([[record[key] for record in losses] for losses in alone], axis=0)
        assert [record[key] for record in together] == pytest.approx(mean.tolist(), rel=1e-5)


def test_a_scaling_layer_learns_as_in_plain_pytorch() -> None:
    """Its scale starts at 1, learns six times as fast as the weights, and does not decay."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 5)).astype(np.float32)
    inputs, labels = torch.from_numpy(features), torch.from_numpy(rng.integers(0, 3, 50))
    model = plain_network(hidden=[8], activation="silu", scaling_layer=True)
    ensemble = build_ensemble(model, numeric_schema(5, 3), [7, 8], features)
    layers = nn.Sequential(nn.Linear(5, 8), nn.SiLU(), nn.Linear(8, 3))
    scale = nn.Parameter(torch.ones(5))
    layers.load_state_dict(
        {
            name.removeprefix("layers."): value[1].T.squeeze()
            for name, value in ensemble.state_dict().items()
            if name.startswith("layers.") and not name.endswith("scale")
        }
    )
    optimizer = torch.optim.AdamW(
        [
            {"params": layers.parameters(), "weight_decay": 0.5},
            {"params": [scale], "weight_decay": 0, "lr": 0.06},
        ],
        lr=0.01,
    )
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(layers(inputs * scale), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    recipe = Recipe(
        seed=0, epochs=40, batch_size=50, learning_rate=0.01, weight_decay=0.5, patience=0
    )
    history = fit(ensemble, Part.of_all(inputs, labels), None, recipe, None)
    assert history.train_losses[:, 1].tolist() == pytest.approx(losses, rel=1e-4)
    found = dict(ensemble.named_parameters())["layers.0.scale"]
    assert found[1, :, 0].tolist() == pytest.approx(scale.tolist(), rel=1e-3)


def test_the_kept_weights_are_those_of_the_best_validation_epoch(split_only: Project) -> None:
    losses = train(split_only, **{"train.replicas": 1, "train.epochs": 60, "model.dropout": 0.0})
    val_losses = [record["val_loss"] for record in losses]
    manifest = json.loads((split_only.root / "data/checkpoint/model.json").read_text())
    assert manifest["best_epochs"] == [int(np.argmin(val_losses)) + 1]
    split_only.set_params(**{"train.calibration": "none"})
    stage_here(split_only.root, "train")
    stage_here(split_only.root, "evaluate")
    evaluation = json.loads((split_only.root / "metrics/details.json").read_text())
    assert evaluation["val"]["log_loss"] == pytest.approx(min(val_losses), abs=2e-6)


def test_patience_stops_early(split_only: Project) -> None:
    losses = train(
        split_only,
        **{
            "train.patience": 3,
            "train.epochs": 500,
            "train.replicas": 2,
            "train.learning_rate": 0.1,
        },
    )
    manifest = json.loads((split_only.root / "data/checkpoint/model.json").read_text())
    assert len(losses) == manifest["n_epochs"] < 500
    assert len(losses) == max(manifest["best_epochs"]) + 3 or len(losses) > 3


def test_without_validation_rows_the_last_epoch_counts(split_only: Project) -> None:
    split_only.set_params(**{"split.val_size": 0})
    stage_here(split_only.root, "split")
    losses = train(split_only)
    assert [record["val_loss"] for record in losses] == [None] * 8
    manifest = json.loads((split_only.root / "data/checkpoint/model.json").read_text())
    assert manifest["best_epochs"] == [8, 8, 8]
    stage_here(split_only.root, "evaluate")
    evaluation = json.loads((split_only.root / "metrics/details.json").read_text())
    assert set(evaluation["val"].values()) == {None}


def test_mini_batches_learn_and_a_large_batch_is_the_full_one(split_only: Project) -> None:
    full = train(split_only, **{"train.batch_size": "all"})
    assert train(split_only, **{"train.batch_size": 100_000}) == full
    small = train(split_only, **{"train.batch_size": 64})
    assert small[-1]["train_loss"] < full[-1]["train_loss"]


def test_the_losses_have_one_record_an_epoch_and_their_spread(split_only: Project) -> None:
    losses = train(split_only)
    assert [record["epoch"] for record in losses] == list(range(1, 9))
    assert set(losses[0]) == {
        "epoch", "train_loss", "train_loss_std", "val_loss", "val_loss_std",
    }  # fmt: skip
    single = train(split_only, **{"train.replicas": 1})
    assert set(single[0]) == {"epoch", "train_loss", "val_loss"}


def test_a_loss_that_explodes_is_named(split_only: Project) -> None:
    split_only.set_params(**{"train.learning_rate": 1000.0, "model.normalize": "none"})
    split_only.set_params(**{"train.epochs": 200, "train.weight_decay": 0.1})
    error = only_error(split_only.stage("train"))
    assert "the loss is no longer finite at epoch" in error
    assert "lower train.learning_rate" in error


def test_the_normalization_is_fitted_on_train_rows_only(split_only: Project) -> None:
    """Other test rows leave every fitted constant, the checkpoint included, as it was."""
    from vintage.base.tensors import read_examples, read_schema

    tensors = split_only.root / "data/tensors"
    split_only.set_params(**{"split.group_by": "none"})
    stage_here(split_only.root, "split")
    schema = read_schema(tensors / "schema.json")
    rows = read_examples(tensors / "test.safetensors", schema).rows.tolist()
    stage_here(split_only.root, "train")
    before = checkpoint(split_only.root)
    table = (split_only.root / "data/wine.csv").read_text().splitlines()
    for row in rows:
        *cells, grade = table[row + 1].split(",")
        table[row + 1] = ",".join([*(str(float(cell) * 3 + 1) for cell in cells), grade])
    (split_only.root / "data/wine.csv").write_text("\n".join(table) + "\n")
    stage_here(split_only.root, "split")
    stage_here(split_only.root, "train")
    after = checkpoint(split_only.root)
    assert after["model.safetensors"] == before["model.safetensors"]
    assert after["model.json"] == before["model.json"]


def checkpoint(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "data/checkpoint").iterdir()}


def records(*losses: float | None) -> list[LossRecord]:
    return [
        LossRecord(epoch=index + 1, train_loss=1, val_loss=loss)
        for index, loss in enumerate(losses)
    ]


def test_the_best_epoch_is_that_of_the_lowest_mean_validation_loss() -> None:
    assert best_epoch(records(3, 1, 2, 1)) == 2
    assert best_epoch(records(3, 2, 1)) == 3
    assert best_epoch(records(None, None)) is None


def test_a_loss_is_still_falling_where_its_last_tenth_lowered_it_most() -> None:
    assert is_still_falling(records(3, 2, 1))
    assert is_still_falling(records(*[1 / epoch for epoch in range(1, 21)]))
    assert not is_still_falling(records(*[1 + 1 / epoch for epoch in range(1, 21)]))
    assert not is_still_falling(records(3, 2, 1, 1.03))
    assert not is_still_falling(records(*[1] * 92, 1.03, *[1] * 7))
    assert not is_still_falling(records(1))
    assert not is_still_falling(records(None, None))


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ((9, 9, True), "the validation loss was still falling at the last of 9 epochs; more of"),
        ((9, 5, False), "best epoch 5 of 9, where the mean validation loss is lowest"),
        ((9, None, False), "no validation rows; the weights are those of the last epoch, 9"),
    ],
)
def test_a_curve_in_words(curve: tuple[int, int | None, bool], words: str) -> None:
    trained, best, still_falling = curve
    epochs = Epochs(trained=trained, best=best, still_falling=still_falling)
    assert curve_in_words(epochs).startswith(words)


def test_every_place_tells_the_same_best_epoch(reproduced: Project) -> None:
    losses = read_json(reproduced.root / "metrics/losses.json", list[LossRecord])
    lowest = min(record.val_loss or 0 for record in losses)
    best = next(record.epoch for record in losses if record.val_loss == lowest)
    for name in ("evaluation", "details"):
        found = json.loads((reproduced.root / f"metrics/{name}.json").read_text())
        assert found["epochs"]["best"] == best
    words = f"est epoch {best} of 10"
    assert words in (reproduced.root / "metrics/report.md").read_text(encoding="utf-8")
    shown = run_here(reproduced.root, "show").stdout
    assert words in shown
    assert "weight_decay 0.08" in shown


def test_a_training_that_ends_too_early_is_told_of(split_only: Project) -> None:
    split_only.set_params(**{"train.epochs": 4, "train.batch_size": "all"})
    stage_here(split_only.root, "train")
    stage_here(split_only.root, "evaluate")
    evaluation = json.loads((split_only.root / "metrics/details.json").read_text())
    assert evaluation["epochs"] == {
        "trained": 4, "best": 4, "still_falling": True,
    }  # fmt: skip
    shown = run_here(split_only.root, "show").stdout
    assert "the validation loss was still falling at the last of 4 epochs" in shown


def test_temperature_lowers_the_validation_loss_or_stays_one(split_only: Project) -> None:
    scores = {}
    for calibration in ("none", "temperature"):
        split_only.set_params(**{"train.calibration": calibration, "train.weight_decay": 0.0})
        split_only.set_params(**{"train.epochs": 100, "split.val_size": 0.2})
        stage_here(split_only.root, "train")
        stage_here(split_only.root, "evaluate")
        scores[calibration] = json.loads((split_only.root / "metrics/details.json").read_text())
    assert scores["none"]["temperature"] == 1
    assert scores["temperature"]["val"]["log_loss"] <= scores["none"]["val"]["log_loss"]


def test_params_of_the_plain_recipe_exist(fresh: Project) -> None:
    params = yaml.safe_load((fresh.root / "params.yaml").read_text())
    for key in [*PLAIN_SPLIT, *PLAIN_MODEL, *PLAIN_TRAIN]:
        section, name = key.split(".")
        assert name in params[section]


def test_a_terminal_shows_a_bar_with_both_losses_and_a_file_shows_lines(
    split_only: Project,
) -> None:
    command = f"stty cols 120 rows 40; {sys.executable} -m stages.train"
    on_a_terminal = split_only.run("script", "-qec", command, "/dev/null").stdout
    assert re.search(r"8/8 \[.*train_loss=\d\.\d+, val_loss=\d\.\d+\]", on_a_terminal)
    assert "epoch 8/8" not in on_a_terminal
    in_a_file = split_only.run(sys.executable, "-m", "stages.train")
    assert re.search(r"^epoch 8/8  train_loss \d\.\d+  val_loss \d\.\d+$", in_a_file.stdout, re.M)
    assert in_a_file.stderr == ""


@pytest.mark.parametrize("value", [0.1, 1e-3, 123.456, 1e-45])
def test_a_constant_feature_says_nothing_whatever_it_is_elsewhere(value: float) -> None:
    features = np.full((7, 1), value, dtype=np.float32)
    model = plain_network(hidden=[8], normalize="standard")
    ensemble = build_ensemble(model, numeric_schema(1, 2), [0], features)
    inputs = ensemble.encode(torch.tensor([[value], [50_000], [-1e9], [np.nan]]))
    assert inputs.flatten().tolist() == pytest.approx([0] * 4, abs=1e-9)


def test_a_column_that_is_constant_but_for_missing_cells_and_then_varies(run: Run) -> None:
    """As one that was filled in lately, which no network can have learned anything of."""
    draw = random.Random(0)
    lines = ["signal,late,when,kind"]
    for moment in range(400):
        signal = draw.gauss(0, 1)
        late = draw.randrange(40_000, 90_000) if moment >= 300 else 50_000
        lines.append(f"{signal:.3f},{late if moment % 3 else ''},{moment},{'ab'[signal > 0]}")
    settings = {"split.order_by": "when", "train.epochs": 40, "model.hidden": [8]}
    folder = run("\n".join(lines) + "\n", "split", "train", "evaluate", **settings)
    found = read_json(folder / "metrics/details.json", Evaluation)
    assert (found.test["log_loss"] or 9) < 0.4
