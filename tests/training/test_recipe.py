"""What `auto` stands for, and what it goes by."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from tests.conftest import PARAMS, PENGUINS, WINE, Run
from vintage.base.params import Params, load_params
from vintage.base.recipe import auto_values, resolved_values
from vintage.base.tensors import Feature
from vintage.network.encoding import Encoder
from vintage.training.auto import TrainRows, resolve_architecture, resolve_recipe
from vintage.training.neighbors import distances_between, measure_rows, neighbor_error

PLAIN = {
    "model.hidden": "[64, 32]",
    "model.dropout": "0.5",
    "model.activation": "relu",
    "model.normalize": "standard",
    "model.scaling_layer": "false",
    "train.batch_size": "1024",
    "train.learning_rate": "0.01",
    "train.weight_decay": "2.0",
    "train.patience": "0",
}
CLEAR = {
    "model.dropout": "0.25",
    "model.activation": "silu",
    "model.scaling_layer": "true",
    "train.batch_size": "32",
    "train.learning_rate": "0.005",
    "train.weight_decay": "0.0625",
    "train.patience": "16",
}
BEYOND = {
    "model.hidden": "[128, 64]",
    "model.dropout": "0.5",
    "model.activation": "silu",
    "model.normalize": "piecewise",
    "model.scaling_layer": "true",
    "train.batch_size": "256",
    "train.learning_rate": "0.005",
    "train.weight_decay": "0.4",
    "train.patience": "16",
}
LARGE = {
    "model.dropout": "0.1",
    "train.batch_size": "1024",
    "train.weight_decay": "0.006826",
    "train.patience": "8",
}
TABM = {
    "model.activation": "relu",
    "model.normalize": "standard",
    "model.scaling_layer": "false",
}


@pytest.mark.parametrize(
    ("name", "n_rows", "neighbor_error", "expected"),
    [
        ("mlp", 1_024, 0.33, PLAIN),
        ("mlp", 1_024, 0.329, PLAIN | CLEAR),
        ("mlp", 1_025, None, BEYOND),
        ("mlp", 300_000, None, BEYOND | LARGE),
        ("tabm", 1_024, 0.33, PLAIN),
        ("tabm", 1_024, 0.329, PLAIN | CLEAR | TABM),
        ("tabm", 1_025, None, BEYOND | TABM),
    ],
)
def test_auto_goes_by_the_rows_and_the_network(
    name: str, n_rows: int, neighbor_error: float | None, expected: dict[str, str]
) -> None:
    assert resolved(load_params(PARAMS), name, TrainRows(n_rows, 9, neighbor_error)) == expected


def test_what_is_set_is_not_touched() -> None:
    params = load_params(PARAMS)
    rows = TrainRows(5_000, 9, None)
    given = params.model.model_copy(update={"activation": "relu", "scaling_layer": False})
    found = resolved(params.model_copy(update={"model": given}), "mlp", rows)
    assert "model.activation" not in found
    assert "model.scaling_layer" not in found
    architecture = resolve_architecture(given, rows)
    assert architecture.activation == "relu"
    assert not architecture.scaling_layer


def resolved(params: Params, name: str, rows: TrainRows) -> dict[str, str]:
    model = params.model.model_copy(update={"name": name})
    architecture = resolve_architecture(model, rows)
    recipe = resolve_recipe(params.train, rows)
    return auto_values(model, params.train, resolved_values(architecture, recipe))


def error_of(inputs: torch.Tensor, labels: torch.Tensor) -> float:
    return neighbor_error(torch.cdist(inputs, inputs, p=1), labels)


def test_the_distances_are_those_of_the_encoded_rows() -> None:
    rng = np.random.default_rng(0)
    numbers, codes = rng.normal(size=(50, 2)), rng.integers(4, size=(50, 2))
    features = np.column_stack([numbers, codes]).astype(np.float32)
    features[::5, 1] = np.nan
    columns = [
        Feature(name="number", kind="numeric"),
        Feature(name="sparse", kind="numeric", missing=True),
        Feature(name="text", kind="categorical", categories=["a", "b", "c", "d"]),
        Feature(name="gaps", kind="categorical", categories=["a", "b", "c"], missing=True),
    ]
    encoder = Encoder(columns)
    encoder.fit(features, normalize=True)
    inputs = encoder(torch.from_numpy(features)).double()
    expected = torch.cdist(inputs, inputs, p=1)
    assert torch.allclose(distances_between(columns, features), expected)


def test_the_neighbor_error_is_that_of_leaving_one_row_out() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(200, 3)).astype(np.float32), rng.integers(3, size=200)
    features[:, 0] += labels
    nearest = KNeighborsClassifier(1, metric="manhattan")
    predicted = cross_val_predict(nearest, features, labels, cv=LeaveOneOut())
    expected = (predicted != labels).sum() / (labels != np.bincount(labels).argmax()).sum()
    assert 0.3 < expected < 1
    found = error_of(torch.from_numpy(features), torch.from_numpy(labels))
    assert found == pytest.approx(expected)


def test_the_order_of_the_rows_makes_no_difference_to_the_neighbor_error() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(3, (300, 4), generator=generator)
    inputs = torch.nn.functional.one_hot(codes).flatten(1).float()
    labels = (codes[:, 0] + torch.randint(2, (300,), generator=generator)).sort().values
    orders = [torch.arange(300), *(torch.randperm(300, generator=generator) for _ in range(3))]
    found = [error_of(inputs[order], labels[order]) for order in orders]
    assert found == pytest.approx([found[0]] * 4)


def test_equally_near_neighbors_share_the_verdict() -> None:
    inputs = torch.tensor([[0.0], [1.0], [-1.0], [9.0], [9.5]])
    # of the first row's two neighbours one is wrong; each of them has one, which is right or wrong
    assert error_of(inputs, torch.tensor([0, 0, 1, 1, 1])) == (0.5 + 0 + 1 + 0 + 0) / 2


def test_a_twin_is_no_neighbor() -> None:
    inputs = torch.tensor([[0.0], [0.0], [1.0], [1.0], [5.0], [5.0]])
    assert error_of(inputs, torch.tensor([0, 0, 1, 1, 0, 0])) == 6 / 2


def test_the_neighbor_error_of_a_single_class_is_that_of_chance() -> None:
    assert error_of(torch.tensor([[0.0], [1.0]]), torch.tensor([1, 1])) == 1


@pytest.mark.parametrize(
    ("table", "target", "batch_size"), [(PENGUINS, "species", 32), (WINE, "quality", 800)]
)
def test_the_train_stage_tells_clear_classes(
    run: Run, table: Path, target: str, batch_size: int
) -> None:
    folder = run(
        table.read_text(encoding="utf-8"),
        "split",
        "train",
        **{"data.target": target, "train.epochs": 1},
    )
    model = json.loads((folder / "data/checkpoint/model.json").read_text(encoding="utf-8"))
    assert model["recipe"]["batch_size"] == batch_size


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_a_table_of_one_kind_only(kind: Literal["numeric", "categorical"]) -> None:
    categories = list("ab") if kind == "categorical" else None
    columns = [Feature(name="column", kind=kind, categories=categories)]
    features = np.array([[0], [1], [0], [1]], dtype=np.float32)
    rows = measure_rows(columns, features, np.array([0, 1, 0, 1]), None)
    assert rows == TrainRows(4, 1, 2.0)
