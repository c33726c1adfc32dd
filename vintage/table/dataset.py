"""A table as the split needs it: typed feature columns, class ids, and which rows go together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from vintage.base.console import InputError, one_line
from vintage.base.params import DataParams, SplitParams
from vintage.table.cells import Place, is_missing, is_text, typed, utf8_text, with_nulls
from vintage.table.features import Columns, check_type
from vintage.table.identity import Hashes, Ids, equal_rows, ids_of_column, row_ids, table_hashes
from vintage.table.kinds import KINDS, twin_keys
from vintage.table.problems import Problems
from vintage.table.read import column_hint, read_table
from vintage.table.split import RULES, Rows, rule_of
from vintage.table.target import encode_groups, encode_order, encode_parts, encode_target

Encoded = TypeVar("Encoded")


@dataclass(frozen=True, kw_only=True)
class Dataset(Rows):
    """The rows of a table that have a target.

    Attributes:
        columns: the features' cells; text of a kind that is set by hand as it is written, and other
            text as numbers or truth values where all of it is.
        place: the file and the rows' numbers in it.
        twins: int64 `[n]`, from 0 without gaps: rows of equal features have the same number.
        has_wide: whether some numbers were compared in 64 bits for that, see `twin_keys`.
        ids: int64 `[n]`, what identifies a row, see `vintage.table.identity`.
        n_unlabelled: how many rows of the table have no target.
    """

    columns: Columns
    place: Place
    twins: Ids
    has_wide: bool
    ids: Ids
    n_unlabelled: int


def load_dataset(data: DataParams, split: SplitParams) -> Dataset:
    """Read a table and tell apart what its columns are for.

    Raises:
        InputError: whatever is wrong with the table, or a parameter that names no column.
    """
    check_kinds(data)
    roles = roles_of(data, split)
    as_text = {name for name, kind in data.kinds.items() if KINDS[kind].is_text}
    table = read_table(Path(data.path), data.delimiter, {*roles.values(), *as_text}, data.missing)
    problems = Problems()
    problems.found += wrong_names(data, roles, table.column_names)
    problems.refuse()
    names = [n for n in table.column_names if n not in {*roles.values(), *data.ignore}]
    if not names:
        raise InputError(f"{data.path}: no column is left as a feature; see data.ignore")
    all_rows = Place(data.path, np.arange(table.num_rows))
    used = [*names, *dict.fromkeys(roles.values())]
    contents = table_hashes(table, data.missing) if data.id == "none" else None
    table = pa.table({name: with_nulls(table[name], data.missing) for name in used})
    check_types(all_rows, roles, names, table)
    if contents is None:
        ids = ids_of_column(table[data.id], all_rows.at(data.id))
    else:
        ids = row_ids(contents)
    labelled = np.flatnonzero(~is_missing(table[data.target]))
    n_unlabelled = table.num_rows - len(labelled)
    if n_unlabelled:
        table, ids = table.take(labelled), ids[labelled]
    place = all_rows.take(labelled)

    def encoded(key: str, encode: Callable[[pa.ChunkedArray, Place], Encoded]) -> Encoded | None:
        with problems.noted():
            return encode(table[roles[key]], place.at(roles[key])) if key in roles else None
        return None

    target = encoded("data.target", encode_target)
    groups = encoded("split.group_by", encode_groups)
    order = encoded("split.order_by", encode_order)
    parts = encoded("split.column", encode_parts)
    problems.refuse()
    assert target is not None
    columns = {name: table[name] if name in as_text else typed(table[name]) for name in names}
    keys = [twin_keys(cells, data.kinds.get(name)) for name, cells in columns.items()]
    twins = equal_rows(keys)
    if groups is None:
        groups = twins if split.group_by == "duplicates" else np.arange(len(twins))
    return Dataset(
        labels=target[0],
        classes=target[1],
        groups=groups,
        keys=_keys(table, names, ids, split) if RULES[rule_of(split)].needs_keys else None,
        order=order,
        parts=parts,
        columns=columns,
        place=place,
        twins=twins,
        has_wide=any(key.dtype == np.float64 for key in keys),
        ids=ids,
        n_unlabelled=n_unlabelled,
    )


def _keys(table: pa.Table, features: list[str], ids: Ids, split: SplitParams) -> Hashes:
    """What the side of a row follows from, by hash: the row itself, its features or its group."""
    if split.group_by == "none":
        return ids.view(np.uint64)
    return table_hashes(table.select(key_columns(features, split)), missing=())


def key_columns(features: list[str], split: SplitParams) -> list[str]:
    """What the side of a row follows from, by hash, unless it is the row itself."""
    return features if split.group_by == "duplicates" else [split.group_by]


def check_kinds(data: DataParams) -> None:
    if not set(data.kinds.values()) <= set(KINDS):
        raise InputError(
            f"params.yaml: data.kinds: found {one_line(data.kinds)[:100]}; allowed is "
            f"{', '.join(KINDS)} by column, such as {{year: categorical}}, or {{}}"
        )


def roles_of(data: DataParams, split: SplitParams) -> dict[str, str]:
    """By key of params.yaml, the columns that are not features."""
    columns = {
        "data.target": data.target,
        "data.id": data.id,
        "split.group_by": split.group_by if split.group_by != "duplicates" else "none",
        "split.order_by": split.order_by,
        "split.column": split.column,
    }
    return {key: name for key, name in columns.items() if name != "none" or key == "data.target"}


def wrong_names(data: DataParams, roles: dict[str, str], columns: Sequence[str]) -> Iterator[str]:
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


def check_types(
    place: Place, roles: dict[str, str], features: Sequence[str], table: pa.Table
) -> None:
    problems = Problems()
    for key, name in roles.items():
        kind = table[name].type
        with problems.noted():
            if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
                raise place.at(name).column_error(f"is of type {kind}, which {key} cannot take")
            if is_text(kind):
                utf8_text(table[name], place.at(name))
    for name in features:
        with problems.noted():
            check_type(table[name], place.at(name))
    problems.refuse()
