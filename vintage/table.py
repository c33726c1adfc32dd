"""Read a table from CSV or Parquet, check every cell, and encode it as numbers and class ids.

Rows are counted from 0 at the first row below the header, here, in errors and in the outputs.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from vintage.console import InputError, one_line
from vintage.params import DataParams

MAX_COLUMNS = 10_000
LONGEST_CELL = 2**24  # pyarrow itself takes no row of more than 1 MB
MAX_CELLS = 500_000_000  # 2 GB as features, and again as much while they are text
MAX_NAME = 10_000  # characters of a column's or a class's name
MAX_CLASSES = 1_000
MAX_NUMERIC_CLASSES = 100
MAX_FRACTIONAL_CLASSES = 20
EXACT = 2**53  # from here on float64 skips whole numbers

EMPTY_FEATURE = "the cell is empty or NA; fill it, drop the row, or list the column in data.ignore"
MISSING = ("", "NA", "N/A", "null", "NULL")
BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


@dataclass(frozen=True)
class EncodedTable:
    """A table as numbers.

    Attributes:
        features: float32 `[n_rows, n_features]`, finite.
        feature_names: the columns of `features`.
        labels: int64 `[n_rows]`, indices into `classes`.
        classes: the target's distinct values as text, in order: numbers ascending, text by code
            point.
        groups: int64 `[n_rows]`: rows of equal value belong together; None without `group_column`.
    """

    features: npt.NDArray[np.float32]
    feature_names: list[str]
    labels: npt.NDArray[np.int64]
    classes: list[str]
    groups: npt.NDArray[np.int64] | None


def read_table(path: Path) -> pa.Table:
    """Read `path`: Parquet if its name ends so, and comma-separated text in UTF-8 otherwise.

    A CSV file follows RFC 4180: a cell that holds a comma, a line break or begins with a quotation
    mark stands in quotation marks, and those inside of it are doubled. Lines end with LF, CRLF or
    CR; empty lines do not count. Every cell is read as text, and nothing is guessed: `encode_table`
    decides what a text means.

    Raises:
        InputError: no such file, an empty one, no rows, cells that do not form a table, repeated
            or empty column names.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file; set data.path in params.yaml")
        if not path.is_file():
            raise InputError(f"{path}: is no file; data.path takes a CSV or Parquet file")
        if path.suffix in (".parquet", ".pq"):
            file = pyarrow.parquet.ParquetFile(path)
            _check_size(path, file.metadata.num_rows, file.metadata.num_columns)
            table = file.read()
        else:
            table = _read_csv(path)
        names = table.column_names
    except UnicodeDecodeError:
        raise InputError(f"{path}: the header is not UTF-8; save the table as UTF-8") from None
    except (MemoryError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as a table: {_reason(error)}") from None
    _check_names(path, names)
    if table.num_rows == 0:
        raise InputError(f"{path}: has a header but no rows")
    return table


def encode_table(
    table: pa.Table, params: DataParams, group_column: str | None = None
) -> EncodedTable:
    """Turn the target into class ids and every other column into a float32 feature.

    A column of text whose cells all say a number, such as `-1.5`, `+2` or `3e8` with or without
    white space around, holds numbers; one of nothing but `true` and `false` (or `True`, `TRUE`)
    holds booleans. A cell beside them that is blank, `NA`, `N/A` or `null` is missing. In a target
    or group column of other text, each text but a blank one stands for itself, `NA` included.

    Args:
        table: from `read_table`.
        params: `target` and `ignore` name columns of the table.
        group_column: a column that tells which rows belong together; it is no feature.

    Raises:
        InputError: a name that is no column, a cell that is empty, no number or not finite, fewer
            than two classes, or a target that calls for regression.
    """
    named = [("data.target", params.target), *(("data.ignore", name) for name in params.ignore)]
    if group_column is not None:
        named.append(("split.group_by", group_column))
    for key, name in named:
        if name not in table.column_names:
            raise InputError(
                f"{params.path}: {key} names {name!r}, which is no column; {_hint(table)}"
            )
    dropped = {name for _, name in named}
    feature_names = [name for name in table.column_names if name not in dropped]
    if not feature_names:
        raise InputError(f"{params.path}: no column is left as a feature; see data.ignore")
    features = np.empty((table.num_rows, len(feature_names)), dtype=np.float32)
    for index, name in enumerate(feature_names):
        features[:, index] = _numbers(table.column(name), _Place(params.path, name))
    labels, classes = _encode_target(
        table.column(params.target), _Place(params.path, params.target)
    )
    groups = None
    if group_column is not None:
        groups = _encode_groups(table.column(group_column), _Place(params.path, group_column))
    return EncodedTable(features, feature_names, labels, classes, groups)


@dataclass(frozen=True)
class _Place:
    """Where a cell stands, for errors."""

    path: str
    column: str

    def error(self, row: Any, problem: str) -> InputError:
        return InputError(f"{self.path}: column {self.column!r}, row {row}: {problem}")

    def column_error(self, problem: str) -> InputError:
        return InputError(f"{self.path}: column {self.column!r} {problem}")


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as file:
        head = file.read(2)
    if not head:
        raise InputError(f"{path}: is empty; it needs a header and rows")
    if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise InputError(f"{path}: is UTF-16; save the table as UTF-8")
    # on one thread, because with several of them a wrong row has no number; it is no slower
    options = {
        "read_options": pyarrow.csv.ReadOptions(use_threads=False),
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
    }
    with pyarrow.csv.open_csv(path, **options) as reader:  # the header and no more than 1 MB
        names = reader.schema.names
    _check_names(path, names)
    as_text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()))
    batches, n_rows = [], 0
    with pyarrow.csv.open_csv(path, convert_options=as_text, **options) as reader:
        for batch in reader:
            batches.append(batch)
            n_rows += batch.num_rows
            _check_size(path, n_rows, len(names))
    _check_quotes(path)
    return pa.Table.from_batches(batches, reader.schema)


def _check_quotes(path: Path) -> None:
    """Refuse a quotation mark that is left open or closed in the middle of a cell.

    pyarrow takes all that follows for one cell, as far as the next mark or the end of the file.
    """
    with path.open("rb") as file:
        if not any(b'"' in chunk for chunk in iter(lambda: file.read(1 << 20), b"")):
            return
    with path.open(encoding="latin-1", newline="") as text:  # of the bytes only some matter
        csv.field_size_limit(LONGEST_CELL)
        reader = csv.reader(text, strict=True)
        try:
            for _ in reader:
                pass
        except csv.Error as error:
            raise InputError(
                f"{path}: line {reader.line_num}: a cell in quotation marks goes wrong ({error}); "
                "close it, and double the marks inside of it"
            ) from None


def _check_size(path: Path, n_rows: int, n_columns: int) -> None:
    if n_rows * n_columns > MAX_CELLS:
        raise InputError(
            f"{path}: has more than {MAX_CELLS:,} cells; take fewer columns, or a sample of the "
            "rows"
        )


def _check_names(path: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise InputError(
            f"{path}: has {len(names)} columns, more than {MAX_COLUMNS}; choose some of them first"
        )
    if not all(names):
        raise InputError(f"{path}: column {names.index('') + 1} has no name in the header")
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{path}: column name {name!r} stands in the header more than once")
        if len(name) > MAX_NAME:
            raise InputError(
                f"{path}: a column name has {len(name)} characters, more than {MAX_NAME}: "
                f"{name[:40]!r}; is the first line a header?"
            )


def _hint(table: pa.Table) -> str:
    names = [one_line(name)[:60] for name in table.column_names]
    if len(names) == 1 and any(mark in table.column_names[0] for mark in ";\t|"):
        return f"the only column is {names[0]!r}: is the delimiter a comma?"
    return f"the columns are {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"


def _numbers(column: pa.ChunkedArray, place: _Place) -> npt.NDArray[np.float32]:
    column = _typed(column)
    kind = column.type
    if _is_text(kind):
        raise _text_error(column, place)
    if column.null_count == len(column):
        raise place.column_error("is empty; list it in data.ignore")
    if not (_is_number(kind) or pa.types.is_boolean(kind)):
        raise place.column_error(f"is of type {kind}, not numbers; list it in data.ignore")
    if column.null_count:
        raise place.error(_first(pc.is_null(column)), EMPTY_FEATURE)
    wide = column.cast(pa.float64(), safe=False).to_numpy()
    with np.errstate(over="ignore"):
        numbers: npt.NDArray[np.float32] = wide.astype(np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        raise place.error(row, f"{wide[row]} is not a finite 32-bit number")
    return numbers


def _text_error(column: pa.ChunkedArray, place: _Place) -> InputError:
    """What to say of a column that is not numbers: its first cell that is none."""
    if pa.types.is_binary(column.type):
        return _not_utf8(column, place)

    def all_numbers(cells: pa.ChunkedArray) -> bool:
        numbers = _as_numbers(cells)
        return numbers is not None and not numbers.null_count

    row = _first_failure(column, all_numbers)
    cell = column[row].as_py()
    if cell is None or cell.strip() in MISSING:
        return place.error(row, EMPTY_FEATURE)
    return place.error(
        row, f"{cell[:40]!r} is not a number; correct it or list the column in data.ignore"
    )


def _not_utf8(column: pa.ChunkedArray, place: _Place) -> InputError:
    row = _first_failure(column, lambda cells: not pa.types.is_binary(_as_text(cells).type))
    return place.error(row, "the cell is not UTF-8; save the table as UTF-8")


def _first_failure(column: pa.ChunkedArray, works: Callable[[pa.ChunkedArray], bool]) -> int:
    """The first row that does not work, of a column that does not: by halving."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        if works(column.slice(low, middle - low)):
            low = middle
        else:
            high = middle
    return low


def _encode_target(
    column: pa.ChunkedArray, place: _Place
) -> tuple[npt.NDArray[np.int64], list[str]]:
    column = _distinct_values(column, place, "the target is empty or NA; fill it or drop the row")
    if not (_is_text(column.type) or _is_number(column.type) or pa.types.is_boolean(column.type)):
        raise place.column_error(f"is of type {column.type}; a target holds text or numbers")
    if pa.types.is_floating(column.type):
        infinite = pc.invert(pc.is_finite(column))
        if pc.any(infinite).as_py():
            row = _first(infinite)
            raise place.error(row, f"{column[row].as_py()} is not a finite number; correct it")
    unique = pc.unique(column)
    _check_classes(unique, place)
    values = sorted(unique.to_pylist())
    encoded = pc.index_in(column, value_set=pa.array(values, type=column.type))
    return encoded.to_numpy().astype(np.int64), [_class_name(value) for value in values]


def _distinct_values(column: pa.ChunkedArray, place: _Place, if_empty: str) -> pa.ChunkedArray:
    """A target or group column in a form in which equal values are equal."""
    column = _typed(column, exact=True)
    if pa.types.is_binary(column.type):
        raise _not_utf8(column, place)
    empty = pc.is_null(column)
    if _is_text(column.type):
        empty = pc.or_(empty, pc.equal(pc.utf8_trim_whitespace(column), ""))
    if pc.any(empty).as_py():
        raise place.error(_first(empty), if_empty)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return pc.add(column.cast(pa.float64(), safe=False), 0.0)  # makes -0.0 equal to 0.0
    return column


def _check_classes(values: pa.Array, place: _Place) -> None:
    if len(values) < 2:
        only = _short(_class_name(values[0].as_py()))
        raise place.column_error(f"holds one class only, {only}; a classifier needs two")
    limit = MAX_CLASSES if _is_text(values.type) else MAX_NUMERIC_CLASSES
    if pa.types.is_floating(values.type) and not pc.all(pc.equal(values, pc.round(values))).as_py():
        limit = MAX_FRACTIONAL_CLASSES
    if len(values) > limit:
        kind = "different texts" if _is_text(values.type) else "different numbers"
        raise place.column_error(
            f"holds {len(values)} {kind}, more than {limit}: this calls for regression or names "
            "the wrong column; bin the values into classes or set another data.target"
        )
    if _is_text(values.type) and (longest := pc.max(pc.utf8_length(values)).as_py()) > MAX_NAME:
        raise place.column_error(
            f"holds a text of {longest} characters, and a class name has at most {MAX_NAME}; "
            "set another data.target"
        )


def _class_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    return str(value)


def _encode_groups(column: pa.ChunkedArray, place: _Place) -> npt.NDArray[np.int64]:
    if pa.types.is_nested(column.type):
        raise place.column_error(f"is of type {column.type}; a group is text or a number")
    column = _distinct_values(column, place, "the cell is empty or NA; which group is it in?")
    encoded = pc.index_in(column, value_set=pc.unique(column))
    return encoded.to_numpy().astype(np.int64)


def _typed(column: pa.ChunkedArray, exact: bool = False) -> pa.ChunkedArray:
    """Text as numbers or booleans where all of it says so; anything else as it is.

    With `exact`, numbers so large that float64 confuses them stay text.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not _is_text(column.type):
        return column
    text = _as_text(column)
    if pa.types.is_binary(text.type):
        return text
    numbers = _as_numbers(text)
    if numbers is not None:
        return text if exact and _float64_confuses(numbers) else numbers
    known = pa.array([*BOOLEANS, *MISSING], text.type)
    places = pc.index_in(pc.ascii_trim_whitespace(text), value_set=known)
    if places.null_count > text.null_count:
        return text
    values = pa.array([*BOOLEANS.values(), *(None for _ in MISSING)], pa.bool_())
    return pa.chunked_array([values.take(chunk) for chunk in places.chunks], pa.bool_())


def _float64_confuses(numbers: pa.ChunkedArray) -> bool:
    largest = pc.max(pc.abs(numbers)).as_py() or 0
    return EXACT <= largest < np.inf and not pc.any(pc.is_nan(numbers)).as_py()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As string, unless it is not UTF-8."""
    if pa.types.is_large_string(column.type):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return column


def _as_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """As float64, null where a cell is missing; None if some other cell is no number."""
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        pass  # the plain way is much faster, and mostly enough
    trimmed = pc.ascii_trim_whitespace(text)
    is_missing = pc.is_in(trimmed, value_set=pa.array(MISSING, text.type))
    try:
        return pc.if_else(is_missing, pa.scalar(None, text.type), trimmed).cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _first(mask: pa.ChunkedArray) -> int:
    return int(pc.index(mask, True).as_py())


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:40]}...")


def _reason(error: Exception) -> str:
    """pyarrow's reason in words for people; its rows count from 1 at the header."""
    reason = str(error)
    if wrong := re.search(
        r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", reason, re.DOTALL
    ):
        row, expected, found, text = wrong.groups()
        return f"row {int(row) - 2} has {found} cells, not {expected} as the header: {text[:60]!r}"
    if "Empty CSV" in reason:
        return (
            "there is no header with rows below it; the first line may be longer than 1 MB, or "
            "leave a quotation mark open"
        )
    if "straddling" in reason:
        return "a row is longer than 1 MB; is a quotation mark left open, or is this no table?"
    return one_line(reason.partition("\n")[0])[:200]
