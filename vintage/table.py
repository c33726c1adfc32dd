"""Read a table from CSV or Parquet, check every cell, and encode it as numbers and class ids.

Rows are counted from 0 at the first row below the header, here, in errors and in the outputs.
"""

import codecs
from collections.abc import Iterable
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
MAX_CLASSES = 1_000
MAX_NUMERIC_CLASSES = 100
MAX_FRACTIONAL_CLASSES = 20


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

    Raises:
        InputError: no such file, an empty one, no rows, cells that do not form a table, repeated
            or empty column names.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; set data.path in params.yaml")
    if not path.is_file():
        raise InputError(f"{path}: is no file; data.path takes a CSV or Parquet file")
    try:
        if path.suffix in (".parquet", ".pq"):
            table = pyarrow.parquet.ParquetFile(path).read()
        else:
            table = _read_csv(path)
        names = table.column_names
    except UnicodeDecodeError:
        raise InputError(f"{path}: the header is not UTF-8; save the table as UTF-8") from None
    except PermissionError:
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
    skipped: list[Any] = []

    def refuse(row: Any) -> str:
        skipped.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
        convert_options=pyarrow.csv.ConvertOptions(timestamp_parsers=[]),
    )
    if skipped:
        row = skipped[0]
        raise InputError(
            f"{path}: expected {row.expected_columns} cells in every row, as in the header, but "
            f"{len(skipped)} rows differ; the first has {row.actual_columns}: {row.text[:60]!r}"
        )
    return table


def _check_names(path: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise InputError(
            f"{path}: has {len(names)} columns, more than {MAX_COLUMNS}; choose some of them first"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: column name {repeated[0]!r} stands in the header more than once")
    if not all(names):
        raise InputError(f"{path}: column {names.index('') + 1} has no name in the header")


def _hint(table: pa.Table) -> str:
    names = table.column_names
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        return f"the only column is {names[0][:60]!r}: is the delimiter a comma?"
    return f"the columns are {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"


def _numbers(column: pa.ChunkedArray, place: _Place) -> npt.NDArray[np.float32]:
    column = _decoded(column)
    kind = column.type
    if _is_text(kind):
        raise _text_error(column, place)
    if pa.types.is_null(kind):
        raise place.column_error("is empty; list it in data.ignore")
    if not (_is_number(kind) or pa.types.is_boolean(kind)):
        raise place.column_error(f"is of type {kind}, not numbers; list it in data.ignore")
    if column.null_count:
        row = _first(pc.is_null(column))
        raise place.error(row, "the cell is empty; fill it, drop the row, or list the column in "
                               "data.ignore")  # fmt: skip
    wide = column.cast(pa.float64(), safe=False).to_numpy()
    with np.errstate(over="ignore"):
        numbers: npt.NDArray[np.float32] = wide.astype(np.float32)
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        raise place.error(row, f"{wide[row]} is not a finite 32-bit number")
    return numbers


def _text_error(column: pa.ChunkedArray, place: _Place) -> InputError:
    for row, cell in enumerate(_cells(column)):
        if isinstance(cell, bytes) and not _is_utf8(cell):
            return place.error(row, "the cell is not UTF-8; save the table as UTF-8")
        if not cell.strip():
            return place.error(row, "the cell is empty; fill it or drop the row")
        try:
            float(cell)
        except ValueError:
            return place.error(
                row, f"{cell[:40]!r} is not a number; correct it or list the column in data.ignore"
            )
    return place.column_error("holds numbers as text; store them as numbers")


def _encode_target(
    column: pa.ChunkedArray, place: _Place
) -> tuple[npt.NDArray[np.int64], list[str]]:
    column = _decoded(column)
    if pa.types.is_binary(column.type):
        rows = (row for row, cell in enumerate(_cells(column)) if not _is_utf8(cell))
        raise place.error(next(rows, 0), "the cell is not UTF-8 text; save the table as UTF-8")
    if not (_is_text(column.type) or _is_number(column.type) or pa.types.is_boolean(column.type)):
        raise place.column_error(f"is of type {column.type}; a target holds text or numbers")
    empty = pc.is_null(column)
    if _is_text(column.type):
        empty = pc.or_(empty, pc.equal(pc.utf8_trim_whitespace(column), ""))
    if pc.any(empty).as_py():
        raise place.error(_first(empty), "the target is empty; fill it or drop the row")
    values = sorted(pc.unique(column).to_pylist())
    _check_classes(values, place)
    encoded = pc.index_in(column, value_set=pa.array(values, type=column.type))
    return encoded.to_numpy().astype(np.int64), [_class_name(value) for value in values]


def _check_classes(values: list[Any], place: _Place) -> None:
    if len(values) < 2:
        raise place.column_error(f"holds one class only, {values[0]!r}; a classifier needs two")
    if isinstance(values[0], float):
        if not np.isfinite(values).all():
            raise place.column_error("holds numbers that are not finite; a class needs a name")
        whole = all(value.is_integer() for value in values)
        limit = MAX_NUMERIC_CLASSES if whole else MAX_FRACTIONAL_CLASSES
    else:
        limit = MAX_NUMERIC_CLASSES if isinstance(values[0], int) else MAX_CLASSES
    if len(values) > limit:
        kind = "different texts" if isinstance(values[0], str) else "different numbers"
        raise place.column_error(
            f"holds {len(values)} {kind}, more than {limit}: this calls for regression or names "
            "the wrong column; bin the values into classes or set another data.target"
        )


def _class_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _encode_groups(column: pa.ChunkedArray, place: _Place) -> npt.NDArray[np.int64]:
    column = _decoded(column)
    if column.null_count:
        raise place.error(_first(pc.is_null(column)), "the cell is empty; which group is it in?")
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_utf8(cell: str | bytes) -> bool:
    try:
        cell.decode("utf-8") if isinstance(cell, bytes) else None
    except UnicodeDecodeError:
        return False
    return True


def _first(mask: pa.ChunkedArray) -> int:
    return int(pc.index(mask, True).as_py())


def _cells(column: pa.ChunkedArray) -> Iterable[Any]:
    for chunk in column.chunks:
        for cell in chunk:
            value = cell.as_py()
            yield "" if value is None else value


def _reason(error: Exception) -> str:
    return one_line(str(error).partition("\n")[0])[:200]
