"""A table as the split needs it: typed feature columns, class ids, and which rows go together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vintage.cells import Place, typed
from vintage.console import InputError
from vintage.features import Columns, Source, check_type, twin_keys
from vintage.params import DataParams, SplitParams
from vintage.table import column_hint, read_table
from vintage.target import encode_groups, encode_order, encode_parts, encode_target, labelled_rows
from vintage.twins import duplicate_groups

NO_COLUMN = ("none", "duplicates")

Ids = npt.NDArray[np.int64]
Encoded = TypeVar("Encoded")


@dataclass(frozen=True)
class Dataset:
    """The rows of a table that have a target.

    Attributes:
        columns: the features' cells, typed.
        source: the file and the rows' numbers in it.
        labels: int64 `[n]`, places in `classes`.
        twins: int64 `[n]`, from 0 without gaps: rows of equal features have the same number.
        groups: int64 `[n]`, from 0 without gaps: rows that are to share a side.
        order: float64 `[n]`, by `split.order_by`.
        parts: int64 `[n]`, by `split.column`: 0 train, 1 validation, 2 test.
        n_unlabelled: how many rows of the table have no target.
    """

    columns: Columns
    source: Source
    labels: Ids
    classes: list[str]
    twins: Ids
    groups: Ids
    order: npt.NDArray[np.float64] | None
    parts: Ids | None
    n_unlabelled: int


def load_dataset(data: DataParams, split: SplitParams) -> Dataset:
    """Read a table and tell apart what its columns are for.

    Raises:
        InputError: whatever is wrong with the table, or a parameter that names no column.
    """
    split_columns = {
        "split.group_by": split.group_by,
        "split.order_by": split.order_by,
        "split.column": split.column,
    }
    roles = {"data.target": data.target}
    roles |= {key: name for key, name in split_columns.items() if name not in NO_COLUMN}
    categorical = [name for name, kind in data.kinds.items() if kind == "categorical"]
    table = read_table(Path(data.path), data.delimiter, as_text=[*roles.values(), *categorical])
    listed = [("data.ignore", name) for name in data.ignore]
    listed += [("data.kinds", name) for name in data.kinds]
    for key, name in [*roles.items(), *listed]:
        if name not in table.column_names:
            raise InputError(
                f"{data.path}: {key} names {name!r}, which is no column; "
                f"{column_hint(table.column_names)}"
            )
    for key, name in roles.items():
        if name in data.kinds:
            raise InputError(
                f"params.yaml: data.kinds: found {name!r}, which is the column of {key}; only a "
                "feature has a kind"
            )
    names = [n for n in table.column_names if n not in {*roles.values(), *data.ignore}]
    if not names:
        raise InputError(f"{data.path}: no column is left as a feature; see data.ignore")

    all_rows = Source(data.path, np.arange(table.num_rows))
    for key, name in roles.items():
        kind = table[name].type
        if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
            raise all_rows.place(name).column_error(f"is of type {kind}, which {key} cannot take")
    for name in names:
        check_type(table[name], all_rows.place(name))

    labelled = labelled_rows(table[data.target])
    n_unlabelled = table.num_rows - len(labelled)
    if n_unlabelled:
        table = table.select([*names, *dict.fromkeys(roles.values())]).take(labelled)
    source = Source(data.path, labelled)

    def encoded(key: str, encode: Callable[[pa.ChunkedArray, Place], Encoded]) -> Encoded | None:
        return encode(table[roles[key]], source.place(roles[key])) if key in roles else None

    labels, classes = encode_target(table[data.target], source.place(data.target))
    columns = {name: typed(table[name], exact=name in categorical) for name in names}
    twins = duplicate_groups([twin_keys(column) for column in columns.values()])
    groups = encoded("split.group_by", encode_groups)
    if groups is None:
        groups = twins if split.group_by == "duplicates" else np.arange(len(twins))
    order = encoded("split.order_by", encode_order)
    parts = encoded("split.column", encode_parts)
    return Dataset(columns, source, labels, classes, twins, groups, order, parts, n_unlabelled)
