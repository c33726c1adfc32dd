"""Columns of every kind from files of every format, and what is found, fitted and left out."""

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest

from tests.tables import encode, split_params, write
from vintage.base.console import InputError
from vintage.base.tensors import Feature, unknown_counts

MIXED = """n,whole,city,member,day,moment,kind
1.5,1,Rome,true,2024-01-01,2024-01-01T12:00:00+01:00,a
NA,2,Oslo,false,2024-01-02,2024-01-01T12:00:00Z,b
-2,3,,TRUE,1999-12-31,,a
,4,Rome,N/A,,2000-01-01T00:00:00Z,b
4e1,5,N/A,False,2000-01-01,2000-01-02T00:00:00Z,a
"""


def refusal(path: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        encode(path, **changes)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_kinds_are_found(tmp_path: Path) -> None:
    table = encode(write(tmp_path, MIXED))
    assert table.features == [
        Feature(name="n", kind="numeric", missing=True),
        Feature(name="whole", kind="numeric"),
        Feature(name="city", kind="categorical", missing=True, categories=["Oslo", "Rome"]),
        Feature(name="member", kind="categorical", missing=True, categories=["false", "true"]),
        Feature(name="day", kind="datetime", missing=True),
        Feature(name="moment", kind="datetime", missing=True),
    ]
    expected = [
        [1.5, 1, 1, 1, 8766, 8766 + 11 / 24],
        [np.nan, 2, 0, 0, 8767, 8766.5],
        [-2, 3, 2, 1, -1, np.nan],
        [np.nan, 4, 1, 2, np.nan, 0],
        [40, 5, 2, 0, 0, 1],
    ]
    assert np.array_equal(table.values, np.array(expected, dtype=np.float32), equal_nan=True)


def test_kinds_set_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    table = encode(path, kinds={"whole": "categorical", "member": "numeric", "day": "categorical"})
    assert table.kinds == {
        "n": "numeric",
        "whole": "categorical",
        "city": "categorical",
        "member": "numeric",
        "day": "categorical",
        "moment": "datetime",
    }
    assert table.features[1].categories == ["1", "2", "3", "4", "5"]
    assert table.features[4].categories == ["1999-12-31", "2000-01-01", "2024-01-01", "2024-01-02"]
    assert table.column("member").tolist()[:3] == [1, 0, 1]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"kind": "categorical"}, "'kind', which is the column of data.target; only a feature has"),
        ({"none": "numeric"}, "data.kinds names 'none', which is no column; the columns are n,"),
        ({"city": "numeric"}, "column 'city', row 0: 'Rome' is not a number"),
        ({"day": "numeric"}, "column 'day', row 0: '2024-01-01' is not a number"),
        ({"city": "datetime"}, "column 'city', row 0: 'Rome' is no time in ISO 8601"),
        ({"whole": "datetime"}, "column 'whole', row 0: '1' is no time in ISO 8601"),
    ],
)
def test_a_wrong_kind_is_refused(tmp_path: Path, kinds: dict[str, str], expected: str) -> None:
    assert expected in refusal(write(tmp_path, MIXED), kinds=kinds)


def test_categories_of_huge_numbers_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "id,kind\n9007199254740992,a\n9007199254740993,b\n007,a\n")
    table = encode(path, kinds={"id": "categorical"})
    assert table.features[0].categories == ["007", "9007199254740992", "9007199254740993"]
    assert len(set(table.data.twins)) == 3


@pytest.mark.parametrize("other", ["7", "N7"])
def test_a_category_keeps_its_spelling(tmp_path: Path, other: str) -> None:
    """As a zip code does, whether all of its column look like numbers or not."""
    cells = ["01234", "1234", "1.10", "1.1", "1e3", other]
    path = write(
        tmp_path, "zip,kind\n" + "".join(f"{c},{'ab'[i % 2]}\n" for i, c in enumerate(cells))
    )
    table = encode(path, kinds={"zip": "categorical"})
    assert table.features[0].categories == sorted(cells)
    assert table.data.twins.tolist() == list(range(6))


def test_a_wrong_name_of_a_kind_is_refused(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, MIXED), kinds={"n": "number"})
    assert error == (
        "params.yaml: data.kinds: found {'n': 'number'}; allowed is numeric, datetime, categorical "
        "by column, such as {year: categorical}, or {}"
    )


def test_a_category_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    """Also for the twins, so that none of them crosses over."""
    rows = ["1.0,a", "1,b", " x ,a", "x,b", "TRUE,a", "true,b", "NA,a", ",b", "1_0,a", "10,a"]
    table = encode(write(tmp_path, "c,kind\n" + "\n".join(rows) + "\n"), train=[0, 2, 4, 6, 8])
    assert table.features[0].categories == ["1", "1_0", "true", "x"]
    assert table.column("c").tolist() == [0, 0, 3, 3, 2, 2, 4, 4, 1, 5]
    assert table.data.twins.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    "name", ['"', "a\n\tb", "\u202e", "\x00", "c" * 10_000, "\U0001f377", "'="]
)
def test_any_text_is_a_category(tmp_path: Path, name: str) -> None:
    cell = '"' + name.replace('"', '""') + '"'
    table = encode(write(tmp_path, f"c,kind\n{cell},a\nplain,b\n"))
    assert table.features[0].categories == sorted([name, "plain"])


def test_everything_is_fitted_on_train_rows(tmp_path: Path) -> None:
    text = "n,c,d,e,f,kind\n" + "1,x,1,,5,a\n2,y,1,,5,b\n,z,2,3,5,a\n4,,3,4,5,b\n"
    table = encode(write(tmp_path, text), train=[0, 1])
    assert table.features == [
        Feature(name="n", kind="numeric"),
        Feature(name="c", kind="categorical", categories=["x", "y"]),
    ]
    assert table.dropped == {
        "d": "constant in the train rows",
        "e": "empty in the train rows",
        "f": "constant in the train rows",
    }
    assert table.column("c").tolist() == [0, 1, 2, 2]
    assert unknown_counts(table.values, table.features) == {"c": 2}
    assert np.isnan(table.column("n")).tolist() == [False, False, True, False]


@pytest.mark.parametrize("cells", [["x", "x"], ["1", "1"], ["true", "true"], ["2024-01-01"] * 2])
@pytest.mark.parametrize("n_missing", [0, 1])
def test_a_constant_column_stays_if_it_tells_who_is_missing(
    tmp_path: Path, cells: list[str], n_missing: int
) -> None:
    rows = [*cells, *[""] * n_missing]
    text = "n,c,kind\n" + "".join(f"{i},{cell},{'ab'[i % 2]}\n" for i, cell in enumerate(rows))
    assert list(encode(write(tmp_path, text)).dropped) == ([] if n_missing else ["c"])


def test_an_empty_column_of_any_kind_is_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, "n,c,kind\n1,,a\n2, NA ,b\n3,z,a\n")
    for kinds in ({}, {"c": "categorical"}, {"c": "datetime"}, {"c": "numeric"}):
        assert encode(path, train=[0, 1], kinds=kinds).names == ["n"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_delimiter_is_found(tmp_path: Path, mark: str) -> None:
    text = MIXED.replace(",", mark).replace("Oslo", f'"Os{mark}lo"').replace("n", '"n"', 1)
    for content in (text, "\ufeff" + text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        table = encode(write(tmp_path, content))
        assert table.names == ["n", "whole", "city", "member", "day", "moment"]
        assert table.features[2].categories == [f"Os{mark}lo", "Rome"]


@pytest.mark.parametrize("name", ["\u00c5lesund", "\u0118", "caf\u00e9\u0085x", "\x1c\x0b\x0c"])
def test_a_delimiter_is_found_beside_any_letter(tmp_path: Path, name: str) -> None:
    """Some of whose bytes end a line in other encodings."""
    table = encode(write(tmp_path, f"n;{name};kind\n1;{name}1;a\n2;x;b\n3;{name}1;a\n"))
    assert table.names == ["n", name]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ":", " "])
def test_a_delimiter_is_set(tmp_path: Path, mark: str) -> None:
    others = "".join(other for other in ";,|\t" if other != mark)  # more often than the right one
    rows = [["n", "c", "kind"], *([str(i), f"{others * 3}{i % 3}", "ab"[i % 2]] for i in range(9))]
    path = write(tmp_path, "".join(mark.join(row) + "\n" for row in rows))
    table = encode(path, delimiter=mark)
    assert table.names == ["n", "c"]
    assert table.features[1].categories == [f"{others * 3}{i}" for i in range(3)]


def test_a_wrong_delimiter_is_suspected(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, MIXED), delimiter="\t")
    assert "data.target names 'kind', which is no column; the only column is 'n,whole,city" in error
    assert error.endswith("is data.delimiter right?")


def test_every_format_gives_equal_tensors(tmp_path: Path) -> None:
    csv = write(tmp_path, MIXED)
    moments = [dt.datetime(2024, 1, 1, 11), dt.datetime(2024, 1, 1, 12), None]
    moments += [dt.datetime(2000, 1, 1), dt.datetime(2000, 1, 2)]
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(1999, 12, 31), None]
    arrow = pa.table(
        {
            "n": [1.5, None, -2, float("nan"), 40],
            "whole": pa.array([1, 2, 3, 4, 5], pa.int16()),
            "city": pa.array(["Rome", "Oslo", None, "Rome", ""]).dictionary_encode(),
            "member": [True, False, True, None, False],
            "day": [*days, dt.date(2000, 1, 1)],
            "moment": pa.array(moments, pa.timestamp("ns", "Asia/Tokyo")),
            "kind": pa.array(list("ababa"), pa.large_string()),
        }
    )
    pyarrow.parquet.write_table(arrow, tmp_path / "table.parquet")
    pyarrow.feather.write_feather(arrow, tmp_path / "table.feather")
    with pa.ipc.new_file(tmp_path / "table.arrow", arrow.schema) as file:
        file.write_table(arrow)
    write(tmp_path, gzip.compress(MIXED.encode(), mtime=0), "table.csv.gz")
    write(tmp_path, MIXED.replace(",", "\t"), "table.tsv")
    first = encode(csv)
    for name in ("parquet", "feather", "arrow", "csv.gz", "tsv"):
        other = encode(tmp_path / f"table.{name}")
        assert other.features == first.features, name
        assert other.values.tobytes() == first.values.tobytes(), name
        assert other.targets == first.targets
        assert other.data.twins.tolist() == first.data.twins.tolist()


@pytest.mark.parametrize(
    ("cells", "classes", "rows"),
    [
        (["a", "", " NA", "b", "NaN"], ["a", "b"], [0, 3]),
        (["2", "null", "1.0", "nan", "1"], ["1", "2"], [0, 2, 4]),
        (["true", "N/A", "False", "NULL", "TRUE"], ["false", "true"], [0, 2, 4]),
    ],
)
def test_rows_without_a_target_are_left_out(
    tmp_path: Path, cells: list[str], classes: list[str], rows: list[int]
) -> None:
    text = "n,kind\n" + "".join(f"{10 - i},{cell}\n" for i, cell in enumerate(cells))
    table = encode(write(tmp_path, text))
    assert table.data.classes == classes
    assert table.data.place.rows.tolist() == rows
    assert table.data.n_unlabelled == 5 - len(rows)
    assert table.values[:, 0].tolist() == [10 - row for row in rows]


def test_an_error_names_the_row_of_the_table(tmp_path: Path) -> None:
    """Also where rows without a target stand above it."""
    path = write(tmp_path, "n,kind\n1,\n2,a\n3,\ninf,b\n")
    assert "column 'n', row 3: inf is not a finite" in refusal(path)


KEPT: dict[str, tuple[pa.Array, str]] = {
    "decimal": (pa.array([Decimal("1.50"), Decimal(2), None]), "numeric"),
    "uint64": (pa.array([2**64 - 1, 0, 1], pa.uint64()), "numeric"),
    "float16": (pa.array(np.array([1, 2, np.nan], dtype=np.float16)), "numeric"),
    "dictionary of numbers": (pa.array([1, 2, 1]).dictionary_encode(), "numeric"),
    "large_string": (pa.array(["1", "2", None], pa.large_string()), "numeric"),
    "string_view": (pa.array(["x", "y", None], pa.string_view()), "categorical"),
    "binary": (pa.array([b"x", b"y", None]), "categorical"),
    "large_binary": (pa.array([b"x", b"y", None], pa.large_binary()), "categorical"),
    "date64": (pa.array([dt.date(1, 1, 1), dt.date(9999, 1, 1), None], pa.date64()), "datetime"),
    "unknown zone": (pa.array([0, 10**12, None], pa.timestamp("us", "Mars/X")), "datetime"),
    "years beyond 9999": (pa.array([0, 10**12, None], pa.timestamp("s")), "datetime"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
@pytest.mark.parametrize("by_hand", [False, True])
def test_types_of_arrow_that_are_features(tmp_path: Path, case: str, by_hand: bool) -> None:
    column, kind = KEPT[case]
    path = tmp_path / "table.arrow"
    table = pa.table({"c": column, "n": [1, 2, 3], "kind": ["a", "b", "a"]})
    pyarrow.feather.write_feather(table, path)
    found = encode(path, kinds={"c": "categorical"} if by_hand else {})
    assert found.kinds["c"] == ("categorical" if by_hand else kind)
    assert len(set(found.column("c").tolist())) == len(column.unique())


def bad_text() -> pa.Array:
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffb")])


def bad_offsets() -> pa.Array:
    offsets = pa.array([0, 1, 2_000_000, 3], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"aab")])


REFUSED: dict[str, tuple[pa.Array, str]] = {
    "list": (pa.array([[1], [2], None]), "column 'c' is of type list<item: int64>; a feature is"),
    "struct": (pa.array([{"x": 1}, {"x": 2}, None]), "column 'c' is of type struct<x: int64>;"),
    "time": (pa.array([dt.time(1), dt.time(2), None]), "column 'c' is of type time64[us];"),
    "duration": (pa.array([1, 2, None], pa.duration("s")), "column 'c' is of type duration[s];"),
    "fixed binary": (pa.array([b"ab", b"cd", None], pa.binary(2)), "type fixed_size_binary[2];"),
    "no UTF-8": (bad_text(), "column 'c', row 1: the cell is not UTF-8"),
    "offsets beyond the end": (bad_offsets(), "column 'c' cannot be read: In chunk 0: Invalid"),
    "a time out of range": (pa.array([0, 2**62, None], pa.timestamp("s")), "column 'c' cannot be"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("kind", [None, "categorical"])
def test_types_of_arrow_that_are_not(tmp_path: Path, case: str, kind: str | None) -> None:
    column, expected = REFUSED[case]
    path = tmp_path / "table.arrow"
    table = pa.table({"c": column, "n": [1, 2, 3], "kind": ["a", "b", "a"]})
    pyarrow.feather.write_feather(table, path, compression="uncompressed")
    assert expected in refusal(path, kinds={"c": kind} if kind else {})


GZ = gzip.compress(b"n,kind\n" + b"1,a\n2,b\n" * 50_000, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv.gz", b"", "is empty; it needs a header and rows"),
        ("t.csv.gz", gzip.compress(b"", mtime=0), "is empty; it needs a header and rows"),
        ("t.csv.gz", b"n,kind\n1,a\n", "cannot be read as a table: Not a gzipped file"),
        ("t.csv.gz", GZ[:-9], "cannot be read as a table: Compressed file ended before"),
        ("t.csv.gz", GZ[:99] + b"\xff" + GZ[100:], "cannot be read as a table: "),
        ("t.csv.gz", gzip.compress("n,kind".encode("utf-16"), mtime=0), "is UTF-16"),
        ("t.arrow", b"", "cannot be read as a table: "),
        ("t.feather", b"ARROW1" * 9, "cannot be read as a table: "),
    ],
)
def test_a_file_of_another_format(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    assert expected in refusal(write(tmp_path, content, name))


ROWS = "1,2,a\n2,1,b\n" * 100_000  # more than the first block
BLANKS = ",2,a\n,1,b\n" * 100_000


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (ROWS + "low,1,a\n", ["categorical", "numeric"]),
        ("low,1,a\n" + ROWS, ["categorical", "numeric"]),
        (ROWS + " NA ,1,a\n", ["numeric", "numeric"]),
        (BLANKS + "7,3,a\n", ["numeric", "numeric"]),
        (BLANKS + "x,3,a\n", ["categorical", "numeric"]),
    ],
    ids=["text at the end", "text at the start", "NA at the end", "number at the end", "text last"],
)  # fmt: skip
def test_a_column_that_changes_beyond_the_first_block(
    tmp_path: Path, text: str, kinds: list[str]
) -> None:
    table = encode(write(tmp_path, "x,y,kind\n" + text))
    assert list(table.kinds.values()) == kinds
    assert table.column("y").tolist()[1:3] in ([1, 2], [2, 1])
    assert len(table.data.labels) == 200_001


def test_a_group_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    for groups in (["g", None, "h"], ["g", "NA", "h"], [1.0, float("nan"), 2.0], [1, None, 2]):
        table = pa.table({"n": [1, 2, 3], "g": groups, "kind": ["a", "b", "a"]})
        pyarrow.parquet.write_table(table, path)
        error = refusal(path, split=split_params(group_by="g"))
        assert (
            "column 'g', row 1: the cell is missing; split.group_by needs a group in every row"
            in error
        )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.xlsx", b"PK\x03\x04" + bytes(range(256)) * 9, "is an Excel file or a zip archive"),
        ("t.xls", b"\xd0\xcf\x11\xe0" + bytes(999), "is an Excel file; save the table as CSV"),
        ("t.csv", gzip.compress(MIXED.encode(), mtime=0), "is compressed with gzip; its name must"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_text_is_recognised(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    assert expected in refusal(write(tmp_path, content, name))


def test_the_end_of_a_name_in_capitals(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, 3], "kind": ["a", "b", "a"]})
    pyarrow.parquet.write_table(table, tmp_path / "T.PARQUET")
    pyarrow.feather.write_feather(table, tmp_path / "T.Arrow")
    for name in ("T.PARQUET", "T.Arrow"):
        assert encode(tmp_path / name).targets == ["a", "b", "a"]


def test_columns_that_are_ignored_are_of_any_type(tmp_path: Path) -> None:
    """Also of those that no row can be taken out of."""
    values = pa.array([[1], [2], None], pa.list_view(pa.int64()))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["p", "q"]))
    columns = {"n": [1, 2, 3], "views": values, "runs": runs, "kind": ["a", None, "b"]}
    with pa.ipc.new_file(tmp_path / "t.arrow", pa.table(columns).schema) as file:
        file.write_table(pa.table(columns))
    table = encode(tmp_path / "t.arrow", ignore=["views", "runs"])
    assert table.values.tolist() == [[1], [3]]


@pytest.mark.parametrize("same", ["P1,P1 ", "P1,\tP1", "1.0,1", "TRUE,true"])
def test_a_group_is_the_same_however_it_is_written(tmp_path: Path, same: str) -> None:
    """As a category is, so that no group is on two sides."""
    one, other = same.split(",")
    path = write(tmp_path, f"n,g,kind\n1,{one},a\n2,x,b\n3,{other},a\n4, x,b\n")
    table = encode(path, split=split_params(group_by="g"))
    assert table.data.groups.tolist() == [0, 1, 0, 1]


def test_white_space_around_a_part_does_not_count(tmp_path: Path) -> None:
    path = write(tmp_path, "n,part,kind\n1,train ,a\n2, val,b\n3,test,a\n")
    table = encode(path, split=split_params(column="part"))
    assert table.data.parts is not None
    assert table.data.parts.tolist() == [0, 1, 2]


FAR: dict[str, tuple[list[str], bool]] = {
    "dates as numbers": ([str(20230101 + i) for i in range(60)], True),
    "seconds since 1970": ([str(1_700_000_000 + 7 * i) for i in range(60)], True),
    "times of one hour": ([f"2024-05-01T12:{i:02}:01" for i in range(60)], True),
    "negative": ([str(-5e9 - i / 4) for i in range(60)], True),
    "years": ([str(1950 + i) for i in range(60)], False),
    "days": ([f"2024-01-{1 + i % 28:02}" for i in range(60)], False),
    "of all sizes": ([str(i * 1e7 + 1 / 3) for i in range(60)], False),
}


@pytest.mark.parametrize("case", FAR)
def test_numbers_far_from_0_stay_apart(tmp_path: Path, case: str) -> None:
    """Those that float32 cannot tell apart as they are get an offset, and only those."""
    cells, has_offset = FAR[case]
    path = write(
        tmp_path, "n,kind\n" + "".join(f"{c},{'ab'[i % 2]}\n" for i, c in enumerate(cells))
    )
    table = encode(path)
    assert bool(table.features[0].offset) == has_offset
    values = table.column("n")
    assert len(set(values.tolist())) == len(set(cells))
    assert table.data.twins.max() + 1 == len(set(cells))
    order = np.argsort(values) if case != "negative" else np.argsort(-values)
    if len(set(cells)) == len(cells):
        assert order.tolist() == list(range(60))


def test_an_offset_is_that_of_the_train_rows(tmp_path: Path) -> None:
    cells = ["1e15", "", "20230105", "20230103", "20230104", "20230101"]
    path = write(
        tmp_path, "n,kind\n" + "".join(f"{c},{'ab'[i % 2]}\n" for i, c in enumerate(cells))
    )
    table = encode(path, train=[1, 2, 3, 4])
    assert table.features == [Feature(name="n", kind="numeric", missing=True, offset=20230103.0)]
    assert np.array_equal(
        table.column("n"), np.array([1e15, np.nan, 2, 0, 1, -2], np.float32), equal_nan=True
    )


@pytest.mark.parametrize("n_rows", [6, 200_000])
def test_which_texts_mean_missing_is_set(tmp_path: Path, n_rows: int) -> None:
    """In columns of numbers, of text, of times and in the target, read fast or not; blanks are."""
    rows = ["1,NA,2024-01-01,a", "-,DE,-,b", "2, - ,,NA"] * (n_rows // 3)
    path = write(tmp_path, "n,country,day,kind\n" + "".join(row + "\n" for row in rows))
    table = encode(path, missing=[" - "])
    assert table.kinds == {"n": "numeric", "country": "categorical", "day": "datetime"}
    assert table.features[1].categories == ["DE", "NA"]
    assert table.data.classes == ["NA", "a", "b"]
    expected = [[1, 1, 8766], [np.nan, 0, np.nan], [2, 2, np.nan]]
    assert np.array_equal(table.values[:3], np.array(expected, np.float32), equal_nan=True)
    assert "'-' is not a number" in refusal(path, kinds={"n": "numeric"})
