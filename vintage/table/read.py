"""Open a table in any format, and read it in parts or as a whole.

Rows are counted from 0 at the first row below the header, here, in errors and in the outputs.
"""

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from vintage.base.console import InputError, one_line
from vintage.base.files import check_regular
from vintage.base.tensors import MISSING
from vintage.table.csv_rules import DELIMITERS
from vintage.table.folder import Folder, files_of, no_such_table
from vintage.table.formats import FORMATS, STDIN, Csv, Format, refusals

MAX_COLUMNS = 10_000
MAX_CELLS = 500_000_000  # 2 GB as features, and again as much while they are text
MAX_NAME = 10_000  # characters of a column's name
MAX_GROWN = 2**30  # bytes that a smaller file may become in memory
FAIR_RATIO = 50  # of bytes in memory to those on disk; that of honest tables is 1 to 20


@contextlib.contextmanager
def open_table(
    name: str | Path, delimiter: str = "auto", missing: Collection[str] = MISSING
) -> Iterator[Format]:
    """Open a table by the name of its file or folder, or standard input, which is CSV, by `-`.

    Args:
        delimiter: of CSV; `auto` finds it in the first lines.
        missing: texts that mean a missing number, besides a blank cell.

    Raises:
        InputError: a file is missing, empty or foreign, or its header is not one; or the files of a
            folder are not one table.
    """
    path = STDIN if str(name) == "-" else Path(name)
    if delimiter != "auto" and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"--delimiter: found {delimiter!r}; it is one character, such as ; or \\t")
    # pyarrow's own handlers lose a signal that comes at the end of a block on a busy machine
    pa.enable_signal_handlers(False)
    with contextlib.ExitStack() as stack:
        with refusals(path):
            if path != STDIN and not path.exists():
                raise no_such_table(path)
            table: Format
            if path.is_dir():
                opened = partial(open_table, delimiter=delimiter, missing=missing)
                table = Folder(path, opened)
            else:
                check_regular(path)
                columnar = FORMATS.get(path.suffix.lower())
                table = columnar(path, stack) if columnar else Csv(path, stack, delimiter, missing)
        _check_names(path, table.names)
        yield table


def read_table(
    path: Path,
    delimiter: str = "auto",
    as_text: Collection[str] = (),
    missing: Collection[str] = MISSING,
) -> pa.Table:
    """Read all of a table. A column of CSV is float64 if all its cells are numbers, else text.

    Args:
        as_text: columns that stay text, even if they hold numbers.

    Raises:
        InputError: as `open_table`, or there are no rows, too many cells, or cells that do not form
            a table.
    """
    with open_table(path, delimiter, missing) as table:
        n_stored = sum(file.stat().st_size for file in files_of(path))
        if table.unit == "rows":
            _check_size(path, (table.total or 0) * len(table.names), 0, n_stored)
        numeric = [name for name in table.numeric_names() if name not in as_text]
        batches: list[pa.Table] = []
        n_rows = n_bytes = 0
        for batch in table.batches(table.names, numeric):
            batches.append(pa.Table.from_batches([batch]))
            n_rows += batch.num_rows
            n_bytes += batch.nbytes
            _check_size(path, n_rows * len(table.names), n_bytes, n_stored)
            if numeric and batch.schema != batches[0].schema:  # a column only began with numbers
                return read_table(path, delimiter, table.names, missing)
    if n_rows == 0:
        raise InputError(f"{path}: has a header but no rows")
    # of text, a part may be binary, because it is not UTF-8; then all is
    return pa.concat_tables(batches, promote_options="permissive")


def first_rows(path: Path, missing: Collection[str], n_cells: int) -> pa.Table:
    """The first rows of a table, about as many as have `n_cells`; of CSV, all columns are text.

    Raises:
        InputError: as `read_table`, as far as it is read.
    """
    batches: list[pa.Table] = []
    n_rows = 0
    with open_table(path, missing=missing) as table:
        for batch in table.batches(table.names):
            batches.append(pa.Table.from_batches([batch]))
            n_rows += batch.num_rows
            if n_rows * len(table.names) >= n_cells:
                break
    if n_rows == 0:
        raise InputError(f"{path}: has a header but no rows")
    return pa.concat_tables(batches, promote_options="permissive")


def column_hint(names: Sequence[str], setting: str = "data.delimiter") -> str:
    """What to say of a table's columns to someone who named another.

    Args:
        setting: where the delimiter is set.
    """
    shown = [one_line(name)[:60] for name in names]
    if len(names) == 1 and any(mark in names[0] for mark in DELIMITERS):
        return f"the only column is {shown[0]!r}: is {setting} right?"
    return f"the columns are {', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}"


def _check_names(path: Path, names: list[str]) -> None:
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


def _check_size(path: Path, n_cells: int, n_bytes: int, n_stored: int) -> None:
    if n_cells > MAX_CELLS:
        raise InputError(
            f"{path}: has more than {MAX_CELLS:,} cells; take fewer columns, or a sample of the "
            "rows, or set split.by: hash and compute.streaming: true, to split it in parts"
        )
    if n_bytes > (limit := max(MAX_GROWN, FAIR_RATIO * n_stored)):
        raise InputError(
            f"{path}: its {n_stored:,} bytes become more than {limit:,} when they are decoded; if "
            "that is right, save it as CSV without compression, or take a sample of the rows"
        )
