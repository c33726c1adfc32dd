"""`predictions.csv`: each test row's actual and predicted class and its probabilities.

A class name that a spreadsheet would run as a formula has an apostrophe put in front: one that
begins with `=`, `+`, `-`, `@`, a tab or a line break and is no plain number such as `-1.5`. So has
one that begins with an apostrophe itself. Reading takes it off again, so every name comes back.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vintage.console import InputError, one_line
from vintage.files import read_bytes, write_bytes

FIXED = ("row", "actual", "predicted")
PROBABILITY = "probability_"
GROUP = "group"

ESCAPE = "'"
FORMULA = re.compile(r"['=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last are full-width = + - @
PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Predictions:
    """The test rows and what was predicted for them.

    Attributes:
        rows: int64 `[n]`, the rows' numbers in the table.
        labels: int64 `[n]`, indices into `classes`.
        probabilities: float64 `[n, n_classes]`.
        groups: int64 `[n]`: rows of equal features have the same number.
    """

    classes: list[str]
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write CSV; a probability has as many digits as bring back the same float64."""
    classes = predictions.classes
    names = [escaped(name) for name in classes]
    lines = [csv_line([*FIXED, *(PROBABILITY + name for name in classes), GROUP])]
    for row, label, probabilities, group in zip(
        predictions.rows.tolist(),
        predictions.labels.tolist(),
        predictions.probabilities.tolist(),
        predictions.groups.tolist(),
        strict=True,
    ):
        predicted = probabilities.index(max(probabilities))
        lines.append(csv_line([row, names[label], names[predicted], *probabilities, group]))
    write_bytes(path, "".join(lines).encode("utf-8"))


def escaped(name: str) -> str:
    """`name` as a cell that no spreadsheet runs."""
    harmless = not FORMULA.match(name) or PLAIN_NUMBER.fullmatch(name)
    return name if harmless else ESCAPE + name


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
        header = lines[0]
        n_fixed = len(FIXED)
        names = header[n_fixed:-1]
        if tuple(header[:n_fixed]) != FIXED or header[-1] != GROUP:
            raise ValueError(f"the header is {','.join(header)[:80]!r}")
        if not names or not all(name.startswith(PROBABILITY) for name in names):
            raise ValueError(f"no column is named {PROBABILITY}<class>")
        classes = [name.removeprefix(PROBABILITY) for name in names]
        ids = {name: index for index, name in enumerate(classes)}
        body = lines[1:]
        if len(ids) < len(classes):
            raise ValueError("two classes have the same name")
        if any(len(line) != len(header) for line in body) or not body:
            raise ValueError("a row has more or fewer cells than the header, or there is none")
        predictions = Predictions(
            classes=classes,
            rows=np.array([int(line[0]) for line in body], dtype=np.int64),
            labels=np.array([ids[line[1].removeprefix(ESCAPE)] for line in body], dtype=np.int64),
            probabilities=np.array([line[n_fixed:-1] for line in body], dtype=np.float64),
            groups=np.array([int(line[-1]) for line in body], dtype=np.int64),
        )
        _check(predictions)
        best = predictions.probabilities.argmax(axis=1).tolist()
        if [line[2].removeprefix(ESCAPE) for line in body] != [classes[index] for index in best]:
            raise ValueError("a predicted class is not the most probable one")
    except KeyError as error:
        raise InputError(f"{source}: {str(error)[:80]} is no class of the header") from None
    except (ValueError, OverflowError, IndexError, csv.Error) as error:
        problem = one_line(error)[:100]
        raise InputError(f"{source}: not a table of predictions: {problem}") from None
    return predictions


def _check(predictions: Predictions) -> None:
    probabilities = predictions.probabilities
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is not a number from 0 to 1")
    if len(np.unique(predictions.rows)) < len(predictions.rows):
        raise ValueError("a row stands there twice")


def csv_line(cells: Iterable[object]) -> str:
    """A row of CSV."""
    return ",".join(quoted(str(cell)) for cell in cells) + "\n"


def quoted(text: str) -> str:
    """`text` as a cell; a carriage return is quoted, too, which `csv.writer` does not do here."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
