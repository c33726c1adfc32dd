"""Predict the rows of a table of any size: `vintage predict`.

What comes out is described in `vintage.predict.output`.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from vintage.base.console import InputError, one_line, warn
from vintage.base.machine import available_cores
from vintage.base.tensors import unknown_counts
from vintage.base.threads import in_order
from vintage.network.checkpoint import Checkpoint
from vintage.predict.model import check_columns, encode, listed, predict
from vintage.predict.output import STDOUT, columns_of, open_output
from vintage.table.batches import regrouped
from vintage.table.cells import Place, is_text, utf8_text
from vintage.table.features import check_type
from vintage.table.formats import Format
from vintage.table.kinds import kind_of
from vintage.table.read import open_table

CHUNK_ROWS = 8192
CHUNK_NUMBERS = 2**22  # of a chunk's features or its probabilities, 32 MB as float64


def predict_table(
    network: Checkpoint,
    source: str,
    output: str,
    delimiter: str = "auto",
    id_column: str | None = None,
) -> None:
    """Predict each row of `source` and write it to `output`; `-` is standard input or output.

    What is said beside goes to standard error. A file is complete or not there.

    Args:
        id_column: a column whose cells are carried into the output, as text.

    Raises:
        InputError: whatever is wrong with the table.
    """
    with open_table(source, delimiter, network.schema.missing) as table:
        is_inside = Path(output).resolve().is_relative_to(Path(source).resolve())
        if output != STDOUT and Path(source).is_dir() and is_inside:
            raise InputError(f"{output}: lies in the folder of the table; name another place")
        if Path(output).is_file() and Path(source).exists() and Path(output).samefile(source):
            raise InputError(f"{output}: is the table itself; name another file")
        if unused := check_columns(table.path, table.names, network.schema, id_column):
            said = f"the model does not know {one_line(listed(unused))}, left out"
            print(f"{table.path}: {said}", file=sys.stderr)
        unknown = _predict_parts(network, table, output, id_column)
    if unknown:
        counts = ", ".join(f"{count} of column {name!r}" for name, count in unknown.items())
        warn(f"{table.path}: cells with a category that no train row has: {counts}")


def _predict_parts(
    network: Checkpoint, source: Format, output: str, id_column: str | None
) -> Counter[str]:
    """Predict and write all rows; by column, how many cells hold an unknown category."""
    schema = network.schema
    names = schema.feature_names
    if id_column is not None and id_column not in names:
        names.append(id_column)
    numbers = {feature.name for feature in schema.features if not kind_of(feature).is_text}
    columns = columns_of(schema.classes, id_column is not None)
    n_numbers = max(len(names), network.ensemble.n_replicas * len(schema.classes))
    n_rows = int(np.clip(CHUNK_NUMBERS // n_numbers // 1024 * 1024, 1024, CHUNK_ROWS))
    chunks = _numbered(regrouped(source.batches(names, numbers - {id_column}), n_rows))
    unknown: Counter[str] = Counter()
    hidden = True if output == STDOUT else None  # None: shown on a terminal alone
    with (
        _one_thread_an_operation(),
        open_output(output, columns) as (encoded, write),
        tqdm(total=source.total, unit=source.unit, unit_scale=True, disable=hidden) as bar,
    ):

        def predicted(chunk: tuple[int, pa.Table]) -> tuple[Any, dict[str, int]]:
            cells, counts = _cells(network, source.path, chunk, id_column)
            return encoded(pa.RecordBatch.from_arrays(cells, schema=columns)), counts

        for content, counts in in_order(predicted, chunks, available_cores()):
            write(content)
            unknown.update(counts)
            bar.update(source.n_read - bar.n)
    return unknown


@contextlib.contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    """Share out no single operation to threads, where the work is shared out already."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _cells(
    network: Checkpoint, path: Path, chunk: tuple[int, pa.Table], id_column: str | None
) -> tuple[list[pa.Array], dict[str, int]]:
    """The columns of the output for a chunk, and by column the cells of an unknown category."""
    first, table = chunk
    schema = network.schema
    rows = np.arange(first, first + table.num_rows)
    ids = []
    if id_column is not None:
        column, place = table[id_column], Place(str(path), rows, id_column, is_new=True)
        check_type(column, place)
        texts = utf8_text(column, place) if is_text(column.type) else column
        ids = [texts.cast(pa.string()).combine_chunks()]
    features = encode(path, table, schema, first)
    try:
        classes, probabilities, spread = predict(network, features)
    except InputError as error:
        raise InputError(f"{path}: rows {first} to {rows[-1]}: {error}") from None
    cells = [
        pa.array(rows),
        *ids,
        pa.array(schema.classes).take(pa.array(classes)),
        *(pa.array(column) for column in probabilities.T.copy()),
        pa.nulls(len(rows), pa.float64()) if spread is None else pa.array(spread),
    ]
    return cells, unknown_counts(features, schema.features)


def _numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Each table with the number of its first row."""
    first = 0
    for table in tables:
        yield first, table
        first += table.num_rows
