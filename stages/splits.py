"""Splits: table -> scores of the whole recipe on other splits.        python -m stages.splits

Reads   the table at data.path; params: data, split, model, train, evaluate.splits
Writes  metrics/splits.json

What the stages split, train and evaluate do is done anew for each split, by the same functions.
"""

from vintage.base.stage import Stage

STAGE = Stage("splits")  # ahead of NumPy and PyTorch

import itertools
from collections.abc import Iterator
from pathlib import Path

from vintage.base import console
from vintage.base.files import write_json
from vintage.base.machine import keep_freed_memory
from vintage.base.params import ModelParams, TrainParams, load_params
from vintage.base.waiting import waiting
from vintage.scores.splits import Splits, SplitScores
from vintage.table.dataset import load_dataset
from vintage.table.resplit import OtherSplit, other_splits, why_fixed
from vintage.table.split import MOST_TURNS
from vintage.training.pack import train_all
from vintage.training.prepare import Training, prepare

SCORES = Path("metrics/splits.json")
HELD_ROWS = 100_000  # of all splits that are in memory at once


def main() -> None:
    params = load_params()
    keep_freed_memory()
    n_splits = params.evaluate.splits
    reason = why_fixed(params.data, params.split) if n_splits else "evaluate.splits is 0"
    if reason:
        write_json(SCORES, Splits(splits={}, reason=reason).model_dump())
        console.say(f"no other splits: {reason}")
        return

    with waiting("reading the table"):
        data = load_dataset(params.data, params.split)
    splits = other_splits(data, params.data, params.split, n_splits)
    size = max(1, HELD_ROWS // len(data.labels))
    by_seed: dict[str, dict[str, SplitScores]] = {}
    while held := _next(splits, size):
        console.say(f"training {params.train.replicas} replicas on each of {len(held)} splits")
        with waiting("training"):
            trainings = [prepared(params.model, params.train, split) for split in held]
            train_all(trainings)
        with waiting("scoring"):
            for split, training in zip(held, trainings, strict=True):
                test = split.parts["test"].features
                predicted = training.ensemble.predict_proba(test).mean(axis=0)
                scores = SplitScores.of(split.parts, split.schema.classes, predicted)
                by_seed.setdefault(str(split.seed), {})[str(split.turn)] = scores
    found = Splits(splits=by_seed)
    write_json(SCORES, found.model_dump())
    losses = [each.scores["log_loss"] or 0.0 for each in found.all_splits]
    console.say(f"log loss from {min(losses):.4f} to {max(losses):.4f}; see {SCORES}")


def _next(splits: Iterator[OtherSplit], n_splits: int) -> list[OtherSplit]:
    with waiting("splitting"):
        return list(itertools.islice(splits, n_splits))


def prepared(model: ModelParams, train: TrainParams, split: OtherSplit) -> Training:
    """The training of a split, with seeds that no other split has."""
    number = split.seed * MOST_TURNS + split.turn
    seed = (train.seed + (number + 1) * train.replicas) % 2**32
    rows, val = split.parts["train"], split.parts["val"]
    return prepare(
        model,
        train.model_copy(update={"seed": seed}),
        split.schema,
        (rows.features, rows.labels),
        (val.features, val.labels),
        rows.folds,
    )


if __name__ == "__main__":
    STAGE.run(main)
