"""Columns of Parquet and Arrow in the few types that the rest of the package knows.

Text is string, or binary if it is not UTF-8; dictionaries are decoded; times are in microseconds.
"""

from pathlib import Path

import pyarrow as pa

from vintage.base.console import InputError, one_line

KNOWN_EXTENSIONS = ("arrow.bool8", "arrow.json", "arrow.uuid")
PLAIN_TYPES = {
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.float16(): pa.float32(),
}


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
    if pa.types.is_dictionary(kind):
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
    if pa.types.is_dictionary(kind):
        column.validate()
        return _plain(column.cast(kind.value_type))
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
