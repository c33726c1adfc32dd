"""Print what the rule for up to 1,024 train rows rests on.

    python -m benchmarks.few_rows                        two minutes on two cores
    python -m benchmarks.few_rows --only digits wells    some tables
    python -m benchmarks.few_rows --set model.name=tabm train.replicas=1

Draws 240 and 690 train rows out of each development table of `benchmarks.tables`, as far as it has
them and they hold every class, and trains on them by the plain recipe and by the one for clear
classes: the log losses on up to 4,000 other rows, in order of the train rows' neighbour error,
which the rule goes by.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.cross_validate import changed
from benchmarks.public_tables import DEVELOPMENT, TABLES, Table
from benchmarks.tables import RIVALS, csv_path, write_csv
from vintage.base import console, numerics
from vintage.base.params import Params, load_params

if TYPE_CHECKING:
    from vintage.base.tensors import Features, Schema
    from vintage.scores.rows import Labels
    from vintage.table.split import Split

N_TRAIN = (240, 690)
TRAIN_ROWS_PER_VAL_ROW = 7
TEST_SIZE, MAX_TEST = 0.5, 4_000
HEADER = (
    *("table", "train rows", "neighbour error", "plain recipe", "for clear classes"),
    "best of LR, RF, HGB",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [table.name for table in DEVELOPMENT]
    parser.add_argument("--only", nargs="+", metavar="TABLE", choices=names, default=names)
    parser.add_argument("--set", nargs="+", metavar="KEY=VALUE", default=[], dest="changes")
    arguments = parser.parse_args()
    params = changed(load_params(), arguments.changes)
    tables = [TABLES[name] for name in arguments.only]
    write_csv(tables)
    numerics.pin()
    lines = [(table.name, *line) for table in tables for line in measure(table, params)]
    console.say(f"| {' | '.join(HEADER)} |")
    console.say(f"|{' --- |' * len(HEADER)}")
    for name, n_rows, *numbers in sorted(lines, key=lambda line: line[2]):
        console.say(f"| {name} | {n_rows} | {' | '.join(f'{x:.3f}' for x in numbers)} |")


def measure(table: Table, params: Params) -> Iterator[tuple[int, float, float, float, float]]:
    """For each number of train rows: it, their neighbour error, and the three log losses."""
    import numpy as np
    from sklearn.metrics import log_loss

    from benchmarks.training import predict_network
    from vintage.scores.baselines import predict_baseline
    from vintage.training.neighbors import measure_rows

    schema, split, features, labels = load(table, params)
    rng = np.random.default_rng(params.split.seed)
    test = rng.permutation(split.test)[:MAX_TEST]
    n_classes = len(schema.classes)
    for n_train in N_TRAIN:
        train = rng.permutation(split.train)[:n_train]
        val = rng.permutation(split.val)[: n_train // TRAIN_ROWS_PER_VAL_ROW]
        if len(train) < n_train or len(np.unique(labels[train])) < n_classes:
            continue
        rows = measure_rows(schema.features, features[train], labels[train], None)
        assert rows.neighbor_error is not None
        recipes = replace(rows, neighbor_error=1), replace(rows, neighbor_error=0)
        parts = (features[train], labels[train]), (features[val], labels[val])
        known = np.concatenate([train, val])
        learned = schema.features, features[known], labels[known]
        predictions = [
            *(
                predict_network(params, schema, *parts, None, features[test], measured)
                for measured in recipes
            ),
            *(predict_baseline(name, *learned, features[test], n_classes) for name in RIVALS),
        ]
        plain, clear, *rivals = (
            float(log_loss(labels[test], probabilities, labels=range(n_classes)))
            for probabilities in predictions
        )
        yield n_train, rows.neighbor_error, plain, clear, min(rivals)


def load(table: Table, params: Params) -> tuple["Schema", "Split", "Features", "Labels"]:
    """The schema, fitted on all train rows that could be drawn, the split, features and labels."""
    from vintage.base.tensors import RowCounts, Schema
    from vintage.table.dataset import load_dataset
    from vintage.table.features import encode_features, fit_features
    from vintage.table.split import split_rows

    source = {"path": str(csv_path(table)), "target": table.target, "ignore": list(table.ignore)}
    sizes = params.split.model_copy(update={"test_size": TEST_SIZE})
    data = load_dataset(params.data.model_copy(update=source), sizes)
    split = split_rows(data, sizes)
    columns, dropped = fit_features(data.columns, split.train, {}, data.place)
    counts = {part: len(getattr(split, part)) for part in ("train", "val", "test")}
    schema = Schema(
        target=table.target,
        classes=data.classes,
        features=columns,
        dropped=sorted(dropped),
        rows=RowCounts(**counts, repeated=0),
    )
    return schema, split, encode_features(data.columns, columns, data.place), data.labels


if __name__ == "__main__":
    console.run(main)
