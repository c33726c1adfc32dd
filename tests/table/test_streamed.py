"""A table that is split in parts gives the bytes of one that is split in memory."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Project, only_error
from tests.tables import data_params, split_params
from vintage.base.console import InputError
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import read_schema, write_schema
from vintage.table.formats import FORMATS
from vintage.table.kinds import KINDS, Categorical
from vintage.table.read import read_table
from vintage.table.resplit import why_fixed
from vintage.table.store import store_split
from vintage.table.streamed import is_in_parts, split_in_parts
from vintage.table.summary import NOT_LOOKED_AT

FILES = ["train.safetensors", "val.safetensors", "test.safetensors", "schema.json"]


@pytest.fixture(autouse=True, scope="module")
def _small_parts() -> Iterator[None]:
    """So that small tables have many of them."""
    sizes = {
        "scratch.PART_ROWS": 64,
        "scratch.BUCKET_ROWS": 100,
        "hashed.CHUNK_CELLS": 1,
        "hashed.LEAST_ROWS": 50,
        "formats.BATCH_ROWS": 30,
        "formats.BLOCK_BYTES": 2_000,
        "csv_rules.BLOCK_BYTES": 2_000,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(f"vintage.table.{name}", size)
        yield


def in_memory(folder: Path, data: DataParams, split: SplitParams) -> list[str]:
    return list(store_split(data, split, False, folder, folder / "scratch"))


def in_parts(folder: Path, data: DataParams, split: SplitParams) -> list[str]:
    schema, lines = split_in_parts(data, split, folder, folder / "scratch")
    write_schema(folder / "schema.json", schema)
    assert not (folder / "scratch").exists()
    return list(lines)


def both(folder: Path, data: DataParams, split: SplitParams) -> Iterator[tuple[list[str], Any]]:
    """What each prints and writes, or the error of each."""
    for index, make in enumerate((in_memory, in_parts)):
        place = folder / str(index)
        place.mkdir()
        try:
            lines = make(place, data, split)
        except InputError as error:
            yield list(error.args), None
            continue
        yield lines, {name: (place / name).read_bytes() for name in FILES}


def assert_same(folder: Path, path: Path, **changes: Any) -> list[str]:
    split = {"by": "hash", "val_size": 0.1, **changes.pop("split", {})}
    (lines, expected), (lines_in_parts, found) = both(
        folder, data_params(path, **changes), split_params(**split)
    )
    if expected is None or found is None:
        assert lines == lines_in_parts
    else:
        for name in FILES:
            assert expected[name] == found[name], name
    return lines_in_parts


def columns(n_rows: int, seed: int) -> dict[str, pa.Array]:
    """One of each kind, with missing cells, twins and rows without a target."""
    random = np.random.default_rng(seed)
    days = np.datetime64("2020-01-01") + random.integers(0, 900, n_rows)
    made: dict[str, Any] = {
        "number": random.normal(size=n_rows).round(2),
        "whole": random.integers(-5, 5, n_rows),
        "year": random.integers(1990, 2025, n_rows),
        "far": 1e9 + random.normal(size=n_rows).round(3),
        "day": days,
        "text": np.array(["a", "b b", " c", "1", "2.0"])[random.integers(0, 5, n_rows)],
        "truth": random.integers(0, 2, n_rows).astype(bool),
        "constant": np.ones(n_rows),
        "kind": np.array(["x", "y", "z"])[random.integers(0, 3, n_rows)],
    }
    twins = random.integers(0, n_rows, (2, n_rows // 4))
    for values in made.values():
        values[twins[0]] = values[twins[1]]
    is_missing = {name: random.random(n_rows) < 0.05 for name in made}
    is_missing["constant"][:] = False
    return {name: pa.array(made[name], mask=is_missing[name]) for name in made}


def write_gzip(table: pa.Table, path: Path) -> None:
    with pa.CompressedOutputStream(str(path), "gzip") as file:
        pyarrow.csv.write_csv(table, file)


WRITERS = {
    "csv": pyarrow.csv.write_csv,
    "csv.gz": write_gzip,
    "parquet": lambda table, path: pyarrow.parquet.write_table(table, path, row_group_size=70),
    "arrow": lambda table, path: pyarrow.feather.write_feather(table, path, chunksize=90),
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize(
    "split", [{}, {"group_by": "none"}, {"group_by": "owner"}, {"val_size": 0, "seed": 7}]
)
def test_the_same_bytes(tmp_path: Path, form: str, split: dict[str, Any]) -> None:
    path = tmp_path / f"table.{form}"
    made = columns(700, 1)
    made["owner"] = pa.array(np.arange(700) * 7 % 90)
    WRITERS[form](pa.table(made), path)
    lines = assert_same(tmp_path, path, split=split)
    assert "rows, " in lines[0]


CELLS = {
    "numbers": ["1", "2.50", "-0", "0", "1e3", "", "NA", " 7 "],
    "far": ["1000000001", "1000000001.0001", "1000000002", "1000000900"],
    "times": ["2020-01-01", "2021-05-05T10:00:00", "2022-02-02", ""],
    "zones": ["2020-01-01T00:00:00Z", "2021-05-05T10:00:00+01:00", ""],
    "truths": ["true", "False", "TRUE", ""],
    "names": ["a", "b", " b ", "1", "1.0", "true", "NA", "ä"],
    "ten": [f"n{index}" for index in range(10)],
}


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4),
    st.sampled_from(["duplicates", "none"]),
    st.booleans(),
    st.booleans(),
)
def test_the_same_bytes_or_the_same_error(
    seed: int, kinds: list[str], group_by: str, breaks: bool, by_hand: bool
) -> None:
    """Of any kinds of columns, some of which turn out to be of another kind only further down."""
    random = np.random.default_rng(seed)
    n_rows = 300
    table = {
        f"{kind}{index}": random.choice(CELLS[kind], n_rows).astype(object)
        for index, kind in enumerate(kinds)
    }
    table["kind"] = random.choice(["x", "y", "z", ""], n_rows, p=[0.4, 0.3, 0.2, 0.1])
    if breaks:
        other = CELLS[str(random.choice(sorted(CELLS)))]
        next(iter(table.values()))[random.integers(0, n_rows)] = str(random.choice(other))
    set_by_hand = {"names0": "categorical", "times0": "datetime", "numbers0": "categorical"}
    used = {name: kind for name, kind in set_by_hand.items() if by_hand and name in table}
    text = ",".join(table) + "\n"
    text += "".join(",".join(row) + "\n" for row in zip(*table.values(), strict=True))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "table.csv"
        path.write_text(text)
        assert_same(Path(name), path, kinds=used, split={"group_by": group_by})


def test_rows_that_are_twins_only_as_stored_are_shared_out_again(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    far = 1e9 + random.choice([0, 900], 400) + random.normal(size=400) * 1e-6
    table = {"far": far, "a": random.integers(0, 40, 400), "kind": random.integers(0, 2, 400)}
    pyarrow.parquet.write_table(pa.table(table), path := tmp_path / "table.parquet")
    lines = assert_same(tmp_path, path)
    assert any("split 2 times" in line for line in lines)


def test_categories_that_no_train_row_has(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    names = np.array([f"n{index}" for index in range(60)])
    table = {
        "a": np.append(names, random.choice(names[:9], 440)),
        "b": random.integers(0, 5, 500),
        "kind": random.integers(0, 2, 500),
    }
    pyarrow.csv.write_csv(pa.table(table), path := tmp_path / "table.csv")
    lines = assert_same(tmp_path, path, kinds={"a": "categorical"})
    assert any("hold a category that no train row has" in line for line in lines)


def test_another_kind_with_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Names(Categorical):
        name = "names"

    monkeypatch.setitem(KINDS, "names", Names())
    pyarrow.csv.write_csv(pa.table(columns(300, 8)), path := tmp_path / "table.csv")
    assert_same(tmp_path, path, kinds={"number": "names", "day": "names"})
    features = read_schema(tmp_path / "1/schema.json").features
    (n_numbers,) = (len(each.categories or []) for each in features if each.name == "number")
    assert n_numbers > 100


def test_ids_of_a_column(tmp_path: Path) -> None:
    made = columns(300, 5) | {"name": pa.array([f"r{index}" for index in range(300)])}
    pyarrow.csv.write_csv(pa.table(made), path := tmp_path / "table.csv")
    assert_same(tmp_path, path, id="name", split={"group_by": "none"})
    made["name"] = pa.array([f"r{index % 290}" for index in range(300)])
    pyarrow.csv.write_csv(pa.table(made), path)
    with pytest.raises(InputError, match=r"'name', row 290: .* is the id of an earlier row"):
        in_memory(tmp_path, data_params(path, id="name"), split_params(by="hash"))
    with pytest.raises(InputError, match="'name', row 290: the cell is the id of an earlier row"):
        in_parts(tmp_path, data_params(path, id="name"), split_params(by="hash"))


def numbers(n_rows: int, **others: str) -> list[str]:
    """Different ones but for the cells at some places."""
    cells = [f"{index}.5" for index in range(n_rows)]
    for place, cell in others.items():
        cells[int(place[1:])] = cell
    return cells


ODD: dict[str, tuple[dict[str, list[str]], dict[str, Any]]] = {
    "text late, then a missing cell": ({"a": numbers(300, _130="abc", _250="")}, {}),
    "the same of an ignored column": (
        {"a": numbers(300, _130="abc", _250="")},
        {"ignore": ["a"]},
    ),
    "an ignored number beside an id": (
        {"id": [f"r{index}" for index in range(300)], "a": numbers(300)},
        {"ignore": ["a"], "id": "id"},
    ),
    "not UTF-8 in a part, and ignored": (
        {"a": ["NA", "", "abc", *numbers(297, _200="\udcff")]},
        {"ignore": ["a"]},
    ),
    "numbers, then not UTF-8, and ignored": ({"a": numbers(300, _200="\udcff")}, {"ignore": ["a"]}),
    "not UTF-8 at the beginning": ({"a": numbers(300, _1="\udcff")}, {}),
    "not UTF-8 further down": ({"a": numbers(300, _200="\udcff")}, {}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_columns(tmp_path: Path, name: str) -> None:
    cells, changes = ODD[name]
    cells |= {"b": [str(i % 50) for i in range(300)], "kind": ["xy"[i % 2] for i in range(300)]}
    lines = [",".join(cells), *(",".join(row) for row in zip(*cells.values(), strict=True))]
    path = tmp_path / "table.csv"
    path.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
    assert_same(tmp_path, path, **changes)


def test_a_nested_column(tmp_path: Path) -> None:
    made = columns(300, 6) | {"list": pa.array([[1, 2]] * 300)}
    pyarrow.parquet.write_table(pa.table(made), path := tmp_path / "table.parquet")
    assert "list" in " ".join(assert_same(tmp_path, path))


@pytest.mark.parametrize("key", ["target", "id", "group_by"])
def test_a_nested_column_of_another_role(tmp_path: Path, key: str) -> None:
    made = columns(300, 6) | {"list": pa.array([[1, 2]] * 300)}
    pyarrow.parquet.write_table(pa.table(made), path := tmp_path / "table.parquet")
    changes = {"split": {key: "list"}} if key == "group_by" else {key: "list"}
    (line,) = assert_same(tmp_path, path, **changes)
    assert re.search(rf"column 'list' is of type list<.*>, which \w+.{key} cannot take$", line)


@pytest.mark.parametrize("changes", [{}, {"ignore": ["run"]}])
def test_runs_of_equal_cells_are_cells(tmp_path: Path, changes: dict[str, Any]) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([70, 75, 300], pa.int32()), [1.5, None, 3])
    for name, column in (("runs", runs), ("plain", pc.run_end_decode(runs))):
        (folder := tmp_path / name).mkdir()
        table = pa.table(columns(300, 9) | {"run": column})
        pyarrow.feather.write_feather(table, path := folder / "table.arrow", chunksize=90)
        assert_same(folder, path, **changes)
    for name in FILES:
        found, expected = (
            (tmp_path / each / "1" / name).read_bytes() for each in ("runs", "plain")
        )
        assert found == expected


def test_free_text_is_counted_as_far_as_it_is_known(tmp_path: Path) -> None:
    rows = (f"word {index} of many,{index % 7},{'xy'[index % 2]}\n" for index in range(2000))
    (path := tmp_path / "table.csv").write_text("a,b,kind\n" + "".join(rows))
    (line,) = assert_same(tmp_path, path)
    assert "column 'a' holds more than 1000 different texts in 1" in line


def test_classes_that_are_alike_are_counted_in_all_rows(tmp_path: Path) -> None:
    made = columns(300, 7)
    made["kind"] = pa.array(np.array(["Yes", "yes", "no"])[np.arange(300) * 7 % 3])
    pyarrow.csv.write_csv(pa.table(made), path := tmp_path / "table.csv")
    (line,) = (each for each in assert_same(tmp_path, path) if "perhaps one" in each)
    assert "'Yes' (100 rows), 'yes' (100 rows)" in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "by hash alone, not by shuffle; set split.by: hash"),
        ({"by": "hash", "order_by": "day"}, "by hash alone, not by order_by"),
        ({"by": "hash", "val_size": "folds"}, "folds need the table in memory; set split.val_size"),
        ({"by": "hash", "val_size": "auto"}, "found auto, which for 100 rows means folds"),
    ],
)
def test_what_needs_the_table_in_memory_is_refused(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    rows = "".join(f"{index % 7},{'xy'[index % 2]}\n" for index in range(100))
    (path := tmp_path / "table.csv").write_text("a,kind\n" + rows)
    data, split = data_params(path), split_params(**changes)

    def split_it() -> None:
        is_in_parts(data, split, True)
        in_parts(tmp_path, data, split)

    with pytest.raises(InputError, match=expected):
        split_it()


def test_which_tables_are_split_in_parts(tmp_path: Path) -> None:
    """By themselves: large ones, where it is by hash and not in folds."""
    small, large = (data_params(tmp_path / name) for name in ("small.csv", "large.csv"))
    for data in (small, large):
        Path(data.path).write_text("a,kind\n1,x\n")
    os.truncate(large.path, 3 * 2**30)  # without taking the disk
    by_hash = split_params(by="hash")
    assert is_in_parts(large, by_hash, "auto")
    assert not is_in_parts(small, by_hash, "auto")
    assert is_in_parts(small, by_hash, True)
    assert not is_in_parts(large, by_hash, False)
    assert not is_in_parts(large, split_params(), "auto")
    assert not is_in_parts(large, split_params(by="hash", val_size="folds"), "auto")
    assert "so large that" in str(why_fixed(large, by_hash))
    assert why_fixed(small, by_hash) is None


@pytest.mark.parametrize("end", FORMATS)
def test_a_format_tells_early_how_many_rows_there_are(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which a file that is small on disk is split in parts by itself, or refused."""
    path = tmp_path / f"table{end}"
    table = pa.table({"a": np.zeros(300), "kind": np.arange(300) % 2})
    WRITERS[FORMATS[end].__name__.lower()](table, path)
    by_hash = split_params(by="hash")
    assert not is_in_parts(data_params(path), by_hash, "auto")
    monkeypatch.setattr("vintage.table.streamed.LARGE_CELLS", 599)
    assert is_in_parts(data_params(path), by_hash, "auto")
    monkeypatch.setattr(FORMATS[end], "batches", None)  # not read at all
    monkeypatch.setattr("vintage.table.read.MAX_CELLS", 599)
    with pytest.raises(InputError, match="has more than 599 cells"):
        read_table(path)


@pytest.mark.slow
def test_the_stage_prints_what_it_prints_in_memory(fresh: Project) -> None:
    """But for the last line."""
    fresh.set_params(**{"split.by": "hash", "split.val_size": 0.1})
    (killed := fresh.root / "data/scratch").mkdir()
    (killed / "0.bin").write_bytes(b"left by a split that was killed")
    in_memory = fresh.stage("split", check=True).stdout.splitlines()
    assert not killed.exists()
    expected = fresh.outputs()
    fresh.set_params(**{"compute.streaming": True})
    in_parts = fresh.stage("split", check=True).stdout.splitlines()
    assert fresh.outputs() == expected
    assert in_parts == [
        *in_memory,
        f"  {NOT_LOOKED_AT}",
    ]
    assert not (fresh.root / "data/scratch").exists()
    fresh.set_params(**{"split.by": "shuffle"})
    error = only_error(fresh.stage("split"))
    assert "compute.streaming: a table is split in parts by hash alone, not by shuffle" in error
