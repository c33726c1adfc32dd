"""`predictions.csv`: each test row's actual and predicted class and its probabilities.

A class name that a spreadsheet would run as a formula has an apostrophe put in front: one that
begins with `=`, `+`, `-`, `@`, a tab or a line break and is no plain number such as `-1.5`. So has
what follows a `;`, a `|`, a tab or a line break in a name, where another program may end the cell.
So has an apostrophe at these places itself. Reading takes them off again, so every name comes back.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vintage.base.console import InputError, one_line
from vintage.base.files import read_bytes, write_bytes

FIXED = ("row", "id", "actual", "predicted")
PROBABILITY = "probability_"
LAST = ("group", "seen")
FIXED_OF_OLD = ("row", "actual", "predicted")  # of files that were written before rows had an id
LAST_OF_OLD = ("group",)

Ids = npt.NDArray[np.int64]

ESCAPE = "'"
# at the start of a name or after what may end a cell; the last are full-width = + - @
FORMULA = re.compile(r"(?:^|(?<=[;|\t\r\n]))(?=['=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")
ESCAPED = re.compile(rf"(?:^|(?<=[;|\t\r\n])){ESCAPE}")
ID = re.compile(r"x[0-9a-f]{16}")
PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Predictions:
    """The test rows and what was predicted for them.

    Attributes:
        rows: int64 `[n]`, the rows' numbers in the table.
        labels: int64 `[n]`, indices into `classes`.
        probabilities: float64 `[n, n_classes]`.
        groups: int64 `[n]`: rows of equal features have the same number.
        ids: int64 `[n]`, what identifies a row in whatever order the table stands, see
            `vintage.table.identity`; None in files that were written before rows had one.
        seen: bool `[n]`, whether a train or validation row has the same features; None likewise.
    """

    classes: list[str]
    rows: Ids
    labels: Ids
    probabilities: npt.NDArray[np.float64]
    groups: Ids
    ids: Ids | None = None
    seen: npt.NDArray[np.bool_] | None = None

    def take(self, places: Ids) -> "Predictions":
        """The predictions at these places, in their order."""
        return Predictions(
            self.classes,
            self.rows[places],
            self.labels[places],
            self.probabilities[places],
            self.groups[places],
            None if self.ids is None else self.ids[places],
            None if self.seen is None else self.seen[places],
        )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write CSV; a probability has as many digits as bring back the same float64.

    The predictions must have `ids` and `seen`.
    """
    assert predictions.ids is not None
    assert predictions.seen is not None
    classes = predictions.classes
    names = [escaped(name) for name in classes]
    lines = [csv_line([*FIXED, *(escaped(PROBABILITY + name) for name in classes), *LAST])]
    for row, identity, label, probabilities, group, seen in zip(
        predictions.rows.tolist(),
        id_texts(predictions.ids),
        predictions.labels.tolist(),
        predictions.probabilities.tolist(),
        predictions.groups.tolist(),
        predictions.seen.astype(np.int64).tolist(),
        strict=True,
    ):
        predicted = probabilities.index(max(probabilities))
        fixed = [row, identity, names[label], names[predicted]]
        lines.append(csv_line([*fixed, *probabilities, group, seen]))
    write_bytes(path, "".join(lines).encode("utf-8"))


def id_texts(ids: Ids) -> list[str]:
    """Ids as 16 hexadecimal digits behind `x`, which no spreadsheet takes for a number."""
    return [f"x{identity:016x}" for identity in ids.view(np.uint64).tolist()]


def _ids_of(texts: Sequence[str]) -> Ids:
    if not all(ID.fullmatch(text) for text in texts):
        raise ValueError("an id is not x and 16 hexadecimal digits")
    return np.array([int(text[1:], 16) for text in texts], dtype=np.uint64).view(np.int64)


def escaped(name: str) -> str:
    """`name` as a cell that no spreadsheet runs."""
    return name if PLAIN_NUMBER.fullmatch(name) else FORMULA.sub(ESCAPE, name)


def unescaped(cell: str) -> str:
    """The name that `escaped` made `cell` of."""
    return ESCAPED.sub("", cell) if ESCAPE in cell else cell


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote; InputError if it is missing or anything else."""
    try:
        return parse_predictions(read_bytes(path), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` to make it") from None


def parse_predictions(content: bytes, source: str) -> Predictions:
    """As `read_predictions`, from bytes; `source` is named in errors.

    Raises:
        InputError: not the table that `write_predictions` writes.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
        header, body = [unescaped(cell) for cell in lines[0]], lines[1:]
        classes, is_old = _classes_of(header)
        if any(len(line) != len(header) for line in body) or not body:
            raise ValueError("a row has more or fewer cells than the header, or there is none")
        columns = dict(zip(header, zip(*body, strict=True), strict=True))
        codes = {name: index for index, name in enumerate(classes)}
        first = len(FIXED_OF_OLD if is_old else FIXED)
        predictions = Predictions(
            classes=classes,
            rows=np.array([int(cell) for cell in columns["row"]], dtype=np.int64),
            labels=np.array([codes[unescaped(cell)] for cell in columns["actual"]], dtype=np.int64),
            probabilities=np.array(
                [line[first : first + len(classes)] for line in body], dtype=np.float64
            ),
            groups=np.array([int(cell) for cell in columns["group"]], dtype=np.int64),
            ids=None if is_old else _ids_of(columns["id"]),
            seen=None if is_old else _truths_of(columns["seen"]),
        )
        _check(predictions)
        best = predictions.probabilities.argmax(axis=1).tolist()
        if [unescaped(cell) for cell in columns["predicted"]] != [classes[k] for k in best]:
            raise ValueError("a predicted class is not the most probable one")
    except KeyError as error:
        raise InputError(f"{source}: {str(error)[:80]} is no class of the header") from None
    except (ValueError, OverflowError, IndexError, csv.Error) as error:
        problem = one_line(error)[:100]
        raise InputError(f"{source}: not a table of predictions: {problem}") from None
    return predictions


def _classes_of(header: Sequence[str]) -> tuple[list[str], bool]:
    """The classes that a header names, and whether it is of a file without ids."""
    for fixed, last in ((FIXED, LAST), (FIXED_OF_OLD, LAST_OF_OLD)):
        names = header[len(fixed) : len(header) - len(last)]
        if (*header[: len(fixed)], *header[len(header) - len(last) :]) == (*fixed, *last):
            break
    else:
        raise ValueError(f"the header is {','.join(header)[:80]!r}")
    if not names or not all(name.startswith(PROBABILITY) for name in names):
        raise ValueError(f"no column is named {PROBABILITY}<class>")
    classes = [name.removeprefix(PROBABILITY) for name in names]
    if len(set(classes)) < len(classes):
        raise ValueError("two classes have the same name")
    return classes, last == LAST_OF_OLD


def _truths_of(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    if not set(texts) <= {"0", "1"}:
        raise ValueError("a cell of seen is neither 0 nor 1")
    return np.array([text == "1" for text in texts], dtype=np.bool_)


def _check(predictions: Predictions) -> None:
    probabilities = predictions.probabilities
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is not a number from 0 to 1")
    if len(np.unique(predictions.rows)) < len(predictions.rows):
        raise ValueError("a row stands there twice")
    if predictions.ids is not None and len(np.unique(predictions.ids)) < len(predictions.ids):
        raise ValueError("an id stands there twice")


def csv_line(cells: Iterable[object]) -> str:
    """A row of CSV."""
    return ",".join(quoted(str(cell)) for cell in cells) + "\n"


def quoted(text: str) -> str:
    """`text` as a cell; a carriage return is quoted, too, which `csv.writer` does not do here."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
