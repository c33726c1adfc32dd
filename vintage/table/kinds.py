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
from vintage.base.tensors import Feature, Features
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
)
from vintage.table.forms import PLAIN, form_of
from vintage.table.identity import MISSING_HASH, name_hashes

FREE_TEXT_SHARE = 10  # text of more different cells than a tenth of its rows is not a category
MIN_CATEGORIES = 20
MAX_CATEGORIES = 1_000
LONGEST_NAME = 10_000  # characters
FAR = 4

Floats = npt.NDArray[np.float64]


class Kind(ABC):
    """A kind of column.

    Attributes:
        name: as in `data.kinds` and in the schema.
        is_text: whether text is taken as it is written, also where it looks like numbers.
        has_categories: whether the schema lists the names that cells have, and cells of the same
            name are the same.
    """

    name: str
    is_text = True
    has_categories = False

    @abstractmethod
    def recognises(self, cells: pa.ChunkedArray, place: Place, n_texts: int) -> bool:
        """Whether a column is of this kind, by its typed cells in the train rows.

        Args:
            n_texts: how many train rows have text there, where `cells` are but the telling ones.
        """

    @abstractmethod
    def fit(self, name: str, cells: pa.ChunkedArray, place: Place) -> Feature | str:
        """The feature of a column, or why it is dropped; some cell is not missing."""

    @abstractmethod
    def encode(self, column: pa.ChunkedArray, feature: Feature, place: Place) -> Features:
        """The cells as the feature says: float32 `[n]`."""


class Continuous(Kind):
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
        low = far_low(wide)
        offset = 0.0
        if low is not None:
            shifted = np.unique((wide - low).astype(np.float32))
            offset = offset_of(low, len(shifted), len(np.unique(numbers)))
        if offset:
            numbers = (wide - offset).astype(np.float32)
        if numbers.min() == numbers.max() and not has_missing:
            if np.abs(wide[0]) >= EXACT:
                return "constant in the train rows as 64-bit numbers; see data.kinds"
            lost = " as 32-bit numbers; multiply it" if wide.min() < wide.max() else ""
            return f"constant in the train rows{lost}"
        return Feature(name=name, kind=self.name, missing=has_missing, offset=offset)

    def encode(self, column: pa.ChunkedArray, feature: Feature, place: Place) -> Features:
        wide = self.read(column, place)
        return _finite(wide - feature.offset if feature.offset else wide, place)


class Numeric(Continuous):
    """Numbers; set by hand, also truth values, as 1 and 0."""

    name = "numeric"
    is_text = False

    def recognises(self, cells: pa.ChunkedArray, place: Place, n_texts: int) -> bool:  # noqa: ARG002
        return is_number(cells.type)

    def read(self, column: pa.ChunkedArray, place: Place) -> Floats:
        cells = typed(column)
        if is_text(cells.type):
            raise _not_a_number(cells, place)
        if is_time(cells.type):
            advice = place.advice("; list it in data.ignore")
            raise place.column_error(f"is of type {cells.type}, not numbers{advice}")
        return as_floats(cells)


class Datetime(Continuous):
    """Dates and times, as days since 2000-01-01 in UTC."""

    name = "datetime"

    def recognises(self, cells: pa.ChunkedArray, place: Place, n_texts: int) -> bool:  # noqa: ARG002
        return is_time(cells.type) or (is_text(cells.type) and as_days(cells) is not None)

    def read(self, column: pa.ChunkedArray, place: Place) -> Floats:
        if is_number(column.type) or pa.types.is_boolean(column.type):
            advice = place.advice("; see data.kinds")
            raise place.column_error(f"is of type {column.type}, not times{advice}")
        if (days := as_days(column)) is not None:
            return as_floats(days)
        row = first_failure(column, lambda cells: as_days(cells) is not None)
        problem = "of this time and those above it, some have a zone and some have none"
        if as_days(column.slice(row, 1)) is None:
            cell = column[row].as_py()[:40]
            problem = f"{cell!r} is no time in ISO 8601, such as 2024-02-29 or 2024-02-29T23:59:59"
        raise place.error(row, problem)


class Categorical(Kind):
    """Text, truth values or anything else by its name, as its place among the train rows' names."""

    name = "categorical"
    has_categories = True

    def recognises(self, cells: pa.ChunkedArray, place: Place, n_texts: int) -> bool:
        if is_text(cells.type):
            _refuse_free_text(cells, place, n_texts)
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

    def encode(
        self,
        column: pa.ChunkedArray,
        feature: Feature,
        place: Place,  # noqa: ARG002
    ) -> Features:
        missing = is_missing(column)
        names, places = category_names(column)
        codes = {name: code for code, name in enumerate(feature.categories or [])}
        of_names = np.array([codes.get(n, feature.unknown_code) for n in names], dtype=np.float32)
        encoded = of_names[places]
        encoded[missing] = len(codes) if feature.missing else feature.unknown_code
        return encoded


# a column is of the first kind that recognises it
KINDS: dict[str, Kind] = {kind.name: kind for kind in (Numeric(), Datetime(), Categorical())}


def kind_of(feature: Feature) -> Kind:
    """The kind of a schema's column.

    Raises:
        InputError: the schema names a kind that is unknown, or is not complete.
    """
    kind = KINDS.get(feature.kind)
    if kind is None or (feature.categories is not None) != kind.has_categories:
        raise InputError(
            f"the schema's column {feature.name!r} is of kind {feature.kind!r} with categories "
            f"{feature.categories}; known kinds are {', '.join(KINDS)}"
        )
    return kind


def twin_keys(
    column: pa.ChunkedArray, by_hand: str | None, of_all: np.dtype[Any] | None = None
) -> npt.NDArray[Any]:
    """A number for each cell, `[n]`: the same one for cells that say the same.

    The kind is not known before the split, if it is not set by hand, so numbers, times and names
    are told apart by their looks. Numbers are the same if they are so in 32 bits, or in 64 where
    they may get an offset.

    Args:
        of_all: of a part of a column, the dtype that all of it gives.

    Returns:
        Numbers as float32 or float64, or hashes of names as uint64.
    """
    numbers = None
    has_categories = by_hand is not None and KINDS[by_hand].has_categories
    if not has_categories and of_all != np.uint64:
        is_numeric = is_number(column.type) or pa.types.is_boolean(column.type)
        numbers = column if is_numeric else as_days(column)
    if numbers is None:
        names, places = category_names(column)
        return np.where(is_missing(column), MISSING_HASH, name_hashes(names)[places])
    wide = as_floats(numbers)
    if of_all == np.float64:
        return wide
    with np.errstate(over="ignore"):
        rounded = wide.astype(np.float32)
    if of_all == np.float32:
        return rounded
    low, high = np.fmin.reduce(rounded), np.fmax.reduce(rounded)
    return wide if is_far(float(low), float(high)) else rounded


def is_far(low: float, high: float) -> bool:
    """Whether numbers lie so far from 0, for their range, that float32 gains by an offset."""
    return max(abs(low), abs(high)) > FAR * (high - low)


def far_low(wide: Floats) -> float | None:
    """The least of finite numbers, if they are far from 0 for their range."""
    low = float(wide.min())
    return low if is_far(low, float(wide.max())) else None


def offset_of(low: float, n_shifted: int, n_different: int) -> float:
    """The least number, if more of them stay different in 32 bits when it is subtracted; else 0."""
    return low if n_shifted > n_different else 0.0


def _refuse_free_text(cells: pa.ChunkedArray, place: Place, n_texts: int) -> None:
    distinct = pc.unique(pc.ascii_trim_whitespace(cells).drop_null())
    limit = max(MIN_CATEGORIES, min(MAX_CATEGORIES, n_texts // FREE_TEXT_SHARE))
    if len(distinct) <= limit:
        return
    if form := form_of(distinct):
        raise place.column_error(f"holds {form}, or list it in data.ignore")
    if pc.mean(pc.match_substring_regex(distinct, PLAIN)).as_py() > 0.5:
        raise _not_a_number(cells, place)
    # of the telling cells no more are known
    n_known = f"more than {MAX_CATEGORIES}" if len(distinct) > MAX_CATEGORIES else len(distinct)
    raise place.column_error(
        f"holds {n_known} different texts in {n_texts} train rows, so it looks like free "
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


def _finite(wide: Floats, place: Place) -> Features:
    with np.errstate(over="ignore"):
        numbers: Features = wide.astype(np.float32)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise place.error(row, f"{wide[row]} is not a finite 32-bit number")
    return numbers
