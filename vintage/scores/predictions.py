"""`predictions.csv`: each test row's actual and predicted class and its probabilities.

A class name that a spreadsheet would run as a formula has an apostrophe put in front: one that
begins with `=`, `+`, `-`, `@`, a tab or a line break and is not a plain number such as `-1.5`. So
has what follows a `;`, a `|`, a tab or a line break in a name, where another program may end the
cell. So has an apostrophe at these places. Reading takes them off again.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vintage.base.console import InputError, one_line
from vintage.base.files import read_bytes, write_bytes
from vintage.base.tensors import Examples
from vintage.scores.rows import Floats, Labels, Truths

FIRST = ["row", "id", "actual", "predicted"]
PROBABILITY = "probability_"
LAST = ["group", "seen"]

ESCAPE = "'"
# at the start of a name or after what may end a cell; the last are full-width = + - @
FORMULA = re.compile(r"(?:^|(?<=[;|\t\r\n]))(?=['=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")
ESCAPED = re.compile(rf"(?:^|(?<=[;|\t\r\n])){ESCAPE}")
PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Predictions:
    """The test rows and what was predicted for them.

    Attributes:
        rows: int64 `[n]`, the rows' numbers in the table.
        labels: int64 `[n]`, indices into `classes`.
        probabilities: float64 `[n, n_classes]`.
        groups: int64 `[n]`: rows that depend on each other have the same number.
        ids: int64 `[n]`, what identifies a row wherever it stands in the table, see
            `vintage.table.identity`.
        seen: bool `[n]`, whether a train or validation row has the same features.
    """

    classes: list[str]
    rows: Labels
    labels: Labels
    probabilities: Floats
    groups: Labels
    ids: Labels
    seen: Truths

    @classmethod
    def of(cls, examples: Examples, classes: list[str], probabilities: Floats) -> "Predictions":
        """What was predicted for `examples`."""
        _, labels, rows, groups, ids, seen, _ = examples
        assert seen is not None, "of test rows, it is known"
        return cls(classes, rows, labels, probabilities, groups, ids, seen)

    def take(self, places: Labels) -> "Predictions":
        """The predictions at these places, in their order."""
        of_rows = ("rows", "labels", "probabilities", "groups", "ids", "seen")
        return replace(self, **{name: getattr(self, name)[places] for name in of_rows})

    def confusion(self) -> Labels:
        """How many rows of each class were predicted as each: int64 `[n_classes, n_classes]`."""
        n = len(self.classes)
        pairs = self.labels * n + self.probabilities.argmax(axis=1)
        return np.bincount(pairs, minlength=n**2).reshape(n, n)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write CSV; a probability has as many digits as bring back the same float64."""
    names = [escaped(name) for name in predictions.classes]
    titles = [escaped(PROBABILITY + name) for name in predictions.classes]
    columns = [
        predictions.rows.tolist(),
        # behind an x, no spreadsheet takes hexadecimal digits for a number
        [f"x{identity:016x}" for identity in predictions.ids.view(np.uint64).tolist()],
        [names[label] for label in predictions.labels],
        [names[label] for label in predictions.probabilities.argmax(axis=1)],
        *predictions.probabilities.T.tolist(),
        predictions.groups.tolist(),
        predictions.seen.astype(np.int64).tolist(),
    ]
    lines = [[*FIRST, *titles, *LAST], *zip(*columns, strict=True)]
    write_bytes(path, "".join(map(csv_line, lines)).encode("utf-8"))


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
        classes = _classes_of(header)
        if not body or any(len(line) != len(header) for line in body):
            raise ValueError("there are no rows, or one has more or fewer cells than the header")
        rows, ids, actual, predicted, *probabilities, groups, seen = zip(*body, strict=True)
        codes = {name: index for index, name in enumerate(classes)}
        predictions = Predictions(
            classes,
            rows=np.array(rows, dtype=np.int64),
            labels=np.array([codes[unescaped(cell)] for cell in actual]),
            probabilities=np.array(probabilities, dtype=np.float64).T.copy(),
            groups=np.array(groups, dtype=np.int64),
            ids=np.array([int(text[1:], 16) for text in ids], dtype=np.uint64).view(np.int64),
            seen=np.array(seen, dtype=np.int64) == 1,
        )
        _check(predictions, [codes[unescaped(cell)] for cell in predicted])
    except KeyError as error:
        raise InputError(f"{source}: {str(error)[:80]} is not a class of the header") from None
    except (ValueError, OverflowError, IndexError, csv.Error) as error:
        problem = one_line(error)[:100]
        raise InputError(f"{source}: not a table of predictions: {problem}") from None
    return predictions


def escaped(name: str) -> str:
    """`name` as a cell that no spreadsheet runs."""
    return name if PLAIN_NUMBER.fullmatch(name) else FORMULA.sub(ESCAPE, name)


def unescaped(cell: str) -> str:
    """The name that `escaped` made `cell` of."""
    return ESCAPED.sub("", cell) if ESCAPE in cell else cell


def csv_line(cells: Iterable[object]) -> str:
    """A row of CSV."""
    return ",".join(quoted(str(cell)) for cell in cells) + "\n"


def quoted(text: str) -> str:
    """`text` as a cell; a carriage return is quoted, too, unlike by `csv.writer`."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def _classes_of(header: Sequence[str]) -> list[str]:
    titles = header[len(FIRST) : -len(LAST)]
    if header != [*FIRST, *titles, *LAST]:
        raise ValueError(f"the header is {','.join(header)[:80]!r}")
    if not titles or not all(title.startswith(PROBABILITY) for title in titles):
        raise ValueError(f"no column is named {PROBABILITY}<class>")
    return [title.removeprefix(PROBABILITY) for title in titles]


def _check(predictions: Predictions, predicted: list[int]) -> None:
    probabilities = predictions.probabilities
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is not a number from 0 to 1")
    if predicted != probabilities.argmax(axis=1).tolist():
        raise ValueError("a predicted class is not the most probable one")
    for name in ("rows", "ids", "classes"):
        values = getattr(predictions, name)
        if len(set(values)) < len(values):
            raise ValueError(f"two {name} are the same")
