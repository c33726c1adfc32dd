"""A table of numbers only, for benchmarks that make their own rows, and a plain network for it."""

from pathlib import Path
from typing import Any

import numpy as np

from vintage.base.recipe import Architecture
from vintage.base.tensors import READ_ROWS, ExamplesFile, Feature, PartFile, RowCounts, Schema


def numeric_schema(n_features: int, n_classes: int, n_train: int = 1) -> Schema:
    return Schema(
        target="class",
        classes=[str(label) for label in range(n_classes)],
        features=[Feature(name=f"f{index}", kind="numeric") for index in range(n_features)],
        rows=RowCounts(train=n_train, val=0, test=1, repeated=0),
    )


def written_rows(folder: Path, n_rows: int, n_features: int, n_classes: int) -> PartFile:
    """A file of train rows: normal numbers, and the sum of the first two says the class."""
    draw = np.random.default_rng(0)
    path = folder / "train.safetensors"
    with path.open("wb") as content:
        file = ExamplesFile(content, n_rows, n_features, is_test=False)
        for start in range(0, n_rows, READ_ROWS):
            rows = np.arange(start, min(start + READ_ROWS, n_rows))
            features = draw.standard_normal((len(rows), n_features), dtype=np.float32)
            place = (features[:, 0] + features[:, 1]) / 4 + 0.5
            file.append("features", features)
            file.append("labels", (place * n_classes).clip(0, n_classes - 1).astype(np.int64))
            file.append("ids", draw.integers(-(2**63), 2**63, len(rows)))
            for name in ("rows", "groups"):
                file.append(name, rows)
    return PartFile(path, numeric_schema(n_features, n_classes, n_rows))


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
