"""A table as the split needs it: typed feature columns, class ids, and which rows go together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vintage.base.console import InputError, Problems
from vintage.base.params import DataParams, SplitParams
from vintage.table.cells import Place, typed, with_nulls
from vintage.table.features import Columns, Source, check_type, twin_keys
from vintage.table.identity import Hashes, ids_of_column, row_hashes, row_ids, table_hashes
from vintage.table.read import column_hint, read_table
from vintage.table.target import (
    encode_groups,
    encode_order,
    encode_parts,
    encode_target,
    labelled_rows,
)
from vintage.table.twins import duplicate_groups

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
        has_wide: whether some numbers were compared in 64 bits for that, see `twin_keys`.
        groups: int64 `[n]`, from 0 without gaps: rows that are to share a side.
        ids: int64 `[n]`, what identifies a row, see `vintage.table.identity`.
        keys: uint64 `[n]`, what decides a row's side where `split.by` is `hash`: a hash of its
            features or of its group; None elsewhere.
        order: float64 `[n]`, by `split.order_by`.
        parts: int64 `[n]`, by `split.column`: 0 train, 1 validation, 2 test.
        n_unlabelled: how many rows of the table have no target.
    """

    columns: Columns
    source: Source
    labels: Ids
    classes: list[str]
    twins: Ids
    has_wide: bool
    groups: Ids
    ids: Ids
    keys: Hashes | None
    order: npt.NDArray[np.float64] | None
    parts: Ids | None
    n_unlabelled: int


def load_dataset(data: DataParams, split: SplitParams) -> Dataset:
    """Read a table and tell apart what its columns are for.

    Raises:
        InputError: whatever is wrong with the table, or a parameter that names no column.
    """
    roles = _roles(data, split)
    categorical = [name for name, kind in data.kinds.items() if kind == "categorical"]
    table = read_table(
        Path(data.path), data.delimiter, [*roles.values(), *categorical], data.missing
    )
    problems = Problems()
    problems.found.extend(_wrong_names(data, roles, table.column_names))
    problems.refuse()
    names = [n for n in table.column_names if n not in {*roles.values(), *data.ignore}]
    if not names:
        raise InputError(f"{data.path}: no column is left as a feature; see data.ignore")
    _check_types(data, roles, names, table)
    ids = _ids(table, data)
    used = [*names, *dict.fromkeys(roles.values())]
    table = pa.table([with_nulls(table[name], data.missing) for name in used], names=used)
    labelled = labelled_rows(table[data.target])
    n_unlabelled = table.num_rows - len(labelled)
    if n_unlabelled:
        table, ids = table.take(labelled), ids[labelled]
    source = Source(data.path, labelled)

    def encoded(key: str, encode: Callable[[pa.ChunkedArray, Place], Encoded]) -> Encoded | None:
        with problems.noted():
            return encode(table[roles[key]], source.place(roles[key])) if key in roles else None
        return None

    target = encoded("data.target", encode_target)
    groups = encoded("split.group_by", encode_groups)
    order = encoded("split.order_by", encode_order)
    parts = encoded("split.column", encode_parts)
    problems.refuse()
    assert target is not None
    labels, classes = target
    columns = {name: typed(table[name], exact=name in categorical) for name in names}
    keys = [twin_keys(column) for column in columns.values()]
    twins, has_wide = duplicate_groups(keys), any(key.dtype == np.float64 for key in keys)
    if groups is None:
        groups = twins if split.group_by == "duplicates" else np.arange(len(twins))
    return Dataset(
        columns=columns,
        source=source,
        labels=labels,
        classes=classes,
        twins=twins,
        has_wide=has_wide,
        groups=groups,
        ids=ids,
        keys=_keys(table, names, ids, split) if split.by == "hash" else None,
        order=order,
        parts=parts,
        n_unlabelled=n_unlabelled,
    )


def _roles(data: DataParams, split: SplitParams) -> dict[str, str]:
    """By key of params.yaml, the columns that are no features."""
    columns = {
        "data.id": data.id,
        "split.group_by": split.group_by if split.group_by != "duplicates" else "none",
        "split.order_by": split.order_by,
        "split.column": split.column,
    }
    named = {key: name for key, name in columns.items() if name != "none"}
    return {"data.target": data.target, **named}


def _wrong_names(data: DataParams, roles: dict[str, str], columns: Sequence[str]) -> Iterator[str]:
    listed = [("data.ignore", name) for name in data.ignore]
    listed += [("data.kinds", name) for name in data.kinds]
    for key, name in [*roles.items(), *listed]:
        if name not in columns:
            yield f"{data.path}: {key} names {name!r}, which is no column; {column_hint(columns)}"
    for key, name in roles.items():
        if name in data.kinds:
            yield (
                f"params.yaml: data.kinds: found {name!r}, which is the column of {key}; only a "
                "feature has a kind"
            )


def _check_types(
    data: DataParams, roles: dict[str, str], features: Sequence[str], table: pa.Table
) -> None:
    source = Source(data.path, np.arange(table.num_rows))
    problems = Problems()
    for key, name in roles.items():
        kind = table[name].type
        if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
            with problems.noted():
                raise source.place(name).column_error(f"is of type {kind}, which {key} cannot take")
    for name in features:
        with problems.noted():
            check_type(table[name], source.place(name))
    problems.refuse()


def _ids(table: pa.Table, data: DataParams) -> Ids:
    if data.id == "none":
        return row_ids(table_hashes(table, data.missing))
    column = with_nulls(table[data.id], data.missing)
    return ids_of_column(column, Place(data.path, data.id, np.arange(table.num_rows)))


def _keys(table: pa.Table, features: list[str], ids: Ids, split: SplitParams) -> Hashes:
    if split.group_by == "none":
        return ids.view(np.uint64)
    names = sorted(features) if split.group_by == "duplicates" else [split.group_by]
    return row_hashes((table[name] for name in names), table.num_rows)
