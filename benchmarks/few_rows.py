"""Print what the rule for up to 1,024 train rows rests on.

    python -m benchmarks.few_rows        two minutes on two cores

Draws 240 and 690 train rows out of each development table of `benchmarks.tables`, as far as it has
them, and trains on them by the plain recipe and by the one for clear classes: the log losses on up
to 4,000 other rows, in order of the train rows' neighbour error, which the rule goes by.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.public_tables import DEVELOPMENT, Table
from benchmarks.tables import RIVALS, csv_path, write_csv
from vintage import console, numerics
from vintage.params import Params, load_params

N_TRAIN = (240, 690)
TRAIN_ROWS_PER_VAL_ROW = 7
TEST_SIZE, MAX_TEST = 0.5, 4_000
HEADER = (
    *("table", "train rows", "neighbour error", "plain recipe", "for clear classes"),
    "best of LR, RF, HGB",
)


def main() -> None:
    params = load_params()
    write_csv(DEVELOPMENT)
    numerics.pin()
    lines = [(table.name, *line) for table in DEVELOPMENT for line in measure(table, params)]
    console.say(f"| {' | '.join(HEADER)} |")
    console.say(f"|{' --- |' * len(HEADER)}")
    for name, n_rows, *numbers in sorted(lines, key=lambda line: line[2]):
        console.say(f"| {name} | {n_rows} | {' | '.join(f'{x:.3f}' for x in numbers)} |")


def measure(table: Table, params: Params) -> Iterator[tuple[int, float, float, float, float]]:
    """For each number of train rows: it, their neighbour error, and the three log losses."""
    import numpy as np
    from sklearn.metrics import log_loss

    from vintage.baselines import predict_baseline
    from vintage.neighbors import measure_rows

    schema, split, features, labels = load(table, params)
    rng = np.random.default_rng(params.split.seed)
    test = rng.permutation(split.test)[:MAX_TEST]
    n_classes = len(schema.classes)

    def loss(probabilities):  # type: ignore[no-untyped-def]
        return log_loss(labels[test], probabilities, labels=range(n_classes))

    for n_train in N_TRAIN:
        train = rng.permutation(split.train)[:n_train]
        val = rng.permutation(split.val)[: n_train // TRAIN_ROWS_PER_VAL_ROW]
        if len(train) < n_train or len(np.unique(labels[train])) < n_classes:
            continue
        rows = measure_rows(schema.features, features[train], labels[train])
        parts = [(features[part], labels[part]) for part in (train, val)]
        plain, clear = (
            loss(predict_network(params, schema, settled, *parts, features[test]))
            for settled in (replace(rows, neighbor_error=1.0), replace(rows, neighbor_error=0.0))
        )
        known = np.concatenate([train, val])
        learned = schema.features, features[known], labels[known]
        rivals = [predict_baseline(name, *learned, features[test], n_classes) for name in RIVALS]
        yield n_train, float(rows.neighbor_error or 0), plain, clear, min(map(loss, rivals))


def load(table, params):  # type: ignore[no-untyped-def]
    """The schema, the split, and the features and labels of all rows."""
    from vintage.dataset import load_dataset
    from vintage.features import encode_features, fit_features
    from vintage.splitting import split_rows
    from vintage.tensors import RowCounts, Schema

    source = {"path": str(csv_path(table)), "target": table.target, "ignore": list(table.ignore)}
    sizes = params.split.model_copy(update={"test_size": TEST_SIZE})
    data = load_dataset(params.data.model_copy(update=source), sizes)
    split = split_rows(data.labels, data.groups, data.classes, sizes, data.order)
    columns, dropped = fit_features(data.columns, split.train, {}, data.source)
    schema = Schema(
        target=table.target,
        classes=data.classes,
        features=columns,
        dropped=sorted(dropped),
        rows=RowCounts(train=max(N_TRAIN), val=0, test=MAX_TEST, repeated=0),
    )
    return schema, split, encode_features(data.columns, columns, data.source), data.labels


def predict_network(params, schema, rows, train, val, features):  # type: ignore[no-untyped-def]
    """Train as the train stage does; the probabilities of `features`."""
    import torch

    from vintage.fitting import fit
    from vintage.network import build_ensemble
    from vintage.recipe import settle_architecture, settle_recipe

    seeds = [params.train.seed + replica for replica in range(params.train.replicas)]
    architecture = settle_architecture(params.model, rows)
    ensemble = build_ensemble(architecture, schema, seeds, train[0])
    encoded = [
        (ensemble.encode(torch.from_numpy(inputs)), torch.from_numpy(labels))
        for inputs, labels in (train, val)
    ]
    fit(ensemble, *encoded, settle_recipe(params.train, rows))
    return ensemble.predict_proba(torch.from_numpy(features)).mean(dim=0).numpy()


if __name__ == "__main__":
    console.run(main)
