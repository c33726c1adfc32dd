"""TabM as one of the networks: it learns, in replicas, and its checkpoint is complete."""

import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from tests.conftest import PENGUINS, WINE, Project, Run, only_error
from tests.processes import TRAIN, start
from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.recipe import Architecture, Recipe
from vintage.base.tensors import Feature, Features, RowCounts, Schema
from vintage.network.checkpoint import Manifest, read_checkpoint, write_checkpoint
from vintage.network.ensemble import Ensemble, build_ensemble, load_ensemble
from vintage.network.tabm import N_BINS, N_MEMBERS, bin_edges
from vintage.scores.evaluation import Evaluation
from vintage.training.fit import fit

MODEL = Architecture(
    name="tabm",
    hidden=[8, 6],
    dropout=0.1,
    activation="relu",
    normalize="standard",
    n_bins=0,
    scaling_layer=False,
)
RECIPE = Recipe(
    seed=42, epochs=20, batch_size=200, learning_rate=0.02, weight_decay=0.0, patience=0
)
SCHEMA = Schema(
    target="y",
    classes=["a", "b"],
    features=[
        Feature(name="n", kind="numeric", missing=True),
        Feature(name="c", kind="categorical", categories=["p", "q"]),
        Feature(name="t", kind="datetime"),
    ],
    rows=RowCounts(train=1, val=0, test=1, repeated=0),
)


def rows(n_rows: int, seed: int = 1) -> Features:
    draw = np.random.default_rng(seed)
    columns = [draw.normal(size=n_rows), draw.integers(0, 2, n_rows), draw.normal(9, 4, n_rows)]
    features = np.stack(columns, axis=1).astype(np.float32)
    features[::9, 0] = np.nan
    return features


def labels_of(features: Features) -> torch.Tensor:
    return torch.from_numpy((features[:, 1] + features[:, 2] > 9.5).astype(np.int64))


def trained(n_replicas: int = 2, n_threads: int = 1, **changes: Any) -> Ensemble:
    features = rows(200)
    ensemble = build_ensemble(MODEL, SCHEMA, list(range(n_replicas)), features)
    inputs = ensemble.encode(torch.from_numpy(features))
    part = (inputs, labels_of(features))
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        fit(ensemble, part, part, RECIPE.model_copy(update=changes))
    finally:
        torch.set_num_threads(before)
    return ensemble


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return trained()


def test_it_learns_and_every_weight_has_a_replica_dimension(ensemble: Ensemble) -> None:
    test = rows(500, seed=2)
    probabilities = ensemble.predict_proba(torch.from_numpy(test))
    assert probabilities.shape == (2, 500, 2)
    assert float(((probabilities.mean(0).argmax(1) == labels_of(test)).float()).mean()) > 0.9
    weights = dict(ensemble.named_parameters())
    assert {weight.shape[0] for weight in weights.values()} == {2}
    assert any(weight.shape[1] == N_MEMBERS for weight in weights.values())
    state = set(ensemble.state_dict())
    others = {"encoder.mean", "encoder.median", "encoder.scale", "edges", "temperature"}
    assert state == {*weights, *others}


def test_replicas_start_from_seeds_of_their_own(ensemble: Ensemble) -> None:
    features = rows(200)
    together = build_ensemble(MODEL, SCHEMA, [7, 8, 9], features)
    for replica, seed in enumerate([7, 8, 9]):
        alone = build_ensemble(MODEL, SCHEMA, [seed], features)
        stacked = dict(together.named_parameters())
        for name, weight in alone.named_parameters():
            assert torch.equal(weight[0], stacked[name][replica]), name
    one, other = (ensemble.predict_proba(torch.from_numpy(rows(9)))[index] for index in (0, 1))
    assert not torch.equal(one, other)


def test_the_prediction_is_the_mean_of_the_members(ensemble: Ensemble) -> None:
    features = torch.from_numpy(rows(40))
    ensemble.eval()
    with torch.no_grad():
        members = ensemble(ensemble.encode(features))
    assert members.shape == (2 * N_MEMBERS, 40, 2)
    mean = members.double().softmax(-1).unflatten(0, (2, N_MEMBERS)).mean(1)
    assert ensemble.predict_proba(features).numpy() == pytest.approx(mean.numpy(), abs=1e-6)


def test_a_checkpoint_predicts_the_same_bits(ensemble: Ensemble, tmp_path: Path) -> None:
    manifest = Manifest(
        model=MODEL,
        recipe=RECIPE,
        seeds=[0, 1],
        best_epochs=[1, 1],
        n_epochs=1,
        still_falling=False,
        numerics="x",
    )
    write_checkpoint(tmp_path, ensemble, manifest, SCHEMA)
    found, _, _ = read_checkpoint(tmp_path)
    features = torch.from_numpy(rows(50, seed=3))
    assert torch.equal(found.predict_proba(features), ensemble.predict_proba(features))
    for name, value in ensemble.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)
    first = (tmp_path / "model.safetensors").read_bytes()
    write_checkpoint(tmp_path, found, manifest, SCHEMA)
    assert (tmp_path / "model.safetensors").read_bytes() == first


def without_edges(state: dict[str, Any]) -> None:
    del state["edges"]


def falling_edges(state: dict[str, Any]) -> None:
    state["edges"] = -state["edges"]


def few_edges(state: dict[str, Any]) -> None:
    state["edges"] = np.ascontiguousarray(state["edges"][:, :5])


def nan_edges(state: dict[str, Any]) -> None:
    state["edges"] = np.full_like(state["edges"], np.nan)


def equal_edges(state: dict[str, Any]) -> None:
    state["edges"] = np.ones_like(state["edges"])


def other_weights(state: dict[str, Any]) -> None:
    name = next(name for name in state if name.startswith("layers."))
    state[name] = state[name][:1]


def no_median(state: dict[str, Any]) -> None:
    state["encoder.median"] = np.full_like(state["encoder.median"], np.inf)


@pytest.mark.parametrize(
    "damage",
    [without_edges, falling_edges, few_edges, nan_edges, equal_edges, other_weights, no_median],
)
def test_a_damaged_checkpoint_is_refused(ensemble: Ensemble, tmp_path: Path, damage: Any) -> None:
    state = {name: value.numpy() for name, value in ensemble.state_dict().items()}
    damage(state)
    safetensors.numpy.save_file(state, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="run `dvc repro`"):
        load_ensemble(tmp_path / "m.safetensors", MODEL, SCHEMA, 2)


def test_a_row_has_the_same_prediction_in_any_company(ensemble: Ensemble) -> None:
    features = torch.from_numpy(rows(1500))
    together = ensemble.predict_proba(features)
    for place in (0, 3, 1023, 1024, 1499):
        assert torch.equal(
            ensemble.predict_proba(features[place : place + 1])[:, 0], together[:, place]
        )


def test_bin_edges_are_quantiles() -> None:
    numbers = np.stack([np.arange(97), np.zeros(97), np.arange(97) % 3], axis=1).astype(np.float32)
    edges = bin_edges(numbers)
    assert edges.shape == (3, N_BINS + 1)
    assert edges[0].tolist() == list(range(0, 97, 2))
    assert edges[1, :3].tolist() == [0, 1, 1]
    assert edges[2, :4].tolist() == [0, 1, 2, 2]


def test_categories_alone_and_a_single_number() -> None:
    for kept in ([1], [0]):
        schema = SCHEMA.model_copy(update={"features": [SCHEMA.features[index] for index in kept]})
        features = rows(30)[:, kept]
        ensemble = build_ensemble(MODEL, schema, [1], features)
        assert ensemble.predict_proba(torch.from_numpy(features)).shape == (1, 30, 2)


def test_it_needs_a_hidden_layer_and_has_no_scaling_layer(tmp_path: Path) -> None:
    model = MODEL.model_copy(update={"hidden": []})
    with pytest.raises(InputError, match="a tabm has at least one width"):
        build_ensemble(model, SCHEMA, [1], rows(20))
    scaled = MODEL.model_copy(update={"scaling_layer": True})
    with pytest.raises(InputError, match="scaling_layer: found true; a tabm has a scale"):
        build_ensemble(scaled, SCHEMA, [1], rows(20))
    ensemble = build_ensemble(MODEL, SCHEMA, [1], rows(20))
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(ensemble.state_dict(), path)
    assert load_ensemble(path, MODEL, SCHEMA, 1)
    with pytest.raises(InputError, match="holds a tabm, which has no scaling layer"):
        load_ensemble(path, scaled, SCHEMA, 1)


TABM = {"model.name": "tabm", "model.dropout": 0.1, "train.weight_decay": 0.0}


@pytest.mark.parametrize(
    ("table", "target", "expected"), [(WINE, "quality", 0.5), (PENGUINS, "species", 0.9)]
)
def test_it_learns_real_tables(run: Run, table: Path, target: str, expected: float) -> None:
    text = table.read_text(encoding="utf-8")
    short = {"model.hidden": [16], "train.replicas": 1, "train.epochs": 15, "data.target": target}
    folder = run(text, "split", "train", "evaluate", **TABM, **short)
    evaluation = read_json(folder / "metrics/details.json", Evaluation)
    assert (evaluation.test["accuracy"] or 0) > expected


@pytest.fixture(scope="module")
def due(_fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which a training of three parts is due."""
    project = _fresh.copy_to(tmp_path_factory.mktemp("tabm") / "project")
    lines = (project.root / "data/wine.csv").read_text().splitlines(keepends=True)[:160]
    (project.root / "data/wine.csv").write_text("".join(lines))
    project.set_params(**TABM, **{"model.hidden": [4], "train.replicas": 17, "train.epochs": 12})
    project.stage("split", check=True)
    return project


def outputs(project: Project) -> dict[str, bytes]:
    names = (
        "data/checkpoint/model.safetensors",
        "data/checkpoint/model.json",
        "metrics/losses.json",
    )
    return {name: (project.root / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def expected(due: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    project = due.copy_to(tmp_path_factory.mktemp("undisturbed") / "project")
    project.stage("train", check=True)
    return outputs(project)


@pytest.mark.slow
def test_the_same_bits_with_one_thread(
    due: Project, expected: dict[str, bytes], tmp_path: Path
) -> None:
    project = due.copy_to(tmp_path / "project")
    project.run("taskset", "-c", "0", "python", "-m", "stages.train")
    assert outputs(project) == expected


@pytest.mark.slow
def test_a_killed_training_is_continued(
    due: Project, expected: dict[str, bytes], tmp_path: Path
) -> None:
    project = due.copy_to(tmp_path / "project")
    group = start(project, *TRAIN)
    assert group.until_written(project.root / "data/resume/train.safetensors")
    assert group.kill() == -signal.SIGKILL
    done = project.stage("train", check=True)
    assert re.search(r"^continuing after epoch \d+, from data/resume", done.stdout, re.M)
    assert outputs(project) == expected


def test_a_stage_refuses_it_without_hidden_layers(due: Project, tmp_path: Path) -> None:
    project = due.copy_to(tmp_path / "project")
    project.set_params(**{"model.hidden": []})
    assert only_error(project.stage("train")) == (
        "error: params.yaml: model.hidden: found []; a tabm has at least one width"
    )
