"""How well a checkpoint predicts the rows that validate it; the test rows are not read.

In folds, these are the train rows, each predicted by the replicas that left it out; otherwise the
validation rows.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vintage.base.console import InputError
from vintage.base.tensors import Examples, Schema, is_trained_in_blocks, read_examples, read_schema
from vintage.network.checkpoint import Checkpoint
from vintage.report.best import RowLosses, seed_variance
from vintage.scores.evaluation import out_of_fold
from vintage.scores.rows import Floats, row_losses

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
    if is_trained_in_blocks(schema):
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
    part, folds = tensors.train, tensors.train.folds
    if folds is None:  # all rows are validated by every replica, as those of one fold
        part, folds = tensors.val, np.zeros_like(tensors.val.labels)
    by_replica = checkpoint.predict_proba(part.features)
    places, mean = out_of_fold(by_replica, folds)
    rows = part.take(places)
    n_folds = int(folds[places].max()) + 1
    held_out = [folds == replica % n_folds for replica in range(len(by_replica))]
    means = [
        float(row_losses(each[own], part.labels[own]).mean())
        for each, own in zip(by_replica, held_out, strict=True)
    ]
    variance = seed_variance(np.array(means), folds[places])
    return Validation(rows, mean, RowLosses(row_losses(mean, rows.labels), variance))
