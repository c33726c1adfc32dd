"""The formats of tables: each is a class here, by the ends of its files' names in `FORMATS`.

A table is read in batches, in the order of its rows, so it need not fit in memory. Its columns come
in few types: text is string, or binary if it is not UTF-8; dictionaries and runs are decoded; times
are in microseconds.
"""

import contextlib
import gzip
import itertools
import os
import re
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from vintage.base.console import InputError, one_line
from vintage.base.threads import in_order
from vintage.table.cells import is_number, is_text, typed, with_nulls
from vintage.table.csv_rules import BLOCK_BYTES, find_delimiter, read_header, whole_rows

STDIN = Path("standard input")
BATCH_ROWS = 1 << 13
BATCH_CELLS = 1 << 22
KNOWN_EXTENSIONS = ("arrow.bool8", "arrow.json", "arrow.uuid")
PLAIN_TYPES = {
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.float16(): pa.float32(),
}
WRONG_LENGTH = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)


@contextlib.contextmanager
def refusals(path: Path, n_above: int = 0) -> Iterator[None]:
    """Turn what pyarrow, gzip and the system raise into an InputError.

    Args:
        n_above: how many rows of CSV stand above what is read, its header among them.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(f"{path}: the header is not UTF-8; save the table as UTF-8") from None
    except (MemoryError, PermissionError, BrokenPipeError):
        raise
    except (pa.ArrowException, EOFError, OSError, zlib.error) as error:
        reason = one_line(str(error).partition("\n")[0])[:200]
        if wrong := WRONG_LENGTH.search(str(error)):
            row, expected, found, text = wrong.groups()
            place = int(row) - 2 + n_above  # pyarrow counts from 1, with the header
            reason = f"row {place} has {found} cells, not {expected} as the header: {text[:60]!r}"
        raise InputError(f"{path}: cannot be read as a table: {reason}") from None


class Format(ABC):
    """An open table.

    Attributes:
        path: for errors.
        names: of all columns.
        n_read: how far the table was read.
        total: of `n_read` at the end, or None if it is not known.
        unit: of both.
    """

    path: Path
    names: list[str]
    n_read = 0
    total: int | None
    unit: str

    def numeric_names(self) -> list[str]:
        """Columns of text that begin with numbers."""
        return []

    @abstractmethod
    def batches(
        self, names: Sequence[str], numeric: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The rows in batches of some thousands, with the columns `names` in plain types.

        Args:
            numeric: columns of text to be read as float64. A batch in which a cell of such a column
                is not a number has text in all columns, as if none had been asked for.
        """


class Csv(Format):
    """Text in UTF-8, also compressed with gzip.

    Blocks of whole rows are parsed by pyarrow. Its own reader of streams would call Python from
    another thread, even while Python ends.
    """

    unit = "B"

    def __init__(
        self, path: Path, stack: ExitStack, delimiter: str, missing: Collection[str]
    ) -> None:
        """Open `path`, or standard input if it is `STDIN`; it is closed with `stack`.

        Args:
            delimiter: one character, or `auto`.
            missing: texts that mean a missing number, besides a blank cell.
        """
        self.path = path
        self.null_values = ["", *missing]
        file = sys.stdin.buffer if path == STDIN else stack.enter_context(path.open("rb"))
        is_zipped = path.suffix.lower() == ".gz"
        content = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if is_zipped else file
        self.total = None if is_zipped or path == STDIN else path.stat().st_size
        start = content.read(BLOCK_BYTES)
        self.delimiter = find_delimiter(start) if delimiter == "auto" else delimiter
        self.names = read_header(path, start, self.delimiter)
        blocks = whole_rows(path, content, start, self.delimiter)
        self.first = next(blocks, b"")
        self.blocks = itertools.chain([self.first], blocks)

    def numeric_names(self) -> list[str]:
        with refusals(self.path):
            table = self._read(self.first, self.names, (), None)
        columns = {name: with_nulls(table[name], self.null_values) for name in self.names}
        return [name for name, cells in columns.items() if is_number(typed(cells).type)]

    def batches(
        self, names: Sequence[str], numeric: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        def parsed(numbered: tuple[bytes, list[str] | None]) -> tuple[int, pa.Table]:
            block, header = numbered
            try:
                return len(block), self._read(block, names, numeric, header)
            except pa.ArrowInvalid:  # not a number, or a row of another length: text tells where
                return len(block), self._read(block, names, (), header)

        headers = itertools.chain([None], itertools.repeat(self.names))
        blocks = zip(self.blocks, headers, strict=False)
        tables = in_order(parsed, blocks, os.cpu_count() or 1)
        n_above = 0
        while True:
            with refusals(self.path, n_above):
                n_bytes, table = next(tables, (0, None))
            if table is None:
                return
            self.n_read += n_bytes
            n_above += table.num_rows + (n_above == 0)  # with the header
            yield from table.to_batches()

    def _read(
        self,
        block: bytes,
        names: Sequence[str],
        numeric: Collection[str],
        header: list[str] | None,
    ) -> pa.Table:
        kinds = {name: pa.float64() if name in numeric else pa.binary() for name in names}
        return pyarrow.csv.read_csv(
            pa.BufferReader(block),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,  # with threads, a wrong row has no number
                block_size=len(block) + 1,
                column_names=header,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=kinds, include_columns=list(names), null_values=self.null_values
            ),
        )


class Columnar(Format):
    """A file whose columns have types. Those of lists and the like come without their cells."""

    unit = "rows"
    total: int  # by which a large table is split in parts, or refused, before it is read
    schema: pa.Schema

    @abstractmethod
    def __init__(self, path: Path, stack: ExitStack) -> None:
        """Open `path`; it is closed with `stack`."""

    def batches(
        self,
        names: Sequence[str],
        numeric: Collection[str] = (),  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        kinds = {name: self.schema.field(name).type for name in names}
        flat = [name for name, kind in kinds.items() if is_flat(kind)]
        n_rows = int(np.clip(BATCH_CELLS // max(len(flat), 1), 1, BATCH_ROWS))
        stored = self.stored(flat, n_rows)
        while True:
            with refusals(self.path):
                batch = next(stored, None)
            if batch is None:
                return
            for start in range(0, batch.num_rows, n_rows):
                part = pa.Table.from_batches([batch.slice(start, n_rows)])
                plain = plain_table(self.path, part)
                self.n_read += part.num_rows
                columns = {
                    name: plain[name] if name in flat else pa.nulls(part.num_rows, kind)
                    for name, kind in kinds.items()
                }
                yield from pa.table(columns).to_batches()

    @abstractmethod
    def stored(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows with these columns as stored; `n_rows` is a wish."""


class Parquet(Columnar):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        file = stack.enter_context(pyarrow.parquet.ParquetFile(path))
        self.schema, self.names = file.schema_arrow, file.schema_arrow.names
        self.total = file.metadata.num_rows
        # a text that many rows have is stored once, and so it is kept in a batch
        texts = [field.name for field in self.schema if is_text(field.type)]
        self.file = stack.enter_context(
            pyarrow.parquet.ParquetFile(path, metadata=file.metadata, read_dictionary=texts)
        )

    def stored(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        for batch in self.file.iter_batches(n_rows, columns=names):
            yield batch.select(names)


class Arrow(Columnar):
    """Arrow's file format, which is Feather's of version 2."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.content = stack.enter_context(pa.memory_map(str(path))).read_buffer()
        self.schema = pa.ipc.open_file(self.content).schema
        self.names = self.schema.names
        self.total = _n_rows(path)

    def stored(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        fields = [self.schema.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        file = pa.ipc.open_file(self.content, options=options)
        for index in range(file.num_record_batches):
            yield file.get_batch(index).select(names)


def _n_rows(path: Path) -> int:
    """Of a file in Arrow's format, as far as its batches say, without their cells."""
    import pyarrow.dataset  # a fifth of a second, which other formats need not wait for

    # of a relative path, a name with a colon is taken for an address
    count: int = pyarrow.dataset.dataset(path.absolute(), format="ipc").count_rows()
    return count


FORMATS: dict[str, type[Columnar]] = {
    ".parquet": Parquet,
    ".pq": Parquet,
    ".arrow": Arrow,
    ".feather": Arrow,
}  # any other is CSV


def plain_table(path: Path, table: pa.Table) -> pa.Table:
    """The same cells in plain types.

    Raises:
        InputError: a column is damaged, such as by offsets beyond its end.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(_plain(column))
        except (pa.ArrowInvalid, pa.ArrowIndexError, pa.ArrowNotImplementedError) as error:
            reason = one_line(str(error).partition("\n")[0])[:200]
            raise InputError(f"{path}: column {name!r} cannot be read: {reason}") from None
    return pa.table(columns, names=table.column_names)


def is_flat(kind: pa.DataType) -> bool:
    """Whether a column of this type has one value for each row."""
    if isinstance(kind, pa.BaseExtensionType):
        return is_flat(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return is_flat(kind.value_type)
    return not pa.types.is_nested(kind)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name not in KNOWN_EXTENSIONS:
            return column
        chunks = [chunk.storage for chunk in column.chunks]
        stored = _plain(pa.chunked_array(chunks, kind.storage_type))
        return stored.cast(pa.bool_()) if kind.extension_name == "arrow.bool8" else stored
    if not is_flat(kind):
        return column
    if pa.types.is_dictionary(kind):
        column.validate()
        return _plain(column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        column.validate(full=True)
        return _plain(pc.run_end_decode(column))
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise
        column = column.cast(pa.binary())  # text that is not UTF-8, which the caller refuses
        column.validate(full=True)
    plain = _plain_type(column.type)
    # of times, an overflow is an error, and digits below 1 us do not count
    is_fine = pa.types.is_timestamp(kind) and kind.unit == "ns"
    return column if plain == column.type else column.cast(plain, safe=not is_fine)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_decimal(kind) and kind.bit_width < 128:
        return pa.decimal128(kind.precision, kind.scale)
    return PLAIN_TYPES.get(kind, kind)
