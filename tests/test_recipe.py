"""What `auto` stands for, on both sides of the limit of the plain recipe."""

import pytest

from vintage.params import Params, load_params
from vintage.recipe import auto_values, settle_architecture, settle_recipe

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
    ("name", "n_rows", "expected"),
    [
        ("mlp", 1_024, PLAIN),
        ("mlp", 1_025, BEYOND),
        ("mlp", 300_000, BEYOND | LARGE),
        ("tabm", 1_024, PLAIN),
        ("tabm", 1_025, BEYOND | TABM),
    ],
)
def test_auto_goes_by_the_rows_and_the_network(
    name: str, n_rows: int, expected: dict[str, str]
) -> None:
    assert settled(load_params(), name, n_rows) == expected


def test_what_is_set_is_not_touched() -> None:
    params = load_params()
    given = params.model.model_copy(update={"activation": "relu", "scaling_layer": False})
    found = settled(params.model_copy(update={"model": given}), "mlp", 5_000)
    assert "model.activation" not in found
    assert "model.scaling_layer" not in found
    architecture = settle_architecture(given, 5_000, 9)
    assert architecture.activation == "relu"
    assert not architecture.scaling_layer


def settled(params: Params, name: str, n_rows: int) -> dict[str, str]:
    model = params.model.model_copy(update={"name": name})
    architecture, recipe = (
        settle_architecture(model, n_rows, 9),
        settle_recipe(params.train, n_rows),
    )
    return auto_values(model, params.train, architecture, recipe)
