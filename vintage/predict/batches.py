"""Read a table of any size in parts: CSV from a file or a pipe, Parquet and Arrow from a file.

The cells say the same as `vintage.table.read.read_table`'s.
"""

import codecs
import contextlib
import csv
import gzip
import io
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv

from vintage.base.console import InputError
from vintage.base.tensors import MISSING
from vintage.table.columnar import ARROW, LONGEST_CELL, PARQUET, PART_BYTES, open_columnar
from vintage.table.read import (
    KINDS_OF_FILE,
    check_names,
    check_start,
    find_delimiter,
    leave_signals_to_python,
    refusals,
)

STDIN = "-"
BLOCK_BYTES = 1 << 20
BATCH_ROWS = 8192


class Parts(ABC):
    """A table that is open.

    Attributes:
        path: for errors.
        names: of all columns.
        total: of `position`, or None if nobody knows.
        unit: of both.
    """

    path: Path
    names: list[str]
    total: int | None
    unit: str

    @abstractmethod
    def batches(self, names: Collection[str], numeric: Collection[str]) -> Iterator[pa.RecordBatch]:
        """The rows in their order, in batches of some 1,000, with these columns.

        Args:
            numeric: columns that are numbers where they can be, and text in a batch in which some
                cell is none; every other one is text.
        """

    @abstractmethod
    def position(self) -> int:
        """How far it was read."""


@contextlib.contextmanager
def open_parts(
    name: str, delimiter: str = "auto", missing: Collection[str] = MISSING
) -> Iterator[Parts]:
    """Open a table by its name, or standard input by `-`.

    Args:
        missing: texts that mean a missing number, besides a blank cell.

    Raises:
        InputError: no such file, an empty one, or one whose header is none.
    """
    path = Path("standard input" if name == STDIN else name)
    if delimiter != "auto" and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"--delimiter: found {delimiter!r}; it is one character, such as ; or \\t")
    leave_signals_to_python()
    with contextlib.ExitStack() as stack:
        with refusals(path):
            parts = _open(name, path, delimiter, missing, stack)
            check_names(path, parts.names)
        yield parts


def _open(
    name: str, path: Path, delimiter: str, missing: Collection[str], stack: contextlib.ExitStack
) -> Parts:
    if name == STDIN:
        return _Csv(path, sys.stdin.buffer, delimiter, missing)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(
            f"{path}: is no file, but a folder, a pipe or a device; a table is {KINDS_OF_FILE}, or "
            "- for standard input"
        )
    if path.suffix.lower() in (*PARQUET, *ARROW):
        return _Columnar(path, stack)
    file = stack.enter_context(path.open("rb"))
    return _Csv(path, file, delimiter, missing)


def regrouped(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """The same rows, `n_rows` at a time.

    Fewer at the end, before a column's type changes, and where the cells are long: of 32 MB.
    """
    waiting: list[pa.RecordBatch] = []
    n_waiting = n_bytes = 0
    for batch in batches:
        n_bytes += batch.nbytes
        if n_waiting and (batch.schema != waiting[0].schema or n_bytes > PART_BYTES):
            yield pa.Table.from_batches(waiting)
            waiting, n_waiting, n_bytes = [], 0, batch.nbytes
        if not batch.num_rows:
            continue
        waiting.append(batch)
        n_waiting += batch.num_rows
        if n_waiting >= n_rows:
            table = pa.Table.from_batches(waiting)
            n_full = n_waiting // n_rows * n_rows
            for start in range(0, n_full, n_rows):
                yield table.slice(start, n_rows)
            rest = table.slice(n_full)
            waiting, n_waiting, n_bytes = rest.to_batches(), rest.num_rows, rest.nbytes
    if n_waiting:
        yield pa.Table.from_batches(waiting)


class _Csv(Parts):
    """CSV in blocks of whole rows, each of which is numbers where it can be.

    pyarrow's own reader of streams would call Python from another thread, even while it ends.
    """

    unit = "B"

    def __init__(
        self, path: Path, file: IO[bytes], delimiter: str, missing: Collection[str]
    ) -> None:
        self.path = path
        self.null_values = ["", *missing]
        self.file = file
        self.is_file = path.is_file()
        self.total = path.stat().st_size if self.is_file else None
        self.bytes = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file
        self.n_bytes = 0
        self.head = self.bytes.read(BLOCK_BYTES)
        check_start(path, self.head)
        self.delimiter = find_delimiter(self.head) if delimiter == "auto" else delimiter
        self.names = _header(path, self.head, self.delimiter)

    def position(self) -> int:
        return self.file.tell() if self.is_file else self.n_bytes

    def batches(self, names: Collection[str], numeric: Collection[str]) -> Iterator[pa.RecordBatch]:
        with refusals(self.path):
            n_above = 0
            for block in whole_rows(self.path, self.bytes, self.head, self.delimiter):
                table = self._parse(block, names, numeric, n_above)
                self.n_bytes += len(block)
                n_above += table.num_rows + (n_above == 0)  # the header
                yield from table.to_batches()

    def _parse(
        self, block: bytes, names: Collection[str], numeric: Collection[str], n_above: int
    ) -> pa.Table:
        kinds = dict.fromkeys(names, pa.binary())
        try:
            return self._read(block, kinds | dict.fromkeys(numeric, pa.float64()), n_above)
        except pa.ArrowInvalid:
            pass  # some cell is no plain number, or the table goes wrong: text tells where
        with refusals(self.path, n_above):
            return self._read(block, kinds, n_above)

    def _read(self, block: bytes, kinds: dict[str, pa.DataType], n_above: int) -> pa.Table:
        return pyarrow.csv.read_csv(
            pa.BufferReader(block),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,  # with several of them, a wrong row has no number
                block_size=len(block) + 1,
                column_names=self.names if n_above else None,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=kinds, include_columns=list(kinds), null_values=self.null_values
            ),
        )


def whole_rows(path: Path, file: IO[bytes], head: bytes, delimiter: str) -> Iterator[bytes]:
    """The bytes of a CSV file in blocks that end with a row; the first one has the header.

    Args:
        head: what was read of `file` already.

    Raises:
        InputError: a cell in quotation marks is left open or closed in its middle, of which pyarrow
            would take all that follows for one cell, as far as the next mark or the end of the
            file; or a row is longer than 16 MB.
    """
    block, n_lines = head, 1
    while block:
        more = file.read(BLOCK_BYTES)
        end = _end_of_rows(path, block if more else block + b"\n", delimiter, n_lines, not more)
        if rows := block[:end] if more else block + b"\n":
            n_lines += rows.count(b"\n")
            if rows.strip(b"\r\n"):
                yield rows
        block = block[end:] + more if more else b""
        if len(block) > LONGEST_CELL:
            raise InputError(
                f"{path}: line {n_lines}: a row is longer than 16 MB; is a quotation mark left "
                "open, or is this no table?"
            )


def _end_of_rows(path: Path, block: bytes, delimiter: str, n_lines: int, is_last: bool) -> int:
    """Where the last row ends that is complete, of a block that begins with one.

    Args:
        n_lines: the number of the block's first line, for errors.
        is_last: whether nothing follows.
    """
    around = (delimiter.encode(), b"\n", b"\r", b"")  # a cell in quotation marks
    end = place = 0
    outside = len(codecs.BOM_UTF8) if block.startswith(codecs.BOM_UTF8) else 0
    first = outside
    while (place := block.find(b'"', max(place, outside))) >= 0:
        end = max(end, _last_line_end(block, outside, place))
        if place > first and block[place - 1 : place] not in around:
            place += 1  # in the middle of a cell, it stands for itself
            continue
        closing = block.find(b'"', place + 1)
        while closing >= 0 and block[closing + 1 : closing + 2] == b'"':
            closing = block.find(b'"', closing + 2)
        after = block[closing + 1 : closing + 2]
        if not is_last and (closing < 0 or not after):
            return end
        if closing >= 0 and after in around:
            outside = place = closing + 1
            continue
        problem = "it is left open" if closing < 0 else f"{after!r} comes after its end"
        line = n_lines + block.count(b"\n", 0, place if closing < 0 else closing)
        raise InputError(
            f"{path}: line {line}: a cell in quotation marks goes wrong ({problem}); close it, and "
            "double the marks inside of it"
        )
    return max(end, _last_line_end(block, outside, len(block)))


def _last_line_end(block: bytes, start: int, stop: int) -> int:
    """Behind the last line break there; 0 if there is none."""
    return max(block.rfind(b"\n", start, stop), block.rfind(b"\r", start, stop)) + 1


class _Columnar(Parts):
    unit = "rows"

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        self.path = path
        self.file = open_columnar(path, stack)
        self.names = self.file.schema.names
        self.total = self.file.n_rows
        self.n_read = 0

    def position(self) -> int:
        return self.n_read

    def batches(
        self,
        names: Collection[str],
        numeric: Collection[str],  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        with refusals(self.path):
            for batch in self.file.batches(names, BATCH_ROWS):
                self.n_read += batch.num_rows
                yield batch


def _header(path: Path, head: bytes, delimiter: str) -> list[str]:
    """The names in the first line that is not empty."""
    if len(head) == BLOCK_BYTES and not re.search(rb"[\r\n]", head):
        raise InputError(f"{path}: the first line is longer than 1 MB; is this a table?")
    text = head.decode("utf-8-sig", errors="surrogateescape")
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = next((line for line in lines if line), None)
    except csv.Error as error:
        raise InputError(f"{path}: the header goes wrong: {error}") from None
    if names is None:
        raise InputError(f"{path}: is empty; it needs a header and rows")
    for name in names:
        name.encode(errors="surrogateescape").decode()  # raises what `refusals` says in one line
    return names
