"""A folder of files is read as the one table that has their rows."""

import itertools
import os
import resource
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tests.table.test_streamed import (
    FILES,
    WRITERS,
    _small_parts,  # noqa: F401
    both,
    columns,
    in_memory,
    in_parts,
)
from tests.tables import data_params, split_params
from vintage.base.console import InputError
from vintage.table import streamed
from vintage.table.read import open_table, read_table
from vintage.table.streamed import is_in_parts

BY_HASH = split_params(by="hash", val_size=0.1)
NAMES = ("10", "9/year=2025/a", "9/year=2026/a", "a", "b/a")  # in order
CUTS = (0, 200, 201, 201, 430, 700)


def write_parts(folder: Path, form: str, tables: list[pa.Table]) -> Path:
    """The last one first, so that the order is not that in which they are written."""
    for name, table in reversed(list(zip(NAMES, tables, strict=False))):
        path = folder / f"rows/{name}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[form](table, path)
    return folder / "rows"


def cut(table: pa.Table) -> list[pa.Table]:
    return [table.slice(a, b - a) for a, b in pairwise(CUTS)]


def assert_alike(folder: Path, one: Path, many: Path, **changes: Any) -> None:
    """In memory and in parts: the same lines and bytes."""
    expected = []
    for index, path in enumerate((one, many)):
        (place := folder / f"out{index}").mkdir()
        for lines, files in both(place, data_params(path, **changes), BY_HASH):
            said = [line.replace(str(path), "TABLE") for line in lines if "in parts" not in line]
            expected.append((said[:2], files))
    first, *others = expected
    assert first[1] is not None, first[0]
    for other in others:
        assert other[0] == first[0]
        for name in FILES:
            assert other[1][name] == first[1][name], name


@pytest.mark.parametrize("form", WRITERS)
def test_the_bytes_of_one_file(tmp_path: Path, form: str) -> None:
    table = pa.table(columns(700, 1))
    WRITERS[form](table, one := tmp_path / f"one.{form}")
    assert_alike(tmp_path, one, write_parts(tmp_path, form, cut(table)))


@pytest.mark.parametrize("ends", [("csv", "CSV", "csv.gz", "tsv", "csv"), ("parquet", "arrow")])
def test_files_that_are_written_in_several_ways(tmp_path: Path, ends: tuple[str, ...]) -> None:
    table = pa.table(columns(700, 2))
    WRITERS[ends[0]](table, one := tmp_path / f"one.{ends[0]}")
    for name, part, end in zip(NAMES, cut(table), itertools.cycle(ends), strict=False):
        path = tmp_path / f"rows/{name}.{end}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if end == "tsv":
            options = pyarrow.csv.WriteOptions(delimiter="\t")
            pyarrow.csv.write_csv(part.select(part.column_names[::-1]), path, options)
        else:
            WRITERS[end.lower()](part, path)
    assert_alike(tmp_path, one, tmp_path / "rows")


def test_text_in_utf_8_and_bytes_are_text(tmp_path: Path) -> None:
    for name, kind in (("a", pa.large_string()), ("b", pa.binary()), ("c", pa.string_view())):
        put_table(f"{name}.parquet", a=pa.array(["x", "y"], kind))(tmp_path)
    assert read_table(tmp_path)["a"].cast(pa.string()).to_pylist() == ["x", "y"] * 3


def test_types_that_go_with_each_other(tmp_path: Path) -> None:
    made = columns(700, 3)
    table = pa.table(made)
    other = {
        "whole": pa.int8(),
        "number": pa.float32(),
        "text": pa.dictionary(pa.int8(), pa.string()),
        "day": pa.null(),
        "kind": pa.large_string(),
    }
    parts = cut(table)
    for index, part in enumerate(parts[:-1:2]):
        for name, kind in other.items():
            place = part.column_names.index(name)
            cells = pa.nulls(len(part), kind) if pa.types.is_null(kind) else part[name].cast(kind)
            part = part.set_column(place, name, cells)  # noqa: PLW2901
        parts[2 * index] = part.select(part.column_names[::-1])
    one = [part.select(table.column_names).unify_dictionaries() for part in parts]
    plain = [
        each.cast(
            pa.schema([(f.name, pa.string() if f.name == "text" else f.type) for f in each.schema])
        )
        for each in one
    ]
    joined = pa.concat_tables(plain, promote_options="permissive").select(parts[0].column_names)
    pyarrow.parquet.write_table(joined, path := tmp_path / "one.parquet")
    assert_alike(tmp_path, path, write_parts(tmp_path, "parquet", parts))


@pytest.mark.parametrize("by_hand", [True, False])
def test_numbers_in_a_file_and_text_in_the_next(tmp_path: Path, by_hand: bool) -> None:
    """As where a column only begins with numbers; an error names the file, and the row there."""
    text = ["a,b,kind\n", *(f"{i},{i % 50},{'xy'[i % 2]}\n" for i in range(300))]
    text[181] = "low,0,x\n"
    (one := tmp_path / "one.csv").write_text("".join(text))
    (many := tmp_path / "rows").mkdir()
    (many / "a.csv").write_text("".join(text[:131]))
    (many / "b.csv").write_text("".join([text[0], *text[131:]]))
    if by_hand:
        assert_alike(tmp_path, one, many, kinds={"a": "categorical"})
        return
    for make in (in_memory, in_parts):
        with pytest.raises(InputError, match=r"one.csv: column 'a', row 180: 'low' is not a"):
            make(tmp_path, data_params(one), BY_HASH)
        with pytest.raises(InputError, match=r"rows/b.csv: column 'a', row 50: 'low' is not a"):
            make(tmp_path, data_params(many), BY_HASH)


def test_the_order_is_that_of_code_points(tmp_path: Path) -> None:
    names = ["10.csv", "9.csv", "B.csv", "a-.csv", "a.csv", "a/a.csv", "a0.csv", "ä.csv", "😀.csv"]
    for number, name in enumerate(names):
        (path := tmp_path / name).parent.mkdir(exist_ok=True)
        path.write_text(f"a\n{number}\n")
    for name in ("_SUCCESS", ".a.csv.crc", "_new/a.csv", ".new/a.csv"):
        (path := tmp_path / name).parent.mkdir(exist_ok=True)
        path.write_text("no table")
    assert read_table(tmp_path)["a"].to_pylist() == [*range(len(names))]


@pytest.mark.parametrize("form", WRITERS)
def test_one_file_is_open_at_a_time(tmp_path: Path, form: str) -> None:
    for number in range(60):
        WRITERS[form](pa.table({"a": [number]}), tmp_path / f"{number:03}.{form}")
    n_open = len([*Path("/dev/fd").iterdir()])
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 20, limit[1]))
    try:
        with open_table(tmp_path) as table:
            n_rows = sum(batch.num_rows for batch in table.batches(["a"]))
            assert n_rows == 60
            assert table.total is None or table.n_read == table.total
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_a_large_folder_is_split_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = data_params(write_parts(tmp_path, "csv", [pa.table({"a": [1], "kind": [1]})] * 2))
    assert not is_in_parts(large, BY_HASH, "auto")
    for path in Path(large.path).rglob("*.csv"):
        os.truncate(path, 3 * 2**29)  # without taking the disk
    assert is_in_parts(large, BY_HASH, "auto")
    many = write_parts(tmp_path / "many", "parquet", [pa.table({"a": [1], "kind": [1]})] * 3)
    assert not is_in_parts(data_params(many), BY_HASH, "auto")
    monkeypatch.setattr(streamed, "LARGE_CELLS", 5)
    assert is_in_parts(data_params(many), BY_HASH, "auto")


def put(name: str, content: str = "a,kind\n1,x\n") -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (path := folder / name).parent.mkdir(exist_ok=True)
        path.write_text(content)

    return write


def put_table(name: str, **cells: Any) -> Callable[[Path], object]:
    return lambda folder: pyarrow.parquet.write_table(pa.table(cells), folder / name)


REFUSED: dict[str, tuple[list[Callable[[Path], object]], str]] = {
    "nothing": ([], ": is a folder without a table; put .csv, .csv.gz, "),
    "only what is left out": ([put("_a.csv")], ": is a folder without a table"),
    "a foreign file": ([put("notes.md"), put("z.csv")], "/notes.md: is not .csv, "),
    "a foreign file further down": ([put("a.csv"), put("b/notes.md")], "/b/notes.md: is not .csv"),
    "a link to a folder": (
        [put("a.csv"), lambda folder: (folder / "b").symlink_to("/tmp")],
        "/b: is a link to a folder, which DVC does not follow",
    ),
    "a pipe": (
        [lambda folder: os.mkfifo(folder / "a.csv")], "/a.csv: is a folder, a pipe or a device"
    ),
    "a column too few": (
        [put("a.csv"), put("b.csv", "a\n1\n")],
        "/b.csv: has no column 'kind', unlike {}/a.csv; the files of a folder have the same",
    ),
    "a column too many": (
        [put("a.csv"), put("b.csv", "kind,b,a\nx,1,1\n")],
        "/b.csv: has a column 'b', unlike {}/a.csv",
    ),
    "a name twice": ([put("a.csv"), put("b.csv", "a,a,kind\n1,1,x\n")], "/b.csv: column name 'a'"),
    "an empty file": ([put("a.csv"), put("b.csv", "")], "/b.csv: is empty; it needs a header"),
    "no rows": ([put("a.csv", "a,kind\n"), put("b.csv", "a,kind\n")], ": has a header but no rows"),
    "a short row": (
        [put("a.csv", "a,kind\n1,x\n2,y\n"), put("b.csv", "a,kind\n1,x\n2\n")],
        "/b.csv: cannot be read as a table: row 1 has 1 cells, not 2 as the header",
    ),
    "a foreign table": (
        [put_table("a.pq", a=[1], kind=["x"]), put("b.parquet", "PAR1")],
        "/b.parquet: cannot be read as a table",
    ),
    "text and numbers": (
        [put_table("a.pq", a=[1], kind=["x"]), put_table("b.pq", a=["1"], kind=["x"])],
        "/b.pq: column 'a' holds string, and files before it hold int64; write all files alike",
    ),
    "times with and without a zone": (
        [
            put_table("a.pq", a=pa.array([0], pa.timestamp("ns", "Europe/Berlin")), kind=["x"]),
            put_table("b.pq", a=pa.array([0], pa.timestamp("s", "UTC")), kind=["x"]),
            put_table("c.pq", a=pa.array([0], pa.timestamp("s")), kind=["x"]),
        ],
        "/c.pq: column 'a' holds timestamp[us], and files before it hold timestamp[us, tz=UTC]",
    ),
    "decimals and floats": (
        [
            put_table("a.pq", a=[0.5], kind=["x"]),
            put_table("b.pq", a=[Decimal("16777217.25")], kind=["x"]),
        ],
        "/b.pq: column 'a' holds decimal128(10, 2), and files before it hold double; write all",
    ),
    "CSV beside other formats": (
        [put("a.csv"), put_table("b.pq", a=[1], kind=["x"])],
        "/b.pq: is Parquet or Arrow, and {}/a.csv is CSV; write all files of a folder alike",
    ),
    "files that were added one by one": (
        [put("a.csv"), put("a.csv.dvc", "outs:\n")],
        "/a.csv.dvc: tracks a single file; `dvc remove` it, and `dvc add` the folder {}",
    ),
    "a link to nothing": (
        [put("a.csv"), lambda folder: (folder / "b.csv").symlink_to("gone.csv")],
        "/b.csv: is a link to nothing; remove it",
    ),
    "whole numbers that no common type holds": (
        [put_table("a.pq", a=[2**60 + 1], kind=["x"]), put_table("b.pq", a=[0.5], kind=["x"])],
        "/a.pq: column 'a' does not fit double, the type of all files: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_no_table_gives_one_line(tmp_path: Path, case: str) -> None:
    (folder := tmp_path / "rows").mkdir()
    writers, expected = REFUSED[case]
    for write in writers:
        write(folder)
    for make in (in_memory, in_parts):
        with pytest.raises(InputError) as error:
            make(tmp_path, data_params(folder), BY_HASH)
        (line,) = error.value.args
        assert line.startswith(str(folder) + expected.format(folder)), line
        assert "\n" not in line


def test_a_pattern_is_answered_by_the_folder(tmp_path: Path) -> None:
    expected = "no such file; to read several files as one table, name their folder"
    with pytest.raises(InputError, match=expected):
        read_table(tmp_path / "rows/*.csv")
    (tmp_path / "a[1].csv").write_text("a\n1\n")
    assert len(read_table(tmp_path / "a[1].csv")) == 1
