"""Read a table from CSV, Parquet or Arrow, as a whole or in parts.

Rows are counted from 0 at the first row below the header, here, in errors and in the outputs.
"""

import codecs
import contextlib
import csv
import gzip
import io
import os
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv

from vintage.base.console import InputError, one_line
from vintage.base.files import check_regular
from vintage.base.tensors import MISSING
from vintage.table.cells import as_numbers, with_nulls
from vintage.table.columnar import (
    ARROW,
    LONGEST_CELL,
    PARQUET,
    check_decoded,
    joined,
    open_columnar,
)

MAX_COLUMNS = 10_000
MAX_CELLS = 500_000_000  # 2 GB as features, and again as much while they are text
MAX_NAME = 10_000  # characters of a column's name
DELIMITERS = (",", ";", "\t", "|")  # that are looked for
SAMPLE_BYTES = 1 << 16
SAMPLE_LINES = 20
NO_TEXT = {
    b"PK\x03\x04": "is an Excel file or a zip archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel file; save the table as CSV",
    b"\x1f\x8b": "is compressed with gzip; its name must end in .gz",
}
KINDS_OF_FILE = "CSV (.csv, .tsv, .txt, also .gz), Parquet or Arrow"


def read_table(
    path: Path,
    delimiter: str = "auto",
    as_text: Collection[str] = (),
    missing: Collection[str] = MISSING,
) -> pa.Table:
    """Read `path`: Parquet or Arrow if its name ends so, and delimited text in UTF-8 otherwise.

    A CSV file follows RFC 4180: a cell that holds the delimiter, a line break or begins with a
    quotation mark stands in quotation marks, and those inside of it are doubled. Lines end with LF,
    CRLF or CR; empty lines do not count. A name that ends in `.gz` is decompressed. A column of
    numbers is float64, null where a cell is missing; every other one is text, as it stands there.

    Args:
        delimiter: `auto` finds it in the first lines.
        as_text: columns that stay text, even if they hold numbers.
        missing: texts that mean a missing number, besides a blank cell.

    Raises:
        InputError: no such file, an empty one, no rows, cells that do not form a table, repeated
            or empty column names.
    """
    leave_signals_to_python()
    with refusals(path):
        _check_file(path)
        if path.suffix.lower() in (*PARQUET, *ARROW):
            table = _read_columnar(path)
        else:
            table = _read_csv(path, delimiter, as_text, missing)
    if table.num_rows == 0:
        raise InputError(f"{path}: has a header but no rows")
    return table


def leave_signals_to_python() -> None:
    """Pyarrow's own handlers lose a signal that comes at the end of a block on a busy machine."""
    pa.enable_signal_handlers(False)


def column_hint(names: Sequence[str], setting: str = "data.delimiter") -> str:
    """What to say of the columns that are there to someone who named another.

    Args:
        setting: where the delimiter is set.
    """
    shown = [one_line(name)[:60] for name in names]
    if len(names) == 1 and any(mark in names[0] for mark in DELIMITERS):
        return f"the only column is {shown[0]!r}: is {setting} right?"
    return f"the columns are {', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}"


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: no such file; set data.path in params.yaml")
    check_regular(path)


@contextlib.contextmanager
def refusals(path: Path, n_above: int = 0) -> Iterator[None]:
    """Turn what the readers raise into one line.

    Args:
        n_above: how many rows stand above what is read, its header among them.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(f"{path}: the header is not UTF-8; save the table as UTF-8") from None
    except (MemoryError, PermissionError, BrokenPipeError):
        raise
    except (pa.ArrowException, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as a table: {_reason(error, n_above)}") from None


def _read_columnar(path: Path) -> pa.Table:
    with contextlib.ExitStack() as stack:
        file = open_columnar(path, stack)
        names = file.schema.names
        check_names(path, names)
        _check_size(path, file.n_rows or 0, len(names))
        batches, n_rows, n_bytes = [], 0, 0
        for batch in file.batches(names):
            batches.append(batch)
            n_rows += batch.num_rows
            n_bytes += batch.nbytes
            _check_size(path, n_rows, len(names))
            check_decoded(path, n_bytes)
    if not batches:
        return pa.table([pa.nulls(0)] * len(names), names=names)
    parts = [[pa.chunked_array([batch[index]]) for batch in batches] for index in range(len(names))]
    return pa.table([joined(part) for part in parts], names=names)


def _read_csv(
    path: Path, delimiter: str, as_text: Collection[str], missing: Collection[str]
) -> pa.Table:
    sample = _sample(path)
    check_start(path, sample)
    if delimiter == "auto":
        delimiter = find_delimiter(sample)
    last_quote = _last_quote(path)
    quoted = last_quote > sample.find(b"\n")  # beyond the header
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted)
    names = _header(path, parse)
    check_names(path, names)
    table = None
    # so a cell takes a byte at least, and the size bounds their number
    if path.suffix != ".gz" and path.stat().st_size <= MAX_CELLS:
        table = _read_numbers(path, parse, names, as_text, missing)
    if table is None:
        table = _read_text(path, parse, names)
    _check_quotes(path, delimiter, last_quote)
    return table


def check_start(path: Path, start: bytes) -> None:
    """Refuse what begins as no text in UTF-8 does."""
    if not start:
        raise InputError(f"{path}: is empty; it needs a header and rows")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is UTF-16; save the table as UTF-8")
    for mark, problem in NO_TEXT.items():
        if start.startswith(mark):
            raise InputError(f"{path}: {problem}")


def _read_numbers(
    path: Path,
    parse: pyarrow.csv.ParseOptions,
    names: Sequence[str],
    as_text: Collection[str],
    missing: Collection[str],
) -> pa.Table | None:
    """Read columns that begin with numbers as such, on all cores; None if one does not go on so."""
    first = next(iter(_text_batches(path, parse, names)), None)
    if first is None:
        return None
    kinds = {}
    for name, column in zip(first.schema.names, first.columns, strict=True):
        cells = with_nulls(pa.chunked_array([column]), missing)
        is_utf8 = not pa.types.is_binary(cells.type)
        numbers = as_numbers(cells) if is_utf8 and name not in as_text else None
        is_numeric = numbers is not None and numbers.null_count < len(numbers)
        kinds[name] = pa.float64() if is_numeric else pa.binary()
    convert = pyarrow.csv.ConvertOptions(column_types=kinds, null_values=["", *missing])
    pa.set_cpu_count(os.cpu_count() or 1)  # OMP_NUM_THREADS=1 holds for Arrow, too
    try:
        return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid:
        return None


def _read_text(path: Path, parse: pyarrow.csv.ParseOptions, names: Sequence[str]) -> pa.Table:
    batches, n_rows, n_bytes = [], 0, 0
    for batch in _text_batches(path, parse, names):
        batches.append(batch)
        n_rows += batch.num_rows
        n_bytes += batch.nbytes
        _check_size(path, n_rows, len(names))
        check_decoded(path, n_bytes)
    return pa.Table.from_batches(batches, pa.schema([(name, pa.binary()) for name in names]))


def _header(path: Path, parse: pyarrow.csv.ParseOptions) -> list[str]:
    with pyarrow.csv.open_csv(path, read_options=_one_thread(), parse_options=parse) as reader:
        names: list[str] = reader.schema.names
    return names


def _one_thread() -> pyarrow.csv.ReadOptions:
    """With several threads a wrong row has no number; one is no slower in blocks."""
    return pyarrow.csv.ReadOptions(use_threads=False)


def _text_batches(
    path: Path, parse: pyarrow.csv.ParseOptions, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The rows in blocks of about 1 MB, every cell as it stands there."""
    kinds = dict.fromkeys(names, pa.binary())
    convert = pyarrow.csv.ConvertOptions(column_types=kinds)
    with pyarrow.csv.open_csv(
        path, read_options=_one_thread(), parse_options=parse, convert_options=convert
    ) as reader:
        yield from reader


def find_delimiter(sample: bytes) -> str:
    """The delimiter that cuts the first lines of a CSV file into the most cells, as many in each.

    A comma, if none cuts them.
    """
    # not by str.splitlines, to which the second byte of some letters ends a line
    lines = re.split(r"\r\n|\r|\n", sample.decode("latin-1"))
    complete = [line for line in (lines[:-1] or lines)[:SAMPLE_LINES] if line]

    def n_cells(delimiter: str) -> int:
        try:
            rows = list(csv.reader(complete, delimiter=delimiter, strict=True))
        except csv.Error:  # a cell with a line break was cut off
            rows = list(csv.reader(complete[:1], delimiter=delimiter))
        counts = {len(row) for row in rows}
        return counts.pop() if len(counts) == 1 else 1

    return max(DELIMITERS, key=n_cells)


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _sample(path: Path) -> bytes:
    with _open(path) as file:
        return file.read(SAMPLE_BYTES)


def _last_quote(path: Path) -> int:
    """Where the last quotation mark of a file stands, in bytes; -1 if there is none."""
    last, offset = -1, 0
    with _open(path) as file:
        while chunk := file.read(1 << 20):
            found = chunk.rfind(b'"')
            last = offset + found if found >= 0 else last
            offset += len(chunk)
            check_decoded(path, offset)
    return last


def _check_quotes(path: Path, delimiter: str, last_quote: int) -> None:
    """Refuse a quotation mark that is left open or closed in the middle of a cell.

    pyarrow takes all that follows for one cell, as far as the next mark or the end of the file.
    Lines beyond the last mark are not looked at.
    """
    with _open(path) as file:
        text = io.TextIOWrapper(file, encoding="latin-1", newline="")  # of the bytes some matter
        csv.field_size_limit(LONGEST_CELL)  # pyarrow itself takes no row of more than 1 MB
        reader = csv.reader(_lines_until(text, last_quote), strict=True, delimiter=delimiter)
        try:
            for _ in reader:
                pass
        except csv.Error as error:
            raise InputError(
                f"{path}: line {reader.line_num}: a cell in quotation marks goes wrong ({error}); "
                "close it, and double the marks inside of it"
            ) from None


def _lines_until(text: Iterable[str], end: int) -> Iterator[str]:
    n_read = 0
    for line in text:
        if n_read > end:
            return
        yield line
        n_read += len(line)


def _check_size(path: Path, n_rows: int, n_columns: int) -> None:
    if n_rows * n_columns > MAX_CELLS:
        raise InputError(
            f"{path}: has more than {MAX_CELLS:,} cells; take fewer columns, or a sample of the "
            "rows"
        )


def check_names(path: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise InputError(
            f"{path}: has {len(names)} columns, more than {MAX_COLUMNS}; choose some of them first"
        )
    if not all(names):
        raise InputError(f"{path}: column {names.index('') + 1} has no name in the header")
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{path}: column name {name!r} stands in the header more than once")
        if len(name) > MAX_NAME:
            raise InputError(
                f"{path}: a column name has {len(name)} characters, more than {MAX_NAME}: "
                f"{name[:40]!r}; is the first line a header?"
            )


def _reason(error: Exception, n_above: int) -> str:
    """pyarrow's reason in words for people; its rows count from 1 at the header."""
    reason = str(error)
    if wrong := re.search(
        r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", reason, re.DOTALL
    ):
        row, expected, found, text = wrong.groups()
        place = int(row) - 2 + n_above
        return f"row {place} has {found} cells, not {expected} as the header: {text[:60]!r}"
    if "Empty CSV" in reason:
        return (
            "there is no header with rows below it; the first line may be longer than 1 MB, or "
            "leave a quotation mark open"
        )
    if "straddling" in reason:
        return "a row is longer than 1 MB; is a quotation mark left open, or is this no table?"
    return one_line(reason.partition("\n")[0])[:200]
