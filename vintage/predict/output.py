"""Where the predictions of new rows go: a file, a pipe or standard output, as CSV or Parquet.

A line has `row`, its number in the input from 0; `id`, its cell of a column that was asked for;
`predicted`, the most probable class; `probability_<class>` for each class; `spread`, the standard
deviation over the replicas of the predicted class's probability, empty with one replica. CSV is
written as `metrics/predictions.csv` is, see `vintage.scores.predictions`.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.files import replacing
from vintage.scores.predictions import PROBABILITY, csv_line, escaped, quoted

STDOUT = "-"
LOWEST_PLAIN = 1e-4  # below, Python writes an exponent, and Arrow does later


class Output(NamedTuple):
    """`encode` may run on any thread; `write` takes what it returned, in the order of rows."""

    encode: Callable[[pa.RecordBatch], Any]
    write: Callable[[Any], Any]


def columns_of(classes: list[str], with_id: bool) -> pa.Schema:
    """The columns that are written."""
    names = ["row", *(["id"] if with_id else []), "predicted"]
    kinds = dict.fromkeys(names, pa.string()) | {"row": pa.int64()}
    numbers = [*(PROBABILITY + name for name in classes), "spread"]
    return pa.schema(kinds | dict.fromkeys(numbers, pa.float64()))


@contextlib.contextmanager
def open_output(path: str, columns: pa.Schema) -> Iterator[Output]:
    """Open `path` for writing; `-` is standard output. A file is complete or not there."""
    with _complete(path) as file:
        if Path(path).suffix.lower() != ".parquet":
            file.write(csv_line(map(escaped, columns.names)).encode())
            yield Output(_csv_lines, file.write)
            return
        import pyarrow.parquet

        with pyarrow.parquet.ParquetWriter(file, columns) as writer:
            yield Output(lambda rows: rows, writer.write_batch)


def float_texts(values: npt.NDArray[np.float64]) -> pa.Array:
    """Numbers from 0 to 1 as Python's `repr` writes them; Arrow is faster, and mostly the same."""
    texts = pa.array(values).cast(pa.string())
    others = (values < LOWEST_PLAIN) | (values >= 1)
    written = pa.array([repr(value) for value in values[others].tolist()], pa.string())
    return pc.replace_with_mask(texts, pa.array(others), written)


def _csv_lines(rows: pa.RecordBatch) -> bytes:
    cells = map(_texts, rows.columns)
    lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace")
    return "".join(f"{line}\n" for line in lines.to_pylist()).encode()


def _texts(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        names = [quoted(escaped(name)) for name in encoded.dictionary.to_pylist()]
        return pa.array(names, pa.string()).take(encoded.indices)
    if pa.types.is_floating(column.type) and not column.null_count:
        return float_texts(column.to_numpy())
    return column.cast(pa.string())


@contextlib.contextmanager
def _complete(output: str) -> Iterator[IO[bytes]]:
    """A file to write to, beside its place until it is complete; or a pipe, a device, output."""
    path = Path(output)
    if output == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
    else:
        with replacing(path.resolve()) as file:  # replaces what a link points to, not the link
            yield file
