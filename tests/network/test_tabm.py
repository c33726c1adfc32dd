"""What only TabM has: members, bins of its own, and limits; see `test_compliance` for the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings
from tabm import EnsembleView, LinearBatchEnsemble, LinearEnsemble
from torch import nn

from tests.conftest import PENGUINS, WINE, Project, Run, only_error
from tests.network.small_table import SCHEMA, rows
from tests.network.test_compliance import build, checkpoint_of
from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.recipe import Architecture
from vintage.base.tensors import Feature
from vintage.network.checkpoint import read_checkpoint, write_checkpoint
from vintage.network.ensemble import build_ensemble
from vintage.network.tabm import EMBEDDING_SIZE, N_BINS, N_MEMBERS, bin_edges
from vintage.scores.evaluation import Evaluation

MODEL = Architecture(name="tabm", hidden=[8, 6], dropout=0.1, normalize="standard")


def test_the_prediction_is_the_mean_of_the_members() -> None:
    ensemble, features = build("tabm", 0, 1), rows(40)
    with torch.no_grad():
        members = ensemble(ensemble.encode(torch.from_numpy(features)))
    assert members.shape == (2 * N_MEMBERS, 40, 2)
    mean = members.double().softmax(-1).unflatten(0, (2, N_MEMBERS)).mean(1)
    assert ensemble.predict_proba(features) == pytest.approx(mean.numpy(), abs=1e-6)


def test_it_computes_what_the_packages_of_its_authors_do() -> None:
    """With the same weights, for columns with many bins, few, and one."""
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=300), rng.integers(0, 3, 300), np.zeros(300), rng.normal(size=300)]
    features = np.stack(columns, axis=1).astype(np.float32)
    schema = SCHEMA.model_copy(
        update={"features": [Feature(name=str(index), kind="numeric") for index in range(4)]}
    )
    ensemble = build_ensemble(MODEL, schema, [3], features)
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    inputs = ensemble.encode(torch.from_numpy(features))
    edges = dict(ensemble.layers.named_buffers())["edges"]
    embeddings = PiecewiseLinearEmbeddings(
        [column.unique() for column in edges],
        EMBEDDING_SIZE,
        activation=False,
        version="B",
    )
    hidden = {"k": N_MEMBERS, "scaling_init": "ones"}
    layers = nn.Sequential(
        EnsembleView(k=N_MEMBERS),
        LinearBatchEnsemble(4 * EMBEDDING_SIZE, 8, **hidden),
        nn.ReLU(),
        nn.Identity(),
        LinearBatchEnsemble(8, 6, **hidden),
        nn.ReLU(),
        nn.Identity(),
        LinearEnsemble(6, 2, k=N_MEMBERS),
    )
    theirs = nn.ModuleDict({"embeddings": embeddings, "layers": layers})
    ours = {name: weight.detach()[0] for name, weight in ensemble.layers.named_parameters()}
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.copy_(ours.pop(name.replace(".", "_")))
        expected = layers(embeddings(inputs).flatten(1)).transpose(0, 1)
        found = ensemble(inputs)
    assert ours == {}
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [0, -3, 0.1, 2**23, 20240101, -20240101, 1e30, 2.0**127])
def test_a_constant_column_has_one_bin(value: float) -> None:
    """Whose cells are missing in some rows, or it would be dropped."""
    edges = bin_edges(torch.full((9, 1), value))
    assert edges.isfinite().all()
    assert (edges.diff(dim=1) > 0).sum() == 1
    assert torch.tensor(value, dtype=torch.float32) in edges


def test_bin_edges_are_quantiles() -> None:
    numbers = np.stack([np.arange(97), np.zeros(97), np.arange(97) % 3], axis=1).astype(np.float32)
    edges = bin_edges(torch.from_numpy(numbers))
    assert edges.shape == (3, N_BINS + 1)
    assert edges[0].tolist() == list(range(0, 97, 2))
    assert edges[1, :3].tolist() == [0, 1, 1]
    assert edges[2, :4].tolist() == [0, 1, 2, 2]


def test_categories_alone_and_a_single_number() -> None:
    for kept in ([1], [0]):
        schema = SCHEMA.model_copy(update={"features": [SCHEMA.features[index] for index in kept]})
        features = rows(30)[:, kept]
        ensemble = build_ensemble(MODEL, schema, [1], features)
        assert ensemble.predict_proba(features).shape == (1, 30, 2)


def without_edges(state: dict[str, Any]) -> None:
    del state["layers.edges"]


def few_edges(state: dict[str, Any]) -> None:
    state["layers.edges"] = np.ascontiguousarray(state["layers.edges"][:, :5])


def nan_edges(state: dict[str, Any]) -> None:
    state["layers.edges"] = np.full_like(state["layers.edges"], np.nan)


def equal_edges(state: dict[str, Any]) -> None:
    state["layers.edges"] = np.ones_like(state["layers.edges"])


def one_edge(state: dict[str, Any]) -> None:
    state["layers.edges"] = np.ones(1, dtype=np.float32)


def other_weights(state: dict[str, Any]) -> None:
    name = next(name for name in state if name.endswith("_weight"))
    state[name] = state[name][:1]


@pytest.mark.parametrize(
    "damage", [without_edges, few_edges, nan_edges, equal_edges, one_edge, other_weights]
)
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: Any) -> None:
    write_checkpoint(tmp_path, *checkpoint_of("tabm", build("tabm", 0, 1)))
    state = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    damage(state)
    safetensors.numpy.save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="run `dvc repro`"):
        read_checkpoint(tmp_path)


def test_edges_are_read_where_earlier_checkpoints_have_them(tmp_path: Path) -> None:
    ensemble = build("tabm", 0, 1)
    write_checkpoint(tmp_path, *checkpoint_of("tabm", ensemble))
    state = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    state["edges"] = state.pop("layers.edges")
    safetensors.numpy.save_file(state, tmp_path / "model.safetensors")
    expected = ensemble.predict_proba(rows(9))
    assert (read_checkpoint(tmp_path).predict_proba(rows(9)) == expected).all()


def test_it_has_no_scaling_layer() -> None:
    scaled = MODEL.model_copy(update={"scaling_layer": True})
    with pytest.raises(InputError, match="scaling_layer: found true; a tabm has a scale"):
        build_ensemble(scaled, SCHEMA, [1], rows(20))


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


def test_the_stage_refuses_it_without_hidden_layers(fresh: Project) -> None:
    fresh.set_params(**TABM, **{"model.hidden": []})
    fresh.stage("split", check=True)
    assert only_error(fresh.stage("train")) == (
        "error: params.yaml: model.hidden: found []; a tabm has at least one width"
    )


def test_the_stage_refuses_a_network_that_does_not_exist(fresh: Project) -> None:
    fresh.stage("split", check=True)
    fresh.set_params(**{"model.name": "cnn"})
    assert only_error(fresh.stage("train")) == (
        "error: params.yaml: model.name: found 'cnn'; allowed is mlp or tabm"
    )
