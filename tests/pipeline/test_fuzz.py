"""Bad input by the thousand: either it works, and rightly so, or one line says what is wrong.

The rules of a table are written a second time here, with Python's own CSV reader and `float`.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests import conftest
from tests.conftest import Project
from tests.fuzzing import EXAMPLES, cases, damaged
from tests.tables import Encoded, encode
from vintage.base.console import InputError
from vintage.base.params import Params, load_params
from vintage.base.tensors import (
    Examples,
    RowCounts,
    Schema,
    examples_as_bytes,
    read_examples,
    read_schema,
    write_examples,
    write_schema,
)

WINE = b"".join(conftest.WINE.read_bytes().splitlines(keepends=True)[:40])
PARAMS = conftest.PARAMS.read_bytes()

CELLS = [
    *("0", "1", "2", "-0", "-0.0", "+1", "3.5", ".5", "5.", "1e3", "1E-3", " 1", "1 ", "\t2", "01"),
    *("", " ", "NA", " NA", "N/A", "null", "NULL", "nan", "NaN", "-nan", "inf", "-Infinity"),
    *("1e38", "1e39", "1e400", "1e-400", "0x1F", "0xFFFFFFFFFFFFFFFF", "1_000", "1,5", "1.000,5"),
    *("9007199254740992", "9007199254740993", "18446744073709551616", "1" * 400, "\uff11"),
    *("true", "True", "TRUE", "false", "False", "tRUE", "yes", "2024-01-01", "10:30", "1/2"),
    *("2024-01-01T00:00:00Z", "2024-02-30", "1969-12-31 23:59:59.5", "0001-01-01"),
    *("2000-01-01T00:00:00+01:00", "1999-12-31T01", " 2024-01-01 ", "2024-1-1", "2024-01-01T24:00"),
    *("x", "y", "x ", "X", "\u00e4", "a\u0308", "=1+1", "x,y", "x\ny"),
    *('a"b', '"', '""', "x\r\ny", "\x00", "x\x00", "#", "\u200f\u0627", "\U0001f377", "z" * 300),
]  # fmt: skip
TOKENS = [
    *(cell.encode() for cell in CELLS),
    *(b",", b",,", b"\n", b"\r", b"\r\n", b"\n\n", b'"', b',"', b'",', b'"\n', b";", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"quality", b"pH", b"\xc3", b"\x1a", b"#"),
]  # fmt: skip
# as the reader states them: ASCII, with white space around
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHITE = " \t\n\r\v\f"
TIME = re.compile(
    r"[ \t\n\r\v\f]*(\d{4}-\d\d-\d\d)(?:[ T](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?)?[ \t\n\r\v\f]*",
    re.ASCII,
)
TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
MISSING = ("", "NA", "N/A", "nan", "NaN", "null", "NULL")


def is_train(place: int) -> bool:
    """Of the rows with a target every fourth one is held out."""
    return place % 4 != 3


def prepare(path: Path, target: str) -> Encoded:
    """What the split stage does; what it writes must read back the same."""
    n_rows = len(encode(path, target=target, delimiter=",").data.labels)
    train = [place for place in range(n_rows) if is_train(place)]
    table = encode(path, train, target=target, delimiter=",")
    schema = Schema(
        target=target,
        classes=table.data.classes,
        features=table.features,
        dropped=sorted(table.dropped),
        rows=RowCounts(train=1, val=0, test=1, repeated=0),
    )
    write_schema(path.parent / "schema.json", schema)
    assert read_schema(path.parent / "schema.json") == schema
    data = table.data
    examples = Examples(table.values, data.labels, data.source.rows, data.groups, data.ids)
    write_examples(path.parent / "part.safetensors", examples)
    found = read_examples(path.parent / "part.safetensors", schema)
    assert examples_as_bytes(found) == examples_as_bytes(examples)
    return table


def rows_by_rule(content: bytes) -> list[list[str]] | None:
    """Header and rows as Python reads them; None if they do not form a table."""
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    names = rows[0]
    return rows if all(names) and len(set(names)) == len(names) else None


def feature_by_rule(cells: list[str], train: Sequence[int]) -> list[float] | None:
    """A feature column as Python reads it: [] if it is dropped, None if it must be refused."""
    everything, kind = kind_by_rule(cells), kind_by_rule([cells[row] for row in train])
    known = [cells[row] for row in train if not is_missing(cells[row], kind)]
    if not known:
        return []
    missing = [is_missing(cell, everything) for cell in cells]
    has_missing = len(known) < len(train)
    if kind in ("number", "time"):
        return values_by_rule(cells, known, missing, has_missing, kind)
    return codes_by_rule(cells, known, missing, has_missing)


def values_by_rule(
    cells: list[str], known: list[str], missing: list[bool], has_missing: bool, kind: str
) -> list[float] | None:
    rule = numbers_by_rule if kind == "number" else days_by_rule
    values = rule(known)
    every = rule([cell for cell, blank in zip(cells, missing, strict=True) if not blank])
    offset = offset_by_rule(values) if values else 0.0
    if values and len(rounded(values, offset)) == 1 and not has_missing:
        return []
    if values is None or every is None:
        return None
    left = iter(every)
    return [np.nan if blank else float(np.float32(next(left) - offset)) for blank in missing]


def offset_by_rule(values: list[float]) -> float:
    """The least number, if it is far from 0 and more numbers differ in 32 bits without it."""
    is_far = max(map(abs, values)) > 4 * (max(values) - min(values))
    gains = len(rounded(values, min(values))) > len(rounded(values, 0.0))
    return min(values) if is_far and gains else 0.0


def rounded(values: list[float], offset: float) -> set[float]:
    return {float(np.float32(value - offset)) for value in values}


def codes_by_rule(
    cells: list[str], known: list[str], missing: list[bool], has_missing: bool
) -> list[float] | None:
    if len({cell.strip(WHITE) for cell in known}) > 20:
        return None
    categories = sorted(set(map(category_by_rule, known)))
    if len(categories) == 1 and not has_missing:
        return []
    codes: dict[str, float] = {name: code for code, name in enumerate(categories)}
    unknown = len(codes) + has_missing
    blank_code = len(codes)  # which is the unknown one, if no train row has it
    return [
        blank_code if blank else codes.get(category_by_rule(cell), unknown)
        for cell, blank in zip(cells, missing, strict=True)
    ]


def kind_by_rule(cells: list[str]) -> str:
    beside = [cell for cell in cells if cell.strip(WHITE) not in MISSING]
    if all(map(reads_as_float, beside)):
        return "number"
    if all(cell.strip(WHITE) in TRUTH for cell in beside):
        return "truth"
    return "text" if days_by_rule(beside) is None else "time"


def is_missing(cell: str, kind: str) -> bool:
    stripped = cell.strip(WHITE)
    return stripped in MISSING or (kind == "number" and np.isnan(float(stripped)))


def numbers_by_rule(cells: list[str]) -> list[float] | None:
    if not all(map(reads_as_float, cells)):
        return None
    with np.errstate(over="ignore"):
        numbers = [float(cell) for cell in cells]
        is_finite = np.isfinite(np.array(numbers, dtype=np.float64).astype(np.float32)).all()
    return numbers if is_finite else None


def days_by_rule(cells: list[str]) -> list[float] | None:
    """Days since 2000-01-01; None unless all cells are times, with a zone or without one."""
    found = [TIME.fullmatch(cell) for cell in cells]
    times = []
    for match in found:
        if match is None:
            return None
        day, hour, minute, second, fraction, zone = match.groups("")
        text = f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}.{fraction:0<6}{zone}"
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return None
        times.append(time)
    zones = {time.tzinfo is None for time in times}
    if len(zones) > 1:
        return None
    start = datetime(2000, 1, 1, tzinfo=UTC)
    spans = [time.replace(tzinfo=time.tzinfo or UTC) - start for time in times]
    return [(span // timedelta(microseconds=1)) / 86_400_000_000 for span in spans]


def category_by_rule(cell: str) -> str:
    name = cell.strip(WHITE)
    if name in TRUTH:
        return name.lower()
    if NUMBER.fullmatch(name) and abs(float(name)) < 2**53:
        return number_name(float(name))
    return name


def number_name(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def names_by_rule(cells: list[str]) -> list[str] | None:
    """A target column without missing cells as class names; None if it must be refused."""
    stripped = [cell.strip(WHITE) for cell in cells]
    if all(map(reads_as_float, stripped)):
        values = [float(cell) for cell in stripped]
        if np.isfinite(values).all() and max(map(abs, values)) >= 2**53:
            return cells  # float64 would confuse them, so each is text
        return list(map(number_name, values)) if np.isfinite(values).all() else None
    if all(cell in TRUTH for cell in stripped):
        return [cell.lower() for cell in stripped]
    return cells


def reads_as_float(cell: str) -> bool:
    stripped = cell.strip(WHITE)
    special = stripped.removeprefix("-").removeprefix("+").lower() in ("nan", "inf", "infinity")
    return special or bool(NUMBER.fullmatch(stripped))


Expected = tuple[dict[str, list[float]], list[str], list[int]]


def table_by_rule(content: bytes, target: str) -> Expected | None:
    """The features by name, the classes and the numbers of the rows that have one."""
    rows = rows_by_rule(content)
    if not rows or target not in rows[0]:
        return None
    columns = {name: [row[index] for row in rows[1:]] for index, name in enumerate(rows[0])}
    targets = columns.pop(target)
    labelled = [row for row, cell in enumerate(targets) if cell.strip(WHITE) not in MISSING]
    names = names_by_rule([targets[row] for row in labelled]) if labelled else None
    if not names or not 2 <= len(set(names)) <= 20:
        return None
    kept = {}
    for name, cells in columns.items():
        of_rows = [cells[row] for row in labelled]
        for train in (range(len(labelled)), list(filter(is_train, range(len(labelled))))):
            if (found := feature_by_rule(of_rows, train)) is None:
                return None
        if found:
            kept[name] = found
    return (kept, names, labelled) if kept else None


def check_against_rules(content: bytes, target: str, path: Path) -> None:
    """Read a table; what comes out, or that nothing does, must be what the rules say."""
    path.write_bytes(content)
    expected = table_by_rule(content, target)
    try:
        table = prepare(path, target)
    except InputError as error:
        message = str(error)
        assert path.name in message
        assert len(message) < 1000
        assert expected is None, f"refused for no reason: {message}"
        return
    assert expected is not None, "taken, though the rules refuse it"
    features, names, rows = expected
    assert table.names == list(features)
    for name, values in features.items():
        assert np.array_equal(table.column(name), values, equal_nan=True), name
    assert table.targets == names
    assert table.data.source.rows.tolist() == rows
    assert len(set(table.data.classes)) == len(table.data.classes)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "table.csv"


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@st.composite
def written_tables(draw: st.DrawFn) -> bytes:
    """A table of odd cells, mostly numbers, quoted where it must be and sometimes where not."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    n_columns = draw(st.integers(1, 3))
    good = st.sampled_from(CELLS[:15])
    odd = st.one_of(st.sampled_from(CELLS), st.text(max_size=5))
    classes = st.sampled_from(draw(st.lists(st.one_of(good, odd), min_size=1, max_size=6)))
    mixed = st.sampled_from([*CELLS[:15] * 2, draw(odd)])
    blanks = st.sampled_from([*CELLS[:8], *MISSING])
    words = st.sampled_from(["x", "y ", " y", "1", "1.0", "TRUE", "true", "", "2024-01-01"])
    times = st.sampled_from([cell for cell in CELLS if TIME.fullmatch(cell) or not cell.strip()])
    local = st.sampled_from(["2024-01-01", "1969-12-31 23:59:59.5", "0001-01-01 ", "NA"])
    kinds = [good, good, mixed, odd, blanks, words, times, local, st.sampled_from(sorted(TRUTH))]
    features = [draw(st.sampled_from(kinds)) for _ in range(n_columns)]
    palettes = [classes, *features]
    lines = [",".join(["kind", "b", "c", "d"][: n_columns + 1])]
    for _ in range(draw(st.integers(1, 12))):
        cells = [draw(palette) for palette in palettes]
        must = any(mark in cell for cell in cells for mark in ',"\r\n')
        rule = draw(st.sampled_from(["right", "right", "all", "none"]))
        keep = rule == "none" or (rule == "right" and not must)
        lines.append(",".join(cells if keep else map(quoted, cells)))
    text = end.join(lines) + draw(st.sampled_from([end, "", end * 2]))
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode(errors="replace")


@cases(0.06)
@given(
    content=st.one_of(
        st.binary(), st.text().map(str.encode), st.text(",\n\"'\r01;x ").map(str.encode)
    )
)
def test_any_bytes_as_a_table(path: Path, content: bytes) -> None:
    check_against_rules(content, "kind", path)


@cases(0.18)
@given(content=written_tables())
def test_a_table_of_odd_cells(path: Path, content: bytes) -> None:
    check_against_rules(content, "kind", path)


@cases(0.17)
@given(content=damaged(WINE, TOKENS))
def test_the_real_table_damaged(path: Path, content: bytes) -> None:
    check_against_rules(content, "quality", path)


VALUES = [
    *("", "~", "0", "-1", "1.5", "1e-3", ".inf", "-.inf", ".nan", "1e999", "0x10", "1_000", "010"),
    *("true", "yes", "auto", "none", "None", "x", "[]", "{}", "[1]", "{a: 1}", "[[[[]]]]", "1:30"),
    *("9" * 30, "9" * 5000, "0x" + "f" * 9000, ":".join(["59"] * 200), "1" + ":59" * 300 + ".5"),
    *("2024-01-01", "2024-13-01", "2001-01-01T00:00:00+99:99", "0001-01-01T00:00:00+23:00"),
    *("!!int ''", "!!int x", "!!float ''", "!!bool x", "!!timestamp x", "!!binary x", "!!set {1}"),
    *("!!null x", "!!map []", "!!seq {}", "!!str []", "!!omap [1]", "!!pairs [a: 1]", "!x y"),
    *("!!python/object/apply:os.system [echo]", "!!python/name:os.system", "!!python/tuple [1]"),
    *("&a 1", "*a", "&b [*b]", "&c {c: *c}", "<<: *a", "<<: {x: 1}", "<<: 1", "? [1]\n: 2", "1: 2"),
    *("'", '"', "|", ">", "%", "@", "`", "#", ":", "-", "?", ",", "...", "---", "\t", "\x00"),
    *('"\\ud800"', '"\\x00"', '"\\n"', "\u2028", "\ufeff", "\U0001f377", "[" * 5000, "{" * 5000),
]  # fmt: skip
YAML_TOKENS = [
    *(value.encode() for value in VALUES),
    *(b"\n", b"\r", b"  ", b"\n  ", b": ", b"\n- ", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"data:\n", b"train:\n  ", b"epochs: 1\n", b"seed: 42", b"require: {f1_macro: 1}"),
]  # fmt: skip
SETTING = re.compile(rb"^  (\w+): .*$", re.MULTILINE)


def check_params(content: bytes, path: Path) -> None:
    """Either one line, or parameters that say what the file says."""
    path.write_bytes(content)
    try:
        params = load_params(path)
    except InputError as error:
        message = str(error)
        assert message.startswith(str(path))
        assert "\n" not in message
        assert len(message) < 1000
        return
    from dvc.utils.serialize import parse_yaml as dvc_reads

    plain = dvc_reads(content.decode(), path)
    for section, values in params.model_dump().items():
        for key, value in values.items():
            said = plain[section][key]
            assert value == (float(said) if isinstance(value, float) else said), (section, key)


@st.composite
def set_values(draw: st.DrawFn, original: bytes) -> bytes:
    """A file of parameters with other values at some keys."""
    content = original
    for _ in range(draw(st.integers(1, 3))):
        setting = draw(st.sampled_from(list(SETTING.finditer(content))))
        value = draw(
            st.one_of(
                st.sampled_from(VALUES),
                st.text(max_size=10),
                st.floats().map(str),
                st.integers().map(str),
            )
        )
        content = (
            content[: setting.start()]
            + b"  "
            + setting[1]
            + b": "
            + value.encode(errors="replace")
            + content[setting.end() :]
        )
    return content


yaml_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(sorted(Params.model_fields)), st.text(max_size=3), st.integers()
            ),
            inner,
            max_size=5,
        ),
    ),
)


@pytest.fixture(scope="module")
def parquet() -> bytes:
    table = pyarrow.csv.read_csv(io.BytesIO(WINE))
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


@cases(0.02)
@given(data=st.data())
def test_a_parquet_table_damaged(path: Path, parquet: bytes, data: st.DataObject) -> None:
    file = path.with_suffix(".parquet")
    file.write_bytes(data.draw(damaged(parquet, TOKENS)))
    try:
        table = prepare(file, "quality")
    except InputError as error:
        message = str(error)
        assert file.name in message
        assert len(message) < 1000
        return
    assert not np.isinf(table.values).any()


@pytest.mark.slow
@cases(max(24 / EXAMPLES, 0.004), in_processes=True)
@given(data=st.data())
def test_the_split_stage_on_bad_input(small: Project, data: st.DataObject) -> None:
    table = data.draw(st.one_of(st.just(WINE), damaged(WINE, TOKENS)))
    params = (small.root / "params.yaml").read_bytes()
    if table == WINE:
        damage = st.one_of(damaged(params, YAML_TOKENS), set_values(params))
        (small.root / "params.yaml").write_bytes(data.draw(damage))
    (small.root / "data/small.csv").write_bytes(table)
    try:
        done = small.stage("split")
    finally:
        (small.root / "params.yaml").write_bytes(params)
    if done.returncode == 0:
        assert done.stderr == ""
    else:
        assert done.returncode == 2, done.stderr
        lines = done.stderr.strip().splitlines()
        assert lines
        assert all(line.startswith("error: ") for line in lines), done.stderr


@pytest.fixture(scope="module")
def small(_fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = _fresh.copy_to(tmp_path_factory.mktemp("split") / "project")
    project.edit("params.yaml", "data/wine.csv", "data/small.csv")
    return project


@cases(0.06)
@given(content=st.one_of(st.binary(), st.text().map(lambda text: text.encode(errors="replace"))))
def test_any_bytes_as_params(path: Path, content: bytes) -> None:
    check_params(content, path.with_name("params.yaml"))


@cases(0.04)
@given(content=yaml_values)
def test_any_yaml_as_params(path: Path, content: object) -> None:
    check_params(yaml.safe_dump(content).encode(), path.with_name("params.yaml"))


@cases(0.1)
@given(content=set_values(PARAMS))
def test_any_value_in_params(path: Path, content: bytes) -> None:
    check_params(content, path.with_name("params.yaml"))


@cases(0.1)
@given(content=damaged(PARAMS, YAML_TOKENS))
def test_the_real_params_damaged(path: Path, content: bytes) -> None:
    check_params(content, path.with_name("params.yaml"))
