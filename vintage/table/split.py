"""Who goes to train, validation and test: whole groups, so that no twin crosses over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from vintage.base.console import InputError
from vintage.base.params import SplitParams
from vintage.table.identity import Hashes, mixed

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers, each int64 and ascending, and the classes too rare to be held out."""

    train: Indices
    val: Indices
    test: Indices
    train_only: list[int]

    @property
    def parts(self) -> dict[str, Indices]:
        return {"train": self.train, "val": self.val, "test": self.test}


def auto_test_size(n_rows: int) -> float:
    """The usual rule: 30 % under 1,000 rows, 20 % up to a million, then at most 100,000 rows."""
    if n_rows < 1_000:
        return 0.3
    if n_rows <= 1_000_000:
        return 0.2
    return 100_000 / n_rows


def split_rows(
    labels: npt.NDArray[np.int64],
    groups: Indices,
    classes: Sequence[str],
    params: SplitParams,
    order: npt.NDArray[np.float64] | None = None,
    keys: Hashes | None = None,
) -> Split:
    """Share out whole groups: at random with scikit-learn's `train_test_split`, by `order`, or by
    a hash of their `keys`.

    At random, they are stratified by their class, which is a group's most frequent label. Where
    stratification is asked for, a class with a single group cannot be on both sides and goes to
    train. By order, the latest groups are the test part and those before them the validation part;
    a group is as late as its latest row. Groups of equal times share a part, which begins at the
    time that comes nearest to its size.

    Args:
        labels: int64 `[n_rows]`.
        groups: int64 `[n_rows]`, numbered from 0 without gaps.
        classes: the name of each label, for errors.
        params: `val_size` and `test_size` are shares of all groups.
        order: float64 `[n_rows]`, such as times.
        keys: uint64 `[n_rows]`, what is hashed; of a group, the smallest counts.

    Raises:
        InputError: the sizes leave a part empty or too small to hold every class.
    """
    size = auto_test_size(len(labels)) if params.test_size == "auto" else params.test_size
    if size + params.val_size >= 1:
        raise InputError(
            f"params.yaml: split.test_size {size} and split.val_size {params.val_size} "
            "leave nothing to train on; their sum must be below 1"
        )
    if order is not None:
        return _split_by_order(labels, groups, classes, order, (size, params.val_size))
    if keys is not None:
        return _split_by_hash(labels, groups, classes, keys, params.seed, (size, params.val_size))
    group_labels = majority_labels(labels, groups)
    n_groups = len(group_labels)
    rest, test, train_only = hold_out(
        "test_size", np.arange(n_groups), group_labels, int(np.ceil(size * n_groups)), params
    )
    val = np.empty(0, dtype=np.int64)
    if params.val_size:
        n_val = int(np.ceil(params.val_size * n_groups))
        rest, val, rare = hold_out("val_size", rest, group_labels, n_val, params)
        train_only = sorted({*train_only, *rare})
    part = np.zeros(n_groups, dtype=np.int64)
    part[val], part[test] = 1, 2
    advice = "set split.stratify to true, another split.seed or smaller sizes"
    return _split_of(part[groups], labels, classes, advice, train_only)


def ready_made_split(
    parts: Indices, labels: npt.NDArray[np.int64], classes: Sequence[str]
) -> Split:
    """The split that a column of the table tells.

    Args:
        parts: int64 `[n_rows]`: 0 for train, 1 for validation, 2 for test.

    Raises:
        InputError: no test row, or a class without a train row.
    """
    if not (parts == 2).any():
        raise InputError("params.yaml: split.column names no row of part 'test'")
    return _split_of(parts, labels, classes, "correct the column of split.column")


def _split_by_order(
    labels: npt.NDArray[np.int64],
    groups: Indices,
    classes: Sequence[str],
    order: npt.NDArray[np.float64],
    sizes: tuple[float, float],
) -> Split:
    n_groups = int(groups.max()) + 1
    latest = np.full(n_groups, -np.inf)
    np.maximum.at(latest, groups, order)
    times, counts = np.unique(latest, return_counts=True)
    n_sides = 2 + (sizes[1] > 0)
    if len(times) < n_sides:
        raise InputError(
            f"params.yaml: the groups by split.order_by have {len(times)} different times, and "
            f"{n_sides} parts need one each, because equal times stay together"
        )
    n_test, n_val = (int(np.ceil(size * n_groups)) for size in sizes)
    n_before = np.cumsum(counts)[:-1]  # groups before each time but the first
    # each part begins at the time nearest to its size, and leaves the others one at least
    test = _nearest(n_before[n_sides - 2 :], n_groups - n_test) + n_sides - 2
    part = np.zeros(len(times), dtype=np.int64)
    part[test + 1 :] = 2
    if n_val:
        val = _nearest(n_before[:test], int(n_before[test]) - n_val)
        part[val + 1 : test + 1] = 1
    part = part[np.searchsorted(times, latest)]
    advice = "with split.order_by, take smaller sizes, or leave that class out"
    return _split_of(part[groups], labels, classes, advice)


def _split_by_hash(
    labels: npt.NDArray[np.int64],
    groups: Indices,
    classes: Sequence[str],
    keys: Hashes,
    seed: int,
    sizes: tuple[float, float],
) -> Split:
    """A group's side follows from its key and the seed alone: rows that come move no other row."""
    n_groups = int(groups.max()) + 1
    key = np.full(n_groups, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(key, groups, keys)
    seeded = mixed(key ^ mixed(np.array([seed + 1], dtype=np.uint64)))
    place = (seeded >> np.uint64(11)) * 2.0**-53  # in [0, 1)
    part = np.where(place < sizes[0], 2, np.where(place < sum(sizes), 1, 0))
    for index, name in ((1, "val_size"), (2, "test_size")):
        if sizes[2 - index] and not (part == index).any():
            raise InputError(
                f"params.yaml: split.by: hash leaves no group for split.{name}; take a larger one, "
                "another split.seed, or split.by: shuffle"
            )
    advice = "take another split.seed or split.by: shuffle, or leave that class out"
    return _split_of(part[groups], labels, classes, advice)


def _nearest(values: Indices, wanted: int) -> int:
    """The place of the value nearest to `wanted`, the first of equally near ones."""
    return int(np.abs(values - wanted).argmin())


def _split_of(
    parts: Indices,
    labels: npt.NDArray[np.int64],
    classes: Sequence[str],
    advice: str,
    train_only: Sequence[int] = (),
) -> Split:
    train_labels = set(labels[parts == 0].tolist())
    for label, name in enumerate(classes):
        if label not in train_labels:
            raise InputError(
                f"params.yaml: this split leaves no row of class {name!r} in train; {advice}"
            )
    train, val, test = (np.flatnonzero(parts == index) for index in range(3))
    return Split(train, val, test, list(train_only))


def hold_out(
    key: str, groups: Indices, group_labels: npt.NDArray[np.int64], n_held: int, params: SplitParams
) -> tuple[Indices, Indices, list[int]]:
    """Split `groups` into the rest and `n_held` held-out ones; also name the classes kept back."""
    labels = group_labels[groups]
    counts = np.bincount(labels)
    rare = np.flatnonzero(counts == 1) if params.stratify else np.empty(0, dtype=np.int64)
    is_rare = np.isin(labels, rare)
    pool, kept_back = groups[~is_rare], groups[is_rare]
    if not len(pool):
        raise InputError(
            "params.yaml: no class has two groups, so that none can be held out; set another "
            "data.target or split.group_by"
        )
    n_classes = int((counts > 1).sum()) if params.stratify else 1
    n_rest = len(pool) - n_held
    if min(n_held, n_rest) < n_classes:
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


def majority_labels(labels: npt.NDArray[np.int64], groups: Indices) -> npt.NDArray[np.int64]:
    """The most frequent label of each group, the lowest of equally frequent ones."""
    if int(groups.max()) + 1 == len(groups):  # each of one row, which is quicker
        return labels[np.argsort(groups)]
    n_labels = int(labels.max()) + 1
    pairs, counts = np.unique(groups * n_labels + labels, return_counts=True)
    pair_groups, pair_labels = np.divmod(pairs, n_labels)
    order = np.lexsort((pair_labels, -counts, pair_groups))
    _, first = np.unique(pair_groups[order], return_index=True)
    return np.asarray(pair_labels[order][first])
