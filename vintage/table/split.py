"""Who goes to train, validation and test: whole groups, by one of `RULES`.

With `split.val_size: folds`, and with `auto` on tables of up to `FOLDED_ROWS` rows, there is no
validation part: the train rows are in folds, of which each validates networks that are trained on
the others.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from vintage.base.console import InputError
from vintage.base.params import SplitParams
from vintage.table.identity import Hashes, Ids, mixed

N_FOLDS = 8
MOST_TURNS = 10
FOLDED_ROWS = 10_000  # of a table; a tenth of more validates well enough, at less cost


class Split(NamedTuple):
    """The rows of each part by their places, each int64 and ascending."""

    train: Ids
    val: Ids
    test: Ids


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a rule may look at.

    Attributes:
        labels: int64 `[n]`, places in `classes`.
        groups: int64 `[n]`, from 0 without gaps: rows that are to share a part.
        keys: uint64 `[n]`, of each row, or its features or group; None if the rule needs none.
        order: float64 `[n]`, by `split.order_by`.
        parts: int64 `[n]`, by `split.column`: 0 train, 1 validation, 2 test.
    """

    labels: Ids
    classes: list[str]
    groups: Ids
    keys: Hashes | None = None
    order: npt.NDArray[np.float64] | None = None
    parts: Ids | None = None

    @property
    def n_groups(self) -> int:
        return int(self.groups.max()) + 1


def split_rows(rows: Rows, params: SplitParams, turn: int = 0) -> Split:
    """Share out whole groups; `val_size` and `test_size` are shares of all groups.

    Args:
        turn: below `n_turns`; the test parts of a seed's turns have no group in common.

    Raises:
        InputError: the parameters leave a part empty, or a class without a train row.
    """
    rule = rule_of(params)
    val_size = val_size_of(params, len(rows.labels))
    if rule == "order_by" and val_size == "folds":
        raise InputError(
            "params.yaml: split.val_size: found folds, which does not go with split.order_by; set "
            "a share, such as 0.1"
        )
    part = RULES[rule].function(rows, params, turn)
    counts = np.bincount(part * len(rows.classes) + rows.labels, minlength=3 * len(rows.classes))
    check_parts(counts.reshape(3, -1), rows.classes, params)
    return Split(*(np.flatnonzero(part == index) for index in range(3)))


def n_turns(rows: Rows, params: SplitParams) -> int:
    """How many test parts fit into a table side by side, at most `MOST_TURNS`."""
    if rule_of(params) == "hash":
        n_parts = 1 / _shares(len(rows.labels), params)[0] + 1e-9
    else:  # sizes are rounded up, so the last one may have a little less
        n_parts = rows.n_groups / _sizes(rows, params)[0] + 0.1
    return max(1, int(min(n_parts, MOST_TURNS)))


def check_parts(counts: Ids, classes: list[str], params: SplitParams) -> None:
    """Refuse a split that leaves a part empty, or a class without a train row.

    Args:
        counts: int64 `[3, n_classes]`, of the rows of train, validation and test.
    """
    rule, val_size = rule_of(params), val_size_of(params, int(counts.sum()))
    lacking = [f"of class {n!r} in train" for i, n in enumerate(classes) if not counts[0, i]]
    lacking += ["in test"] if not counts[2].any() else []
    has_val = val_size not in (0, "folds") and rule != "column"
    lacking += ["in val"] if not counts[1].any() and has_val else []
    if lacking:
        advice = (
            "correct the column of split.column"
            if rule == "column"
            else "take other sizes or another split.seed, or leave the class out"
        )
        raise InputError(f"params.yaml: this split leaves no row {lacking[0]}; {advice}")


def val_size_of(params: SplitParams, n_rows: int) -> Literal["folds"] | float:
    """`split.val_size` without `auto`, for a table of so many rows."""
    if params.val_size != "auto":
        return params.val_size
    is_folded = n_rows <= FOLDED_ROWS and rule_of(params) != "order_by"
    return "folds" if is_folded else 0.1


def fold_rows(rows: Rows, params: SplitParams) -> Ids | None:
    """The fold of each row, from 0 without gaps, at most `N_FOLDS`: int64 `[n]`.

    A class whose rows are in one fold alone is in none, which is -1, so that every network learns
    it. By hash, where there are so few groups that a fold is empty, rows that come may renumber the
    others.

    Args:
        rows: those of train.

    Returns:
        None with `auto` where no class is in two folds, so that no row can validate.

    Raises:
        InputError: no class is in two folds, and they were asked for.
    """
    if RULES[rule_of(params)].needs_keys:
        # no seed of a split is as large, so the folds are not the test part of another one
        fold = (_places(_smallest_keys(rows), params.seed + 2**32) * N_FOLDS).astype(np.int64)
    else:
        fold = _shuffled_folds(rows, params)
    for label in np.unique(rows.labels):
        groups = rows.groups[rows.labels == label]
        if len(np.unique(fold[groups])) == 1:
            fold[groups] = -1
    found = np.setdiff1d(fold, [-1])
    if len(found) < 2:
        if params.val_size == "auto":
            return None
        raise InputError(
            "params.yaml: split.val_size: found folds, but no class has groups in two of them; set "
            "another data.target or split.group_by"
        )
    return np.where(fold < 0, -1, np.searchsorted(found, fold))[rows.groups]


def _shuffled_folds(rows: Rows, params: SplitParams) -> Ids:
    """The fold of each group, as scikit-learn draws it; all 0 if there cannot be two."""
    labels = majority_labels(rows.labels, rows.groups)
    fold = np.zeros(rows.n_groups, dtype=np.int64)
    n_folds = min(N_FOLDS, int(np.bincount(labels).max()) if params.stratify else rows.n_groups)
    if n_folds > 1:
        kind = StratifiedKFold if params.stratify else KFold
        splitter = kind(n_folds, shuffle=True, random_state=params.seed)
        with warnings.catch_warnings():
            # a class with fewer groups than folds is in some of them alone
            warnings.filterwarnings("ignore", message="The least populated class")
            for index, (_, held_out) in enumerate(splitter.split(labels, labels)):
                fold[held_out] = index
    return fold


def rule_of(params: SplitParams) -> str:
    """The name in `RULES`."""
    if params.column != "none":
        return "column"
    return "order_by" if params.order_by != "none" else params.by


def auto_test_size(n_rows: int) -> float:
    """The usual rule: 30 % under 1,000 rows, 20 % up to a million, then at most 100,000 rows."""
    if n_rows < 1_000:
        return 0.3
    if n_rows <= 1_000_000:
        return 0.2
    return 100_000 / n_rows


def _shuffled(rows: Rows, params: SplitParams, turn: int) -> Ids:
    """At random, with scikit-learn's `train_test_split`; for a turn from what those before it left.

    Stratified by a group's most frequent label, if asked for. Then a class with a single group
    cannot be in two parts and goes to train. Of a class that the draw leaves none of in train, the
    first group goes there.
    """
    n_test, n_val = _sizes(rows, params)
    group_labels = majority_labels(rows.labels, rows.groups)
    left, test = hold_out("test_size", np.arange(rows.n_groups), group_labels, n_test, params)
    earlier = [np.empty(0, np.int64)]
    for _ in range(turn):
        earlier.append(test)
        if len(left) > n_test:
            left, test = hold_out("test_size", left, group_labels, n_test, params)
        else:
            left, test = left[:0], left
    rest = np.concatenate([left, *earlier])
    part = np.zeros(rows.n_groups, dtype=np.int64)
    part[test] = 2
    if n_val:
        _, val = hold_out("val_size", rest, group_labels, n_val, params)
        part[val] = 1
    in_train = rows.labels[part[rows.groups] == 0]
    for label in np.setdiff1d(rows.labels, in_train):
        part[rows.groups[rows.labels == label][0]] = 0
    return part[rows.groups]


def _hashed(rows: Rows, params: SplitParams, turn: int) -> Ids:
    """A group's part follows from its smallest key and the seed: rows that come move no other."""
    key = _smallest_keys(rows)
    return parts_of_keys(key, len(rows.labels), params, turn)[rows.groups]


def parts_of_keys(keys: Hashes, n_rows: int, params: SplitParams, turn: int = 0) -> Ids:
    """The part of each group by its smallest key, by hash: int64 `[n_groups]`.

    Args:
        n_rows: of the table, with a target.
        turn: as of `split_rows`.
    """
    test, val = _shares(n_rows, params)
    place = (_places(keys, params.seed) - turn * test) % 1.0
    return np.where(place < test, 2, np.where(place < test + val, 1, 0))


def _smallest_keys(rows: Rows) -> Hashes:
    """Of each group: uint64 `[n_groups]`."""
    assert rows.keys is not None
    key = np.full(rows.n_groups, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(key, rows.groups, rows.keys)
    return key


def _places(keys: Hashes, seed: int) -> npt.NDArray[np.float64]:
    """Of each group in [0, 1), by its smallest key: float64 `[n_groups]`."""
    seeded = mixed(keys ^ mixed(np.array([seed + 1], dtype=np.uint64)))
    return (seeded >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _ordered(rows: Rows, params: SplitParams, turn: int) -> Ids:  # noqa: ARG001
    """The latest groups are the test part, and those before them the validation part.

    A group is as late as its latest row. Groups of equal times share a part, which begins at the
    time that comes nearest to its size.
    """
    n_test, n_val = _sizes(rows, params)
    assert rows.order is not None
    latest = np.full(rows.n_groups, -np.inf)
    np.maximum.at(latest, rows.groups, rows.order)
    times, counts = np.unique(latest, return_counts=True)
    n_parts = 2 + (n_val > 0)
    if len(times) < n_parts:
        raise InputError(
            f"params.yaml: the groups by split.order_by have {len(times)} different times, and "
            f"{n_parts} parts need one each, because equal times stay together"
        )
    n_before = np.cumsum(counts)[:-1]  # groups before each time but the first
    # each part begins at the time nearest to its size, and leaves the others at least one
    first = n_parts - 2
    test = first + int(np.abs(n_before[first:] - (rows.n_groups - n_test)).argmin())
    val = int(np.abs(n_before[:test] - (n_before[test] - n_val)).argmin()) if n_val else test
    part = np.zeros(len(times), dtype=np.int64)
    part[val + 1 :] = 1
    part[test + 1 :] = 2
    return part[np.searchsorted(times, latest)][rows.groups]


def _ready_made(rows: Rows, params: SplitParams, turn: int) -> Ids:  # noqa: ARG001
    """As a column of the table says."""
    assert rows.parts is not None
    return rows.parts


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A way to share out rows.

    Attributes:
        function: of rows, parameters and turn, see `split_rows`; returns the part of each row, as
            `Rows.parts`.
        fixed: why it makes the same split by any seed and in any turn; None: by another seed it
            makes another one, and turns of a seed have no test row in common.
        needs_keys: whether it looks at `Rows.keys`.
    """

    function: Callable[[Rows, SplitParams, int], Ids]
    fixed: str | None
    needs_keys: bool = False


RULES = {
    "shuffle": Rule(function=_shuffled, fixed=None),
    "hash": Rule(function=_hashed, fixed=None, needs_keys=True),
    "order_by": Rule(
        function=_ordered,
        fixed="split.order_by: the latest rows are the test rows, and no others can be",
    ),
    "column": Rule(
        function=_ready_made,
        fixed="split.column: the column of split.column says which rows are test rows",
    ),
}


def _shares(n_rows: int, params: SplitParams) -> tuple[float, float]:
    """The shares of the test and the validation part."""
    size = auto_test_size(n_rows) if params.test_size == "auto" else params.test_size
    val_size = val_size_of(params, n_rows)
    val_size = 0 if val_size == "folds" else val_size
    if size + val_size >= 1:
        raise InputError(
            f"params.yaml: split.test_size {size} and split.val_size {val_size} "
            "leave nothing to train on; their sum must be below 1"
        )
    return size, val_size


def _sizes(rows: Rows, params: SplitParams) -> tuple[int, int]:
    """How many groups these are."""
    test, val = _shares(len(rows.labels), params)
    return int(np.ceil(test * rows.n_groups)), int(np.ceil(val * rows.n_groups))


def hold_out(
    key: str, groups: Ids, group_labels: Ids, n_held: int, params: SplitParams
) -> tuple[Ids, Ids]:
    """Split `groups` into the rest and `n_held` held-out ones."""
    labels = group_labels[groups]
    is_single = (np.bincount(labels)[labels] == 1) & params.stratify
    pool, kept_back = groups[~is_single], groups[is_single]
    if not len(pool):
        raise InputError(
            "params.yaml: no class has two groups, so none can be held out; set another "
            "data.target or split.group_by"
        )
    n_smaller = min(n_held, len(pool) - n_held)
    if n_smaller < 1:
        raise InputError(
            f"params.yaml: split.{key} holds out {n_held} of {len(pool)} groups, and leaves none "
            f"to train on; lower split.{key}"
        )
    rest, held = train_test_split(
        pool,
        test_size=n_held,
        random_state=params.seed,
        stratify=_strata(group_labels[pool], n_smaller) if params.stratify else None,
    )
    return np.concatenate([rest, kept_back]), held


def _strata(labels: Ids, n_most: int) -> Ids:
    """The labels; if there are more than `n_most`, the rarest of them count as one."""
    counts = np.bincount(labels)
    if (counts > 0).sum() <= n_most:
        return labels
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    return np.minimum(rank, n_most - 1)[labels]


def majority_labels(labels: Ids, groups: Ids) -> Ids:
    """The most frequent label of each group, the lowest of equally frequent ones."""
    if int(groups.max()) + 1 == len(groups):  # each of one row, which is quicker
        return labels[np.argsort(groups)]
    n_labels = int(labels.max()) + 1
    pairs, counts = np.unique(groups * n_labels + labels, return_counts=True)
    pair_groups, pair_labels = np.divmod(pairs, n_labels)
    order = np.lexsort((pair_labels, -counts, pair_groups))
    _, first = np.unique(pair_groups[order], return_index=True)
    return np.asarray(pair_labels[order][first])
