"""Predict the rows of a table of any size: `vintage predict`.

What comes out is described in `vintage.predict.output`.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from vintage.base.console import InputError, one_line, warn
from vintage.base.machine import available_cores
from vintage.base.numerics import Numerics
from vintage.base.tensors import Features, Schema, unknown_counts
from vintage.base.threads import in_order
from vintage.predict.model import Network, Predicted, check_columns, encode, listed, predict
from vintage.predict.output import STDOUT, Output, check_output, open_output
from vintage.table.cells import Place, is_text, utf8_text, with_nulls
from vintage.table.features import check_type
from vintage.table.formats import Format
from vintage.table.kinds import kind_of
from vintage.table.read import column_hint, open_table, regrouped

CHUNK_ROWS = 8192
CHUNK_NUMBERS = 2**22  # of a chunk's features or its probabilities, 32 MB as float64

Result = TypeVar("Result")


def predict_table(
    network: Network,
    source: str,
    output: str,
    delimiter: str = "auto",
    numerics: Numerics = "portable",
    id_column: str | None = None,
) -> None:
    """Predict each row of `source` and write it to `output`; `-` is standard input or output.

    What is said beside goes to standard error. A file is complete or not there.

    Args:
        numerics: with portable ones, on a thread for each core.
        id_column: a column whose cells are carried into the output, as text.

    Raises:
        InputError: whatever is wrong with the table.
    """
    with open_table(source, delimiter, network.schema.missing) as parts:
        check_output(source, output)
        unused = check_columns(parts.path, parts.names, network.schema)
        if id_column is not None and id_column not in parts.names:
            hint = column_hint(parts.names, "--delimiter")
            raise InputError(f"{parts.path}: has no column {id_column!r}, which --id names; {hint}")
        if unused := [name for name in unused if name != id_column]:
            print(
                f"{parts.path}: the model does not know {one_line(listed(unused))}, left out",
                file=sys.stderr,
            )
        with (
            open_output(output, network.schema, id_column) as result,
            _bar(parts, output) as bar,
        ):
            unknown = _predict_parts(network, parts, result, bar, numerics)
    if unknown:
        counts = ", ".join(f"{count} of column {name!r}" for name, count in unknown.items())
        warn(f"{parts.path}: cells with a category that no train row has: {counts}")


@dataclass(frozen=True)
class _Chunk(Generic[Result]):
    """What came out of a chunk of rows.

    Attributes:
        unknown: by column, how many cells hold an unknown category.
        types: by column, what the cells are, see `_types`.
    """

    n_rows: int
    result: Result
    unknown: dict[str, int]
    types: dict[str, str]


def _predict_parts(
    network: Network,
    parts: Format,
    result: Output,
    bar: "tqdm[Any]",
    numerics: Numerics,
) -> Counter[str]:
    """Predict and write all rows; by column, how many cells hold an unknown category."""
    schema = network.schema
    names = [feature.name for feature in schema.features]
    if result.id_column is not None:
        names = list(dict.fromkeys([*names, result.id_column]))
    numeric = [
        feature.name
        for feature in schema.features
        if not kind_of(feature).is_text and feature.name != result.id_column
    ]

    def predicted(numbered: tuple[int, pa.Table]) -> _Chunk[Any]:
        first, table = numbered
        features = encode(parts.path, table, schema, first)
        ids = None
        if result.id_column is not None:
            rows = np.arange(first, first + table.num_rows)
            ids = _as_texts(
                table[result.id_column], Place(str(parts.path), rows, result.id_column, True)
            )
        content = result.content(first, _predict(network, features, parts.path, first), ids)
        unknown = unknown_counts(features, schema.features)
        return _Chunk(table.num_rows, content, unknown, _types(table, schema))

    n_together = _chunk_rows(network, len(schema.features))
    chunks = _numbered(regrouped(parts.batches(names, numeric), n_together))
    # with other numerics, each product is shared out to threads
    n_threads = available_cores() if numerics == "portable" else 1
    unknown: Counter[str] = Counter()
    types: dict[str, str] = {}
    n_rows = 0
    for chunk in in_order(predicted, chunks, n_threads):
        result.write(chunk.result)
        unknown.update(chunk.unknown)
        for name, kind in chunk.types.items():
            if types.setdefault(name, kind) != kind:
                raise InputError(
                    f"{parts.path}: column {name!r} holds {types[name]} above row {n_rows}, and "
                    f"{kind} below"
                )
        n_rows += chunk.n_rows
        bar.set_postfix_str(f"{n_rows:,} rows", refresh=False)
        bar.update(parts.n_read - bar.n)
    return unknown


def _types(table: pa.Table, schema: Schema) -> dict[str, str]:
    """What the cells of a text column are that may be of two types, but not of both.

    A chunk cannot tell that another one's are of the other type.
    """
    types: dict[str, str] = {}
    for feature in schema.features:
        column = with_nulls(table[feature.name], schema.missing)
        if is_text(column.type) and column.null_count < len(column):
            variant = kind_of(feature).variant(column)
            types |= {feature.name: variant} if variant else {}
    return types


def _as_texts(column: pa.ChunkedArray, place: Place) -> pa.Array:
    """The cells of a column as text, as it stands there."""
    check_type(column, place)
    texts = utf8_text(column, place) if is_text(column.type) else column.cast(pa.string())
    return texts.cast(pa.string()).combine_chunks()


def _predict(network: Network, features: Features, path: Path, first: int) -> Predicted:
    try:
        return predict(network, features)
    except InputError as error:
        rows = f"rows {first} to {first + len(features) - 1}"
        raise InputError(f"{path}: {rows}: {error}") from None


def _chunk_rows(network: Network, n_features: int) -> int:
    """As many rows as fit into the memory that a chunk may take."""
    none = np.zeros((1, n_features), dtype=np.float32)
    numbers_a_row = max(n_features, network.predict_proba(none).size)
    return int(np.clip(CHUNK_NUMBERS // numbers_a_row // 1024 * 1024, 1024, CHUNK_ROWS))


def _numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Each table with the number of its first row."""
    first = 0
    for table in tables:
        yield first, table
        first += table.num_rows


@contextlib.contextmanager
def _bar(parts: Format, output: str) -> Iterator["tqdm[Any]"]:
    """A bar on a terminal, unless the rows are shown there."""
    is_seen = sys.stderr.isatty() and not (output == STDOUT and sys.stdout.isatty())
    with tqdm(total=parts.total, unit=parts.unit, unit_scale=True, disable=not is_seen) as bar:
        yield bar
