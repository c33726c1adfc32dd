from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from tests.tables import data_params, split_params, write
from vintage.base.console import InputError
from vintage.table.dataset import load_dataset
from vintage.table.identity import equal_rows
from vintage.table.kinds import twin_keys
from vintage.table.split import (
    RULES,
    Rows,
    Split,
    auto_test_size,
    fold_rows,
    n_turns,
    rule_of,
    split_rows,
    val_size_of,
)


def split(labels: list[int], groups: list[int], **changes: object) -> Split:
    ids = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    names = [str(label) for label in range(max(labels) + 1)]
    rows = Rows(labels=np.array(labels, dtype=np.int64), classes=names, groups=ids)
    return split_rows(rows, split_params(**changes))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=60, max_size=200),
    st.integers(0, 5),
)
def test_every_row_is_in_one_part_and_no_group_in_two(
    rows: list[tuple[int, int]], seed: int
) -> None:
    labels, groups = (list(column) for column in zip(*rows, strict=True))
    try:
        parts = split(labels, groups, seed=seed)
    except InputError as error:
        assert "params.yaml: " in str(error)  # noqa: PT017
        return
    everything = np.concatenate([parts.train, parts.val, parts.test])
    assert sorted(everything.tolist()) == list(range(len(rows)))
    sides = [{groups[row] for row in part} for part in (parts.train, parts.val, parts.test)]
    assert not (sides[0] & sides[1]) | (sides[0] & sides[2]) | (sides[1] & sides[2])
    assert {labels[row] for row in parts.train} == set(range(max(labels) + 1)) & set(labels)


ASKED_FOR = {"order_by": {"order_by": "time"}, "column": {"column": "part"}}  # others by `by`


@pytest.mark.parametrize("name", RULES)
def test_a_rule_makes_other_splits_or_says_why_not(name: str) -> None:
    """By another seed, and in each turn of a seed."""
    draw, n = np.random.default_rng(0), 400
    rows = Rows(
        labels=draw.integers(0, 3, n),
        classes=list("xyz"),
        groups=np.arange(n) // 2,
        keys=draw.integers(0, 2**63, n).astype(np.uint64) if RULES[name].needs_keys else None,
        order=draw.normal(size=n),
        parts=np.arange(n) // 2 % 3,
    )
    tested = []
    for seed in range(3):
        params = split_params(seed=seed, **ASKED_FOR.get(name, {"by": name}))
        assert rule_of(params) == name
        turns = [split_rows(rows, params, turn).test for turn in range(n_turns(rows, params))]
        if RULES[name].fixed is None:
            everything = np.concatenate(turns)
            assert len(np.unique(everything)) == len(everything), "turns test the same rows"
        tested += [tuple(rows.tolist()) for rows in turns]
    n_different = 1 if RULES[name].fixed else len(tested)
    assert len(set(tested)) == n_different, f"{len(set(tested))} of {len(tested)} differ"


def test_a_rule_gets_the_keys_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_params(write(tmp_path, "a,kind\n" + "".join(f"{n},{n % 2}\n" for n in range(20))))
    assert load_dataset(data, split_params()).keys is None
    monkeypatch.setitem(RULES, "shuffle", replace(RULES["shuffle"], needs_keys=True))
    assert load_dataset(data, split_params()).keys is not None


def test_without_groups_and_strata_it_is_train_test_split() -> None:
    labels = [0, 1] * 500
    parts = split(labels, list(range(1000)), val_size=0, stratify=False)
    train, test = train_test_split(np.arange(1000), test_size=0.2, random_state=42)
    assert parts.train.tolist() == sorted(train)
    assert parts.test.tolist() == sorted(test)
    assert len(parts.val) == 0


def test_stratification_keeps_the_shares() -> None:
    labels = [0] * 700 + [1] * 200 + [2] * 100
    parts = split(labels, list(range(1000)))
    for part in (parts.val, parts.test):
        assert np.bincount(np.array(labels)[part]).tolist() == [140, 40, 20]


def test_a_class_of_one_group_goes_to_train_whole() -> None:
    labels = [0] * 50 + [1] * 50 + [2] * 3
    groups = [*range(100), 100, 100, 100]
    parts = split(labels, groups)
    assert {100, 101, 102} <= set(parts.train.tolist())


def test_the_class_of_a_group_is_its_most_frequent_one() -> None:
    labels = [0, 1, 1] * 40
    groups = [index // 3 for index in range(120)]
    parts = split(labels, groups)
    assert len(parts.test) == 24


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"test_size": 0.6, "val_size": 0.4}, "their sum must be below 1"),
        ({"test_size": 0.996, "val_size": 0}, "split.test_size holds out 100 of 100 groups"),
        ({"test_size": 0.5, "val_size": 0.499}, "split.val_size holds out 50 of 50 groups"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        split([0, 1, 2, 3] * 25, list(range(100)), **changes)


def test_more_classes_than_held_out_groups_are_shared_out_all_the_same() -> None:
    labels = [*range(10)] * 5 + [0, 1] * 10
    parts = split(labels, list(range(len(labels))), test_size=0.1, val_size=0.05)
    assert [len(part) for part in parts] == [59, 4, 7]
    held_out = np.array(labels)[np.concatenate([parts.val, parts.test])]
    assert {0, 1} <= set(held_out.tolist())
    assert {labels[row] for row in parts.train} == set(range(10))


@given(st.integers(0, 200))
def test_every_class_has_a_train_row(seed: int) -> None:
    labels = [*range(10)] * 2
    parts = split(labels, list(range(20)), test_size=0.4, val_size=0, seed=seed)
    assert {labels[row] for row in parts.train} == set(range(10))
    assert len(parts.test) >= 4


@pytest.mark.parametrize(
    ("n_rows", "changes", "expected"),
    [
        (10_000, {}, "folds"),
        (10_001, {}, 0.1),
        (100, {"order_by": "when"}, 0.1),
        (10_001, {"val_size": "folds"}, "folds"),
        (100, {"val_size": 0.2}, 0.2),
    ],
)
def test_what_validates_by_default(
    n_rows: int, changes: dict[str, object], expected: str | float
) -> None:
    assert val_size_of(split_params(**{"val_size": "auto", **changes}), n_rows) == expected


@pytest.mark.parametrize(
    ("n_rows", "size"),
    [(999, 0.3), (1_000, 0.2), (1_000_000, 0.2), (1_000_001, 0.1), (10**7, 0.01)],
)
def test_auto_test_size(n_rows: int, size: float) -> None:
    assert auto_test_size(n_rows) == pytest.approx(size, rel=1e-5)


def by_order(order: list[float], **changes: object) -> Split:
    n_rows = len(order)
    labels = np.arange(n_rows, dtype=np.int64) % 2
    rows = Rows(
        labels=labels,
        classes=["a", "b"],
        groups=np.arange(n_rows),
        order=np.array(order, dtype=float),
    )
    return split_rows(rows, split_params(order_by="when", **changes))


@given(
    st.lists(st.integers(0, 12), min_size=20, max_size=100), st.sampled_from([0.0, 0.1, 0.3, 0.6])
)
def test_equal_times_stay_together(order: list[int], val_size: float) -> None:
    try:
        parts = by_order([float(time) for time in order], test_size=0.3, val_size=val_size)
    except InputError as error:
        too_few = len(set(order)) < 3 or "no row of class" in str(error)
        assert too_few, error  # noqa: PT017
        return
    train, val, test = ({order[row] for row in part} for part in parts_of(parts))
    assert train
    assert test
    assert bool(val) == bool(val_size)
    assert max(train) < min(val, default=max(train) + 1)
    assert max(train | val) < min(test)


def parts_of(split: Split) -> list[list[int]]:
    return [part.tolist() for part in (split.train, split.val, split.test)]


@pytest.mark.parametrize(
    ("order", "n_test"),
    [
        (list(range(20)), 4),
        ([*range(15), *[15] * 2, *[16] * 3], 5),  # of two that are as near, the earlier
        ([*range(10), *[10] * 10], 10),
        ([*range(2), *[2] * 15, *range(3, 6)], 3),
    ],
)
def test_the_test_part_begins_at_the_nearest_time(order: list[float], n_test: int) -> None:
    parts = by_order(order, test_size=0.2, val_size=0)
    assert parts.test.tolist() == list(range(20 - n_test, 20))


def test_too_few_times_are_refused() -> None:
    with pytest.raises(InputError, match="2 different times, and 3 parts need one each"):
        by_order([0.0] * 10 + [1.0] * 10)


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), min_size=1, max_size=50))
def test_twins_are_found(rows: list[tuple[int, int]]) -> None:
    features = np.array(rows, dtype=np.float32)
    features[features == 0] *= -1  # some zeros are negative
    groups = equal_rows(twin_keys(pa.chunked_array([column]), None) for column in features.T)
    for i, row in enumerate(rows):
        for j, other in enumerate(rows):
            assert (groups[i] == groups[j]) == (row == other)


def folds_of(labels: list[int], groups: list[int], **changes: object) -> list[int]:
    ids = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    keys = np.array([hash((group, 7)) & (2**64 - 1) for group in groups], dtype=np.uint64)
    rows = Rows(labels=np.array(labels), classes=["a", "b", "c"], groups=ids, keys=keys)
    found = fold_rows(rows, split_params(val_size="folds", **changes))
    assert found is not None
    folds: list[int] = found.tolist()
    return folds


@pytest.mark.parametrize("by", ["shuffle", "hash"])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=10, max_size=200),
    st.integers(0, 5),
)
def test_a_group_is_in_one_fold_and_a_class_outside_of_each(
    by: str, rows: list[tuple[int, int]], seed: int
) -> None:
    labels, groups = (list(column) for column in zip(*rows, strict=True))
    try:
        folds = folds_of(labels, groups, by=by, seed=seed)
    except InputError as error:
        assert "no class has groups in two of them" in str(error)  # noqa: PT017
        return
    assert {*folds} - {-1} == set(range(max(folds) + 1))
    for group in set(groups):
        assert len({fold for fold, of in zip(folds, groups, strict=True) if of == group}) == 1
    for fold in range(max(folds) + 1):
        outside = {label for label, of in zip(labels, folds, strict=True) if of != fold}
        assert outside == set(labels)


def test_folds_are_stratified_and_of_equal_size() -> None:
    labels = [0] * 400 + [1] * 80 + [2] * 8
    folds = np.array(folds_of(labels, list(range(488))))
    for label, size in ((0, 50), (1, 10), (2, 1)):
        assert np.bincount(folds[np.array(labels) == label]).tolist() == [size] * 8


def test_rows_that_come_move_no_other_to_another_fold_by_hash() -> None:
    few = folds_of([0, 1] * 100, list(range(200)), by="hash")
    many = folds_of([0, 1] * 150, list(range(300)), by="hash")
    assert many[:200] == few
