"""Cross-validate the network of params.yaml beside the baselines.

    python -m benchmarks.cross_validate                      all rows: the table of docs/quality.md
    python -m benchmarks.cross_validate --rows development   without the test rows: to choose by
    python -m benchmarks.cross_validate --set model.dropout=0.2 --set train.epochs=50

Five rounds of five folds over the groups of split.group_by, stratified by class. Every model gets
the same train and validation rows, which the kinds and categories of the columns are found in; the
network holds `split.val_size` of them out by itself.
"""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vintage.base import console, numerics
from vintage.base.params import PARAMS_PATH, Params, SplitParams, load_params, parse_params

if TYPE_CHECKING:
    from vintage.scores.rows import Floats, Labels

ROUNDS, FOLDS = 5, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", choices=["all", "development"], default="all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--no-baselines", action="store_true")
    arguments = parser.parse_args()
    params = changed(load_params(), arguments.changes)
    numerics.pin()
    import numpy as np

    from benchmarks.training import predict_network
    from vintage.base.tensors import RowCounts, Schema
    from vintage.scores.baselines import BASELINES, predict_baseline
    from vintage.table.dataset import load_dataset
    from vintage.table.features import encode_features, fit_features
    from vintage.table.split import split_rows

    data = load_dataset(params.data, params.split)
    rows = np.arange(len(data.labels))
    if arguments.rows == "development":
        split = split_rows(data, params.split)
        rows = np.setdiff1d(rows, split.test)
    labels = data.labels[rows]
    groups = np.unique(data.groups[rows], return_inverse=True)[1]

    models = ["network"] if arguments.no_baselines else ["network", *list(BASELINES)[1:]]
    n_classes = len(data.classes)
    predictions = {name: np.zeros((ROUNDS, len(labels), n_classes)) for name in models}
    for round_, train, held in folds(labels, groups):
        features, dropped = fit_features(data.columns, rows[train], params.data.kinds, data.place)
        encoded = encode_features(data.columns, features, data.place)[rows]
        schema = Schema(
            target=params.data.target,
            classes=data.classes,
            features=features,
            dropped=sorted(dropped),
            rows=RowCounts(train=len(train), val=0, test=len(held), repeated=0),
        )
        for name in models:
            if name == "network":
                *parts, of_folds = network_parts(labels[train], groups[train], params.split)
                learn, val = ((encoded[train[part]], labels[train[part]]) for part in parts)
                predicted = predict_network(params, schema, learn, val, of_folds, encoded[held])
            else:
                predicted = predict_baseline(
                    name, features, encoded[train], labels[train], encoded[held], n_classes
                )
            predictions[name][round_, held] = predicted
    print_table(predictions, labels, groups)


def changed(params: Params, changes: list[str]) -> Params:
    import yaml

    content = params.model_dump()
    for change in changes:
        key, _, value = change.partition("=")
        section, _, name = key.partition(".")
        content[section][name] = yaml.safe_load(value)
    return parse_params(content, PARAMS_PATH)


def folds(labels: "Labels", groups: "Labels") -> Iterator[tuple[int, "Labels", "Labels"]]:
    """Yield (round, train rows, held-out rows)."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    from vintage.table.split import majority_labels

    group_labels = majority_labels(labels, groups)
    for round_ in range(ROUNDS):
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=round_)
        for _, held in splitter.split(group_labels, group_labels):
            is_held = np.isin(groups, held)
            yield round_, np.flatnonzero(~is_held), np.flatnonzero(is_held)


def network_parts(
    labels: "Labels", groups: "Labels", split: SplitParams
) -> tuple["Labels", "Labels", "Labels | None"]:
    """The places to train on and to validate by, which the network holds out by itself, and the
    folds of the first, see `split.val_size`."""
    import numpy as np

    from vintage.table.split import Rows, fold_rows, hold_out, majority_labels, val_size_of

    groups = np.unique(groups, return_inverse=True)[1]
    is_val = np.zeros(len(labels), dtype=bool)
    val_size = val_size_of(split, len(labels))
    if val_size == "folds":
        rows = Rows(labels=labels, classes=[], groups=groups)
        at_random = split.model_copy(update={"by": "shuffle"})  # as a validation part is drawn
        return np.flatnonzero(~is_val), np.flatnonzero(is_val), fold_rows(rows, at_random)
    group_labels = majority_labels(labels, groups)
    n_groups = len(group_labels)
    n_val = int(np.ceil(val_size * n_groups / (1 - 1 / FOLDS)))
    if n_val:
        _, held_out = hold_out("val_size", np.arange(n_groups), group_labels, n_val, split)
        is_val = np.isin(groups, held_out)
    return np.flatnonzero(~is_val), np.flatnonzero(is_val), None


def print_table(predictions: dict[str, "Floats"], labels: "Labels", groups: "Labels") -> None:
    """Mean scores, and the network's paired difference with a standard error over groups."""
    import numpy as np

    def per_row(probabilities: "Floats") -> dict[str, "Floats"]:
        actual = probabilities[:, np.arange(len(labels)), labels].clip(2.2e-16)
        return {
            "log loss": -np.log(actual).mean(axis=0),
            "accuracy": (probabilities.argmax(axis=2) == labels).mean(axis=0),
        }

    rows = {name: per_row(probabilities) for name, probabilities in predictions.items()}
    console.say("| model | log loss | network minus it | accuracy | network minus it |")
    console.say("|---|---|---|---|---|")
    for name, scores in rows.items():
        cells = []
        for metric, values in scores.items():
            difference = rows["network"][metric] - values
            sums = np.bincount(groups, difference - difference.mean())
            error = np.sqrt((sums**2).sum()) / len(labels)
            shown = "" if name == "network" else f"{difference.mean():+.4f} ± {error:.4f}"
            cells += [f"{values.mean():.4f}", shown]
        console.say(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")


if __name__ == "__main__":
    console.run(main)
