"""How well a checkpoint predicts the rows that validate it; the test rows are not read.

In folds, these are the train rows, each predicted by the replicas that left it out; otherwise the
validation rows.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vintage.base.console import InputError
from vintage.base.tensors import Examples, Schema, is_large, read_examples, read_schema
from vintage.network.checkpoint import Checkpoint
from vintage.report.best import RowLosses, seed_variance
from vintage.scores.evaluation import out_of_fold
from vintage.scores.rows import Floats, Labels, log_losses

TENSORS = Path("data/tensors")
NAMES = ("schema.json", "train.safetensors", "val.safetensors")


class Tensors(NamedTuple):
    """What a training reads."""

    schema: Schema
    train: Examples
    val: Examples


class Validation(NamedTuple):
    """The rows that validate a checkpoint, and what it predicts for them.

    Attributes:
        probabilities: float64 `[n, n_classes]`.
        row_losses: the log losses of these.
    """

    rows: Examples
    probabilities: Floats
    row_losses: RowLosses


def read_tensors(root: Path) -> Tensors:
    """Read the tensors of the last split.

    Raises:
        InputError: one is missing or damaged, or does not fit into memory; or no row validates.
    """
    schema = read_schema(root / TENSORS / NAMES[0])
    if is_large(schema.rows.train, schema):
        raise InputError(
            f"{schema.rows.train} train rows are trained on in blocks, and a search needs them in "
            "memory; run settings one by one, by `dvc exp run -S train.learning_rate=...`"
        )
    train, val = (read_examples(root / TENSORS / name, schema) for name in NAMES[1:])
    if train.folds is None and not len(val.labels):
        raise InputError(
            "params.yaml: split.val_size: found 0; without validation rows, settings cannot be "
            "compared, so set it to auto, folds or a share"
        )
    return Tensors(schema, train, val)


def validate(checkpoint: Checkpoint, tensors: Tensors) -> Validation:
    """Predict the rows that validate a checkpoint."""
    part = tensors.val if tensors.train.folds is None else tensors.train
    by_replica = checkpoint.predict_proba(part.features)
    if part.folds is None:
        rows, mean = part, by_replica.mean(axis=0)
        folds = np.zeros(len(part.labels), dtype=np.int64)
    else:
        places, mean = out_of_fold(by_replica, part.folds)
        rows, folds = part.take(places), part.folds[places]
    return Validation(rows, mean, _row_losses(by_replica, part, rows.labels, mean, folds))


def _row_losses(
    by_replica: Floats, part: Examples, labels: Labels, mean: Floats, folds: Labels
) -> RowLosses:
    losses = log_losses(mean[np.arange(len(labels)), labels])
    own = part.folds if part.folds is not None else np.zeros(len(part.labels), dtype=np.int64)
    n_folds = int(folds.max()) + 1
    means = [
        float(log_losses(each[own == r % n_folds, part.labels[own == r % n_folds]]).mean())
        for r, each in enumerate(by_replica)
    ]
    return RowLosses(losses, seed_variance(np.array(means), folds))
