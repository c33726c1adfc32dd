"""Rows are known by what they say, wherever they stand; by hash, each keeps its side."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.conftest import PENGUINS, WINE, Run
from vintage.base.console import InputError
from vintage.base.tensors import Examples, read_examples, read_schema
from vintage.report.pairing import pair_rows
from vintage.scores.predictions import Predictions, read_predictions
from vintage.table.cells import Place
from vintage.table.identity import ids_of_column, row_ids, table_hashes
from vintage.table.read import read_table

PREDICTIONS = "metrics/predictions.csv"
HASHED = {"split.by": "hash", "split.stratify": False}


def ids_of(path: Path) -> list[int]:
    ids: list[int] = row_ids(table_hashes(read_table(path))).tolist()
    return ids


def parts(folder: Path) -> dict[str, Examples]:
    schema = read_schema(folder / "data/tensors/schema.json")
    return {
        name: read_examples(folder / f"data/tensors/{name}.safetensors", schema)
        for name in ("train", "val", "test")
    }


@pytest.fixture
def table(rng: random.Random) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": [rng.random() for _ in range(60)],
            "b": [rng.choice(["x", "y", "NA", "1.5", " 2"]) for _ in range(60)],
            "kind": [rng.choice("pq") for _ in range(60)],
        }
    )


def test_an_id_is_the_same_in_every_order_and_format(tmp_path: Path, table: pd.DataFrame) -> None:
    csv, other, parquet = tmp_path / "t.csv", tmp_path / "o.csv", tmp_path / "t.parquet"
    table.to_csv(csv, index=False)
    ids = ids_of(csv)
    order = np.random.default_rng(0).permutation(len(table))
    table.iloc[order][["kind", "b", "a"]].to_csv(other, index=False, sep=";")
    assert ids_of(other) == [ids[place] for place in order]
    table.to_parquet(parquet)
    assert ids_of(parquet) == ids
    assert len(set(ids)) == len(ids)


def test_a_cell_says_the_same_beside_others(tmp_path: Path) -> None:
    """A column of numbers becomes one of text by a single cell; the other rows stay the same."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n0.70,1\n-0,2\n,3\n")
    before = ids_of(path)
    path.write_text("a,b\n.7,1\n0,2\nNA,3\n many ,4\n")
    assert ids_of(path)[:3] == before


def test_equal_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,1\n1,1\n2,1\n1,1\n")
    ids = ids_of(path)
    assert len(set(ids)) == 4
    path.write_text("a,b\n1,1\n2,1\n1,1\n")
    assert ids_of(path) == [ids[0], ids[2], ids[1]]


def test_columns_of_any_type_have_a_hash() -> None:
    columns = {
        "list": pa.array([[1], [2], None]),
        "bytes": pa.array([b"\xff", b"a", None]),
        "time": pa.array([0, 1, None], pa.timestamp("us")),
        "null": pa.nulls(3),
        "bool": pa.array([True, False, None]),
    }
    for name, column in columns.items():
        hashes = table_hashes(pa.table({name: column}))
        assert len(set(hashes.tolist())) == (1 if name == "null" else 3), name


def test_ids_of_a_column_are_its_own() -> None:
    place = Place("t.csv", np.arange(3), "id")
    assert len(set(ids_of_column(pa.chunked_array([["a", "b", "3"]]), place))) == 3
    with pytest.raises(InputError, match="column 'id', row 2: 'a' is the id of an earlier row"):
        ids_of_column(pa.chunked_array([["a", "b", "a"]]), place)
    with pytest.raises(InputError, match="column 'id', row 1: the cell is empty"):
        ids_of_column(pa.chunked_array([["a", None, "b"]]), place)


def test_ids_of_many_digits_are_told_apart() -> None:
    """Also where float64 does not, in whatever form they come; the others stay as they were."""
    place = Place("t.csv", np.arange(5), "id")
    numbers = [2**53, 2**53 + 1, 10**18 + 1, 10**18 + 2, 7]
    columns = [
        pa.array(numbers),
        pa.array(numbers, pa.uint64()),
        pa.array([Decimal(each) for each in numbers], pa.decimal128(20, 0)),
        pa.array([f" +0{each} " for each in numbers]),
    ]
    first, *others = (ids_of_column(pa.chunked_array([each]), place) for each in columns)
    assert len(set(first.tolist())) == len(numbers)
    for other in others:
        assert other.tolist() == first.tolist()
    as_floats = ids_of_column(pa.chunked_array([[2.0**53, 7.0]]), place)
    assert as_floats.tolist() == [first[0], first[-1]]
    longest = pa.array(["1" * 400, "1" * 399 + "2", "-" + "1" * 400, "1e400", "x"])
    assert len(set(ids_of_column(pa.chunked_array([longest]), place).tolist())) == 5
    with pytest.raises(InputError, match=r"row 1: '0+9007199254740993' is the id of an earlier"):
        ids_of_column(pa.chunked_array([["9007199254740993", "009007199254740993"]]), place)


def test_a_column_of_ids_is_no_feature_and_keeps_a_row_whose_cells_change(
    run: Run, table: pd.DataFrame
) -> None:
    table["key"] = [f"k{index}" for index in range(60)]
    first = parts(run(table.to_csv(index=False), "split", **{"data.id": "key"}))
    table["a"] += 1
    second = parts(run(table.to_csv(index=False), "split", **{"data.id": "key"}))
    assert first["test"].features.shape[1] == 2
    for name, examples in first.items():
        assert (examples.ids == second[name].ids).all()


def sides(folder: Path) -> dict[int, str]:
    return {
        identity: name
        for name, examples in parts(folder).items()
        for identity in examples.ids.tolist()
    }


Rows = pd.DataFrame
CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "60 rows more": lambda wine: pd.concat([wine, 1.01 * wine.iloc[:60].round(0)]),
    "a tenth fewer": lambda wine: wine.drop(index=range(0, len(wine), 10)),
    "another order": lambda wine: wine.iloc[::-1],
}


@pytest.mark.parametrize("change", CHANGES)
def test_by_hash_no_row_changes_its_side(run: Run, change: str) -> None:
    wine = pd.read_csv(WINE)
    options = {**HASHED, "data.target": "quality"}
    before = sides(run(wine.to_csv(index=False), "split", **options))
    other = CHANGES[change](wine)
    other["quality"] = other["quality"].round().astype(int)
    after = sides(run(other.to_csv(index=False), "split", **options))
    old_test = {identity for identity, side in before.items() if side == "test"}
    kept = old_test & set(after)
    assert all(after[identity] == before[identity] for identity in set(before) & set(after))
    assert len(kept) >= (0.85 if "fewer" in change else 1) * len(old_test)


STAGES = ("split", "train", "evaluate")


def predicted(run: Run, table: pd.DataFrame, **options: object) -> Predictions:
    return read_predictions(run(table.to_csv(index=False), *STAGES, **options) / PREDICTIONS)


def test_sixty_rows_more_leave_the_old_test_rows_paired(run: Run) -> None:
    wine = pd.read_csv(WINE)
    more = wine.iloc[:60].assign(alcohol=wine["alcohol"].iloc[:60] + 5)
    before, after = (
        predicted(run, table, **HASHED, **{"data.target": "quality"})
        for table in (wine, pd.concat([more, wine]))
    )
    pairing = pair_rows(before, after).without_seen()
    assert len(pairing.a.rows) >= 0.95 * len(before.rows)
    assert (pairing.a.rows + 60 == pairing.b.rows).all()


def test_rows_in_another_order_are_paired_with_themselves_alone(run: Run) -> None:
    """Row numbers would pair every place of the table with the same place, whatever is there."""
    penguins = pd.read_csv(PENGUINS)
    mixed = penguins.sample(frac=1, random_state=0).sort_values("species", kind="stable")
    before, after = (
        predicted(run, table, **{"data.target": "species"}) for table in (penguins, mixed)
    )
    pairing = pair_rows(before, after)
    assert 0 < len(pairing.a.rows) < len(before.rows)
    for row, other in zip(pairing.a.rows, pairing.b.rows, strict=True):
        assert penguins.iloc[row].equals(mixed.iloc[other])


def test_by_hash_the_shares_are_met_within_chance_and_groups_stay_together(run: Run) -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": generator.integers(0, 700, 3000), "kind": generator.integers(0, 2, 3000)}
    )
    found = parts(run(table.to_csv(index=False), "split", **HASHED, **{"split.val_size": 0.1}))
    groups = {name: set(examples.groups.tolist()) for name, examples in found.items()}
    n_groups = sum(map(len, groups.values()))
    assert n_groups == len(set(table["a"]))  # none in two parts
    assert abs(len(groups["test"]) / n_groups - 0.2) < 4 * (0.2 * 0.8 / n_groups) ** 0.5
    assert abs(len(groups["val"]) / n_groups - 0.1) < 4 * (0.1 * 0.9 / n_groups) ** 0.5
    again = sides(run(table.to_csv(index=False), "split", **HASHED, **{"split.seed": 1}))
    first = {i: name for name, examples in found.items() for i in examples.ids.tolist()}
    assert first != again


def test_by_hash_an_empty_part_is_refused(run: Run) -> None:
    few = "a,kind\n" + "".join(f"{index},{index % 2}\n" for index in range(4))
    with pytest.raises(InputError, match=r"this split leaves no row in (test|val)"):
        run(few, "split", **HASHED, **{"split.test_size": 0.01, "split.val_size": 0.01})
