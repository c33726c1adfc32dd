"""Split a table of any size in bounded memory, to the bytes that a split in memory gives.

All rows are gone through for each thing that must be known of all before the next can be done: what
the columns hold, and hashes of the rows; what the train rows hold; the cells as float32. The first
time they come from the table, then from a copy of its features. In between, rows of equal hashes
are found in files, see `vintage.table.scratch`. Memory grows with the number of categories, and of
rows that are equal in 32 bits alone, but not with that of rows.
"""

import contextlib
import errno
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vintage.base.console import InputError
from vintage.base.files import replacing
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
from vintage.table.cells import Place, is_missing, is_text
from vintage.table.dataset import (
    Dataset,
)
from vintage.table.drawn import Drawn, Likeness, TornError, draw, joined, liken
from vintage.table.features import encode_features, fit_columns
from vintage.table.folder import files_of
from vintage.table.formats import FORMATS
from vintage.table.hashed import Cells, Knowledge, Rows, Shown, Source, identified, read_rows
from vintage.table.identity import (
    MISSING_HASH,
    Hashes,
    Ids,
    mixed,
    row_hashes,
)
from vintage.table.kinds import (
    KINDS,
    MAX_CATEGORIES,
    Continuous,
    far_low,
    kind_of,
    offset_of,
)
from vintage.table.problems import Problems
from vintage.table.read import open_table
from vintage.table.scratch import (
    Column,
    Distinct,
    Scratch,
    least_by_hash,
)
from vintage.table.sharing import Shared
from vintage.table.split import Split, rule_of, val_size_of
from vintage.table.summary import SAMPLE, Counts, summary
from vintage.table.target import PARTS
from vintage.table.telling import Telling

LARGE_BYTES = 1 << 31  # of the files, of which reading all of it may take more than the memory
LARGE_CELLS = 300_000_000


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
    """Whether to split a table in parts where nothing else is set: by its files alone."""
    if not path.exists():
        return False
    files = files_of(path)
    if sum(file.stat().st_size for file in files) > LARGE_BYTES:
        return True
    if any(file.suffix.lower() not in FORMATS for file in files):  # CSV, whose cells nothing tells
        return False
    with open_table(path) as table:
        return (table.total or 0) * len(table.names) > LARGE_CELLS


def check_rule(params: SplitParams) -> None:
    """Refuse what needs all rows in memory."""
    if (rule := rule_of(params)) != "hash":
        raise InputError(
            f"params.yaml: compute.streaming: a table is split in parts by hash alone, not by "
            f"{rule}; set split.by: hash, and split.order_by and split.column to none"
        )
    if params.val_size == "folds":
        raise InputError(
            "params.yaml: compute.streaming: folds need the table in memory; set split.val_size to "
            "a share, such as 0.1"
        )


def fit(
    source: Source, rows: Rows, known: Knowledge, shown: Shown, drawn: Drawn, scratch: Scratch
) -> tuple[list[Feature], dict[str, str]]:
    """As `vintage.table.features.fit_features`."""
    kinds, path = source.data.kinds, source.data.path
    of_train = {name: Telling(_n_different(source, known, name)) for name in source.features}
    for place, cells, part in _with_parts(source, rows, drawn):
        in_train = part == 0
        train_rows, of_chunk = place.rows[in_train], pa.array(in_train)
        for name, column in cells.items():
            of_train[name].add(column.filter(of_chunk), train_rows)

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
    return None if KINDS[by_hand].has_categories else 0


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
        sampled: some train and test rows, evenly spaced: their part, label, place, cells and
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
        if not chosen:
            return
        places = np.sort(np.concatenate(chosen))
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


def split_in_parts(
    data: DataParams, params: SplitParams, tensors: Path, folder: Path
) -> tuple[Schema, Iterator[str]]:
    """Write the tensor files of the parts; returns their schema, and what is to be told.

    Args:
        tensors: where the files go.
        folder: for files that are in the way afterwards.

    Raises:
        InputError: as `load_dataset` and `share_out`, or it needs all rows in memory.
        OSError: the disk is full.
    """
    folder.mkdir(parents=True)
    try:
        return _split(Source.of(data, params), tensors, Scratch(folder))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            advice = "docs/large_tables.md says how much a split in parts takes"
            raise OSError(error.errno, f"no space left on the disk; {advice}", folder) from None
        raise
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
        except TornError as torn:
            groups = joined(groups, torn.pairs, scratch)
    schema = _schema(source, rows, drawn, features, dropped, examined, alike)
    return schema, _told(source, rows, drawn, schema, dropped, examined, alike, n_draws)


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
