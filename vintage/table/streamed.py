"""Split a table of any size in bounded memory, to the bytes that a split in memory gives.

All rows are gone through for each thing that must be known of all before the next can be done: what
the columns hold, and hashes of the rows; what the train rows hold; the cells as float32. The first
time they come from the table, then from a copy of its features. In between, rows of equal hashes
are found in files, see `vintage.table.scratch`. Memory grows with the number of categories, and of
rows that are equal in 32 bits alone, but not with that of rows.
"""

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.console import InputError
from vintage.base.files import replacing
from vintage.base.groups import joined_groups
from vintage.base.machine import available_cores
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import (
    ExamplesFile,
    Feature,
    Features,
    RowCounts,
    Schema,
    is_known,
    unknown_counts,
)
from vintage.base.threads import in_order
from vintage.table.cells import Place, is_missing, is_text, typed, typed_as, with_nulls
from vintage.table.dataset import (
    Dataset,
    check_kinds,
    check_types,
    key_columns,
    roles_of,
    wrong_names,
)
from vintage.table.features import encode_features, fit_columns
from vintage.table.identity import (
    MISSING_HASH,
    Hashes,
    Ids,
    ids_of_column,
    mixed,
    row_hashes,
    table_hashes,
)
from vintage.table.kinds import (
    KINDS,
    MAX_CATEGORIES,
    Continuous,
    far_low,
    kind_of,
    offset_of,
    twin_keys,
)
from vintage.table.problems import Problems
from vintage.table.read import gathered, open_table
from vintage.table.scratch import (
    Column,
    Distinct,
    Scratch,
    by_hash,
    earlier_by_hash,
    least_by_hash,
    least_of,
)
from vintage.table.sharing import Shared
from vintage.table.split import Split, check_parts, parts_of_keys, rule_of, val_size_of
from vintage.table.summary import SAMPLE, Counts, summary
from vintage.table.target import PARTS, encode_target, group_hashes
from vintage.table.telling import Telling

CHUNK_CELLS = 1 << 21
CHUNK_ROWS = 1 << 16
LEAST_ROWS = 1 << 10
LARGE_BYTES = 1 << 31  # of a file, of which reading all of it may take more than the memory
LARGE_CELLS = 300_000_000
MANY_LABELS = 10_000  # different texts or numbers, beyond which a target is looked at early
MOST_JOINED = 1 << 21  # pairs of groups and twins, which are in memory

Cells = dict[str, pa.ChunkedArray]


def is_in_parts(data: DataParams, split: SplitParams, streaming: Literal["auto"] | bool) -> bool:
    """What `compute.streaming` means for a table.

    Raises:
        InputError: it is to be split in parts, and by another rule than hash.
    """
    if streaming == "auto":
        can_be = rule_of(split) == "hash" and split.val_size != "folds"
        return can_be and is_large(Path(data.path))
    if streaming:
        check_rule(split)
    return streaming


def is_large(path: Path) -> bool:
    """Whether to split a table in parts where nothing else is set: by its file alone."""
    if not path.is_file():
        return False
    with open_table(path) as table:
        n_cells = (table.total or 0) * len(table.names) if table.unit == "rows" else 0
    return n_cells > LARGE_CELLS or path.stat().st_size > LARGE_BYTES


def check_rule(params: SplitParams) -> None:
    """Refuse what needs all rows in memory."""
    if (rule := rule_of(params)) != "hash":
        raise InputError(
            f"params.yaml: compute.streaming: a table is split in parts by hash alone, not by "
            f"{rule}; set split.by: hash, and split.order_by and split.column to none"
        )


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
            numeric = [name for name in table.numeric_names() if name not in as_text]
        problems = Problems()
        problems.found += wrong_names(data, roles, names)
        problems.refuse()
        features = [name for name in names if name not in {*roles.values(), *data.ignore}]
        if not features:
            raise InputError(f"{data.path}: no column is left as a feature; see data.ignore")
        used = [*features, *dict.fromkeys(roles.values())]
        # without a column of ids, all columns say which row it is
        return cls(
            data, split, roles, features, used if data.id != "none" else names, as_text, numeric
        )

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
        is_labelled = pa.array(~missing)
        for name, column in cells.items():
            if name in self.labelled:
                self.labelled[name].add(column.filter(is_labelled), place.rows[~missing])
                others = column.filter(pa.array(missing))
                self.others[name].add(others, place.rows[missing])
            else:
                self.others[name].add(column, place.rows)

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
    first.add(*next(source.chunks(source.numeric)))
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
            self.writer.write_table(table)


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


@dataclass(frozen=True)
class Drawn:
    """Who is where: `parts`, uint8 places in `PARTS`, and how many rows of each class that makes:
    int64 `[3, n_classes]`."""

    parts: Column
    counts: Ids

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(PARTS, self.counts.sum(axis=1).tolist(), strict=True))


def draw(rows: Rows, groups: Column, keys: Column, params: SplitParams, scratch: Scratch) -> Drawn:
    """Share out whole groups, as `vintage.table.split` does by hash."""
    parts, n_classes = scratch.column(np.uint8), len(rows.classes)
    counts = np.zeros(3 * n_classes, np.int64)
    smallest = least_by_hash(scratch, groups, keys)
    for keys_of_part, codes in zip(smallest.parts(), rows.codes.parts(), strict=True):
        part = parts_of_keys(keys_of_part, rows.rows.n_rows, params)
        counts += np.bincount(part * n_classes + rows.labels[codes], minlength=len(counts))
        parts.append(part)
    smallest.remove()
    drawn = Drawn(parts, counts.reshape(3, n_classes))
    check_parts(drawn.counts, rows.classes, params)
    return drawn


def fit(
    source: Source, rows: Rows, known: Knowledge, shown: Shown, drawn: Drawn, scratch: Scratch
) -> tuple[list[Feature], dict[str, str]]:
    """As `vintage.table.features.fit_features`."""
    kinds, path = source.data.kinds, source.data.path
    of_train = {name: Telling(_n_different(source, known, name)) for name in source.features}
    for place, cells, part in _with_parts(source, rows, drawn):
        in_train = part == 0
        for name, column in cells.items():
            of_train[name].add(column.filter(pa.array(in_train)), place.rows[in_train])

    def encode(features: Sequence[Feature]) -> None:
        problems = Problems()
        for feature in features:
            with problems.noted():
                telling = shown.labelled[feature.name]
                place = telling.place(path, feature.name)
                kind_of(feature).encode(telling.cells, feature, place)
        problems.refuse()

    columns = (
        (name, telling.cells, telling.place(path, name), telling.n_known)
        for name, telling in of_train.items()
    )
    features, dropped = fit_columns(columns, kinds, encode)
    far: dict[str, float] = {}
    for feature in features:
        telling = of_train[feature.name]
        wide = _numbers(telling.cells, feature, telling.place(path, feature.name))
        low = None if wide is None else far_low(wide)
        if low is not None:
            far[feature.name] = low
    offsets = _offsets(source, rows, drawn, [f for f in features if f.name in far], far, scratch)
    features = [f.model_copy(update={"offset": offsets.get(f.name, 0.0)}) for f in features]
    encode(features)
    return features, dropped


def _n_different(source: Source, known: Knowledge, name: str) -> int | None:
    """How many cells of a column may be categories."""
    by_hand = source.data.kinds.get(name)
    if by_hand is None:
        return MAX_CATEGORIES + 1 if is_text(known.of_labelled[name]) else 0
    return None if by_hand == "categorical" else 0


def _numbers(
    cells: pa.ChunkedArray, feature: Feature, place: Place
) -> npt.NDArray[np.float64] | None:
    """The numbers of a column, without the missing ones; None if it has categories."""
    kind = kind_of(feature)
    if not isinstance(kind, Continuous):
        return None
    wide = kind.read(cells, place)
    return wide[~np.isnan(wide)]


def _offsets(
    source: Source,
    rows: Rows,
    drawn: Drawn,
    features: Sequence[Feature],
    lows: Mapping[str, float],
    scratch: Scratch,
) -> dict[str, float]:
    """By column that is far from 0, what to subtract."""
    if not features:
        return {}
    n_train = drawn.sizes["train"]
    counters = {f.name: (Distinct(scratch, n_train), Distinct(scratch, n_train)) for f in features}
    for place, cells, part in _with_parts(source, rows, drawn):
        in_train = pa.array(part == 0)
        for feature in features:
            column = cells[feature.name].filter(in_train)
            wide = _numbers(column, feature, place.at(feature.name))
            assert wide is not None
            shifted, plain = counters[feature.name]
            shifted.add((wide - lows[feature.name]).astype(np.float32))
            plain.add(wide.astype(np.float32))
    return {
        name: offset_of(lows[name], shifted.count(), plain.count())
        for name, (shifted, plain) in counters.items()
    }


def _with_parts(
    source: Source, rows: Rows, drawn: Drawn
) -> Iterator[tuple[Place, Cells, npt.NDArray[np.uint8]]]:
    """The rows with a target, some at a time, and their parts."""
    first = 0
    # not mapped, because what was read would stay in memory
    with pa.OSFile(str(rows.cells)) as file, pa.ipc.open_stream(file) as batches:
        for batch in batches:
            place = Place(source.data.path, rows.rows.slice(first, batch.num_rows))
            cells = {name: pa.chunked_array([batch[name]]) for name in batch.schema.names}
            yield place, cells, drawn.parts.slice(first, batch.num_rows)
            first += batch.num_rows


class _Encoded(NamedTuple):
    """Of a chunk."""

    place: Place
    cells: Cells
    part: npt.NDArray[np.uint8]
    values: Features
    equal: Hashes
    is_known: npt.NDArray[np.bool_]


class Examined:
    """What is told of the encoded rows.

    Attributes:
        unknown, missing: counts of cells, by part and column, and by column.
        sample: some train and test rows, evenly spaced: their part, label, place, cells and
            features.
    """

    def __init__(self, drawn: Drawn, features: Sequence[Feature]) -> None:
        self.features = features
        self.unknown: dict[str, Counter[str]] = {name: Counter() for name in PARTS}
        self.missing: Counter[str] = Counter()
        self.seen = dict.fromkeys(PARTS, 0)
        self.steps = {name: -(-size // SAMPLE) for name, size in drawn.sizes.items()}
        self.sampled: list[tuple[Ids, Ids, Ids, Cells, Features]] = []

    def add(self, each: _Encoded, labels: Ids) -> None:
        self.missing.update({name: int(is_missing(c).sum()) for name, c in each.cells.items()})
        chosen = []
        for index, name in enumerate(PARTS):
            places = np.flatnonzero(each.part == index)
            self.unknown[name].update(unknown_counts(each.values[places], self.features))
            if name != "val" and len(places):
                chosen.append(places[-self.seen[name] % self.steps[name] :: self.steps[name]])
            self.seen[name] += len(places)
        places = np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
        cells = {name: column.take(pa.array(places)) for name, column in each.cells.items()}
        part = each.part[places].astype(np.int64)
        rows = each.place.rows[places]
        self.sampled.append((part, labels[places], rows, cells, each.values[places]))


def encode(
    source: Source,
    rows: Rows,
    drawn: Drawn,
    features: Sequence[Feature],
    ids: Column,
    files: Mapping[str, ExamplesFile],
    scratch: Scratch,
) -> tuple[Column, Column, Examined]:
    """Write all but `groups` and `seen` of the rows.

    Returns:
        Of each row a hash of what is stored, and one that also tells apart the categories that no
        train row has.
    """
    equal, twins = scratch.column(np.uint64), scratch.column(np.uint64)
    examined = Examined(drawn, features)

    def encoded(chunk: tuple[Place, Cells, npt.NDArray[np.uint8]]) -> _Encoded:
        place, cells, part = chunk
        values = encode_features(cells, features, place)
        return _Encoded(
            place, cells, part, values, row_hashes(values.T), is_known(values, features)
        )

    first = 0
    for each in in_order(encoded, _with_parts(source, rows, drawn), available_cores()):
        n_rows = len(each.part)
        labels = rows.labels[rows.codes.slice(first, n_rows)]
        examined.add(each, labels)
        of_rows: dict[str, npt.NDArray[Any]] = {
            "features": each.values,
            "labels": labels,
            "rows": each.place.rows,
            "ids": ids.slice(first, n_rows),
        }
        _append(files, each.part, of_rows)
        equal.append(each.equal)
        differ = np.where(each.is_known, MISSING_HASH, rows.twins.slice(first, n_rows))
        twins.append(row_hashes([each.equal, differ]))
        first += n_rows
    return equal, twins, examined


def _append(
    files: Mapping[str, ExamplesFile],
    part: npt.NDArray[np.uint8],
    of_rows: Mapping[str, npt.NDArray[Any]],
) -> None:
    for index, name in enumerate(PARTS):
        places = np.flatnonzero(part == index)
        for tensor, values in of_rows.items():
            if tensor != "seen" or name == "test":
                files[name].append(tensor, values[places])


@dataclass
class Likeness:
    """What is found of rows that are equal as stored.

    Attributes:
        seen: bool `[n]`, whether a train or validation row is.
        n_different: how many different rows there are.
        n_torn: how many test rows have a twin in train.
        by_part: pairs of a group and of rows in it that other groups of the part have, too:
            uint64 `[n, 2]`.
    """

    seen: Column
    n_different: int
    n_torn: int
    by_part: Hashes


def liken(
    source: Source, equal: Column, twins: Column, groups: Column, drawn: Drawn, scratch: Scratch
) -> Likeness:
    """Look for rows that are equal as stored.

    Raises:
        _TornError: twins that are to stay together are in two parts.
    """
    together = source.split.group_by == "duplicates"
    n_different = n_torn = 0
    is_torn = False
    pairs: dict[str, list[Hashes]] = {"twins": [], "part": []}

    def find(bucket: Column) -> Iterator[tuple[Ids, npt.NDArray[Any]]]:
        nonlocal n_different, n_torn, is_torn
        if not bucket.n_rows:
            return

        def each(*fields: str) -> Iterator[tuple[npt.NDArray[Any], ...]]:
            return (
                tuple(part[field] for field in fields) for part in bucket.parts(of_a_bucket=True)
            )

        alike, lowest, highest = least_of(
            (twin, part.astype(np.int64), -part.astype(np.int64)) for twin, part in each("0", "2")
        )
        stored, in_test_alone = least_of((key, part == 2) for key, part in each("hash", "2"))
        n_different += len(alike)
        is_torn |= bool((lowest < -highest).any())
        for key, part, twin, place in each("hash", "2", "0", "place"):
            has_train = lowest[np.searchsorted(alike, twin)] == 0
            n_torn += int((has_train & (part == 2)).sum())
            yield place, ~in_test_alone[np.searchsorted(stored, key)]
        in_part = (
            (mixed(key + part.astype(np.uint64)), group)
            for key, group, part in each("hash", "1", "2")
        )
        pairs["part"].append(_shared(in_part))
        if together:
            pairs["twins"].append(_shared(each("0", "1")))
        n_joined = sum(len(each) for found in pairs.values() for each in found)
        if n_joined > MOST_JOINED:
            raise InputError(
                f"{source.data.path}: more than {MOST_JOINED:,} groups are to be joined because "
                "rows of them are equal as stored, which is done in memory; round the columns of "
                "numbers, or set compute.streaming: false"
            )

    seen = by_hash(scratch, equal, [twins, groups, drawn.parts], find, np.bool_)
    if together and is_torn:
        raise _TornError(np.concatenate(pairs["twins"]))
    return Likeness(seen, n_different, n_torn, np.concatenate(pairs["part"]))


def _shared(keys_and_groups: Iterable[tuple[Hashes, ...]]) -> Hashes:
    """The different pairs of a group and a key that several groups have."""
    _, groups, keys = least_of(
        (mixed(key + mixed(group)), group, key) for key, group in keys_and_groups
    )
    _, index, counts = np.unique(keys, return_inverse=True, return_counts=True)
    several = counts[index] > 1
    return np.stack([groups[several], keys[several]], axis=1)


def joined(groups: Column, pairs: Hashes, scratch: Scratch) -> Column:
    """The groups, of which those that share a key are one."""
    if not len(pairs):
        return groups
    of_pairs, keys = (column.copy().view(np.int64) for column in pairs.T)
    component = joined_groups(of_pairs, keys)
    joint = pd.Series(pairs[:, 0]).groupby(component).transform("min").to_numpy()
    old, first = np.unique(pairs[:, 0], return_index=True)
    new, result = joint[first], scratch.column(np.uint64)
    for part in groups.parts():
        places = np.minimum(np.searchsorted(old, part), len(old) - 1)
        result.append(np.where(old[places] == part, new[places], part))
    return result


def split_in_parts(
    data: DataParams, params: SplitParams, tensors: Path, folder: Path
) -> tuple[Schema, Iterator[str]]:
    """Write the tensor files of the parts; returns their schema, and what is to be told.

    Args:
        tensors: where the files go.
        folder: for files that are in the way afterwards.

    Raises:
        InputError: as `load_dataset` and `share_out`, or it needs all rows in memory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return _split(Source.of(data, params), tensors, Scratch(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _split(source: Source, tensors: Path, scratch: Scratch) -> tuple[Schema, Iterator[str]]:
    params = source.split
    rows, known, shown = read_rows(source, scratch)
    if val_size_of(params, rows.rows.n_rows) == "folds":
        raise InputError(
            f"params.yaml: split.val_size: found {params.val_size}, which for {rows.rows.n_rows} "
            "rows means folds, and these need the table in memory; set a share, such as 0.1, or "
            "compute.streaming: false"
        )
    ids = identified(source, rows, scratch)
    keys = ids.view(np.uint64) if params.group_by == "none" else rows.keys
    groups, n_draws = rows.groups, 0
    while True:
        n_draws += 1
        drawn = draw(rows, groups, keys, params, scratch)
        features, dropped = fit(source, rows, known, shown, drawn, scratch)
        try:
            with _open_files(tensors, drawn, len(features)) as files:
                equal, twins, examined = encode(source, rows, drawn, features, ids, files, scratch)
                of_equal = equal if params.group_by == "none" else groups
                alike = liken(source, equal, twins, of_equal, drawn, scratch)
                _write_groups(source, rows, of_equal, equal, alike, drawn, files, scratch)
            break
        except _TornError as torn:
            groups = joined(groups, torn.pairs, scratch)
    schema = _schema(source, rows, drawn, features, dropped, examined, alike)
    return schema, _told(source, rows, drawn, schema, dropped, examined, alike, n_draws)


class _TornError(Exception):
    """Twins are in two parts, so that what is written must not stay."""

    def __init__(self, pairs: Hashes) -> None:
        super().__init__()
        self.pairs = pairs


@contextlib.contextmanager
def _open_files(tensors: Path, drawn: Drawn, n_features: int) -> Iterator[dict[str, ExamplesFile]]:
    with contextlib.ExitStack() as stack:
        files = {}
        for name, size in drawn.sizes.items():
            file = stack.enter_context(replacing(tensors / f"{name}.safetensors"))
            files[name] = ExamplesFile(file, size, n_features, name == "test")
        yield files


def _write_groups(
    source: Source,
    rows: Rows,
    groups: Column,
    equal: Column,
    alike: Likeness,
    drawn: Drawn,
    files: Mapping[str, ExamplesFile],
    scratch: Scratch,
) -> None:
    if source.split.group_by == "none":
        groups = scratch.column(np.uint64)
        for hashes, part in zip(equal.parts(), drawn.parts.parts(), strict=True):
            groups.append(mixed(hashes + part.astype(np.uint64)))
    first = least_by_hash(scratch, joined(groups, alike.by_part, scratch), rows.rows)
    columns = (drawn.parts, first, alike.seen)
    for part, firsts, seen in zip(*(column.parts() for column in columns), strict=True):
        _append(files, part, {"groups": firsts, "seen": seen})


def _schema(
    source: Source,
    rows: Rows,
    drawn: Drawn,
    features: list[Feature],
    dropped: dict[str, str],
    examined: Examined,
    alike: Likeness,
) -> Schema:
    missing = {f.name: examined.missing[f.name] for f in features}
    return Schema(
        target=source.data.target,
        classes=rows.classes,
        features=features,
        dropped=sorted(dropped),
        missing=source.data.missing,
        missing_cells={name: count for name, count in missing.items() if count},
        rows=RowCounts(**drawn.sizes, repeated=rows.rows.n_rows - alike.n_different),
    )


def _told(
    source: Source,
    rows: Rows,
    drawn: Drawn,
    schema: Schema,
    dropped: dict[str, str],
    examined: Examined,
    alike: Likeness,
    n_draws: int,
) -> Iterator[str]:
    counts = Counts(
        labels=dict(zip(PARTS, drawn.counts, strict=True)),
        unknown={name: dict(each) for name, each in examined.unknown.items()},
        n_unlabelled=rows.contents.n_rows - rows.rows.n_rows,
        n_torn=alike.n_torn,
    )
    parts, labels, numbers, cells, values = zip(*examined.sampled, strict=True)
    part, places = np.concatenate(parts), np.arange(sum(map(len, parts)))
    sample = Dataset(
        labels=np.concatenate(labels),
        classes=rows.classes,
        groups=places,
        columns={
            name: pa.chunked_array([chunk for each in cells for chunk in each[name].chunks])
            for name in source.features
        },
        place=Place(source.data.path, np.concatenate(numbers)),
        twins=places,
        has_wide=False,
        ids=places,
        n_unlabelled=counts.n_unlabelled,
    )
    split = Split(*(np.flatnonzero(part == index) for index in range(3)))
    shared = Shared(
        split, places, places, places, schema.features, dropped, np.concatenate(values), n_draws
    )
    return summary(sample, shared, schema, source.data, counts)
