"""A folder whose files are one table, read one after the other.

Those in folders below it belong to it as well. They come in the order of their paths, compared by
code points. As for Spark and Arrow, what has a name that begins with `.` or `_` is not of the
table. Nothing else may be there: neither another file, nor a link to a folder, which DVC does not
follow.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from vintage.base.console import InputError, one_line
from vintage.table.batches import gathered
from vintage.table.cells import FILES, is_text
from vintage.table.formats import (
    BATCH_ROWS,
    FORMATS,
    PLAIN_TYPES,
    Columnar,
    Format,
    plain_table,
)

ENDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", *FORMATS)
ZONED = pa.timestamp("us", "UTC")

Opened = contextlib.AbstractContextManager[Format]


def files_of(table: Path) -> list[Path]:
    """The files that a table is made of: itself, or those of a folder in the order of their rows.

    Raises:
        InputError: a folder holds no table, or something else beside.
    """
    if not table.is_dir():
        return [table]
    found: list[Path] = []
    for folder, below, names in os.walk(table, onerror=_refuse):
        below[:] = [name for name in below if not name.startswith((".", "_"))]
        linked = [name for name in below if Path(folder, name).is_symlink()]
        shown = [name for name in names if not name.startswith((".", "_"))]
        found += [Path(folder, name) for name in (*linked, *shown)]
    found.sort(key=Path.as_posix)
    for path in found:
        if path.is_dir():
            raise InputError(f"{path}: is a link to a folder, which DVC does not follow; move it")
        if not path.exists():
            raise InputError(f"{path}: is a link to nothing; remove it")
        if path.suffix == ".dvc":
            raise InputError(
                f"{path}: tracks a single file; `dvc remove` it, and `dvc add` the folder {table}"
            )
        if not path.name.lower().endswith(ENDS):
            raise InputError(
                f"{path}: is not {', '.join(ENDS)}, and the files in {table} are to be one table; "
                "move it elsewhere, or begin its name with _"
            )
    if not found:
        raise InputError(f"{table}: is a folder without a table; put {', '.join(ENDS)} files there")
    return found


def no_such_table(path: Path) -> InputError:
    """The error of a path where nothing is."""
    is_pattern = any(mark in str(path) for mark in "*?[")
    advice = "; to read several files as one table, name their folder" if is_pattern else ""
    return InputError(f"{path}: no such file{advice}")


class Folder(Format):
    """Its files are opened one at a time: all of them at first, to compare their columns.

    Columns are found by name, and come in the order of the first file. All files are CSV, or all
    have columns with types: the same time or number is not spelled alike in both.
    """

    total: int

    def __init__(self, path: Path, opened: Callable[[Path], Opened]) -> None:
        """Compare the columns of all files.

        Args:
            opened: opens one of them.

        Raises:
            InputError: as `files_of`; a file cannot be opened, or its columns do not go with those
                of the files before it.
        """
        self.path, self.opened = path, opened
        self.files = files_of(path)
        self.is_csv = _is_csv(self.files[0])
        self.unit = "B" if self.is_csv else "rows"
        self.total = 0
        self.kinds: dict[str, pa.DataType] = {}  # of the columns that have one
        self.schema: pa.Schema | None = None
        for file in self.files:
            if _is_csv(file) != self.is_csv:
                raise InputError(
                    f"{file}: is {_form(file)}, and {self.files[0]} is {_form(self.files[0])}; "
                    "write all files of a folder alike"
                )
            with opened(file) as member:
                self._compare(file, member)
                self.total += file.stat().st_size if self.is_csv else member.total or 0

    def numeric_names(self) -> list[str]:
        with self.opened(self.files[0]) as member:
            return member.numeric_names()

    def batches(
        self, names: Sequence[str], numeric: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        for rows in gathered(self._batches(names, numeric), BATCH_ROWS):
            yield from rows.combine_chunks().to_batches()

    def _batches(self, names: Sequence[str], numeric: Collection[str]) -> Iterator[pa.RecordBatch]:
        first = 0
        FILES[self.path] = starts = []
        for file in self.files:
            starts.append((first, file))
            with self.opened(file) as member:
                for batch in member.batches(names, numeric):
                    first += batch.num_rows
                    self.n_read += 0 if self.is_csv else batch.num_rows
                    yield batch if self.is_csv else self._alike(file, batch)
            self.n_read += file.stat().st_size if self.is_csv else 0

    def _compare(self, file: Path, member: Format) -> None:
        if file == self.files[0]:
            self.names = member.names
        if more := {*member.names} ^ {*self.names}:
            name = next(name for name in (*self.names, *member.names) if name in more)
            raise InputError(
                f"{file}: {'has no' if name in self.names else 'has a'} column {name[:60]!r}, "
                f"unlike {self.files[0]}; the files of a folder have the same columns"
            )
        if not isinstance(member, Columnar) or member.schema == self.schema:
            return
        self.schema = member.schema
        for field in plain_table(file, member.schema.empty_table()).schema:
            has_zone = getattr(member.schema.field(field.name).type, "tz", None)
            kind = ZONED if has_zone else field.type
            before = self.kinds.setdefault(field.name, kind)
            if kind != before:
                self.kinds[field.name] = self._common(file, field.name, kind, before)

    def _common(self, file: Path, name: str, kind: pa.DataType, before: pa.DataType) -> pa.DataType:
        """A type that holds what both hold."""
        kinds = (before, kind)
        rounds = any(map(pa.types.is_floating, kinds)) and any(map(pa.types.is_decimal, kinds))
        with contextlib.suppress(pa.ArrowException):
            schemas = [pa.schema([(name, each)]) for each in kinds if not rounds]
            common = pa.unify_schemas(schemas, promote_options="permissive").field(name).type
            return PLAIN_TYPES.get(common, common)
        raise InputError(
            f"{file}: column {name[:60]!r} holds {kind}, and files before it hold {before}; write "
            "all files alike"
        )

    def _alike(self, file: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with the types that its columns have in all files."""
        return pa.record_batch(
            {name: self._cast(file, name, batch[name]) for name in batch.schema.names}
        )

    def _cast(self, file: Path, name: str, cells: pa.Array) -> pa.Array:
        kind = self.kinds[name]
        kind = pa.timestamp("us") if kind == ZONED else kind
        if cells.type == kind or (is_text(kind) and pa.types.is_binary(cells.type)):
            return cells  # binary, if it is not UTF-8, of which the reader tells
        try:
            return cells.cast(kind)
        except pa.ArrowException as error:
            reason = one_line(str(error))[:200]
            raise InputError(
                f"{file}: column {name[:60]!r} does not fit {kind}, the type of all files: {reason}"
            ) from None


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() not in FORMATS


def _form(file: Path) -> str:
    return "CSV" if _is_csv(file) else "Parquet or Arrow"


def _refuse(error: OSError) -> None:
    raise error
