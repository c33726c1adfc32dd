"""Read a table of any size in parts: CSV from a file or a pipe, Parquet and Arrow from a file.

The cells say the same as `vintage.table.read_table`'s.
"""

import codecs
import contextlib
import csv
import gzip
import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from vintage.cells import MISSING
from vintage.console import InputError
from vintage.table import (
    ARROW,
    KINDS_OF_FILE,
    PARQUET,
    check_names,
    check_start,
    find_delimiter,
    refusals,
)

STDIN = "-"
HEAD_BYTES = 1 << 20  # pyarrow's own limit of a row
LINE_ENDS = (b"\n", b"\r")


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
            numeric: columns that are numbers where they can be; every other one stays text, and
                these do from the batch on in which a cell is none.
        """

    @abstractmethod
    def position(self) -> int:
        """How far it was read."""


@contextlib.contextmanager
def open_parts(name: str, delimiter: str = "auto") -> Iterator[Parts]:
    """Open a table by its name, or standard input by `-`.

    Raises:
        InputError: no such file, an empty one, or one whose header is none.
    """
    path = Path("standard input" if name == STDIN else name)
    if delimiter != "auto" and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"--delimiter: found {delimiter!r}; it is one character, such as ; or \\t")
    with contextlib.ExitStack() as stack:
        with refusals(path):
            parts = _open(name, path, delimiter, stack)
            check_names(path, parts.names)
        yield parts


def _open(name: str, path: Path, delimiter: str, stack: contextlib.ExitStack) -> Parts:
    if name == STDIN:
        return _Csv(path, sys.stdin.buffer, None, delimiter)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; a table is {KINDS_OF_FILE}, or - for input")
    if path.suffix.lower() in PARQUET:
        return _Parquet(path, stack.enter_context(pyarrow.parquet.ParquetFile(path)))
    if path.suffix.lower() in ARROW:
        return _Arrow(path, stack.enter_context(pa.memory_map(str(path))))
    file = stack.enter_context(path.open("rb"))
    return _Csv(path, file, path if path.is_file() else None, delimiter)


def regrouped(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """The same rows, `n_rows` at a time; fewer at the end, and before a column's type changes."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    for batch in batches:
        if waiting and batch.schema != waiting[0].schema:
            yield pa.Table.from_batches(waiting)
            waiting, n_waiting = [], 0
        waiting.append(batch)
        n_waiting += batch.num_rows
        if n_waiting >= n_rows:
            table = pa.Table.from_batches(waiting)
            n_full = n_waiting // n_rows * n_rows
            for start in range(0, n_full, n_rows):
                yield table.slice(start, n_rows)
            waiting, n_waiting = table.slice(n_full).to_batches(), n_waiting - n_full
    if n_waiting:
        yield pa.Table.from_batches(waiting)


class _Csv(Parts):
    unit = "B"

    def __init__(self, path: Path, file: IO[bytes], again: Path | None, delimiter: str) -> None:
        """Open a CSV file.

        Args:
            file: its bytes as they are stored, of which nothing was read.
            again: where they can be read once more.
        """
        self.path = path
        self.file = file
        self.again = again
        self.n_bytes = 0
        self.total = again.stat().st_size if again else None
        self.bytes = _decompressed(path, file)
        self.head = self.bytes.read(HEAD_BYTES)
        check_start(path, self.head)
        if len(self.head) < HEAD_BYTES and not self.head.endswith(LINE_ENDS):
            self.head += b"\n"  # without it, pyarrow refuses a header without rows
        self.delimiter = find_delimiter(self.head) if delimiter == "auto" else delimiter
        self.names = _header(path, self.head, self.delimiter)

    def position(self) -> int:
        return self.n_bytes

    def batches(self, names: Collection[str], numeric: Collection[str]) -> Iterator[pa.RecordBatch]:
        with refusals(self.path):
            if self.again is None or not numeric:
                yield from self._read(names, ())
                return
            n_rows = 0
            try:
                for batch in self._read(names, numeric):
                    n_rows += batch.num_rows
                    yield batch
                return
            except pa.ArrowInvalid:
                pass  # some cell is no plain number, or the table goes wrong: text tells where
            with self.again.open("rb") as self.file:
                self.bytes, self.head = _decompressed(self.path, self.file), b""
                yield from _without(n_rows, self._read(names, ()))

    def _read(self, names: Collection[str], numeric: Collection[str]) -> Iterator[pa.RecordBatch]:
        kinds = {name: pa.float64() if name in numeric else pa.binary() for name in names}
        with pyarrow.csv.open_csv(
            _Checked(self.path, self.bytes, self.head, self.delimiter),
            # with several threads, a wrong row has no number
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=kinds, include_columns=list(names), null_values=list(MISSING)
            ),
        ) as reader:
            for batch in reader:
                # of a pipe, which cannot tell, it is about as many
                self.n_bytes = self.file.tell() if self.again else self.n_bytes + batch.nbytes
                yield batch


class _Checked(io.RawIOBase):
    """The bytes of a CSV file, if its quotation marks are in order.

    They are not where one is left open or closed in the middle of a cell: pyarrow takes all that
    follows for one cell, as far as the next mark or the end of the file.
    """

    def __init__(self, path: Path, file: IO[bytes], head: bytes, delimiter: str) -> None:
        super().__init__()
        self.path = path
        self.file = file
        self.head = head
        self.around = (delimiter.encode(), *LINE_ENDS)  # a cell in quotation marks
        self.last = b"\n"
        self.is_inside = False
        self.is_closing = False  # or this mark is doubled
        self.n_lines = 1

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.head:
            content, self.head = self.head[:size], self.head[size:]
        else:
            content = self.file.read(size)
        if content:
            self._check(content.removeprefix(codecs.BOM_UTF8) if self.n_lines == 1 else content)
            self.last = content[-1:]
        elif self.is_inside and not self.is_closing:
            raise self._error(b"", 0, "it is left open")
        return content

    def _check(self, content: bytes) -> None:
        place = 0
        if self.is_closing:
            place = self._close(content, 0)
        while (place := content.find(b'"', place)) >= 0:
            if self.is_inside:
                place = self._close(content, place + 1)
            else:
                before = content[place - 1 : place] if place else self.last
                self.is_inside = before in self.around
                place += 1
        self.n_lines += content.count(b"\n")

    def _close(self, content: bytes, place: int) -> int:
        """What comes after a mark inside of a cell, at `place`, and where to look on."""
        after = content[place : place + 1]
        self.is_closing = not after
        if after == b'"':
            return place + 1
        if after:
            if after not in self.around:
                raise self._error(content, place, f"{after!r} comes after its end")
            self.is_inside = False
        return place

    def _error(self, content: bytes, place: int, problem: str) -> InputError:
        line = self.n_lines + content.count(b"\n", 0, place)
        return InputError(
            f"{self.path}: line {line}: a cell in quotation marks goes wrong ({problem}); close "
            "it, and double the marks inside of it"
        )


class _Parquet(Parts):
    unit = "rows"

    def __init__(self, path: Path, file: pyarrow.parquet.ParquetFile) -> None:
        self.path = path
        self.file = file
        self.names = file.schema_arrow.names
        self.total = file.metadata.num_rows
        self.n_read = 0

    def position(self) -> int:
        return self.n_read

    def batches(
        self,
        names: Collection[str],
        numeric: Collection[str],  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        with refusals(self.path):
            for batch in self.file.iter_batches(8192, columns=list(names)):
                self.n_read += batch.num_rows
                yield batch


class _Arrow(Parts):
    unit = "rows"

    def __init__(self, path: Path, content: pa.MemoryMappedFile) -> None:
        self.path = path
        self.content = content
        self.names = pa.ipc.open_file(content).schema.names
        self.total = None
        self.n_read = 0

    def position(self) -> int:
        return self.n_read

    def batches(
        self,
        names: Collection[str],
        numeric: Collection[str],  # noqa: ARG002
    ) -> Iterator[pa.RecordBatch]:
        with refusals(self.path):
            options = pa.ipc.IpcReadOptions(included_fields=[self.names.index(n) for n in names])
            reader = pa.ipc.open_file(self.content, options=options)
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                self.n_read += batch.num_rows
                yield batch


def _decompressed(path: Path, file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file


def _without(n_rows: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches without the first rows."""
    for batch in batches:
        rest = batch.slice(min(n_rows, batch.num_rows))
        n_rows -= batch.num_rows - rest.num_rows
        if rest.num_rows:
            yield rest


def _header(path: Path, head: bytes, delimiter: str) -> list[str]:
    """The names in the first line that is not empty."""
    if len(head) == HEAD_BYTES and not any(end in head for end in LINE_ENDS):
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
