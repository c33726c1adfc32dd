"""Some cells that tell of a column what all of it tells: what it holds, and from where to where.

They are the extremes, the first cells that are not text in UTF-8, numbers, truth values or times,
and the different ones as far as they are counted. What is found of these few, by the functions that
look at whole columns, is true of all.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.table.cells import (
    Place,
    as_days,
    as_floats,
    as_numbers,
    cast_or_none,
    first_failure,
    is_missing,
    is_number,
    is_text,
    is_time,
    text_of,
    typed,
)
from vintage.table.identity import Ids


def _is_utf8(cells: pa.ChunkedArray) -> bool:
    return not pa.types.is_binary(text_of(cells).type)


def _are_numbers(cells: pa.ChunkedArray) -> bool:
    return _is_utf8(cells) and as_numbers(text_of(cells)) is not None


def _are_truths(cells: pa.ChunkedArray) -> bool:
    known = cells.drop_null()
    return not len(known) or pa.types.is_boolean(typed(known).type)


def _are_times(cells: pa.ChunkedArray, kind: pa.DataType) -> bool:
    if not _is_utf8(cells):
        return False
    return cast_or_none(pc.ascii_trim_whitespace(text_of(cells)), kind) is not None


Test = Callable[[pa.ChunkedArray], bool]
ORDERED: list[Test] = [
    _are_numbers,
    partial(_are_times, kind=pa.timestamp("us")),
    partial(_are_times, kind=pa.timestamp("us", "UTC")),
]
TESTS = [_is_utf8, _are_truths, *ORDERED]


class Telling:
    """Cells of a column that comes in parts.

    Attributes:
        n_different: how many different cells are kept; None: all.
        failed: the place in `cells` of the first one that fails a test.
        cells: those that tell, in the order of the rows.
        rows: int64 `[n]`, the numbers of their rows.
        n_known: how many cells are not missing, of all.
    """

    def __init__(self, n_different: int | None) -> None:
        self.n_different = n_different
        self.cells: pa.ChunkedArray = pa.chunked_array([], pa.null())
        self.rows: Ids = np.empty(0, np.int64)
        self.n_known = 0
        self.failed: dict[Test, int] = {}

    def place(self, path: str, column: str) -> Place:
        return Place(path, self.rows, column)

    def add(self, cells: pa.ChunkedArray, rows: Ids) -> None:
        """Keep what is new in a part of the column."""
        if not len(cells):
            return
        self.n_known += len(cells) - int(is_missing(cells).sum())
        old, new = _of_one_type(self.cells, cells)
        both = pa.chunked_array([*old.chunks, *new.chunks], new.type).combine_chunks()
        both = pa.chunked_array([both])
        missing = is_missing(both)
        places = {int(np.argmax(missing)), int(np.argmin(missing))} if len(both) else set()
        if not is_text(both.type) or not len(old):
            self.failed = {}
        for test in TESTS if is_text(both.type) else ():
            if test not in self.failed and not test(new):
                self.failed[test] = len(old) + first_failure(new, test)
        places |= {*self.failed.values()}
        if any(test not in self.failed for test in ORDERED):
            places |= _extremes(both, missing)
        kept = np.array(sorted(places), dtype=np.int64)
        kept = np.union1d(kept, _different(both, self.n_different))
        self.cells = both.take(pa.array(kept))
        # of one type, one side may be empty
        self.rows = np.concatenate([self.rows[: len(old)], rows[: len(new)]])[kept]
        self.failed = {test: int(np.searchsorted(kept, at)) for test, at in self.failed.items()}


def _of_one_type(
    old: pa.ChunkedArray, new: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Both in one type, where CSV was read as numbers here and as text there."""
    if not len(old):
        return new.slice(0, 0), new
    if old.type == new.type:
        return old, new
    if not len(new):
        return old, old.slice(0, 0)
    if is_text(old.type) and is_text(new.type):
        return old.cast(pa.binary()), new.cast(pa.binary())
    text, is_new = (new, True) if is_text(new.type) else (old, False)
    if _are_numbers(text):
        numbers = as_numbers(text_of(text))
        return (old, numbers) if is_new else (numbers, new)
    # numbers tell nothing of a column that has other text
    return (new.slice(0, 0), new) if is_new else (old, old.slice(0, 0))


def _extremes(cells: pa.ChunkedArray, missing: npt.NDArray[np.bool_]) -> set[int]:
    """The places of the least and the largest number or time, if that is what they are."""
    if missing.all():
        return set()
    numbers = None
    if is_text(cells.type):
        text = text_of(cells)
        if not pa.types.is_binary(text.type):
            numbers = as_numbers(text)
            numbers = as_days(text) if numbers is None else numbers
    elif is_number(cells.type) or pa.types.is_boolean(cells.type):
        numbers = cells
    elif is_time(cells.type):
        numbers = as_days(cells)
    if numbers is None:
        return set()
    floats = as_floats(numbers)
    return {int(np.argmax(floats == bound.reduce(floats))) for bound in (np.fmin, np.fmax)}


def _different(cells: pa.ChunkedArray, n_most: int | None) -> Ids:
    """The places of the first of equal cells, but for those that differ in white space around."""
    if n_most == 0 or pa.types.is_nested(cells.type):
        return np.empty(0, np.int64)
    if is_text(cells.type) and _is_utf8(cells):
        cells = pc.ascii_trim_whitespace(text_of(cells))
    codes = pc.dictionary_encode(cells.combine_chunks()).indices.fill_null(-1).to_numpy()
    first = np.full(codes.max(initial=-1) + 2, -1)
    first[codes[::-1] + 1] = np.arange(len(codes))[::-1]
    return np.sort(first[first >= 0])[:n_most]
