"""What the columns of a new table may be for, read off their names and cells.

Each proposal has its reason, so that a person can judge it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import InputError
from vintage.table.cells import (
    Place,
    as_days,
    as_floats,
    is_missing,
    is_number,
    is_text,
    is_time,
    typed,
    with_nulls,
)
from vintage.table.kinds import FREE_TEXT_SHARE, MIN_CATEGORIES
from vintage.table.read import first_rows, read_table
from vintage.table.target import encode_target

# as data sets for teaching and competitions name theirs
TARGETS = {
    "target", "label", "labels", "class", "y", "outcome", "response", "result", "species", "vote",
    "survived", "churn", "churned", "attrition", "diagnosis", "default", "defaulted", "fraud",
    "spam", "quality", "grade", "rating", "approved", "purchased",
}  # fmt: skip
IDENTIFIER = re.compile(r"((?i:(^|[_ .-])(id|uuid|guid|key|index|row|unnamed: 0))|[a-z]I[Dd])$")
OWNER = re.compile(
    r"(?i)\b(patient|subject|participant|person|user|customer|client|member|household|family"
    r"|group|session|site|store|device|machine|author)"
)
TIME = re.compile(r"(?i)(date|time|stamp|created|updated|_at$|^at$|when)")
PROPOSAL_CELLS = 5_000_000
ROWS_OF_A_CLASS = 5  # on the average, or a column holds no classes


@dataclass(frozen=True)
class Proposal:
    """An answer and why; the answer is a column, several, or none."""

    columns: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Column:
    """What is known of a column.

    Attributes:
        cells: typed, null where a cell is missing.
        n_values: how many different ones there are, without missing ones.
    """

    name: str
    cells: pa.ChunkedArray
    n_values: int

    @property
    def is_complete(self) -> bool:
        return not is_missing(self.cells).any()

    @property
    def is_unique(self) -> bool:
        return self.is_complete and self.n_values == len(self.cells)

    @property
    def days(self) -> "pa.ChunkedArray | None":
        """Its times, if it holds any."""
        is_candidate = is_time(self.cells.type) or is_text(self.cells.type)
        return as_days(self.cells) if is_candidate and self.n_values else None


def columns_of(path: Path, missing: Sequence[str], is_large: bool) -> dict[str, Column]:
    """Read a table, or of a large one the first rows, of about `PROPOSAL_CELLS` cells.

    Args:
        missing: texts that mean a missing cell, besides a blank one.

    Raises:
        InputError: whatever is wrong with it.
    """
    if is_large:
        table = first_rows(path, missing, PROPOSAL_CELLS)
    else:
        table = read_table(path, missing=missing)
    columns = {}
    for name in table.column_names:
        cells = table[name]
        if not (pa.types.is_nested(cells.type) or isinstance(cells.type, pa.BaseExtensionType)):
            cells = typed(with_nulls(cells, missing))
            is_null = pa.types.is_null(cells.type)
            n_values = 0 if is_null else pc.count_distinct(cells, mode="only_valid").as_py()
            columns[name] = Column(name, cells, n_values)
    return columns


def propose_target(columns: Mapping[str, Column]) -> Proposal:
    """A column that is named as targets are; or the last one that holds classes, or the first, if
    that alone holds text."""
    able = [name for name, column in columns.items() if _holds_classes(column)]
    named = [name for name in able if name.strip().lower().removeprefix("is_") in TARGETS]
    if not able:
        return Proposal((), "no column holds classes of several rows each")
    if named:
        chosen, why = named[0], "its name is typical of a target"
    elif is_number(columns[able[-1]].cells.type) and not is_number(columns[able[0]].cells.type):
        chosen, why = able[0], "the first column that holds classes"
    else:
        chosen, why = able[-1], "the last column that holds classes"
    return Proposal((chosen,), f"{why}; {columns[chosen].n_values} classes")


def propose_ignored(columns: Mapping[str, Column], target: str) -> Proposal:
    """Identifiers, free text and columns without a value, which tell nothing of new rows."""
    found = {
        name: why
        for name, column in columns.items()
        if name != target and (why := _why_ignored(column))
    }
    if not found:
        return Proposal((), "no column looks like an identifier or free text")
    return Proposal(tuple(found), "; ".join(f"{name}: {why}" for name, why in found.items()))


def propose_groups(columns: Mapping[str, Column], features: list[str]) -> Proposal:
    """A column whose rows of one value may depend on each other, such as those of a patient."""
    for name in features:
        column, n_rows = columns[name], len(columns[name].cells)
        is_named = OWNER.search(name) or IDENTIFIER.search(name)
        if is_named and column.is_complete and 10 <= column.n_values <= n_rows / 1.5:
            each = n_rows / column.n_values
            return Proposal(
                (name,), f"{column.n_values} values, each in {each:.1f} rows on average"
            )
    return Proposal((), "no column looks like a group identifier")


def propose_time(columns: Mapping[str, Column], features: list[str]) -> Proposal:
    """A column of times, if by its name it tells when a row came about, or the rows follow it."""
    for name in features:
        days = columns[name].days
        if days is None or not columns[name].is_complete:
            continue
        numbers = as_floats(days)
        is_sorted = bool((np.diff(numbers) >= 0).all()) and numbers[0] < numbers[-1]
        if TIME.search(name) or is_sorted:
            return Proposal((name,), "it holds times; the latest rows would be the test rows")
    return Proposal((), "no column of times")


def _holds_classes(column: Column) -> bool:
    known = column.cells.filter(pa.array(~is_missing(column.cells)))
    if not 2 <= column.n_values <= len(known) / ROWS_OF_A_CLASS or column.days is not None:
        return False
    try:
        encode_target(known, Place("", np.arange(len(known)), column.name))
    except InputError:
        return False
    return True


def _why_ignored(column: Column) -> str | None:
    if not column.n_values:
        return "no value"
    cells = column.cells
    if is_text(cells.type) and column.days is None:
        if column.is_unique:
            return "a different text in every row"
        if column.n_values > max(MIN_CATEGORIES, len(cells) / FREE_TEXT_SHARE):
            return f"free text, {column.n_values} different ones"
    is_whole = is_number(cells.type) and column.is_unique and _counts_up(as_floats(cells))
    if is_whole or (column.is_unique and IDENTIFIER.search(column.name)):
        return "a different number in every row"
    return None


def _counts_up(numbers: np.ndarray) -> bool:
    """Whether they are the numbers from one on in steps of one, in some order."""
    return bool((np.diff(np.sort(numbers)) == 1).all())
