"""Bad tables get one line that names file, column and row; good ones are encoded exactly."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.conftest import ROOT, Project, only_error
from vintage.console import InputError
from vintage.params import DataParams
from vintage.table import EncodedTable, encode_table, read_table

GOOD = "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n"


def encode(path: Path, target: str = "kind", group: str | None = None) -> EncodedTable:
    params = DataParams(path=str(path), target=target, ignore=[])
    return encode_table(read_table(path), params, group)


BAD: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "is empty; it needs a header and rows"),
    "header only": (b"a,b,kind\n", "has a header but no rows"),
    "no target column": (b"a,b\n1,2\n", "data.target names 'kind', which is no column"),
    "one class only": (b"a,kind\n1,x\n2,x\n", "column 'kind' holds one class only, 'x'"),
    "text in a numeric column": (b"a,kind\n1,x\nlow,y\n", "row 1: 'low' is not a number"),
    "empty cell": (b"a,kind\n1,x\n,y\n", "column 'a', row 1: the cell is empty"),
    "empty cell beside text": (b"a,kind\n,x\nlow,y\n", "column 'a', row 0: the cell is empty"),
    "inf": (b"a,kind\n1,x\ninf,y\n", "column 'a', row 1: inf is not a finite"),
    "nan": (b"a,kind\n1,x\nnan,y\n", "column 'a', row 1: nan is not a finite"),
    "too large for 32 bits": (b"a,kind\n1e39,x\n2,y\n", "column 'a', row 0: 1e+39 is not a finite"),
    "empty target": (b"a,kind\n1,x\n2,\n3,y\n", "column 'kind', row 1: the target is empty"),
    "duplicated column names": (b"a,a,kind\n1,2,x\n", "column name 'a' stands in the header more"),
    "nameless column": (b"a,,kind\n1,2,x\n", "column 2 has no name in the header"),
    "wrong delimiter": (b"a;b;kind\n1;2;x\n", "is the delimiter a comma?"),
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
    "nan beside a huge number": (b"a,kind\n1,nan\n2,9007199254740992\n", "row 0: nan is not"),
    "all-empty column": (b"a,b,kind\n1,,x\n2,,y\n", "column 'b' is empty; list it in data.ignore"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_gives_one_line(tmp_path: Path, case: str) -> None:
    content, expected = BAD[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        encode(path)
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


def test_no_such_file_and_a_folder(fresh: Project) -> None:
    fresh.set_params(**{"data.path": "data/none.csv"})
    assert "data/none.csv: no such file" in only_error(fresh.stage("split"))
    fresh.set_params(**{"data.path": "x" * 5000})
    assert "cannot be read as a table: [Errno 36] File name too long" in only_error(
        fresh.stage("split")
    )
    fresh.set_params(**{"data.path": "data"})
    assert "data: is no file" in only_error(fresh.stage("split"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" * 9])
def test_a_foreign_parquet_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_table(path)


def test_csv_and_parquet_encode_alike(tmp_path: Path) -> None:
    csv = read_table(ROOT / "data/wine.csv")
    path = tmp_path / "wine.parquet"
    pyarrow.parquet.write_table(csv, path)
    one, two = encode(ROOT / "data/wine.csv", "quality"), encode(path, "quality")
    assert one.features.tobytes() == two.features.tobytes()
    assert one.labels.tobytes() == two.labels.tobytes()
    assert one.classes == two.classes == ["3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("cells", "classes", "labels"),
    [
        (["10", "9", "10"], ["9", "10"], [1, 0, 1]),
        (["1.0", "0.0", "1.0"], ["0", "1"], [1, 0, 1]),
        (["0.5", "-1.5", "0.5"], ["-1.5", "0.5"], [1, 0, 1]),
        (["b", "a", "B"], ["B", "a", "b"], [2, 1, 0]),
        (["true", "false", "true"], ["false", "true"], [1, 0, 1]),
        (["NA", "x", "NA"], ["NA", "x"], [0, 1, 0]),
        (['"x,\n1"', "y", "y"], ["x,\n1", "y"], [0, 1, 1]),
    ],
)
def test_classes_are_in_order(
    tmp_path: Path, cells: list[str], classes: list[str], labels: list[int]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,kind\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    table = encode(path)
    assert table.classes == classes
    assert table.labels.tolist() == labels


def test_parquet_with_categories_and_numbers_of_any_width(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    columns = {
        "a": pa.array([1, 2, 3], pa.uint8()),
        "b": pa.array([0.5, 1.5, 2.5], pa.float64()),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
    table = encode(path)
    assert table.features.tolist() == [[1, 0.5], [2, 1.5], [3, 2.5]]
    assert table.labels.tolist() == [0, 1, 0]


def test_a_group_column_is_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,who,kind\n1,ann,x\n2,bob,y\n3,ann,x\n")
    table = encode(path, group="who")
    assert table.feature_names == ["a"]
    assert table.groups is not None
    assert table.groups.tolist() == [0, 1, 0]
    assert table.features.dtype == np.float32
