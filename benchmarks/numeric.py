"""A table of numbers only, for benchmarks that make their own rows, and a plain network for it."""

from typing import Any

from vintage.base.recipe import Architecture
from vintage.base.tensors import Feature, RowCounts, Schema


def numeric_schema(n_features: int, n_classes: int) -> Schema:
    return Schema(
        target="class",
        classes=[str(label) for label in range(n_classes)],
        features=[Feature(name=f"f{index}", kind="numeric") for index in range(n_features)],
        rows=RowCounts(train=1, val=0, test=1, repeated=0),
    )


def plain_network(**changes: Any) -> Architecture:
    """ReLU and nothing else, on inputs as they are, but for `changes`."""
    plain = {
        "name": "mlp",
        "hidden": [64, 32],
        "dropout": 0.0,
        "activation": "relu",
        "normalize": "none",
        "n_bins": 0,
        "scaling_layer": False,
    }
    return Architecture.model_validate(plain | changes)
