"""A table that is read in chunks: what its columns hold, and hashes of its rows.

What the columns hold is known when all is read, and the hashes depend on it. So they are made of
what the first rows hold, and once more if the others hold something else.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import InputError
from vintage.base.machine import available_cores
from vintage.base.params import DataParams, SplitParams
from vintage.base.threads import in_order
from vintage.table.batches import gathered
from vintage.table.cells import Place, is_missing, typed, typed_as, with_nulls
from vintage.table.dataset import (
    check_kinds,
    check_types,
    key_columns,
    roles_of,
    wrong_names,
)
from vintage.table.identity import (
    Hashes,
    Ids,
    ids_of_column,
    mixed,
    row_hashes,
    table_hashes,
)
from vintage.table.kinds import (
    KINDS,
    twin_keys,
)
from vintage.table.problems import Problems
from vintage.table.read import open_table
from vintage.table.scratch import (
    Column,
    Scratch,
    earlier_by_hash,
)
from vintage.table.target import encode_target, group_hashes
from vintage.table.telling import Telling

CHUNK_CELLS = 1 << 21
CHUNK_ROWS = 1 << 16
LEAST_ROWS = 1 << 10
MANY_LABELS = 10_000  # different texts or numbers, beyond which a target is looked at early

Cells = dict[str, pa.ChunkedArray]


class Knowledge(NamedTuple):
    """What all cells of the columns are, which a part of them may not show.

    Attributes:
        numeric: columns of CSV to be read as numbers.
        of_all: by column, what `typed` finds in all rows.
        of_labelled: the same in the rows with a target.
        compared: by feature, the dtype of its `twin_keys`.
    """

    numeric: list[str]
    of_all: dict[str, pa.DataType]
    of_labelled: dict[str, pa.DataType]
    compared: dict[str, np.dtype[Any]]


@dataclass(frozen=True)
class Source:
    """A table that is read again and again.

    Attributes:
        roles: by key of params.yaml, the columns that are not features.
        features: the names of the others.
        used: the columns that are read.
        as_text: those of them that stay text.
        numeric: columns of CSV that begin with numbers.
    """

    data: DataParams
    split: SplitParams
    roles: dict[str, str]
    features: list[str]
    used: list[str]
    as_text: set[str]
    numeric: list[str]

    @classmethod
    def of(cls, data: DataParams, split: SplitParams) -> "Source":
        check_kinds(data)
        roles = roles_of(data, split)
        as_text = {*roles.values(), *(n for n, kind in data.kinds.items() if KINDS[kind].is_text)}
        with open_table(Path(data.path), data.delimiter, data.missing) as table:
            names = table.names
            numeric = table.numeric_names()
        problems = Problems()
        problems.found += wrong_names(data, roles, names)
        problems.refuse()
        features = [name for name in names if name not in {*roles.values(), *data.ignore}]
        if not features:
            raise InputError(f"{data.path}: no column is left as a feature; see data.ignore")
        # without a column of ids, all columns say which row it is
        used = [*features, *dict.fromkeys(roles.values())] if data.id != "none" else names
        numeric = [name for name in numeric if name in used and name not in as_text]
        return cls(data, split, roles, features, used, as_text, numeric)

    def chunks(self, numeric: Sequence[str]) -> Iterator[tuple[Place, Cells]]:
        """Some rows at a time, with nulls where cells are missing."""
        n_rows = int(np.clip(CHUNK_CELLS // len(self.used), LEAST_ROWS, CHUNK_ROWS))
        first, data = 0, self.data
        with open_table(Path(data.path), data.delimiter, data.missing) as table:
            for chunk in gathered(table.batches(self.used, numeric), n_rows):
                cells = {name: with_nulls(chunk[name], data.missing) for name in self.used}
                yield Place(data.path, first + np.arange(chunk.num_rows)), cells
                first += chunk.num_rows
        if not first:
            raise InputError(f"{data.path}: has a header but no rows")

    def with_target(self, place: Place, cells: Cells) -> tuple[Place, Cells]:
        """The rows that have one."""
        rows = np.flatnonzero(~is_missing(cells[self.data.target]))
        if len(rows) == len(place.rows):
            return place, cells
        taken = pa.array(rows)
        return place.take(rows), {name: column.take(taken) for name, column in cells.items()}

    def typed(self, cells: Cells, name: str, known: Knowledge) -> pa.ChunkedArray:
        if name in self.as_text:
            return cells[name]
        return typed_as(cells[name], known.of_labelled[name])


@dataclass(frozen=True)
class Rows:
    """What is known of single rows before the split, in files.

    Attributes:
        contents: of all rows, the hash of the cells, or the id.
        has_target: of all rows.
        rows: from here on of those with a target: their numbers in the table.
        codes: places in `labels`.
        keys, groups, twins: hashes.
        cells: the features, as `Dataset.columns` has them.
        labels: int64 `[n_codes]`, places in `classes`.
    """

    contents: Column
    has_target: Column
    rows: Column
    codes: Column
    keys: Column
    groups: Column
    twins: Column
    cells: Path
    labels: Ids
    classes: list[str]


class Shown:
    """The cells that tell what the columns hold, in all rows and in those with a target."""

    def __init__(self, source: Source) -> None:
        self.source = source
        needed = {*source.features, *source.roles.values()}
        self.others = {name: Telling(0) for name in source.used}
        self.labelled = {name: Telling(0) for name in source.used if name in needed}

    def add(self, place: Place, cells: Cells) -> None:
        missing = is_missing(cells[self.source.data.target])
        is_labelled, all_labelled = pa.array(~missing), not missing.any()
        for name, column in cells.items():
            if name not in self.labelled:
                self.others[name].add(column, place.rows)
            elif all_labelled:
                self.labelled[name].add(column, place.rows)
            else:
                self.labelled[name].add(column.filter(is_labelled), place.rows[~missing])
                self.others[name].add(column.filter(pa.array(missing)), place.rows[missing])

    def knowledge(self) -> Knowledge:
        of_all = {}
        for name, telling in self.others.items():
            both = Telling(0)
            for each in (self.labelled.get(name), telling):
                if each is not None:
                    both.add(each.cells, each.rows)
            of_all[name] = typed(both.cells).type
        cells = {name: telling.cells for name, telling in self.labelled.items()}
        of_labelled = {name: typed(column).type for name, column in cells.items()}
        kinds, as_text = self.source.data.kinds, self.source.as_text
        compared = {
            name: twin_keys(
                cells[name] if name in as_text else typed(cells[name]), kinds.get(name)
            ).dtype
            if len(cells[name])
            else np.dtype(np.float32)
            for name in self.source.features
        }
        numeric = [name for name in self.source.numeric if pa.types.is_floating(of_all[name])]
        return Knowledge(numeric, of_all, of_labelled, compared)


def read_rows(source: Source, scratch: Scratch) -> tuple[Rows, Knowledge, Shown]:
    """Hash all rows; once more if the columns hold other things than their beginning."""
    first = Shown(source)
    place, cells = next(source.chunks(source.numeric))
    check_types(place, source.roles, source.features, pa.table(cells))
    first.add(place, cells)
    known = first.knowledge()
    while True:
        shown = Shown(source)
        rows = _hashed(source, known, shown, scratch)
        found = shown.knowledge()
        if found == known:
            return rows, known, shown
        known = found


class _Hashes(NamedTuple):
    """Of a chunk; see `Rows`."""

    place: Place
    cells: Cells
    contents: Hashes
    keys: Hashes
    groups: Hashes
    twins: Hashes
    features: Cells
    target: pa.ChunkedArray


def _hashed(source: Source, known: Knowledge, shown: Shown, scratch: Scratch) -> Rows:
    data = source.data

    def hashed(chunk: tuple[Place, Cells]) -> _Hashes:
        place, cells = chunk
        table = pa.table(cells)
        check_types(place, source.roles, source.features, table)
        if data.id == "none":
            contents = table_hashes(table, (), known.of_all)
        else:
            column, kind = cells[data.id], known.of_all[data.id]
            contents = ids_of_column(column, place.at(data.id), kind).view(np.uint64)
        labelled, cells_of = source.with_target(place, cells)
        features = {name: source.typed(cells_of, name, known) for name in source.features}
        twins = row_hashes(
            twin_keys(features[name], data.kinds.get(name), dtype)
            for name, dtype in known.compared.items()
        )
        keys = groups = twins
        if source.split.group_by == "none":
            groups = mixed(labelled.rows.astype(np.uint64))
        else:
            by = pa.table(
                {name: cells_of[name] for name in key_columns(source.features, source.split)}
            )
            keys = table_hashes(by, (), known.of_labelled)
        if "split.group_by" in source.roles:
            name = source.roles["split.group_by"]
            groups = group_hashes(cells_of[name], labelled.at(name))
        return _Hashes(place, cells, contents, keys, groups, twins, features, cells_of[data.target])

    columns = [scratch.column(np.uint64) for _ in range(4)]
    has_target, numbers, codes = (scratch.column(kind) for kind in (np.bool_, np.int64, np.int64))
    targets, cells = _Targets(data), scratch.folder / "cells.arrow"
    chunks = in_order(hashed, source.chunks(known.numeric), available_cores())
    with contextlib.ExitStack() as stack:
        copy: _Copy | None = None
        for each in chunks:
            if copy is None:
                copy = _Copy(cells, pa.table(each.features).schema)
                stack.enter_context(copy.writer)
            copy.append(each.features)
            shown.add(each.place, each.cells)
            labelled = ~is_missing(each.cells[data.target])
            numbers.append(rows := each.place.rows[labelled])
            codes.append(targets.codes(each.target, rows))
            values = (each.contents, each.keys, each.groups, each.twins)
            for column, hashes in zip(columns, values, strict=True):
                column.append(hashes)
            has_target.append(labelled)
    contents, keys, groups, twins = columns
    labels, classes = targets.encoded()
    return Rows(contents, has_target, numbers, codes, keys, groups, twins, cells, labels, classes)


class _Copy:
    """Cells in a file in Arrow's stream format.

    Those of other types than the first ones are left out: they show that the columns are not what
    they were taken for, so that all is read again.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self.writer = pa.ipc.new_stream(str(path), schema)

    def append(self, cells: Cells) -> None:
        table = pa.table(cells)
        if table.schema == self.schema:
            self.writer.write_table(table.combine_chunks())  # as few batches as chunks


class _Targets:
    """The different cells of the target, in the order in which they are seen."""

    def __init__(self, data: DataParams) -> None:
        self.place = Place(data.path, np.empty(0, np.int64), data.target)
        self.cells: pa.Array = pa.nulls(0)

    def codes(self, column: pa.ChunkedArray, rows: Ids) -> Ids:
        """The place of each cell among them."""
        if not len(column):
            return np.empty(0, np.int64)
        column = column.combine_chunks()
        if not len(self.cells):
            self.cells = column.slice(0, 0)
        different = column.unique()
        new = different.filter(pc.invert(pc.is_in(different, value_set=self.cells)))
        first = pc.index_in(new, value_set=column).to_numpy()
        self.cells = pa.concat_arrays([self.cells, new])
        self.place = replace(self.place, rows=np.concatenate([self.place.rows, rows[first]]))
        if len(self.cells) > MANY_LABELS:
            self.encoded()
        codes: Ids = pc.index_in(column, value_set=self.cells).to_numpy().astype(np.int64)
        return codes

    def encoded(self) -> tuple[Ids, list[str]]:
        """The class of each, and the classes; InputError if they are none."""
        return encode_target(pa.chunked_array([self.cells]), self.place)


def identified(source: Source, rows: Rows, scratch: Scratch) -> Column:
    """The ids of the rows with a target."""
    earlier = earlier_by_hash(scratch, rows.contents)
    ids, first = scratch.column(np.int64), 0
    for contents, nth, has_target in zip(
        rows.contents.parts(), earlier.parts(), rows.has_target.parts(), strict=True
    ):
        if source.data.id == "none":
            found = mixed(contents + nth.astype(np.uint64))
        elif nth.any():
            row = first + int(np.argmax(nth > 0))
            place = Place(source.data.path, np.array([row]), source.data.id)
            raise place.error(0, "the cell is the id of an earlier row, too")
        else:
            found = contents
        ids.append(found.view(np.int64)[has_target])
        first += len(contents)
    return ids
