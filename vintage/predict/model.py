"""A trained network, from a checkpoint, and what it predicts for rows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vintage.base.console import InputError
from vintage.base.tensors import Features, Schema
from vintage.network.checkpoint import Checkpoint
from vintage.table.cells import Place, with_nulls
from vintage.table.features import encode_features
from vintage.table.read import column_hint


class Predicted(NamedTuple):
    """What is predicted for rows.

    Attributes:
        classes: int64 `[n]`, places in the schema's classes.
        probabilities: float64 `[n, n_classes]`.
        spread: float64 `[n]`, the standard deviation over the replicas of the predicted class's
            probability; None with one replica, of which nothing is known.
    """

    classes: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64] | None


def predict(network: Checkpoint, features: Features) -> Predicted:
    """The mean over the replicas, computed as the stage `evaluate` does, and their spread."""
    by_replica = network.predict_proba(features)
    probabilities = by_replica.mean(axis=0)
    classes = probabilities.argmax(axis=1)
    if len(by_replica) == 1:
        return Predicted(classes, probabilities, None)
    # of all classes, because NumPy sums a single row's predicted class in another order
    deviations = by_replica.std(axis=0, ddof=1)
    spread = np.take_along_axis(deviations, classes[:, None], axis=1)[:, 0]
    return Predicted(classes, probabilities, spread)


def encode(path: Path, table: pa.Table, schema: Schema, first: int = 0) -> Features:
    """Rows in plain types -> float32 `[n, n_features]`.

    Args:
        path: for errors.
        first: the number of the first row.

    Raises:
        InputError: a cell is not what its column holds.
    """
    columns = {
        feature.name: with_nulls(table[feature.name], schema.missing) for feature in schema.features
    }
    rows = np.arange(first, first + table.num_rows)
    return encode_features(columns, schema.features, Place(str(path), rows, is_new=True))


def check_columns(
    path: Path, found: list[str], schema: Schema, id_column: str | None = None
) -> list[str]:
    """The columns that are there and of no use; the target and dropped ones are expected.

    Raises:
        InputError: one that is needed is missing.
    """
    needed = schema.feature_names + ([] if id_column is None else [id_column])
    if missing := [name for name in needed if name not in set(found)]:
        hint = column_hint(found, "--delimiter")
        raise InputError(f"{path}: has no {listed(missing)}, which is needed; {hint}")
    known = {*needed, *schema.dropped, schema.target}
    return [name for name in found if name not in known]


def listed(names: list[str]) -> str:
    """`column 'a'` or `columns 'a', 'b', ...`."""
    shown = ", ".join(repr(name[:60]) for name in names[:20])
    return f"column{'s' * (len(names) > 1)} {shown}{', ...' if len(names) > 20 else ''}"
