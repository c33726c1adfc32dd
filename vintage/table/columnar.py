"""Read Parquet and Arrow files in batches that take little memory, whatever the file says.

Both formats can hold a huge table in a few bytes: compressed, as runs, or as a long text that is
stored once and named in every row. So each batch is measured before it is decoded.
"""

import contextlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

from vintage.base.console import InputError, one_line

PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather")
LONGEST_CELL = 2**24  # bytes
PART_BYTES = 2**25  # of a decoded batch, about
PART_ROWS = 2**16
MAX_DECODED = 2**30  # bytes, that a smaller file may become in memory
KNOWN_EXTENSIONS = ("arrow.bool8", "arrow.json", "arrow.uuid")
PLAIN_TYPES = {
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.float16(): pa.float32(),
}
FAIR_RATIO = 50  # of decoded bytes to those on disk; honest tables have 1 to 20

Bytes = npt.NDArray[np.int64]


def check_decoded(path: Path, n_bytes: int) -> None:
    """Refuse a file that is small on disk and huge in memory.

    Raises:
        InputError: more than 1 GB, and more than 50 times the file's size.
    """
    size = path.stat().st_size
    if n_bytes > max(MAX_DECODED, FAIR_RATIO * size):
        raise InputError(
            f"{path}: its {size:,} bytes become more than {max(MAX_DECODED, FAIR_RATIO * size):,} "
            "when they are decoded; if that is right, save it as CSV without compression, or take "
            "a sample of the rows"
        )


class Columnar(ABC):
    """A Parquet or Arrow file that is open.

    Attributes:
        schema: of all columns, as stored.
        n_rows: None if nobody knows.
    """

    path: Path
    schema: pa.Schema
    n_rows: int | None

    def batches(self, names: Collection[str], n_rows: int = PART_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in their order, with these columns, in the types of `plain_table`.

        A column of lists and the like comes without its cells, because nobody takes them.

        Args:
            n_rows: of a batch at most.

        Raises:
            InputError: the file is damaged, becomes too large, or has a cell of more than 16 MB.
        """
        flat = [name for name in names if _is_flat(self.schema.field(name).type)]
        n_rows = int(np.clip(PART_BYTES // (8 * max(len(flat), 1)), 1, n_rows))
        for batch in self._stored(flat, n_rows):
            for part in _parts(self.path, batch, n_rows):
                plain = plain_table(self.path, pa.Table.from_batches([part]))
                columns = [
                    plain[name]
                    if name in flat
                    else pa.nulls(part.num_rows, self.schema.field(name).type)
                    for name in names
                ]
                yield from pa.table(columns, names=list(names)).to_batches()

    @abstractmethod
    def _stored(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows with these columns, text not decoded yet."""


def open_columnar(path: Path, stack: ExitStack) -> Columnar:
    """Open a file by the end of its name; it is closed with `stack`."""
    if path.suffix.lower() in PARQUET:
        return _Parquet(path, stack)
    return _Arrow(path, stack)


class _Parquet(Columnar):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        file = stack.enter_context(pyarrow.parquet.ParquetFile(path))
        self.schema = file.schema_arrow
        self.n_rows = file.metadata.num_rows
        texts = [field.name for field in self.schema if _is_text(field.type)]
        self.file = stack.enter_context(
            pyarrow.parquet.ParquetFile(path, metadata=file.metadata, read_dictionary=texts)
        )

    def _stored(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        metadata = self.file.metadata
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            chunks = [group.column(i) for i in range(group.num_columns)]
            chunks = [chunk for chunk in chunks if chunk.path_in_schema in set(names)]
            check_decoded(self.path, sum(chunk.total_uncompressed_size for chunk in chunks))
            # each text of this encoding may begin as the one before, so that it is as long
            grown = [c.total_uncompressed_size for c in chunks if "DELTA_BYTE_ARRAY" in c.encodings]
            n_together = int(np.clip(PART_BYTES // max([1, *grown]), 1, n_rows))
            for batch in self.file.iter_batches(n_together, row_groups=[index], columns=names):
                yield batch.select(names)


class _Arrow(Columnar):
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.content = stack.enter_context(pa.memory_map(str(path))).read_buffer()
        if self.content[:4].to_pybytes() == b"FEA1":
            raise InputError(
                f"{path}: is Feather of version 1; save it as version 2, or as Parquet"
            )
        file = pa.ipc.open_file(self.content)
        self.n_batches = file.num_record_batches
        self.schema = file.schema
        self.n_rows = None
        self._check_messages()

    def _messages(self) -> pa.BufferReader:
        """What stands in the file between its mark and its footer: a stream."""
        return pa.BufferReader(self.content[8:])

    def _check_messages(self) -> None:
        dictionaries = 0
        for message in pa.ipc.MessageReader.open_stream(self._messages()):
            if message.type == "dictionary":
                dictionaries += _decoded_bytes(message)
                check_decoded(self.path, dictionaries)
            elif message.type == "record batch":
                check_decoded(self.path, _decoded_bytes(message))

    def _stored(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        fields = [self.schema.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        n_batches = 0
        for batch in pa.ipc.open_stream(self._messages(), options=options):
            n_batches += 1
            yield batch.select(names)
        if n_batches != self.n_batches:
            raise InputError(
                f"{self.path}: holds {n_batches} batches, and {self.n_batches} by its footer"
            )


def _decoded_bytes(message: pa.Message) -> int:
    """What the buffers of an Arrow message take when they are decompressed.

    They are found in its metadata, a flatbuffer as Arrow's format/Message.fbs says; each compressed
    one begins with its size, int64, -1 if it is not compressed after all.
    """
    data, body = message.metadata.to_pybytes(), message.body
    try:
        batch = _field(data, _target(data, 0), 2)  # Message.header
        batch = _target(data, batch)
        if message.type == "dictionary":
            batch = _target(data, _field(data, batch, 1))  # DictionaryBatch.data
        if not _field(data, batch, 3):  # RecordBatch.compression
            return len(body)
        buffers = _target(data, _field(data, batch, 2))  # RecordBatch.buffers
        total = 0
        for place in range(buffers + 4, buffers + 4 + 16 * _unpack("<I", data, buffers), 16):
            offset, length = struct.unpack_from("<qq", data, place)
            if length:
                size = _unpack("<q", body, offset)
                total += length if size < 0 else size
        return total
    except struct.error:
        raise pa.ArrowInvalid("a message is damaged") from None


def _field(data: bytes, table: int, index: int) -> int:
    """Where a field of a flatbuffer's table stands; 0 if it is not there."""
    fields = table - _unpack("<i", data, table)
    if 4 + 2 * index >= _unpack("<H", data, fields):
        return 0
    offset = _unpack("<H", data, fields + 4 + 2 * index)
    return table + offset if offset else 0


def _target(data: bytes, place: int) -> int:
    """Where the offset at `place` leads to."""
    return place + _unpack("<I", data, place)


def _unpack(form: str, data: bytes | pa.Buffer, place: int) -> int:
    number: int = struct.unpack_from(form, data, place)[0]
    return number


def _parts(path: Path, batch: pa.RecordBatch, n_rows: int) -> Iterator[pa.RecordBatch]:
    """A batch in slices of some 32 MB and `n_rows` at most when they are decoded."""
    sizes = np.zeros(batch.num_rows, dtype=np.int64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        with _refusal(path, name):
            column.validate()
        cells = _text_bytes(column)
        if cells is None:
            continue
        if (longest := cells.max(initial=0)) > LONGEST_CELL:
            raise InputError(
                f"{path}: column {name!r} holds a cell of {longest:,} bytes, more than 16 MB"
            )
        sizes += cells
    start = 0
    while start < batch.num_rows:
        ends = sizes[start : start + n_rows].cumsum()
        length = max(1, int(np.searchsorted(ends, PART_BYTES, side="right")))
        yield batch.slice(start, length)
        start += length


def _text_bytes(column: pa.Array) -> Bytes | None:
    """How many bytes each cell of a column of text has when it is decoded, int64 `[n]`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        of_values = _text_bytes(column.dictionary)
        if of_values is None or not len(of_values):
            return None
        places = column.indices.fill_null(0).cast(pa.int64(), safe=False).to_numpy()
        sizes = of_values.take(places, mode="clip")
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        views = np.frombuffer(column.buffers()[1] or b"", dtype=np.int32)  # of four numbers each
        sizes = views[::4][column.offset : column.offset + len(column)].astype(np.int64)
    elif _is_text(kind):
        sizes = pc.binary_length(column).fill_null(0).cast(pa.int64()).to_numpy()
    else:
        return None
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), sizes, 0)


def _is_flat(kind: pa.DataType) -> bool:
    """Whether a column of this type has one value for each row."""
    if isinstance(kind, pa.BaseExtensionType):
        return _is_flat(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _is_flat(kind.value_type)
    return not pa.types.is_nested(kind)


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
        )
    ) or (pa.types.is_dictionary(kind) and _is_text(kind.value_type))


def plain_table(path: Path, table: pa.Table) -> pa.Table:
    """The same cells in the types that there are in the rest of the package.

    They are validated first: a wrong file can hold offsets beyond its end, or text that is none.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        with _refusal(path, name):
            columns.append(_plain_column(column))
    return pa.table(columns, names=table.column_names)


@contextlib.contextmanager
def _refusal(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowIndexError) as error:
        reason = one_line(str(error).partition("\n")[0])[:200]
        raise InputError(f"{path}: column {name!r} cannot be read: {reason}") from None


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        return _unwrapped(column)
    if pa.types.is_dictionary(column.type):
        return _decoded(column)
    column = _validated(column)
    plain = _plain_type(column.type)
    # of times, an overflow is an error, and digits below 1 us do not count
    is_fine = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    return column if plain == column.type else column.cast(plain, safe=not is_fine)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_decimal(kind) and kind.bit_width < 128:
        return pa.decimal128(kind.precision, kind.scale)
    return PLAIN_TYPES.get(kind, kind)


def _validated(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same column, as binary if it is text that is not UTF-8, which is said later."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise
        column = column.cast(pa.binary())
        column.validate(full=True)
    return column


def _unwrapped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if kind.extension_name not in KNOWN_EXTENSIONS:
        return column
    storage = [chunk.storage for chunk in column.chunks]
    stored = _plain_column(pa.chunked_array(storage, kind.storage_type))
    return stored.cast(pa.bool_()) if kind.extension_name == "arrow.bool8" else stored


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a dictionary's values: each of them by its place."""
    kind = column.type
    column.validate()
    chunks = [
        _plain_column(pa.chunked_array([chunk.dictionary], kind.value_type)).take(chunk.indices)
        for chunk in column.chunks
    ]
    return joined([_plain_column(pa.chunked_array([], kind.value_type)), *chunks])


def joined(parts: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Parts of one plain column; binary, if the text of some part is not UTF-8."""
    if len({part.type for part in parts}) > 1:
        parts = [part.cast(pa.binary()) for part in parts]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
