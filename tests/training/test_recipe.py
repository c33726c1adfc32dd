"""What `auto` stands for."""

import json
from pathlib import Path

import pytest

from tests.conftest import PARAMS, PENGUINS, WINE, Run
from vintage.base.params import ModelParams, Params, load_params
from vintage.base.recipe import auto_values, resolved_values
from vintage.network.registry import NETWORKS
from vintage.training.auto import resolve_architecture, resolve_recipe

FEW = {
    "model.hidden": "[64, 32]",
    "model.dropout": "0.5",
    "model.activation": "silu",
    "model.normalize": "standard",
    "model.scaling_layer": "true",
    "train.batch_size": "32",
    "train.learning_rate": "0.005",
    "train.weight_decay": "0.0625",
    "train.patience": "16",
}
BEYOND = {
    "model.hidden": "[128, 64]",
    "model.normalize": "piecewise",
    "train.batch_size": "256",
    "train.weight_decay": "0.4",
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
    ("name", "n_rows", "expected"),
    [
        ("mlp", 1_024, FEW),
        ("mlp", 1_025, FEW | BEYOND),
        ("mlp", 300_000, FEW | BEYOND | LARGE),
        ("tabm", 1_024, FEW | TABM),
        ("tabm", 1_025, FEW | BEYOND | TABM),
    ],
)
def test_auto_goes_by_the_rows_and_the_network(
    name: str, n_rows: int, expected: dict[str, str]
) -> None:
    assert resolved(load_params(PARAMS), name, n_rows) == expected


def test_what_is_set_is_not_touched() -> None:
    params = load_params(PARAMS)
    given = params.model.model_copy(update={"activation": "relu", "scaling_layer": False})
    found = resolved(params.model_copy(update={"model": given}), "mlp", 5_000)
    assert "model.activation" not in found
    assert "model.scaling_layer" not in found
    architecture = resolve_architecture(given, 5_000, 9)
    assert architecture.activation == "relu"
    assert not architecture.scaling_layer


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_resolved_can_be_asked_for(name: str) -> None:
    """As `explain` does of a checkpoint: every parameter of `model` is in the architecture."""
    params = load_params(PARAMS).model.model_copy(update={"name": name})
    architecture = resolve_architecture(params, 5_000, 9)
    asked = ModelParams(**architecture.model_dump(exclude={"n_bins"}))
    assert resolve_architecture(asked, 5_000, 9) == architecture


def test_the_decay_goes_by_the_rows_that_a_replica_learns_from() -> None:
    train = load_params(PARAMS).train
    decays = [resolve_recipe(train, 1_024, n).weight_decay for n in (1_024, 896, 32, 1)]
    assert decays == [0.0625, 0.07143, 2, 2]


def resolved(params: Params, name: str, n_rows: int) -> dict[str, str]:
    model = params.model.model_copy(update={"name": name})
    architecture = resolve_architecture(model, n_rows, 9)
    recipe = resolve_recipe(params.train, n_rows, n_rows)
    return auto_values(model, params.train, resolved_values(architecture, recipe))


@pytest.mark.parametrize(
    ("table", "target", "weight_decay"), [(PENGUINS, "species", 0.25), (WINE, "quality", 0.08)]
)
def test_the_train_stage_resolves_it(
    run: Run, table: Path, target: str, weight_decay: float
) -> None:
    folder = run(
        table.read_text(encoding="utf-8"),
        "split",
        "train",
        **{"data.target": target, "train.epochs": 1},
    )
    model = json.loads((folder / "data/checkpoint/model.json").read_text(encoding="utf-8"))
    assert model["recipe"]["weight_decay"] == weight_decay
