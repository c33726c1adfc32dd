"""Tables and networks beyond all measure get one line that says what to do, and soon."""

import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from tests.conftest import ROOT, Run, environment
from tests.tables import encode
from vintage.base.console import InputError

MEGABYTES = 64


def refusal(path: Path, target: str = "kind") -> str:
    """The error of a table that must be refused within seconds."""
    started = time.monotonic()
    with pytest.raises(InputError) as error:
        encode(path, target=target)
    assert time.monotonic() - started < 20
    return str(error.value)


@pytest.mark.parametrize("n_rows", [0, 1, 200])
def test_a_wide_table(tmp_path: Path, n_rows: int) -> None:
    path = tmp_path / "wide.csv"
    header = ",".join(["kind", *(f"c{index}" for index in range(19_999))])
    path.write_text(header + "\n" + ("x" + ",1" * 19_999 + "\n") * n_rows)
    error = refusal(path)
    assert "20000 columns, more than 10000; choose some" in error or "no rows" in error


def test_a_header_line_too_long(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"{'c' * 100}{index}" for index in range(20_000)) + "\n")
    assert "the first line is longer than 1 MB" in refusal(path)


def test_a_wide_parquet_table(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pyarrow.parquet.write_table(pa.table({f"c{index}": [1] for index in range(10_001)}), path)
    assert "10001 columns, more than 10000" in refusal(path)


def test_more_cells_than_memory_holds(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    nothing = pa.nulls(5_000_001, pa.float32())
    pyarrow.parquet.write_table(pa.table({f"c{index}": nothing for index in range(100)}), path)
    assert "has more than 500,000,000 cells; take fewer columns, or a sample" in refusal(path)


PEAK = """
import sys
from pathlib import Path
from vintage.base.console import InputError
from vintage.predict.model import encode
from vintage.table.batches import regrouped
from vintage.table.read import open_table, read_table
from vintage.base.tensors import Feature, RowCounts, Schema

path, how = Path(sys.argv[1]), sys.argv[2]
features = [Feature(name="a", kind="numeric")]
rows = RowCounts(train=1, val=0, test=1, repeated=0)
schema = Schema(target="kind", classes=["x", "y"], features=features, rows=rows)
try:
    if how == "whole":
        read_table(path)
    else:
        with open_table(path) as parts:
            tables = regrouped(parts.batches(["a"], ["a"]), 8192)
            print(sum(len(encode(path, table, schema)) for table in tables), "rows")
except InputError as error:
    print(error)
# not by getrusage, whose peak begins with that of the process that started this one
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) >> 10)
"""
PADDED = "1" + " " * 40_000
Bomb = Callable[[Path], Path]


def same_text_in_every_row(n_rows: int, form: str) -> Bomb:
    """A Parquet or Arrow file of a few kB that names one long text in every row."""

    def write(folder: Path) -> Path:
        texts = pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), [PADDED])
        table = pa.table({"a": texts, "kind": np.zeros(n_rows)})
        if form == "parquet":
            pyarrow.parquet.write_table(table, path := folder / "t.parquet")
        else:
            pyarrow.feather.write_feather(table, path := folder / "t.arrow", compression="zstd")
        return path

    return write


def runs_of_one_number(folder: Path) -> Path:
    path = folder / "t.parquet"
    columns = {name: np.ones(75_000_000) for name in ("a", "kind")}
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=2**22)
    return path


def zipped(line: str) -> Bomb:
    """1.5 GB of lines as a few MB."""

    def write(folder: Path) -> Path:
        path = folder / "t.csv.gz"
        chunk = line * (10**6 // len(line))
        with gzip.open(path, "wt", compresslevel=1) as file:
            file.write("a,kind\n")
            for _ in range(1500):
                file.write(chunk)
        return path

    return write


@pytest.mark.parametrize(
    ("bomb", "how", "said", "megabytes"),
    [
        (zipped("1,1\n"), "whole", "are decoded; if that is right, save it as CSV without", 1800),
        (same_text_in_every_row(40_000, "parquet"), "whole", "are decoded; if that", 1800),
        (same_text_in_every_row(40_000, "arrow"), "whole", "are decoded; if that is right", 1800),
        (runs_of_one_number, "whole", "are decoded; if that is right, save it as CSV", 1800),
        (zipped(f"1{' ' * 800_000},1\n"), "in parts", " rows", 500),
    ],
)
def test_a_small_file_that_is_a_huge_table(
    tmp_path: Path, bomb: Bomb, how: str, said: str, megabytes: int
) -> None:
    """Its bytes are counted while they are decoded, and new rows come in bounded parts."""
    path = bomb(tmp_path)
    assert path.stat().st_size < 20_000_000
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), how],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    *printed, peak = done.stdout.splitlines()
    assert len(printed) == 1
    assert said in printed[0]
    assert int(peak) < megabytes


def test_a_million_classes_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "float.csv"
    values = np.random.default_rng(1).normal(size=1_000_000)
    path.write_text("a,kind\n" + "\n".join(f"1,{value!r}" for value in values.tolist()) + "\n")
    error = refusal(path)
    assert "holds 1000000 different numbers, more than 20: this calls for regression" in error
    assert "bin the values into classes or set another data.target" in error


@pytest.mark.parametrize(
    ("name", "n_classes", "expected"),
    [
        ("{}", 101, "101 different numbers, more than 100: this calls for regression"),
        ("{}.5", 21, "21 different numbers, more than 20: this calls for regression"),
        ("id {}", 1001, "1001 different texts, more than 1000"),
    ],
)
def test_a_target_of_too_many_values(
    tmp_path: Path, name: str, n_classes: int, expected: str
) -> None:
    path = tmp_path / "table.csv"
    rows = [f"{index},{name.format(index)}\n" for index in range(n_classes)]
    path.write_text("a,kind\n" + "".join(rows))
    assert expected in refusal(path)
    path.write_text("a,kind\n" + "".join(rows[1:]))
    assert len(encode(path).data.classes) == n_classes - 1


@pytest.mark.parametrize(
    ("head", "filling", "expected"),
    [
        (b"", b"\n", "is empty; it needs a header and rows"),
        (b"", b",", "the first line is longer than 1 MB"),
        (b"", b"x", "the first line is longer than 1 MB"),
        (b"", b"\0", "the first line is longer than 1 MB"),
        (b"", b'"', "the first line is longer than 1 MB"),
        (b"a,kind\n", b"\n", "has a header but no rows"),
        (b"a,kind\n", b",", "a row is longer than 16 MB"),
        (b"a,kind\n", b",\n", "column 'kind' is empty"),
        (b'a,kind\n1,"', b"x\n", "a row is longer than 16 MB"),
    ],
)
def test_a_huge_file_without_a_table(
    tmp_path: Path, head: bytes, filling: bytes, expected: str
) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.write(head)
        for _ in range(MEGABYTES):
            file.write(filling * (2**20 // len(filling)))
    assert expected in refusal(path)


def test_a_cell_as_long_as_a_book(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("a,kind\n1,x\n2," + "y" * 500_000 + "\n")
    assert "a text of 500000 characters, and a class name has at most 10000" in refusal(path)
    path.write_text("a" * 20_000 + ",kind\n1,x\n2,y\n")
    assert "a column name has 20000 characters" in refusal(path)
    path.write_text("a,kind\n1,x\n" + "y" * 500_000 + ",y\n")
    assert len(refusal(path)) < 300


def ending_in(value: str) -> str:
    """A small table whose last rows have this number."""
    rows = [f"{index % 7 / 10},{index % 5 / 10},{'xyz'[index % 3]}\n" for index in range(60)]
    return "a,b,kind\n" + "".join(rows) + f"{value},0.1,x\n" * 6


@pytest.mark.parametrize(
    ("changes", "stage", "expected"),
    [
        ({"model.hidden": [65536, 65536]}, "train", "4,295,426,053 weights in all, more than"),
        ({"model.hidden": [65536] * 64, "train.replicas": 1024}, "train", "weights in all"),
        ({"train.patience": 10**30}, "train", "train.patience: found 1000000"),
        ({"evaluate.confidence": 0.9999999999999999}, "split", "a number from 0.5 to 0.9999"),
    ],
)
def test_parameters_beyond_all_measure(
    run: Run, changes: dict[str, object], stage: str, expected: str
) -> None:
    run(ending_in("1"), "split")
    with pytest.raises(InputError, match=expected):
        run(ending_in("1"), stage, **{"train.replicas": 1, **changes})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", ["3.4e38", "-3.4e38", "1e-45", "1"])
@pytest.mark.parametrize("normalize", ["standard", "none"])
def test_extreme_features_are_trained_on_or_refused(
    run: Run, capsys: pytest.CaptureFixture[str], value: str, normalize: str
) -> None:
    stages = ("split", "train", "evaluate", "baseline", "explain", "report")
    try:
        run(ending_in(value), *stages, **{"model.normalize": normalize})
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "finite" in refusal or (not refusal and Path("metrics/report.html").exists())
    assert capsys.readouterr().err == ""
