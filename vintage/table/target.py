"""The columns that are no features: the target, groups, times and a ready-made split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vintage.table.cells import (
    BOOLEANS,
    NUMBER,
    WHITE,
    Place,
    as_days,
    as_floats,
    category_names,
    is_missing,
    is_number,
    is_text,
    is_time,
    typed,
    utf8_text,
    value_name,
)
from vintage.table.identity import Hashes, Ids, name_hashes

MAX_NAME = 10_000  # characters of a column's or a class's name
MAX_CLASSES = 1_000
MAX_NUMERIC_CLASSES = 100
MAX_FRACTIONAL_CLASSES = 20
PARTS = ("train", "val", "test")


def encode_target(column: pa.ChunkedArray, place: Place) -> tuple[Ids, list[str]]:
    """The target as class ids int64 `[n]`, and the classes' names.

    Numbers are in ascending order, text in that of its code points; each text stands for itself.

    Raises:
        InputError: fewer than two classes, so many that it calls for regression, a cell that is
            not finite or not UTF-8.
    """
    if not len(column):
        raise place.column_error("is empty; set another data.target")
    column = typed(column, exact=True)
    _check_type(column, place)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        numbers = as_floats(column) + 0.0  # makes -0.0 equal to 0.0
        if not np.isfinite(numbers).all():
            row = int(np.argmin(np.isfinite(numbers)))
            raise place.error(row, f"{numbers[row]} is not a finite number; correct it")
        column = pa.chunked_array([numbers])
    unique = pc.unique(column)
    _check_classes(unique, place)
    values = sorted(unique.to_pylist())
    encoded = pc.index_in(column, value_set=pa.array(values, type=column.type))
    return encoded.to_numpy().astype(np.int64), [value_name(value) for value in values]


def find_classes(column: pa.ChunkedArray, classes: Sequence[str], place: Place) -> Ids:
    """The place among a model's classes of each cell of later rows, or -1: int64 `[n]`.

    A text that is no class as it is written may be one as the number or truth value that it says.

    Raises:
        InputError: a cell is not UTF-8, or the column is of a foreign type.
    """
    if is_text(column.type):
        column = utf8_text(column, place)
    if not pa.types.is_null(column.type):
        _check_type(column, place)
    places = {name: index for index, name in enumerate(classes)}
    different = column.unique()
    values = different.to_pylist()
    names = [(value_name(value), _said(value)) for value in values]
    found = [places.get(written, places.get(said, -1)) for written, said in names]
    return np.array(found, dtype=np.int64)[pc.index_in(column, value_set=different).to_numpy()]


def _said(value: Any) -> str:
    """The name of the number or the truth value that a text says; of anything else its own."""
    text = value.strip(WHITE) if isinstance(value, str) else ""
    if NUMBER.fullmatch(text):
        return value_name(float(text))
    return value_name(BOOLEANS.get(text, value))


def encode_groups(column: pa.ChunkedArray, place: Place) -> Ids:
    """A number for each cell, from 0 without gaps: int64 `[n]`; see `group_hashes`."""
    return pd.factorize(group_hashes(column, place))[0].astype(np.int64)


def group_hashes(column: pa.ChunkedArray, place: Place) -> Hashes:
    """A hash of each cell: uint64 `[n]`.

    Cells have the same one if they are equal numbers or name one category.
    """
    empty = is_missing(column)
    if empty.any():
        row = int(np.argmax(empty))
        raise place.error(row, "the cell is missing; split.group_by needs a group in every row")
    names, places = category_names(column)
    return name_hashes(names)[places]


def encode_order(column: pa.ChunkedArray, place: Place) -> npt.NDArray[np.float64]:
    """Numbers or times to sort by: float64 `[n]`."""
    column = typed(column)
    times = as_days(column) if is_text(column.type) or is_time(column.type) else None
    if times is None and not is_number(column.type):
        raise place.column_error("holds neither numbers nor times in ISO 8601; see split.order_by")
    order = as_floats(column if times is None else times)
    if not np.isfinite(order).all():
        row = int(np.argmin(np.isfinite(order)))
        raise place.error(
            row, "the cell is missing or not finite; split.order_by needs a value in every row"
        )
    return order


def encode_parts(column: pa.ChunkedArray, place: Place) -> Ids:
    """A ready-made split as places in `PARTS`: int64 `[n]`."""
    if not is_text(column.type):
        raise place.column_error(f"is of type {column.type}; it takes {', '.join(PARTS)}")
    parts = pc.index_in(pc.ascii_trim_whitespace(column), value_set=pa.array(PARTS, column.type))
    if parts.null_count:
        row = int(np.argmax(is_missing(parts)))
        raise place.error(
            row, f"{(column[row].as_py() or '')[:40]!r} is no part; allowed is {', '.join(PARTS)}"
        )
    return parts.to_numpy().astype(np.int64)


def _check_type(column: pa.ChunkedArray, place: Place) -> None:
    if not (is_text(column.type) or is_number(column.type) or pa.types.is_boolean(column.type)):
        raise place.column_error(f"is of type {column.type}; a target holds text or numbers")


def _check_classes(values: pa.Array, place: Place) -> None:
    if len(values) < 2:
        only = value_name(values[0].as_py())[:40]
        raise place.column_error(f"holds one class only, {only!r}; a classifier needs two")
    limit = MAX_CLASSES if is_text(values.type) else MAX_NUMERIC_CLASSES
    if pa.types.is_floating(values.type) and not pc.all(pc.equal(values, pc.round(values))).as_py():
        limit = MAX_FRACTIONAL_CLASSES
    if len(values) > limit:
        kind = "different texts" if is_text(values.type) else "different numbers"
        raise place.column_error(
            f"holds {len(values)} {kind}, more than {limit}: this calls for regression or names "
            "the wrong column; bin the values into classes or set another data.target"
        )
    if is_text(values.type) and (longest := pc.max(pc.utf8_length(values)).as_py()) > MAX_NAME:
        raise place.column_error(
            f"holds a text of {longest} characters, and a class name has at most {MAX_NAME}; "
            "set another data.target"
        )
