"""Who goes to train, validation and test: whole groups, by one of `RULES`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from vintage.base.console import InputError
from vintage.base.params import SplitParams
from vintage.table.identity import Hashes, Ids, mixed


@dataclass(frozen=True)
class Split:
    """The rows of each part by their places, each int64 and ascending.

    Attributes:
        train_only: the classes too rare to be held out.
        remark: what the stage says of it.
    """

    train: Ids
    val: Ids
    test: Ids
    train_only: Sequence[int] = ()
    remark: str = ""

    @property
    def parts(self) -> dict[str, Ids]:
        return {"train": self.train, "val": self.val, "test": self.test}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a rule may look at.

    Attributes:
        labels: int64 `[n]`, places in `classes`.
        groups: int64 `[n]`, from 0 without gaps: rows that are to share a part.
        keys: uint64 `[n]`, for `split.by: hash`: of each row, or its features or group.
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


def split_rows(rows: Rows, params: SplitParams) -> Split:
    """Share out whole groups; `val_size` and `test_size` are shares of all groups.

    Raises:
        InputError: the parameters leave a part empty, or a class without a train row.
    """
    if params.column != "none":
        return RULES["column"](rows, params)
    return RULES["order_by" if params.order_by != "none" else params.by](rows, params)


def auto_test_size(n_rows: int) -> float:
    """The usual rule: 30 % under 1,000 rows, 20 % up to a million, then at most 100,000 rows."""
    if n_rows < 1_000:
        return 0.3
    if n_rows <= 1_000_000:
        return 0.2
    return 100_000 / n_rows


def _shuffled(rows: Rows, params: SplitParams) -> Split:
    """At random, with scikit-learn's `train_test_split`.

    Stratified by a group's most frequent label, if asked for. Then a class with a single group
    cannot be in two parts and goes to train.
    """
    n_test, n_val = _sizes(rows, params)
    group_labels = majority_labels(rows.labels, rows.groups)
    rest, test, train_only = hold_out(
        "test_size", np.arange(rows.n_groups), group_labels, n_test, params
    )
    part = np.zeros(rows.n_groups, dtype=np.int64)
    part[test] = 2
    if n_val:
        _, val, rare = hold_out("val_size", rest, group_labels, n_val, params)
        part[val] = 1
        train_only = sorted({*train_only, *rare})
    advice = "set split.stratify to true, another split.seed or smaller sizes"
    return _split_of(part[rows.groups], rows, advice, train_only)


def _hashed(rows: Rows, params: SplitParams) -> Split:
    """A group's part follows from its smallest key and the seed: rows that come move no other."""
    assert rows.keys is not None
    key = np.full(rows.n_groups, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(key, rows.groups, rows.keys)
    seeded = mixed(key ^ mixed(np.array([params.seed + 1], dtype=np.uint64)))
    place = (seeded >> np.uint64(11)) * 2.0**-53  # in [0, 1)
    test, val = _shares(rows, params)
    part = np.where(place < test, 2, np.where(place < test + val, 1, 0))
    for index, size, name in ((1, val, "val_size"), (2, test, "test_size")):
        if size and not (part == index).any():
            raise InputError(
                f"params.yaml: split.by: hash leaves no group for split.{name}; take a larger one, "
                "another split.seed, or split.by: shuffle"
            )
    advice = "take another split.seed or split.by: shuffle, or leave that class out"
    remark = (
        "split.by: hash: each row's side is its own, so the shares are met within chance and the "
        "classes are not stratified"
    )
    return replace(_split_of(part[rows.groups], rows, advice), remark=remark)


def _ordered(rows: Rows, params: SplitParams) -> Split:
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
    test = _nearest(n_before[n_parts - 2 :], rows.n_groups - n_test) + n_parts - 2
    part = np.zeros(len(times), dtype=np.int64)
    part[test + 1 :] = 2
    if n_val:
        val = _nearest(n_before[:test], int(n_before[test]) - n_val)
        part[val + 1 : test + 1] = 1
    part = part[np.searchsorted(times, latest)]
    advice = "with split.order_by, take smaller sizes, or leave that class out"
    return _split_of(part[rows.groups], rows, advice)


def _ready_made(rows: Rows, params: SplitParams) -> Split:  # noqa: ARG001
    """As a column of the table says."""
    assert rows.parts is not None
    if not (rows.parts == 2).any():
        raise InputError("params.yaml: split.column names no row of part 'test'")
    return _split_of(rows.parts, rows, "correct the column of split.column")


RULES: dict[str, Callable[[Rows, SplitParams], Split]] = {
    "shuffle": _shuffled,
    "hash": _hashed,
    "order_by": _ordered,
    "column": _ready_made,
}


def _shares(rows: Rows, params: SplitParams) -> tuple[float, float]:
    """The shares of the test and the validation part."""
    size = auto_test_size(len(rows.labels)) if params.test_size == "auto" else params.test_size
    if size + params.val_size >= 1:
        raise InputError(
            f"params.yaml: split.test_size {size} and split.val_size {params.val_size} "
            "leave nothing to train on; their sum must be below 1"
        )
    return size, params.val_size


def _sizes(rows: Rows, params: SplitParams) -> tuple[int, int]:
    """How many groups these are."""
    test, val = _shares(rows, params)
    return int(np.ceil(test * rows.n_groups)), int(np.ceil(val * rows.n_groups))


def _nearest(values: Ids, wanted: int) -> int:
    """The place of the value nearest to `wanted`, the first of equally near ones."""
    return int(np.abs(values - wanted).argmin())


def _split_of(parts: Ids, rows: Rows, advice: str, train_only: Sequence[int] = ()) -> Split:
    train_labels = set(rows.labels[parts == 0].tolist())
    for label, name in enumerate(rows.classes):
        if label not in train_labels:
            raise InputError(
                f"params.yaml: this split leaves no row of class {name!r} in train; {advice}"
            )
    train, val, test = (np.flatnonzero(parts == index) for index in range(3))
    return Split(train, val, test, train_only)


def hold_out(
    key: str, groups: Ids, group_labels: Ids, n_held: int, params: SplitParams
) -> tuple[Ids, Ids, list[int]]:
    """Split `groups` into the rest and `n_held` held-out ones; also name the classes kept back."""
    labels = group_labels[groups]
    counts = np.bincount(labels)
    rare = np.flatnonzero(counts == 1) if params.stratify else np.empty(0, dtype=np.int64)
    is_rare = np.isin(labels, rare)
    pool, kept_back = groups[~is_rare], groups[is_rare]
    if not len(pool):
        raise InputError(
            "params.yaml: no class has two groups, so none can be held out; set another "
            "data.target or split.group_by"
        )
    n_classes = int((counts > 1).sum()) if params.stratify else 1
    if min(n_held, len(pool) - n_held) < n_classes:
        raise InputError(
            f"params.yaml: split.{key} holds out {n_held} of {len(pool)} groups, and each side "
            f"needs at least {n_classes}, one for each class; change split.{key}"
            + (" or set split.stratify to false" if params.stratify else "")
        )
    rest, held = train_test_split(
        pool,
        test_size=n_held,
        random_state=params.seed,
        stratify=group_labels[pool] if params.stratify else None,
    )
    return np.concatenate([rest, kept_back]), held, rare.tolist()


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
