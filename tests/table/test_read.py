"""Bad tables get one line that names file, column and row; good ones are encoded exactly."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from tests.conftest import WINE, Project, only_error
from tests.tables import encode, split_params, write
from vintage.base.console import InputError
from vintage.table.read import read_table

FORTY = b"".join(b"%d,%s\n" % (index, b"xy"[index % 2 :][:1]) for index in range(40))


BAD: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "is empty; it needs a header and rows"),
    "header only": (b"a,b,kind\n", "has a header but no rows"),
    "no target column": (b"a,b\n1,2\n", "data.target names 'kind', which is no column"),
    "one class only": (b"a,kind\n1,x\n2,x\n", "column 'kind' holds one class only, 'x'"),
    "text in a numeric column": (b"a,kind\n" + FORTY + b"low,y\n", "row 40: 'low' is not a number"),
    "decimal commas": (
        b"a;kind\n" + FORTY.replace(b",", b",5;"), "column 'a' holds numbers with decimal commas"
    ),
    "free text": (
        b"a,kind\nt" + FORTY.replace(b"\n", b"\nt") + b",x\n",
        "column 'a' holds 41 different texts in 41 train rows",
    ),
    "a category as long as a book": (
        b"a,kind\n1,x\n" + b"y" * 20_000 + b",y\n", "a text of 20000 characters, and a category"
    ),
    "no time among times": (
        b"t,kind\n2024-01-01,x\n2024-13-01,y\n", "row 1: '2024-13-01' is no time in ISO 8601"
    ),
    "times with and without a zone": (
        b"t,kind\n2024-01-01T00:00:00Z,x\n2024-01-01T00:00:00,y\n",
        "row 1: of this time and those above it, some have a zone and some have none",
    ),
    "inf": (b"a,kind\n1,x\ninf,y\n", "column 'a', row 1: inf is not a finite"),
    "too large for 32 bits": (b"a,kind\n1e39,x\n2,y\n", "column 'a', row 0: 1e+39 is not a finite"),
    "no row with a target": (b"a,kind\n1,\n2, NA\n3,nan\n", "column 'kind' is empty; set another"),
    "infinite target": (b"a,kind\n1,1\n2,inf\n3,2\n", "column 'kind', row 1: inf is not a finite"),
    "infinite target below a row without one": (
        b"a,kind\n1,1\n1,\n2,inf\n3,2\n", "column 'kind', row 2: inf is not a finite"
    ),
    "duplicated column names": (b"a,a,kind\n1,2,x\n", "column name 'a' stands in the header more"),
    "nameless column": (b"a,,kind\n1,2,x\n", "column 2 has no name in the header"),
    "wrong delimiter": (b"a:b:kind\n1:2:x\n", "the columns are a:b:kind"),
    "short row": (b"a,b,kind\n1,2,x\n3,y\n", "row 1 has 2 cells, not 3 as the header: '3,y'"),
    "long row": (b"a,b,kind\n1,2,x\n3,4,5,y\n", "row 1 has 4 cells, not 3 as the header: '3,4,5"),
    "latin-1 cell": ("a,kind\n1,x\n2,\u00f6\n".encode("latin-1"), "row 1: the cell is not UTF-8"),
    "latin-1 header": ("s\u00e4ure,kind\n1,x\n".encode("latin-1"), "the header is not UTF-8"),
    "utf-16": ("a,kind\n1,x\n2,y\n".encode("utf-16"), "UTF-8"),
    "no feature left": (b"kind\nx\ny\n", "no column is left as a feature"),
    "regression": (
        b"a,kind\n" + b"".join(b"%d,%d.5\n" % (i, i) for i in range(30)),
        "this calls for regression",
    ),
    "minus nan beside a huge number": (
        b"a,kind\n1,-nan\n2,9007199254740992\n", "row 0: nan is not"
    ),
    "nothing but constant and empty columns": (
        b"a,b,kind\n1,,x\n1,,y\n", "column 'a' and all others are constant or empty"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_gives_one_line(tmp_path: Path, case: str) -> None:
    content, expected = BAD[case]
    path = write(tmp_path, content)
    kinds = {"t": "datetime"} if content.startswith(b"t,") else {}
    with pytest.raises(InputError) as error:
        encode(path, kinds=kinds)
    message = str(error.value)
    assert message.startswith(str(path))
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "case", ["empty file", "text in a numeric column", "latin-1 cell", "utf-16"]
)
def test_the_stage_exits_with_2_and_writes_nothing(fresh: Project, case: str) -> None:
    content, expected = BAD[case]
    (fresh.root / "data/table.csv").write_bytes(content)
    fresh.set_params(**{"data.path": "data/table.csv", "data.target": "kind"})
    assert expected in only_error(fresh.stage("split"))
    assert list((fresh.root / "data/tensors").glob("*")) == [fresh.root / "data/tensors/.gitignore"]


def test_all_problems_are_told_at_once(fresh: Project) -> None:
    """Of columns by the train rows, and of others by the rest."""
    rows = [f"{i}.1.2024,t{i},{i}%,{i},{'ab'[i % 2]},{'train' if i else 'test'}" for i in range(60)]
    rows[0] = "1.1.2024,t,1%,low,a,test"
    text = "day,text,share,n,kind,part\n" + "\n".join(rows) + "\n"
    (fresh.root / "table.csv").write_text(text)
    fresh.set_params(**{"data.path": "table.csv", "data.target": "kind", "split.column": "part"})
    done = fresh.stage("split")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    starts = [
        "column 'day' holds dates such as '1.1.2024'; write them in ISO 8601, such as 2024-12-31",
        "column 'text' holds 59 different texts in 59 train rows",
        "column 'share' holds percentages such as '1%'; write them without the sign",
        "column 'n', row 0: 'low' is not a number",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(f"error: table.csv: {start}")


def test_all_wrong_names_and_roles_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a,g,t,kind\n1,,x,u\n2,h,y,u\n")
    with pytest.raises(InputError) as error:
        encode(path, ignore=["b", "c"], kinds={"d": "numeric"})
    assert [problem.split(" names ")[1][:3] for problem in error.value.args] == [
        "'b'",
        "'c'",
        "'d'",
    ]
    with pytest.raises(InputError) as error:
        encode(path, split=split_params(group_by="g", order_by="t"))
    expected = ("holds one class only", "row 0: the cell is missing", "holds neither numbers")
    assert all(text in line for text, line in zip(expected, error.value.args, strict=True))


def test_of_very_many_problems_some_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "kind\nx\ny\n")
    with pytest.raises(InputError) as error:
        encode(path, ignore=[f"c{index}" for index in range(500)])
    assert len(error.value.args) == 21
    assert error.value.args[-1] == "and 480 more problems"


def test_no_such_file_and_a_folder_of_other_things(fresh: Project) -> None:
    fresh.set_params(**{"data.path": "data/none.csv"})
    assert "data/none.csv: no such file" in only_error(fresh.stage("split"))
    fresh.set_params(**{"data.path": "x" * 5000})
    assert "cannot be read as a table: [Errno 36] File name too long" in only_error(
        fresh.stage("split")
    )
    fresh.set_params(**{"data.path": "data"})
    assert "data/wine.csv: has no column 'species', unlike data/penguins.csv" in only_error(
        fresh.stage("split")
    )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" * 9])
def test_a_foreign_parquet_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_table(path)


def test_csv_and_parquet_encode_alike(tmp_path: Path) -> None:
    csv = read_table(WINE)
    path = tmp_path / "wine.parquet"
    pyarrow.parquet.write_table(csv, path)
    one, two = encode(WINE, target="quality"), encode(path, target="quality")
    assert one.values.tobytes() == two.values.tobytes()
    assert one.data.labels.tobytes() == two.data.labels.tobytes()
    assert one.data.classes == two.data.classes == ["3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("cells", "classes", "labels"),
    [
        (["10", "9", "10"], ["9", "10"], [1, 0, 1]),
        (["1.0", "0.0", "1.0"], ["0", "1"], [1, 0, 1]),
        (["0.5", "-1.5", "0.5"], ["-1.5", "0.5"], [1, 0, 1]),
        (["b", "a", "B"], ["B", "a", "b"], [2, 1, 0]),
        (["true", "false", "true"], ["false", "true"], [1, 0, 1]),
        (["na", "x", "na"], ["na", "x"], [0, 1, 0]),
        (['"x,\n1"', "y", "y"], ["x,\n1", "y"], [0, 1, 1]),
    ],
)
def test_classes_are_in_order(
    tmp_path: Path, cells: list[str], classes: list[str], labels: list[int]
) -> None:
    path = write(tmp_path, "a,kind\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    data = encode(path).data
    assert data.classes == classes
    assert data.labels.tolist() == labels


def test_parquet_with_categories_and_numbers_of_any_width(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    columns = {
        "a": pa.array([1, 2, 3], pa.uint8()),
        "b": pa.array([0.5, 1.5, 2.5], pa.float64()),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
    table = encode(path)
    assert table.values.tolist() == [[1, 0.5], [2, 1.5], [3, 2.5]]
    assert table.data.labels.tolist() == [0, 1, 0]


def test_a_group_column_is_no_feature(tmp_path: Path) -> None:
    path = write(tmp_path, "a,who,kind\n1,ann,x\n2,bob,y\n3,ann,x\n")
    table = encode(path, split=split_params(group_by="who"))
    assert table.names == ["a"]
    assert table.data.groups.tolist() == [0, 1, 0]
    assert table.values.dtype == np.float32


@pytest.mark.parametrize("name", ["http:x.arrow", "file:x.arrow", "s3:x.feather", "a%20b.arrow"])
def test_a_name_like_an_address_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pyarrow.feather.write_feather(pa.table({"a": [1, 2]}), str(tmp_path / name))
    assert read_table(Path(name))["a"].to_pylist() == [1, 2]
