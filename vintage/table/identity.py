"""What identifies a row of a table, wherever it stands: its cells, or a column of ids.

The same cells give the same id in CSV, Parquet and Arrow: 0.7 and 0.70 are one number, and white
space around a cell does not count, as in `vintage.table.cells.category_name`.
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.tensors import MISSING
from vintage.table.cells import (
    NUMBER,
    Place,
    as_floats,
    category_name,
    is_missing,
    is_number,
    is_text,
    is_time,
    typed,
    with_nulls,
)

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int64]

MISSING_HASH = np.uint64(0x9E3779B97F4A7C15)
BLOCK_ROWS = 1 << 15  # that a core's cache holds


def table_hashes(table: pa.Table, missing: Collection[str] = MISSING) -> Hashes:
    """A 64-bit hash of each row's cells, whatever the order of the columns: uint64 `[n]`.

    Args:
        missing: texts that mean a missing cell.
    """
    columns = (with_nulls(table[name], missing) for name in sorted(table.column_names))
    return row_hashes(columns, table.num_rows)


def row_hashes(columns: Iterable[pa.ChunkedArray], n_rows: int) -> Hashes:
    """A 64-bit hash of what the cells of each row say, column by column: uint64 `[n_rows]`."""
    hashes = np.zeros(n_rows, dtype=np.uint64)
    for column in columns:
        cells = _cells(column)
        for start in range(0, n_rows, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            hashes[block] = mixed(hashes[block] + _hashes(cells[block]))
    return hashes


def row_ids(contents: Hashes) -> Ids:
    """An id for each row: its content and which of the rows of the same content it is, int64 `[n]`.

    The first of several equal rows has the same id whether others follow it or not.
    """
    rows = pd.Series(contents)
    equal = rows[rows.duplicated(keep=False)]
    nth = np.zeros(len(contents), dtype=np.uint64)
    nth[equal.index.to_numpy()] = equal.groupby(equal, sort=False).cumcount().to_numpy()
    return mixed(contents + nth).view(np.int64)


def ids_of_column(column: pa.ChunkedArray, place: Place) -> Ids:
    """The ids that a column tells: int64 `[n]`.

    Raises:
        InputError: a cell is missing, or stands there twice.
    """
    empty = is_missing(column)
    if empty.any():
        raise place.error(int(np.argmax(empty)), "the cell is empty; an id names each row")
    hashes = row_hashes([column], len(column))
    repeated = pd.Series(hashes).duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise place.error(row, f"{column[row].as_py()!r} is the id of an earlier row, too")
    return hashes.view(np.int64)


def mixed(hashes: Hashes) -> Hashes:
    """Hashes of hashes, all bits of each depending on all bits: uint64 `[n]`.

    Source: the finalizer of Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators,
    OOPSLA 2014.
    """
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _hashes(cells: npt.NDArray[Any]) -> Hashes:
    """uint64 as it is; a float64 by its bits."""
    if cells.dtype == np.uint64:
        return cells
    hashes = (cells + 0.0).view(np.uint64)  # makes -0.0 equal to 0.0
    hashes[np.isnan(cells)] = MISSING_HASH
    return hashes


def _cells(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Numbers as float64, NaN where missing; anything else as the hash of its text, uint64."""
    cells = typed(column)
    if pa.types.is_null(cells.type):
        return np.full(len(cells), np.nan)
    if is_number(cells.type):
        return as_floats(cells)
    if not (is_text(cells.type) or is_time(cells.type) or pa.types.is_boolean(cells.type)):
        # a foreign type, of a column that is ignored
        return _text_hashes([repr(value) for value in cells.to_pylist()])
    missing = is_missing(cells)
    if is_time(cells.type):  # Python's own end with the year 9999
        cells = cells.cast(pa.string())
    distinct = pc.unique(cells)
    hashes = _text_hashes([_text(value) for value in distinct.to_pylist()])
    of_cells = hashes[pc.index_in(cells, value_set=distinct).to_numpy()]
    of_cells[missing] = MISSING_HASH
    return of_cells


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode("latin-1") if isinstance(value, bytes) else category_name(value)


def _text_hashes(names: list[str]) -> Hashes:
    """Of texts, uint64 `[n]`; one that says a number has the hash of the number."""
    texts = np.array(names, dtype=object)
    hashes: Hashes = pd.util.hash_array(texts, categorize=False)
    says_number = np.array([bool(NUMBER.fullmatch(name)) for name in names], dtype=np.bool_)
    numbers = np.array([float(name) for name in texts[says_number]], dtype=np.float64)
    hashes[says_number] = _hashes(numbers)
    return hashes
