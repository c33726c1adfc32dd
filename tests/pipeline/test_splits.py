"""The whole recipe on other splits of the table."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PARAMS, Project, Run
from vintage.base.console import InputError
from vintage.base.params import load_params
from vintage.table.dataset import load_dataset
from vintage.table.resplit import OtherSplit, other_splits


def table(n_rows: int = 150) -> str:
    """Numbers and a text with rare categories, so that more than weights depends on the split."""
    draw = np.random.default_rng(5)
    numbers = draw.normal(size=(n_rows, 2)).round(2)
    letters = draw.choice(list("aaaabbbcdefgh"), n_rows)
    kinds = np.where(numbers[:, 0] + draw.normal(size=n_rows) > 0, "yes", "no")
    lines = [f"{a},{b},{c},{kind}" for (a, b), c, kind in zip(numbers, letters, kinds, strict=True)]
    return "\n".join(["a,b,letter,kind", *lines, *lines[:9]]) + "\n"


def stored(folder: Any) -> Any:
    return json.loads((folder / "metrics/splits.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("changes", [{}, {"split.val_size": 0.2, "split.by": "hash"}])
def test_a_split_has_the_scores_that_the_pipeline_has_with_its_seeds(
    run: Run, changes: dict[str, Any]
) -> None:
    """So nothing is fitted on rows that another split has trained on."""
    own_seeds = {"train.seed": 50, "split.seed": 1}
    short = {"train.epochs": 6, "split.test_size": 0.3, **own_seeds, **changes}
    found = stored(run(table(), "splits", **short, **{"evaluate.splits": 6}))["splits"]
    # without the split that the pipeline has; three times 30 % of the rows fit side by side
    assert {seed: len(of_seed) for seed, of_seed in found.items()} == {"0": 3, "1": 2, "2": 1}
    del found["1"]
    for seed, of_seed in found.items():
        split = of_seed["0"]
        own = {"split.seed": int(seed), "train.seed": 50 + (10 * int(seed) + 1) * 2}
        folder = run(table(), "split", "train", "evaluate", **short | own)
        evaluation = json.loads((folder / "metrics/evaluation.json").read_text(encoding="utf-8"))
        schema = json.loads((folder / "data/tensors/schema.json").read_text(encoding="utf-8"))
        assert split["scores"] == evaluation["test"]
        assert split["test_rows"] == schema["rows"]["test"]
        assert split["train_rows"] == schema["rows"]["train"] + schema["rows"]["val"]


@pytest.mark.parametrize("val_size", ["folds", 0.1])
@pytest.mark.parametrize(
    ("by", "size", "n_of_seed"),
    [
        *product(["shuffle", "hash"], ["auto"], [3]),
        *product(["shuffle", "hash"], [0.2], [5]),
        ("shuffle", 0.45, 2),
        ("hash", 0.6, 1),
        ("shuffle", 0.01, 10),
    ],
)
def test_splits_of_one_seed_test_other_rows(
    tmp_path: Path, val_size: float | str, by: str, size: float | str, n_of_seed: int
) -> None:
    found = splits_of(tmp_path, table(140), 2 * n_of_seed, by=by, val_size=val_size, test_size=size)
    assert [each.turn for each in found] == [*range(n_of_seed), *range(n_of_seed)]
    assert [each.seed for each in found] == [0] * n_of_seed + [1] * n_of_seed
    assert_side_by_side(found, n_rows=149)
    if by == "shuffle":
        tested = sum(len(each.parts["test"].rows) for each in found[:n_of_seed]) / 149
        share = {"auto": 0.3}.get(str(size), float(size) if size != "auto" else 0)
        assert tested == pytest.approx(n_of_seed * share, abs=0.06)


@pytest.mark.parametrize("by", ["shuffle", "hash"])
def test_twins_that_one_split_makes_stay_together_in_all(tmp_path: Path, by: str) -> None:
    """Row 0 alone has a flag, so where it is in test, the flag is dropped and row 1 is its twin."""
    header, first, *lines = table(400).splitlines()
    rows = [f"{first},yes", *(f"{line},no" for line in [first, *lines])]
    text = "\n".join([f"{header},flag", *rows]) + "\n"
    found = splits_of(tmp_path, text, 20, by=by, test_size=0.2)
    assert [each.seed for each in found] == [seed for seed in range(4) for _ in range(5)]
    assert_side_by_side(found, n_rows=len(rows))


@pytest.mark.parametrize("n_groups", [3, 4, 6, 7, 13])
@pytest.mark.parametrize("size", [0.2, 0.3])
def test_a_table_of_few_groups_is_split_in_other_ways(
    tmp_path: Path, n_groups: int, size: float
) -> None:
    header, *lines = table(200).splitlines()
    rows = [f"{line},{number % n_groups}" for number, line in enumerate(lines)]
    text = "\n".join([f"{header},place", *rows]) + "\n"
    found = splits_of(tmp_path, text, 10, group_by="place", test_size=size)
    assert_side_by_side(found, n_rows=len(rows), without_twins=False)


def test_every_row_is_tested_where_a_class_is_rare(tmp_path: Path) -> None:
    header, *lines = table(200).splitlines()
    rows = [line.rpartition(",")[0] + ",rare" if n < 3 else line for n, line in enumerate(lines)]
    found = splits_of(tmp_path, "\n".join([header, *rows]) + "\n", 10, test_size=0.2)
    assert [each.seed for each in found] == [0] * 5 + [1] * 5
    tested = sum(len(each.parts["test"].rows) for each in found[:5])
    assert tested >= len(rows) - 1, "one of the rare ones may stay in train"


def splits_of(
    folder: Path, text: str, n_splits: int, group_by: str = "duplicates", **changes: Any
) -> list[OtherSplit]:
    (path := folder / "table.csv").write_text(text, encoding="utf-8")
    params = load_params(PARAMS)
    source = {"path": str(path), "target": "kind", "ignore": []}
    data = params.data.model_copy(update=source)
    split = params.split.model_copy(update={"group_by": group_by, **changes})
    return list(other_splits(load_dataset(data, split), data, split, n_splits))


def assert_side_by_side(found: list[OtherSplit], n_rows: int, without_twins: bool = True) -> None:
    """Each row is in one part of each split, and in one test part of each seed."""
    for seed in {each.seed for each in found}:
        of_seed = [each.parts for each in found if each.seed == seed]
        tested = np.concatenate([parts["test"].rows for parts in of_seed])
        assert len(np.unique(tested)) == len(tested)
        for parts in of_seed:
            rows = np.concatenate([part.rows for part in parts.values()])
            assert sorted(rows) == list(range(n_rows))
            assert not np.any(parts["test"].seen) or not without_twins


def test_the_same_test_rows_have_the_same_digest_in_whatever_order(run: Run) -> None:
    changes = {"split.by": "hash", "evaluate.splits": 2, "train.epochs": 1}
    header, *lines = table().splitlines()
    again = "\n".join([header, *reversed(lines)]) + "\n"
    renamed = table().replace(",yes", ",maybe")
    first, second, other = (
        [
            each["test_digest"]
            for each in stored(run(text, "splits", **changes))["splits"]["0"].values()
        ]
        for text in (table(), again, renamed)
    )
    assert first == second
    assert len({*first, *other}) == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evaluate.splits": 0}, "evaluate.splits is 0"),
        ({"split.order_by": "a", "split.val_size": 0.1}, "split.order_by: the latest rows"),
        ({"split.column": "part"}, "split.column: the column of split.column says"),
    ],
)
def test_where_no_other_split_makes_sense_none_is_made(
    run: Run, changes: dict[str, Any], reason: str
) -> None:
    header, *lines = table().splitlines()
    parts = ["train", "test"] * len(lines)
    text = "\n".join(
        [f"{header},part", *(f"{line},{part}" for line, part in zip(lines, parts, strict=False))]
    )
    found = stored(run(text + "\n", "splits", **changes))
    assert found["splits"] == {}
    assert found["reason"].startswith(reason)


def test_a_table_that_can_hardly_be_split_is_refused_in_a_line(run: Run) -> None:
    rare = "a,kind\n" + "".join(f"{n},{'xyzuvw'[n % 6]}\n" for n in range(12))
    changes = {"split.by": "hash", "split.test_size": 0.8, "split.val_size": 0.1}
    with pytest.raises(InputError, match=r"evaluate.splits: only . of . seeds give a valid split"):
        run(rare, "splits", **changes, **{"evaluate.splits": 3})


def test_splits_of_other_parameters_are_not_compared(reproduced: Project) -> None:
    """`dvc repro evaluate` leaves them out."""
    reproduced.edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02")
    assert reproduced.repro("evaluate") == ["train", "evaluate"]
    shown = " ".join(reproduced.run("python", "-m", "vintage", "compare").stdout.split())
    assert "B: splits.json was made with other parameters, code or rows than the model;" in shown
    assert "this recipe on such tables: not comparable" in shown
    assert reproduced.repro("splits") == ["splits"]
    shown = reproduced.run("python", "-m", "vintage", "compare").stdout
    assert "the recipes over 2 other splits" in shown
