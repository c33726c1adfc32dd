"""What identifies a row, wherever it stands, and which rows are equal.

The same cells give the same id in CSV, Parquet and Arrow: 0.7 and 0.70 are one number, and white
space around a cell does not count, as in `vintage.table.cells.category_name`.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.tensors import MISSING
from vintage.table.cells import (
    EXACT,
    NUMBER,
    Place,
    as_floats,
    category_names,
    is_missing,
    is_number,
    is_text,
    is_time,
    typed,
    typed_as,
    with_nulls,
)

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int64]

MISSING_HASH = np.uint64(0x9E3779B97F4A7C15)
BLOCK_ROWS = 1 << 15  # that a core's cache holds


def table_hashes(
    table: pa.Table,
    missing: Collection[str] = MISSING,
    kinds: Mapping[str, pa.DataType] | None = None,
) -> Hashes:
    """A 64-bit hash of each row's cells, whatever the order of the columns: uint64 `[n]`.

    Args:
        missing: texts that mean a missing cell.
        kinds: of a part of a table, what `typed` finds in all of each column.
    """
    names = sorted(table.column_names)
    kinds = kinds or {}
    return row_hashes(_cells(with_nulls(table[n], missing), kinds.get(n)) for n in names)


def row_ids(contents: Hashes) -> Ids:
    """An id for each row: its content and which of the rows of the same content it is, int64 `[n]`.

    The first of several equal rows has the same id whether others follow it or not.
    """
    nth = pd.Series(contents).groupby(contents, sort=False).cumcount()
    return mixed(contents + nth.to_numpy().astype(np.uint64)).view(np.int64)


def ids_of_column(column: pa.ChunkedArray, place: Place, kind: pa.DataType | None = None) -> Ids:
    """The ids that a column tells: int64 `[n]`.

    Args:
        kind: of a part of a column, what `typed` finds in all of it.

    Raises:
        InputError: a cell is missing, or stands there twice.
    """
    empty = is_missing(column)
    if empty.any():
        raise place.error(int(np.argmax(empty)), "the cell is empty; an id names each row")
    hashes = row_hashes([_cells(column, kind)])
    places, names = _confused(column)
    hashes[places] = row_hashes([name_hashes(names)])
    repeated = pd.Series(hashes).duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise place.error(row, f"{column[row].as_py()!r} is the id of an earlier row, too")
    return hashes.view(np.int64)


def _confused(column: pa.ChunkedArray) -> tuple[list[int], list[str]]:
    """The places and the digits of whole numbers that float64 confuses with others."""
    if is_text(column.type):
        is_long = pc.match_substring_regex(column, r"^\s*[+-]?\d{16,}\s*$")
    elif is_number(column.type) and not pa.types.is_floating(column.type):
        is_long = pa.array(np.abs(as_floats(column)) >= EXACT)
    else:
        return [], []
    places = np.flatnonzero(is_long.to_numpy(zero_copy_only=False))
    texts = column.take(pa.array(places)).cast(pa.string()).to_pylist()
    numbers = [(place, Decimal(text)) for place, text in zip(places.tolist(), texts, strict=True)]
    confused = [(place, str(number)) for place, number in numbers if float(number) != number]
    return [place for place, _ in confused], [digits for _, digits in confused]


def equal_rows(columns: Iterable[npt.NDArray[Any]]) -> Ids:
    """Give equal rows the same number, from 0 by first appearance: int64 `[n]`.

    Two different rows that share a hash (one chance in 10**7 for a million rows) count as equal,
    and so are kept together, which leaks nothing.

    Args:
        columns: numbers `[n]` each; NaN equals NaN, and -0.0 equals 0.0.
    """
    return pd.factorize(row_hashes(columns))[0].astype(np.int64)


def torn_rows(groups: Ids, part: Ids) -> npt.NDArray[np.bool_]:
    """The rows whose group has rows in several parts: bool `[n]`.

    Args:
        part: int64 `[n]`, the number of each row's part.
    """
    parts = pd.Series(part).groupby(groups)
    return np.asarray(parts.transform("min") < parts.transform("max"))


def row_hashes(columns: Iterable[npt.NDArray[Any]]) -> Hashes:
    """A 64-bit hash of each row: uint64 `[n]`.

    Args:
        columns: hashes as uint64, or numbers, `[n]` each.
    """
    hashes = np.zeros(0, dtype=np.uint64)
    for column in columns:
        hashes = hashes if len(hashes) else np.zeros(len(column), dtype=np.uint64)
        for start in range(0, len(column), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            hashes[block] = mixed(hashes[block] + _hashes(column[block]))
    return hashes


def mixed(hashes: Hashes) -> Hashes:
    """Hashes of hashes, all bits of each depending on all bits: uint64 `[n]`.

    Source: the finalizer of Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators,
    OOPSLA 2014.
    """
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _hashes(cells: npt.NDArray[Any]) -> Hashes:
    """uint64 as it is; a number by its bits as float64."""
    if cells.dtype == np.uint64:
        return cells
    numbers = cells + np.float64(0)  # makes -0.0 equal to 0.0
    hashes = numbers.view(np.uint64)
    hashes[np.isnan(numbers)] = MISSING_HASH
    return hashes


def name_hashes(names: list[str]) -> Hashes:
    """Of texts, each of which stands for itself: uint64 `[n]`."""
    hashes: Hashes = pd.util.hash_array(np.array(names, dtype=object), categorize=False)
    return hashes


def _cells(column: pa.ChunkedArray, kind: pa.DataType | None) -> npt.NDArray[Any]:
    """Numbers as float64, NaN where missing; anything else as the hash of its text, uint64."""
    cells = typed(column) if kind is None else typed_as(column, kind)
    if is_number(cells.type) or pa.types.is_null(cells.type):
        return as_floats(cells)
    if not (is_text(cells.type) or is_time(cells.type) or pa.types.is_boolean(cells.type)):
        # a foreign type, of a column that is ignored
        return _text_hashes([repr(value) for value in cells.to_pylist()])
    names, places = category_names(cells)
    hashes = _text_hashes(names)[places]
    hashes[is_missing(cells)] = MISSING_HASH
    return hashes


def _text_hashes(names: list[str]) -> Hashes:
    """Of texts, uint64 `[n]`; one that says a number has the hash of the number."""
    texts = np.array(names, dtype=object)
    hashes = name_hashes(names)
    says_number = np.array([bool(NUMBER.fullmatch(name)) for name in names], dtype=np.bool_)
    hashes[says_number] = _hashes(texts[says_number].astype(np.float64))
    return hashes
