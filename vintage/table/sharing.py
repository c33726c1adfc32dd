"""Share out a table's rows so that none in test is equal, to a model, to one in train.

Rows are equal to a model if they are so as stored: without the columns that are dropped, and as
32-bit numbers. What is dropped depends on the train rows, so it is looked at after the split, which
is drawn again where it tears such twins apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vintage.base.params import Kind, SplitParams
from vintage.base.tensors import Feature, Features, is_known
from vintage.table.dataset import Dataset
from vintage.table.features import encode_features, fit_features
from vintage.table.split import Split, ready_made_split, split_rows
from vintage.table.twins import duplicate_groups, equal_rows, joined_groups, torn_rows

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shared:
    """Rows that are shared out, and their features as stored.

    Attributes:
        groups: int64 `[n]`, from 0 without gaps: rows that share a side.
        twins: int64 `[n]`, from 0 without gaps: rows that are equal as stored have the same number.
        dropped: the reason by column.
        values: float32 `[n, n_features]`.
        n_draws: how often the rows were shared out until no twins were torn apart.
    """

    split: Split
    groups: Ids
    twins: Ids
    features: list[Feature]
    dropped: dict[str, str]
    values: Features
    n_draws: int

    @property
    def n_torn(self) -> int:
        """How many test rows have a twin in train."""
        return int(np.isin(self.twins[self.split.test], self.twins[self.split.train]).sum())


def share_out(data: Dataset, kinds: Mapping[str, Kind], params: SplitParams) -> Shared:
    """Split the rows, fit the features on the train rows, and encode all rows.

    Where twins are to stay together, groups that turn out to hold twins of each other are joined,
    and the rows shared out again, until there are none on two sides.

    Raises:
        InputError: the split is impossible, or a column cannot be a feature.
    """
    together = params.group_by == "duplicates" and data.parts is None
    groups, n_draws = data.groups, 0
    while True:
        n_draws += 1
        if data.parts is not None:
            split = ready_made_split(data.parts, data.labels, data.classes)
        else:
            split = split_rows(data.labels, groups, data.classes, params, data.order, data.keys)
        features, dropped = fit_features(data.columns, split.train, kinds, data.source)
        values = encode_features(data.columns, features, data.source)
        # otherwise rows are equal as stored if, and only if, they are so as read in 32 bits
        may_differ = dropped or data.has_wide or any(feature.offset for feature in features)
        twins = _stored_twins(values, features, data.twins) if may_differ else data.twins
        if not together or not torn_rows(twins, _part_of_rows(split)).any():
            return Shared(split, groups, twins, features, dropped, values, n_draws)
        groups = joined_groups(groups, twins)


def _stored_twins(values: Features, features: list[Feature], twins: Ids) -> Ids:
    """Rows of equal values; with an unknown category only those that are equal as read, too.

    No train row has an unknown category, so none of its twins is there.
    """
    stored = equal_rows(values)
    known = is_known(values, features)
    return stored if known.all() else duplicate_groups([stored, np.where(known, -1, twins)])


def _part_of_rows(split: Split) -> Ids:
    parts = (split.train, split.val, split.test)
    part = np.empty(sum(map(len, parts)), dtype=np.int64)
    for index, places in enumerate(parts):
        part[places] = index
    return part
