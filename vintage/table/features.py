"""Which columns are features, of what kind each of them is, and their cells as float32.

The kinds and categories are those of the train rows. They stand in the schema, by which the cells
of every table are encoded, today's test rows as well as those that come later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import Problems
from vintage.base.params import Kind
from vintage.base.tensors import Feature, Features
from vintage.table.cells import (
    EXACT,
    Place,
    as_days,
    as_numbers,
    category_names,
    first_failure,
    is_missing,
    is_number,
    is_text,
    is_time,
    not_utf8,
    text_of,
    typed,
)
from vintage.table.forms import PLAIN, form_of
from vintage.table.read import MAX_NAME

FREE_TEXT_SHARE = 10  # a text column with more different texts than a tenth of its rows is no class
MIN_CATEGORIES = 20
MAX_CATEGORIES = 1_000
BLOCK_ROWS = 8192
FAR = 4

Columns = Mapping[str, pa.ChunkedArray]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """Where cells come from, for errors: the file and the number in it of each row, int64 `[n]`."""

    path: str
    rows: Indices
    is_new: bool = False

    def place(self, column: str) -> Place:
        return Place(self.path, column, self.rows, self.is_new)


def fit_features(
    columns: Columns, train: Indices, kinds: Mapping[str, Kind], source: Source
) -> tuple[list[Feature], dict[str, str]]:
    """Find each column's kind and categories in the train rows.

    Numbers are numeric; text and truth values are categorical; ISO 8601 text and Parquet's times
    are date-times. A column that is constant or empty in train is dropped.

    Args:
        columns: typed cells by name, see `vintage.table.cells.typed`.
        train: the train rows' places in the columns.
        kinds: kinds set by hand.

    Returns:
        The features, and by dropped column the reason.

    Raises:
        InputError: free text, cells that are not of the kind set by hand, or no feature left.
    """
    features, dropped, problems = [], {}, Problems()
    for name, column in columns.items():
        place = Place(source.path, name, source.rows[train])
        kind = kinds.get(name)
        cells = typed(column.take(pa.array(train)), exact=kind == "categorical")
        with problems.noted():
            feature = _fit(name, cells, kind, place)
            if isinstance(feature, str):
                dropped[name] = feature
            else:
                features.append(feature)
    if problems.found:
        with problems.noted():  # what is wrong in the other rows alone
            encode_features(columns, features, source)
    problems.refuse()
    if not features:
        raise Place(source.path, next(iter(columns)), train).column_error(
            "and all others are constant or empty in the train rows; no feature is left"
        )
    return features, dropped


def encode_features(columns: Columns, features: Sequence[Feature], source: Source) -> Features:
    """The cells of `features` as the schema says: float32 `[n, n_features]`.

    Raises:
        InputError: a cell that is no number, no time, not finite in 32 bits, or not UTF-8.
    """
    encoded, problems = [], Problems()
    for feature in features:
        with problems.noted():
            encoded.append(_encode(columns[feature.name], feature, source.place(feature.name)))
    problems.refuse()
    rows = np.empty((len(source.rows), len(features)), dtype=np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):  # in blocks that a core's cache holds
        block = slice(start, start + BLOCK_ROWS)
        for index, column in enumerate(encoded):
            rows[block, index] = column[block]
    return rows


def _encode(column: pa.ChunkedArray, feature: Feature, place: Place) -> npt.NDArray[np.float32]:
    check_type(column, place)
    if feature.categories is not None:
        return _codes(column, feature, place)
    wide = _days(column, place) if feature.kind == "datetime" else _numbers(column, place)
    return _finite(wide - feature.offset if feature.offset else wide, place)


def twin_keys(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A number for each cell, `[n]`: the same one for cells that say the same.

    Two numbers are the same if they are so in 32 bits, or in 64 where they may get an offset; two
    texts if they name one category.
    """
    if is_number(column.type) or pa.types.is_boolean(column.type):
        return _number_keys(column.cast(pa.float64(), safe=False))
    days = None if pa.types.is_binary(column.type) else as_days(column)
    if days is not None:
        return _number_keys(days)
    if pa.types.is_binary(column.type):
        return pc.index_in(column, value_set=pc.unique(column)).to_numpy()
    missing = is_missing(column)
    names, places = category_names(column)
    keys: npt.NDArray[Any] = np.unique(names, return_inverse=True)[1][places]
    keys[missing] = -1
    return keys


def _number_keys(numbers: pa.ChunkedArray) -> npt.NDArray[Any]:
    keys: npt.NDArray[Any] = numbers.cast(pa.float32(), safe=False).to_numpy()
    low, high = keys.min(), keys.max()
    if np.isnan(low):
        low, high = np.fmin.reduce(keys), np.fmax.reduce(keys)
    if is_far(float(low), float(high)):
        keys = numbers.to_numpy()
    return keys + keys.dtype.type(0)  # makes -0.0 equal to 0.0


def _fit(name: str, cells: pa.ChunkedArray, kind: Kind | None, place: Place) -> Feature | str:
    missing = is_missing(cells)
    has_missing = bool(missing.any())
    if missing.all():
        return "empty in the train rows"
    kind = kind or _find_kind(cells, place)
    if kind == "categorical":
        categories = _categories(cells, missing, place)
        if len(categories) == 1 and not has_missing:
            return "constant in the train rows"
        return Feature(name=name, kind=kind, missing=has_missing, categories=categories)
    wide = _days(cells, place) if kind == "datetime" else _numbers(cells, place)
    numbers = _finite(wide, place)[~missing]
    if offset := _offset(wide[~missing], numbers):
        numbers = (wide[~missing] - offset).astype(np.float32)
    if numbers.min() == numbers.max() and not has_missing:
        return "constant in the train rows" + _what_was_lost(wide)
    return Feature(name=name, kind=kind, missing=has_missing, offset=offset)


def _what_was_lost(wide: npt.NDArray[np.float64]) -> str:
    """What to say of numbers that are equal as stored, and perhaps not as read."""
    if np.abs(wide[0]) >= EXACT:
        return (
            " as 64-bit numbers, which tell whole numbers apart up to 2**53; set its kind to "
            "categorical in data.kinds"
        )
    if wide.min() == wide.max():
        return ""
    return " as 32-bit numbers, which hold none so near to 0; multiply it by a constant"


def _offset(wide: npt.NDArray[np.float64], numbers: npt.NDArray[np.float32]) -> float:
    """The least number, if more of them stay different in 32 bits when it is subtracted; else 0.

    Args:
        wide: float64 `[n]`, finite.
        numbers: the same ones, rounded.
    """
    low, high = float(wide.min()), float(wide.max())
    if not is_far(low, high):
        return 0.0
    n_rounded = _n_distinct(numbers)
    if n_rounded == _n_distinct(wide):
        return 0.0
    return low if _n_distinct((wide - low).astype(np.float32)) > n_rounded else 0.0


def _n_distinct(numbers: npt.NDArray[Any]) -> int:
    return int(pc.count_distinct(pa.array(numbers)).as_py())


def is_far(low: float, high: float) -> bool:
    """Whether numbers lie so far from 0, for their range, that float32 gains by an offset."""
    return max(abs(low), abs(high)) > FAR * (high - low)


def missing_counts(columns: Columns, features: Sequence[Feature]) -> dict[str, int]:
    """By feature, how many cells are missing; without zeros."""
    counts = {feature.name: int(is_missing(columns[feature.name]).sum()) for feature in features}
    return {name: count for name, count in counts.items() if count}


def check_type(column: pa.ChunkedArray, place: Place) -> None:
    """Refuse a column of lists, durations and the like."""
    kind = column.type
    if not (
        is_number(kind)
        or is_text(kind)
        or is_time(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    ):
        advice = place.advice(": list it in data.ignore")
        raise place.column_error(
            f"is of type {kind}; a feature is numbers, text, truth values, dates or timestamps"
            f"{advice}"
        )


def _find_kind(cells: pa.ChunkedArray, place: Place) -> Kind:
    if is_number(cells.type):
        return "numeric"
    if pa.types.is_boolean(cells.type):
        return "categorical"
    if is_time(cells.type):
        return "datetime"
    if pa.types.is_binary(cells.type):
        raise not_utf8(cells, place)
    if as_days(cells) is not None:
        return "datetime"
    _refuse_free_text(cells, place)
    return "categorical"


def _refuse_free_text(cells: pa.ChunkedArray, place: Place) -> None:
    texts = pc.ascii_trim_whitespace(cells).drop_null()
    distinct = pc.unique(texts)
    limit = max(MIN_CATEGORIES, min(MAX_CATEGORIES, len(texts) // FREE_TEXT_SHARE))
    if len(distinct) <= limit:
        return
    if form := form_of(distinct):
        raise place.column_error(f"holds {form}, or list it in data.ignore")
    if pc.mean(pc.match_substring_regex(distinct, PLAIN)).as_py() > 0.5:
        raise _no_number(cells, place)
    raise place.column_error(
        f"holds {len(distinct)} different texts in {len(texts)} train rows, so it looks like free "
        "text or an identifier; list it in data.ignore, or set its kind to categorical in "
        "data.kinds"
    )


def _categories(cells: pa.ChunkedArray, missing: npt.NDArray[np.bool_], place: Place) -> list[str]:
    names = sorted(set(category_names(cells.filter(pa.array(~missing)))[0]))
    if (longest := max(map(len, names))) > MAX_NAME:
        raise place.column_error(
            f"holds a text of {longest} characters, and a category has at most {MAX_NAME}; list "
            "it in data.ignore"
        )
    return names


def _codes(column: pa.ChunkedArray, feature: Feature, place: Place) -> npt.NDArray[np.float32]:
    """Each cell's place in the feature's categories, or the code for missing or unknown."""
    if is_text(column.type):
        column = text_of(column)
        if pa.types.is_binary(column.type):
            raise not_utf8(column, place)
    missing = is_missing(column)
    names, places = category_names(column)
    codes = {name: code for code, name in enumerate(feature.categories or [])}
    of_names = np.array([codes.get(n, feature.unknown_code) for n in names], dtype=np.float32)
    encoded = of_names[places]
    encoded[missing] = len(codes) if feature.missing else feature.unknown_code
    return encoded


def _numbers(column: pa.ChunkedArray, place: Place) -> npt.NDArray[np.float64]:
    """float64 `[n]`, NaN where a cell is missing."""
    cells = typed(column)
    if pa.types.is_binary(cells.type):
        raise not_utf8(cells, place)
    if is_text(cells.type):
        raise _no_number(cells, place)
    if pa.types.is_null(cells.type):
        return np.full(len(cells), np.nan)
    if not (is_number(cells.type) or pa.types.is_boolean(cells.type)):
        advice = place.advice("; list it in data.ignore")
        raise place.column_error(f"is of type {cells.type}, not numbers{advice}")
    return _as_floats(cells)


def _days(column: pa.ChunkedArray, place: Place) -> npt.NDArray[np.float64]:
    """float64 `[n]`, days since 2000-01-01, NaN where a cell is missing."""
    if is_text(column.type):
        column = text_of(column)
        if pa.types.is_binary(column.type):
            raise not_utf8(column, place)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    days = as_days(column) if is_text(column.type) or is_time(column.type) else None
    if days is not None:
        return _as_floats(days)
    if not is_text(column.type):
        advice = place.advice("; see data.kinds")
        raise place.column_error(f"is of type {column.type}, not times{advice}")
    row = first_failure(column, lambda cells: as_days(cells) is not None)
    if as_days(column.slice(row, 1)) is not None:
        raise place.error(
            row, "of this time and those above it, some have a zone and some have none"
        )
    raise place.error(
        row,
        f"{column[row].as_py()[:40]!r} is no time in ISO 8601, such as 2024-02-29 or "
        "2024-02-29T23:59:59",
    )


def _no_number(cells: pa.ChunkedArray, place: Place) -> Exception:
    """What to say of a column that is not numbers: its first cell that is none."""
    row = first_failure(cells, lambda some: as_numbers(some) is not None)
    advice = place.advice(
        ", list the column in data.ignore, or set its kind to categorical in data.kinds"
    )
    return place.error(row, f"{cells[row].as_py()[:40]!r} is not a number; correct it{advice}")


def _as_floats(cells: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    floats: npt.NDArray[np.float64] = cells.cast(pa.float64(), safe=False).to_numpy()
    return floats


def _finite(wide: npt.NDArray[np.float64], place: Place) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        numbers: npt.NDArray[np.float32] = wide.astype(np.float32)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise place.error(row, f"{wide[row]} is not a finite 32-bit number")
    return numbers
