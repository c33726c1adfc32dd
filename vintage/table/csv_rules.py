"""The rules of CSV: its delimiter, its header, and where a row ends.

A file follows RFC 4180: a cell that holds the delimiter or a line break, or begins with a quotation
mark, is enclosed in quotation marks, and those inside it are doubled. Lines end with LF, CRLF or
CR, and empty lines do not count.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vintage.base.console import InputError

DELIMITERS = (",", ";", "\t", "|")  # that are looked for
BLOCK_BYTES = 1 << 20
LONGEST_ROW = 1 << 24  # bytes
SAMPLE_BYTES = 1 << 16
SAMPLE_LINES = 20
FOREIGN = {
    codecs.BOM_UTF16_LE: "is UTF-16; save the table as UTF-8",
    codecs.BOM_UTF16_BE: "is UTF-16; save the table as UTF-8",
    b"PK\x03\x04": "is an Excel file or a zip archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel file; save the table as CSV",
    b"\x1f\x8b": "is compressed with gzip; its name must end in .gz",
}


def find_delimiter(start: bytes) -> str:
    """The delimiter that cuts the first lines into the most cells, equally many in each line.

    A comma, if no delimiter does.
    """
    # not by str.splitlines, which takes the second byte of some letters for the end of a line
    lines = re.split(r"\r\n|\r|\n", start[:SAMPLE_BYTES].decode("latin-1"))
    complete = [line for line in (lines[:-1] or lines)[:SAMPLE_LINES] if line]

    def n_cells(delimiter: str) -> int:
        try:
            rows = list(csv.reader(complete, delimiter=delimiter, strict=True))
        except csv.Error:  # a cell with a line break was cut off
            rows = list(csv.reader(complete[:1], delimiter=delimiter))
        counts = {len(row) for row in rows}
        return counts.pop() if len(counts) == 1 else 1

    return max(DELIMITERS, key=n_cells)


def read_header(path: Path, start: bytes, delimiter: str) -> list[str]:
    """The names in the first line that is not empty.

    Raises:
        InputError: the file is empty or not CSV.
        UnicodeDecodeError: a name is not UTF-8.
    """
    for mark, problem in FOREIGN.items():
        if start.startswith(mark):
            raise InputError(f"{path}: {problem}")
    if len(start) == BLOCK_BYTES and not re.search(rb"[\r\n]", start):
        raise InputError(f"{path}: the first line is longer than 1 MB; is this a table?")
    text = start.decode("utf-8-sig", errors="surrogateescape")
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = next((line for line in lines if line), None)
    except csv.Error as error:
        raise InputError(f"{path}: the header cannot be parsed: {error}") from None
    if names is None:
        raise InputError(f"{path}: is empty; it needs a header and rows")
    for name in names:
        name.encode(errors="surrogateescape").decode()
    return names


def whole_rows(path: Path, file: IO[bytes], start: bytes, delimiter: str) -> Iterator[bytes]:
    """The bytes of a CSV file in blocks that end with a row; the first one has the header.

    Args:
        start: the first bytes of `file`, which were read already.

    Raises:
        InputError: a cell in quotation marks is left open or closed in its middle, of which pyarrow
            would take all that follows for one cell, as far as the next mark or the end of the
            file; or a row is longer than 16 MB.
    """
    block, n_lines = start.removeprefix(codecs.BOM_UTF8), 1
    while block:
        more = file.read(BLOCK_BYTES)
        block = block if more else block + b"\n"
        end = _end_of_rows(path, block, delimiter, n_lines, not more)
        if rows := block[: end if more else None]:
            n_lines += rows.count(b"\n")
            if rows.strip(b"\r\n"):
                yield rows
        block = block[end:] + more if more else b""
        if len(block) > LONGEST_ROW:
            raise InputError(
                f"{path}: line {n_lines}: a row is longer than 16 MB; is a quotation mark left "
                "open, or is this not a table?"
            )


def _end_of_rows(path: Path, block: bytes, delimiter: str, n_lines: int, is_last: bool) -> int:
    """Where the last complete row ends, of a block that begins with a row.

    Args:
        n_lines: the number of the block's first line, for errors.
        is_last: whether nothing follows.
    """
    around = re.escape(delimiter.encode()) + rb"\r\n"
    quoted = re.compile(rb'"(?<![^%b]")(?:[^"]++|"")*+("?)(.?)' % around, re.DOTALL)
    end = outside = 0
    for cell in quoted.finditer(block) if b'"' in block else ():
        end = max(end, _last_line_end(block, outside, cell.start()))
        closed, after = cell.groups()
        if not is_last and not (closed and after):
            return end
        outside = cell.start(2)
        if closed and after in (delimiter.encode(), b"\r", b"\n"):
            continue
        problem = f"{after!r} comes after its end" if closed else "it is left open"
        line = n_lines + block.count(b"\n", 0, outside if closed else cell.start())
        raise InputError(
            f"{path}: line {line}: a cell in quotation marks is invalid ({problem}); close it, and "
            "double the marks inside of it"
        )
    return max(end, _last_line_end(block, outside, len(block)))


def _last_line_end(block: bytes, start: int, stop: int) -> int:
    """Behind the last line break between `start` and `stop`; 0 if there is none."""
    return max(block.rfind(b"\n", start, stop), block.rfind(b"\r", start, stop)) + 1
