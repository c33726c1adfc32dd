"""What a table's cells say: numbers, truth values, times or text, and which are missing."""

import bisect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import InputError

EXACT = 2**53  # from here on float64 skips whole numbers
EPOCH = np.datetime64("2000-01-01", "us")
MICROSECONDS_A_DAY = 86_400_000_000

WHITE = " \t\n\r\v\f"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,14}))\.0", re.ASCII)
BOOLEANS = {
    spelling: spelling.lower() == "true"
    for spelling in ("true", "True", "TRUE", "false", "False", "FALSE")
}
# by the path of a folder that is a table, the first row of each of its files, as far as it was read
FILES: dict[Path, list[tuple[int, Path]]] = {}


@dataclass(frozen=True)
class Place:
    """Where cells stand, for errors.

    Attributes:
        path: of the table.
        rows: int64 `[n]`, the number in the table of each cell's row.
        is_new: whether a trained model meets the rows, so that no parameter can be set any more.
    """

    path: str
    rows: npt.NDArray[np.int64]
    column: str = ""
    is_new: bool = False

    def at(self, column: str) -> "Place":
        return replace(self, column=column)

    def take(self, places: npt.NDArray[np.int64]) -> "Place":
        return replace(self, rows=self.rows[places])

    def error(self, index: Any, problem: str) -> InputError:
        path, row = self._file_and_row(int(self.rows[index]))
        return InputError(f"{path}: column {self.column!r}, row {row}: {problem}")

    def _file_and_row(self, row: int) -> tuple[str, int]:
        """In which file of a folder a row is, and which row there."""
        if not (starts := FILES.get(Path(self.path))):
            return self.path, row
        first, file = starts[bisect.bisect_right(starts, row, key=lambda start: start[0]) - 1]
        return str(file), row - first

    def column_error(self, problem: str) -> InputError:
        return InputError(f"{self.path}: column {self.column!r} {problem}")

    def advice(self, before_training: str) -> str:
        """What to set in params.yaml, unless it is too late for that."""
        return "" if self.is_new else before_training


def typed(column: pa.ChunkedArray, exact: bool = False) -> pa.ChunkedArray:
    """Text as numbers or booleans where all of it says so; anything else as it is.

    A number is such as `-1.5`, `+2` or `3e8`, with or without white space around; a boolean is
    `true`, `True`, `TRUE` or the same of `false`. Text that is not UTF-8 stays binary.

    Args:
        exact: numbers so large that float64 confuses them stay text.
    """
    if not is_text(column.type):
        return column
    text = text_of(column)
    if pa.types.is_binary(text.type):
        return text
    numbers = as_numbers(text)
    if numbers is not None:
        return text if exact and _float64_confuses(numbers) else numbers
    trimmed = pc.ascii_trim_whitespace(text)
    places = pc.index_in(trimmed, value_set=pa.array(list(BOOLEANS), text.type))
    if places.null_count > text.null_count:
        return text
    return pc.equal(pc.ascii_lower(trimmed), "true")


def typed_as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Text of a part of a column as `kind`, which `typed` finds in all of the column.

    Text that has no such form stays as it is.
    """
    if column.type == kind or not is_text(column.type):
        return column
    text = text_of(column)
    if pa.types.is_binary(text.type):
        return text
    if pa.types.is_boolean(kind):
        return pc.equal(pc.ascii_lower(pc.ascii_trim_whitespace(text)), "true")
    numbers = as_numbers(text) if pa.types.is_floating(kind) else cast_or_none(text, kind)
    return text if numbers is None else numbers


def text_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text as string, unless it is not UTF-8."""
    if pa.types.is_large_string(column.type):
        return column
    text = cast_or_none(column, pa.string())
    return column if text is None else text


def utf8_text(column: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    """A column of text as string; InputError if a cell is not UTF-8."""
    text = text_of(column)
    if pa.types.is_binary(text.type):
        row = first_failure(text, lambda cells: not pa.types.is_binary(text_of(cells).type))
        raise place.error(row, "the cell is not UTF-8; save the table as UTF-8")
    return text


def as_floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Numbers as float64 `[n]`, NaN where a cell is missing."""
    floats: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return floats


def as_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """As float64; None if some cell is no number."""
    return cast_or_none(pc.ascii_trim_whitespace(text), pa.float64())


def as_days(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Times as days since 2000-01-01 in UTC, float64; None if some cell is no time.

    Text is ISO 8601, such as `2024-02-29`, `2024-02-29 23:59:59.5` or `2024-02-29T23:59:59+01:00`.
    A time without a zone counts as UTC.
    """
    if is_text(column.type):
        text = pc.ascii_trim_whitespace(column)
        times = cast_or_none(text, pa.timestamp("us"))
        column = cast_or_none(text, pa.timestamp("us", "UTC")) if times is None else times
    times = None if column is None else cast_or_none(column, pa.timestamp("us"), safe=False)
    if times is None:
        return None
    since_1970 = times.cast(pa.int64()).cast(pa.float64(), safe=False)
    since_2000 = pc.subtract(since_1970, float(EPOCH.astype(np.int64)))
    return pc.divide(since_2000, float(MICROSECONDS_A_DAY))


def with_nulls(column: pa.ChunkedArray, missing: Collection[str]) -> pa.ChunkedArray:
    """A column of text as string, null where a cell is blank or one of `missing`.

    White space around it does not count. Other types stay as they are, and text that is not UTF-8
    stays binary.
    """
    if not is_text(column.type):
        return column
    text = text_of(column)
    if pa.types.is_binary(text.type):
        blank = {b"", *(each.strip(WHITE).encode() for each in missing)}
        cells = text.to_pylist()
        known = [None if cell is None or cell.strip() in blank else cell for cell in cells]
        return pa.chunked_array([pa.array(known, text.type)])
    texts = pa.array(["", *(each.strip(WHITE) for each in missing)], text.type)
    is_missing = pc.is_in(pc.ascii_trim_whitespace(text), value_set=texts)
    return pc.if_else(is_missing, pa.scalar(None, text.type), text)


def is_missing(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Which cells are null or NaN: bool `[n]`."""
    missing: npt.NDArray[np.bool_] = pc.is_null(column, nan_is_null=True).to_numpy()
    return missing


def value_name(value: Any) -> str:
    """A value as text: whole numbers without a point, truth values in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal | float) and -EXACT < value < EXACT:
        number = float(value)
        return str(int(number) if number.is_integer() else number)
    return str(value)


def category_name(value: Any) -> str:
    """A category as text, whatever file and column type it comes from.

    Text keeps its spelling, as in the zip code 01234, but for white space around it, truth values,
    and the `.0` that some programs write behind whole numbers: `1.0` is 1 and `TRUE` is true.
    """
    name = value_name(value).strip(WHITE)
    if name in BOOLEANS:
        return value_name(BOOLEANS[name])
    whole = WHOLE.fullmatch(name)
    return whole[1] if whole else name


def category_names(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The name of each distinct value, and the place among them of each cell, int64 `[n]`."""
    distinct = pc.unique(column)
    places = pc.index_in(column, value_set=distinct).to_numpy()
    if is_time(column.type):  # Python's own end with the year 9999
        distinct = distinct.cast(pa.string())
    return [category_name(value) for value in distinct.to_pylist()], places


def first_failure(column: pa.ChunkedArray, works: Callable[[pa.ChunkedArray], bool]) -> int:
    """The first row that does not work together with those above it, of a column that does not."""
    n_rows = 1  # mostly it is one of the first
    while n_rows < len(column) and works(column.slice(0, n_rows)):
        n_rows *= 2
    rows = range(min(n_rows, len(column)))
    return bisect.bisect_left(rows, True, key=lambda row: not works(column.slice(0, row + 1)))


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)


def is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_time(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def cast_or_none(
    column: pa.ChunkedArray, kind: pa.DataType, safe: bool = True
) -> pa.ChunkedArray | None:
    """A column in another type; None if some cell has no form there."""
    try:
        return column.cast(kind, safe=safe)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _float64_confuses(numbers: pa.ChunkedArray) -> bool:
    largest = pc.max(pc.abs(numbers)).as_py() or 0
    return EXACT <= largest < np.inf and not pc.any(pc.is_nan(numbers)).as_py()
