"""Where the predictions of new rows go: a file, a pipe or standard output, as CSV or Parquet.

A line has `row`, its number in the input from 0; `id`, its cell of a column that was asked for;
`predicted`, the most probable class; `probability_<class>` for each class; `spread`, the standard
deviation over the replicas of the predicted class's probability, empty with one replica. CSV is
written as `metrics/predictions.csv` is, see `vintage.scores.predictions`.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import InputError
from vintage.base.files import replacing
from vintage.base.tensors import Schema
from vintage.predict.model import Predicted
from vintage.scores.predictions import PROBABILITY, csv_line, escaped, quoted

STDOUT = "-"
PARQUET = ".parquet"
NOT_WRITTEN = (".arrow", ".feather", ".gz", ".pq", ".xlsx")
LOWEST_PLAIN = 1e-4  # below, Python writes an exponent, and Arrow does later


@dataclass(frozen=True)
class Output:
    """Where predictions go: `content` may run on any thread, `write` runs in the order of rows.

    Attributes:
        id_column: of the table, to be carried over; None for none.
        names: of the classes.
        schema: of the columns that are written.
        encoded: makes of rows what `write` takes.
    """

    id_column: str | None
    names: pa.Array
    schema: pa.Schema
    encoded: Callable[[pa.RecordBatch], Any]
    write: Callable[[Any], Any]

    def content(self, first: int, predicted: Predicted, ids: pa.Array | None) -> Any:
        """The predictions of the rows from number `first` on, with their ids, for `write`."""
        n_rows, spread = len(predicted.classes), predicted.spread
        columns = [
            pa.array(np.arange(first, first + n_rows)),
            *([] if ids is None else [ids]),
            self.names.take(pa.array(predicted.classes)),
            *(pa.array(column) for column in predicted.probabilities.T.copy()),
            pa.nulls(n_rows, pa.float64()) if spread is None else pa.array(spread),
        ]
        return self.encoded(pa.RecordBatch.from_arrays(columns, schema=self.schema))


@contextlib.contextmanager
def open_output(path: str, schema: Schema, id_column: str | None) -> Iterator[Output]:
    """Open `path` for writing; `-` is standard output. A file is complete or not there."""
    kinds = {
        "row": pa.int64(),
        **({} if id_column is None else {"id": pa.string()}),
        "predicted": pa.string(),
        **{PROBABILITY + name: pa.float64() for name in schema.classes},
        "spread": pa.float64(),
    }
    columns, names = pa.schema(kinds), pa.array(schema.classes)
    with _complete(path) as file:
        if Path(path).suffix.lower() != PARQUET:
            file.write(csv_line(map(escaped, kinds)).encode())
            yield Output(id_column, names, columns, _csv_lines, file.write)
            return
        import pyarrow.parquet

        with pyarrow.parquet.ParquetWriter(file, columns) as writer:
            yield Output(id_column, names, columns, lambda rows: rows, writer.write_batch)


def check_output(source: str, output: str) -> None:
    """Refuse an output that cannot be written, or is the table itself."""
    path = Path(output)
    if path.suffix.lower() in NOT_WRITTEN:
        raise InputError(
            f"{output}: predictions are written as CSV, or as Parquet if the name ends in .parquet"
        )
    if path.is_dir():
        raise InputError(f"{output}: is a folder; name a file in it")
    if output != STDOUT and path.is_file() and Path(source).is_file() and path.samefile(source):
        raise InputError(f"{output}: is the table itself; name another file")


def float_texts(values: npt.NDArray[np.float64]) -> pa.Array:
    """Numbers from 0 to 1 as Python's `repr` writes them; Arrow is faster, and mostly the same."""
    texts = pa.array(values).cast(pa.string())
    others = (values < LOWEST_PLAIN) | (values >= 1)
    written = pa.array([repr(value) for value in values[others].tolist()], pa.string())
    return pc.replace_with_mask(texts, pa.array(others), written)


def _csv_lines(batch: pa.RecordBatch) -> bytes:
    cells = [_texts(column) for column in batch.columns]
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
