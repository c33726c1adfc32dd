"""The kinds of columns: each is a class here, by its name in `KINDS`.

A kind says which columns are of it, what is stored in the schema, and what the cells become. How a
network takes it in is written in `vintage/network/encoding.py`.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import InputError
from vintage.base.tensors import Feature
from vintage.table.cells import (
    EXACT,
    Place,
    as_days,
    as_floats,
    as_numbers,
    category_names,
    first_failure,
    is_missing,
    is_number,
    is_text,
    is_time,
    typed,
    utf8_text,
)
from vintage.table.forms import PLAIN, form_of

FREE_TEXT_SHARE = 10  # text of more different cells than a tenth of its rows is not a category
MIN_CATEGORIES = 20
MAX_CATEGORIES = 1_000
LONGEST_NAME = 10_000  # characters
FAR = 4

Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


class Kind(ABC):
    """A kind of column.

    Attributes:
        name: as in `data.kinds` and in the schema.
        is_text: whether text is taken as it is written, also where it looks like numbers.
    """

    name: str
    is_text = True

    @abstractmethod
    def recognises(self, cells: pa.ChunkedArray, place: Place) -> bool:
        """Whether a column is of this kind, by its typed cells in the train rows."""

    @abstractmethod
    def fit(self, name: str, cells: pa.ChunkedArray, place: Place) -> Feature | str:
        """The feature of a column, or why it is dropped; some cell is not missing."""

    @abstractmethod
    def encode(self, column: pa.ChunkedArray, feature: Feature, place: Place) -> Floats32:
        """The cells as the feature says: float32 `[n]`."""

    @abstractmethod
    def keys(self, column: pa.ChunkedArray) -> npt.NDArray[Any]:
        """A number for each cell, `[n]`: the same one for cells that say the same."""


class _Continuous(Kind):
    """What is stored as a number: NaN where it is missing, less an offset if it is far from 0."""

    @abstractmethod
    def read(self, column: pa.ChunkedArray, place: Place) -> Floats:
        """float64 `[n]`, NaN where a cell is missing."""

    def fit(self, name: str, cells: pa.ChunkedArray, place: Place) -> Feature | str:
        missing = is_missing(cells)
        has_missing = bool(missing.any())
        wide = self.read(cells, place)
        numbers = _finite(wide, place)[~missing]
        wide = wide[~missing]
        if offset := _offset(wide, numbers):
            numbers = (wide - offset).astype(np.float32)
        if numbers.min() == numbers.max() and not has_missing:
            return "constant in the train rows" + _what_was_lost(wide)
        return Feature(name=name, kind=self.name, missing=has_missing, offset=offset)

    def encode(self, column: pa.ChunkedArray, feature: Feature, place: Place) -> Floats32:
        wide = self.read(column, place)
        return _finite(wide - feature.offset if feature.offset else wide, place)


class Numeric(_Continuous):
    """Numbers; set by hand, also truth values, as 1 and 0."""

    name = "numeric"
    is_text = False

    def recognises(self, cells: pa.ChunkedArray, place: Place) -> bool:  # noqa: ARG002
        return is_number(cells.type)

    def read(self, column: pa.ChunkedArray, place: Place) -> Floats:
        cells = typed(column)
        if is_text(cells.type):
            raise _not_a_number(utf8_text(cells, place), place)
        if pa.types.is_null(cells.type):
            return np.full(len(cells), np.nan)
        if not (is_number(cells.type) or pa.types.is_boolean(cells.type)):
            advice = place.advice("; list it in data.ignore")
            raise place.column_error(f"is of type {cells.type}, not numbers{advice}")
        return as_floats(cells)

    def keys(self, column: pa.ChunkedArray) -> npt.NDArray[Any]:
        """Numbers are the same if they are so in 32 bits, or in 64 where they may get an offset."""
        return _number_keys(as_floats(column.cast(pa.float64(), safe=False)))


class Datetime(_Continuous):
    """Dates and times, as days since 2000-01-01 in UTC."""

    name = "datetime"

    def recognises(self, cells: pa.ChunkedArray, place: Place) -> bool:  # noqa: ARG002
        return is_time(cells.type) or (is_text(cells.type) and as_days(cells) is not None)

    def read(self, column: pa.ChunkedArray, place: Place) -> Floats:
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan)
        if not is_text(column.type):
            if (days := as_days(column)) is not None and is_time(column.type):
                return as_floats(days)
            advice = place.advice("; see data.kinds")
            raise place.column_error(f"is of type {column.type}, not times{advice}")
        column = utf8_text(column, place)
        if (days := as_days(column)) is not None:
            return as_floats(days)
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

    def keys(self, column: pa.ChunkedArray) -> npt.NDArray[Any]:
        days = as_days(column)
        return _number_keys(as_floats(days)) if days is not None else _codes(column)


class Categorical(Kind):
    """Text, truth values or anything else by its name, as its place among the train rows' names.

    Behind the names come a code for missing, if a train row's cell is, and one for every name that
    no train row has.
    """

    name = "categorical"

    def recognises(self, cells: pa.ChunkedArray, place: Place) -> bool:
        if is_text(cells.type):
            _refuse_free_text(utf8_text(cells, place), place)
        return True

    def fit(self, name: str, cells: pa.ChunkedArray, place: Place) -> Feature | str:
        missing = is_missing(cells)
        has_missing = bool(missing.any())
        names = sorted(set(category_names(cells.filter(pa.array(~missing)))[0]))
        if (longest := max(map(len, names))) > LONGEST_NAME:
            raise place.column_error(
                f"holds a text of {longest} characters, and a category has at most {LONGEST_NAME}; "
                "list it in data.ignore"
            )
        if len(names) == 1 and not has_missing:
            return "constant in the train rows"
        return Feature(name=name, kind=self.name, missing=has_missing, categories=names)

    def encode(self, column: pa.ChunkedArray, feature: Feature, place: Place) -> Floats32:
        if is_text(column.type):
            column = utf8_text(column, place)
        missing = is_missing(column)
        names, places = category_names(column)
        codes = {name: code for code, name in enumerate(feature.categories or [])}
        of_names = np.array([codes.get(n, feature.unknown_code) for n in names], dtype=np.float32)
        encoded = of_names[places]
        encoded[missing] = len(codes) if feature.missing else feature.unknown_code
        return encoded

    def keys(self, column: pa.ChunkedArray) -> npt.NDArray[Any]:
        return _codes(column)


# a column is of the first kind that recognises it
KINDS: dict[str, Kind] = {kind.name: kind for kind in (Numeric(), Datetime(), Categorical())}


def kind_of(feature: Feature) -> Kind:
    """The kind of a schema's column.

    Raises:
        InputError: the schema names a kind that is unknown, or is not complete.
    """
    kind = KINDS.get(feature.kind)
    if kind is None or (feature.categories is not None) != isinstance(kind, Categorical):
        raise InputError(
            f"the schema's column {feature.name!r} is of kind {feature.kind!r} with categories "
            f"{feature.categories}; known kinds are {', '.join(KINDS)}"
        )
    return kind


def find_kind(cells: pa.ChunkedArray, place: Place) -> Kind:
    """The kind of a column by its typed cells in the train rows."""
    return next(kind for kind in KINDS.values() if kind.recognises(cells, place))


def twin_keys(column: pa.ChunkedArray, kind: Kind | None = None) -> npt.NDArray[Any]:
    """A number for each cell, `[n]`: the same one for cells that say the same.

    Args:
        kind: if it is set by hand; otherwise it is not known before the split, and numbers, times
            and names are told apart by their type and their looks.
    """
    if kind is not None and kind.is_text:
        return kind.keys(column)
    if is_number(column.type) or pa.types.is_boolean(column.type):
        return KINDS["numeric"].keys(column)
    return KINDS["datetime"].keys(column)


def is_far(low: float, high: float) -> bool:
    """Whether numbers lie so far from 0, for their range, that float32 gains by an offset."""
    return max(abs(low), abs(high)) > FAR * (high - low)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The place of each cell's name among the names, -1 if it is missing."""
    if pa.types.is_binary(column.type):  # not UTF-8, which is refused later
        return pc.index_in(column, value_set=pc.unique(column)).to_numpy()
    names, places = category_names(column)
    keys: npt.NDArray[Any] = np.unique(names, return_inverse=True)[1][places]
    keys[is_missing(column)] = -1
    return keys


def _number_keys(numbers: Floats) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        keys: npt.NDArray[Any] = numbers.astype(np.float32)
    low, high = np.fmin.reduce(keys), np.fmax.reduce(keys)
    if is_far(float(low), float(high)):
        keys = numbers
    return keys + keys.dtype.type(0)  # makes -0.0 equal to 0.0


def _what_was_lost(wide: Floats) -> str:
    """What to say of numbers that are equal as stored, and perhaps not as read."""
    if np.abs(wide[0]) >= EXACT:
        return (
            " as 64-bit numbers, which tell whole numbers apart up to 2**53; set its kind to "
            "categorical in data.kinds"
        )
    if wide.min() == wide.max():
        return ""
    return " as 32-bit numbers, which hold none so near to 0; multiply it by a constant"


def _offset(wide: Floats, numbers: Floats32) -> float:
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


def _refuse_free_text(cells: pa.ChunkedArray, place: Place) -> None:
    texts = pc.ascii_trim_whitespace(cells).drop_null()
    distinct = pc.unique(texts)
    limit = max(MIN_CATEGORIES, min(MAX_CATEGORIES, len(texts) // FREE_TEXT_SHARE))
    if len(distinct) <= limit:
        return
    if form := form_of(distinct):
        raise place.column_error(f"holds {form}, or list it in data.ignore")
    if pc.mean(pc.match_substring_regex(distinct, PLAIN)).as_py() > 0.5:
        raise _not_a_number(cells, place)
    raise place.column_error(
        f"holds {len(distinct)} different texts in {len(texts)} train rows, so it looks like free "
        "text or an identifier; list it in data.ignore, or set its kind to categorical in "
        "data.kinds"
    )


def _not_a_number(cells: pa.ChunkedArray, place: Place) -> InputError:
    """What to say of a column that should hold numbers: its first cell that does not."""
    row = first_failure(cells, lambda some: as_numbers(some) is not None)
    advice = place.advice(
        ", list the column in data.ignore, or set its kind to categorical in data.kinds"
    )
    return place.error(row, f"{cells[row].as_py()[:40]!r} is not a number; correct it{advice}")


def _finite(wide: Floats, place: Place) -> Floats32:
    with np.errstate(over="ignore"):
        numbers: Floats32 = wide.astype(np.float32)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise place.error(row, f"{wide[row]} is not a finite 32-bit number")
    return numbers
