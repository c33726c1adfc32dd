"""Share out a table's rows so that none in test is equal, to a model, to one in train.

Rows are equal to a model if they are so as stored: without the columns that are dropped, and as
32-bit numbers. What is dropped depends on the train rows, so it is looked at after the split, which
is drawn again where it tears such twins apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from vintage.base.groups import joined_groups
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import Examples, Feature, Features, RowCounts, Schema, is_known
from vintage.table.cells import is_missing
from vintage.table.dataset import Dataset
from vintage.table.features import encode_features, fit_features
from vintage.table.identity import Ids, equal_rows, torn_rows
from vintage.table.split import Rows, Split, fold_rows, rule_of, split_rows, val_size_of


@dataclass(frozen=True)
class Shared:
    """Rows that are shared out, and their features as stored.

    Attributes:
        groups: int64 `[n]`, from 0 without gaps: rows that share a side.
        equal: int64 `[n]`: rows of equal stored features have the same number.
        twins: int64 `[n]`, from 0 without gaps: the same, but rows with a category that is unknown
            to the schema must also be equal in the table.
        dropped: the reason by column.
        values: float32 `[n, n_features]`.
        n_draws: how often the rows were shared out until no twins were torn apart.
        folds: of the train rows, see `Examples`; None without folds.
    """

    split: Split
    groups: Ids
    equal: Ids
    twins: Ids
    features: list[Feature]
    dropped: dict[str, str]
    values: Features
    n_draws: int
    folds: Ids | None = None


def share_out(
    data: Dataset, kinds: Mapping[str, str], params: SplitParams, turn: int = 0
) -> Shared:
    """Split the rows, fit the features on the train rows, and encode all rows.

    Where twins are to stay together, groups that turn out to hold twins of each other are joined,
    and the rows shared out again, until no twins are on two sides.

    Args:
        turn: see `split_rows`.

    Raises:
        InputError: the split is impossible, or a column cannot be a feature.
    """
    together = params.group_by == "duplicates" and params.column == "none"
    groups, n_draws = data.groups, 0
    while True:
        n_draws += 1
        split = split_rows(replace(data, groups=groups), params, turn)
        features, dropped = fit_features(data.columns, split.train, kinds, data.place)
        values = encode_features(data.columns, features, data.place)
        known = is_known(values, features)
        # otherwise rows are equal as stored if, and only if, they are so as read in 32 bits
        may_differ = dropped or data.has_wide or any(feature.offset for feature in features)
        equal = twins = equal_rows(values.T) if may_differ or not known.all() else data.twins
        if not known.all():  # no train row has an unknown category, so none of its twins is there
            twins = equal_rows([equal, np.where(known, -1, data.twins)])
        part = np.empty(len(values), dtype=np.int64)
        for index, places in enumerate(split):
            part[places] = index
        if not together or not torn_rows(twins, part).any():
            break
        groups = joined_groups(groups, twins)
    shared = Shared(split, groups, equal, twins, features, dropped, values, n_draws)
    return replace(shared, folds=_folds(data, shared, params))


def _folds(data: Dataset, shared: Shared, params: SplitParams) -> Ids | None:
    if val_size_of(params, len(data.labels)) != "folds" or rule_of(params) == "column":
        return None
    train = shared.split.train
    groups = shared.groups[train]
    if params.group_by == "duplicates":
        groups = joined_groups(groups, shared.equal[train])
    rows = Rows(
        labels=data.labels[train],
        classes=data.classes,
        groups=np.unique(groups, return_inverse=True)[1],
        keys=None if data.keys is None else data.keys[train],
    )
    return fold_rows(rows, params)


def examples_of(data: Dataset, shared: Shared) -> dict[str, Examples]:
    """The rows of each part, as they are stored."""
    rows = data.place.rows
    first = _least(shared.groups, rows)
    train_and_val = np.concatenate([shared.split.train, shared.split.val])
    examples = {}
    for name, places in shared.split._asdict().items():
        joined = joined_groups(shared.groups[places], shared.equal[places])
        is_seen = np.isin(shared.equal[places], shared.equal[train_and_val])
        examples[name] = Examples(
            features=shared.values[places],
            labels=data.labels[places],
            rows=rows[places],
            groups=_least(joined, first[places]),
            ids=data.ids[places],
            seen=is_seen if name == "test" else None,
            folds=shared.folds if name == "train" else None,
        )
    return examples


def schema_of(data: Dataset, shared: Shared, params: DataParams) -> Schema:
    """What the numbers of the examples mean."""
    names = [feature.name for feature in shared.features]
    missing = {name: int(is_missing(data.columns[name]).sum()) for name in names}
    return Schema(
        target=params.target,
        classes=data.classes,
        features=shared.features,
        dropped=sorted(shared.dropped),
        missing=params.missing,
        missing_cells={name: count for name, count in missing.items() if count},
        rows=RowCounts(
            **{name: len(places) for name, places in shared.split._asdict().items()},
            repeated=len(shared.twins) - int(shared.twins.max()) - 1,
            folds=0 if shared.folds is None else int(shared.folds.max()) + 1,
        ),
    )


def _least(groups: Ids, numbers: Ids) -> Ids:
    """For each row, the least of its group's numbers: int64 `[n]`."""
    return pd.Series(numbers).groupby(groups, sort=False).transform("min").to_numpy()
