"""What the split says of a table: what was read, how the rows were shared out, what looks odd.

Odd is what looks like a leak or a loss, and is no error. Columns are looked at in at most `SAMPLE`
of the train or test rows, evenly spaced.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import KDTree

from vintage.base.console import one_line
from vintage.base.params import DataParams
from vintage.base.tensors import Feature, Features, Schema, unknown_counts
from vintage.table.cells import EXACT, as_days, as_floats, category_name, is_number, typed
from vintage.table.dataset import Dataset
from vintage.table.forms import form_of
from vintage.table.identity import Ids
from vintage.table.sharing import Shared

SHOWN = 20  # columns in a line
SAMPLE = 5_000
FEW = 20  # rows, of which nothing can be told
TELLING = 0.98  # of what the largest class leaves unknown
MERGED = 0.01  # of all numbers, above which it matters that some are equal in 32 bits
NEAR = 1e-6  # of a column's standard deviation

NOT_LOOKED_AT = (
    "split in parts: not checked for identifier columns, nor for test rows nearly equal to a train "
    "row"
)


@dataclass(frozen=True)
class Counts:
    """Of rows.

    Attributes:
        labels: by part, how many rows are of each class: int64 `[n_classes]`.
        unknown: by part and column, how many cells have a category that no train row has.
        n_unlabelled: without a target.
        n_torn: of test, with a twin in train.
        fold_sizes: of train; None without folds.
    """

    labels: dict[str, Ids]
    unknown: dict[str, dict[str, int]]
    n_unlabelled: int
    n_torn: int
    fold_sizes: Ids | None = None

    @classmethod
    def of(cls, data: Dataset, shared: Shared) -> "Counts":
        parts, twins, folds = shared.split._asdict(), shared.twins, shared.folds
        n_classes = len(data.classes)
        return cls(
            labels={
                name: np.bincount(data.labels[places], minlength=n_classes)
                for name, places in parts.items()
            },
            unknown={
                name: unknown_counts(shared.values[places], shared.features)
                for name, places in parts.items()
            },
            n_unlabelled=data.n_unlabelled,
            n_torn=int(np.isin(twins[shared.split.test], twins[shared.split.train]).sum()),
            fold_sizes=None if folds is None else np.bincount(folds[folds >= 0]),
        )


def summary(
    data: Dataset,
    shared: Shared,
    schema: Schema,
    params: DataParams,
    counts: Counts | None = None,
) -> Iterator[str]:
    """The lines, of which all but the first one are details.

    Args:
        counts: of all rows, where `data` and `shared` have but some of them.
    """
    is_whole = counts is None
    counts = Counts.of(data, shared) if counts is None else counts
    n_rows = sum(int(labels.sum()) for labels in counts.labels.values())
    yield one_line(
        f"{data.place.path}: {n_rows} rows, {len(schema.features)} features, "
        f"{len(data.classes)} classes of {schema.target!r}"
    )
    for lines in (
        _columns(counts, schema, shared.dropped),
        _parts(counts, schema),
        _sharing(counts, schema, shared.n_draws),
        _alike_classes(data.classes, np.sum([*counts.labels.values()], axis=0), params.target),
        _oddities(data, shared, params, is_whole),
        [] if is_whole else [NOT_LOOKED_AT],
    ):
        yield from (f"  {one_line(line)}" for line in lines)


def _columns(counts: Counts, schema: Schema, dropped: dict[str, str]) -> Iterator[str]:
    kinds = Counter(feature.kind for feature in schema.features)
    if set(kinds) != {"numeric"}:
        yield ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    for name, reason in dropped.items():
        yield f"column {name!r} is dropped: {reason}"
    if missing := [f"{name} {count}" for name, count in schema.missing_cells.items()]:
        more = [f"and {len(missing) - SHOWN} columns more"] if len(missing) > SHOWN else []
        yield f"missing cells by column: {', '.join(missing[:SHOWN] + more)}"
    if counts.n_unlabelled:
        yield f"{counts.n_unlabelled} rows without a target are left out"


def _parts(counts: Counts, schema: Schema) -> Iterator[str]:
    for name, labels in counts.labels.items():
        shares = [f"{label}: {count}" for label, count in zip(schema.classes, labels, strict=True)]
        if name == "val" and (sizes := counts.fold_sizes) is not None:
            of_rows = " to ".join(map(str, sorted({int(sizes.min()), int(sizes.max())})))
            yield f"{name:5}    none: train has {len(sizes)} folds of {of_rows} rows"
            continue
        yield f"{name:5} {labels.sum():7} rows  ({', '.join(shares)})"
        for column, count in counts.unknown[name].items():
            yield (
                f"{count} cells of column {column!r} in {name} hold a category that no train row "
                "has"
            )


def _sharing(counts: Counts, schema: Schema, n_draws: int) -> Iterator[str]:
    together = (
        f"NOT kept together: {counts.n_torn} test rows have a twin in train, and a score may be "
        "too good"
        if counts.n_torn
        else "kept together with their twins"
    )
    yield f"{schema.rows.repeated} rows repeat an earlier one; {together}"
    if n_draws > 1:
        yield f"split {n_draws} times, until rows with equal stored features were on one side"
    for label in np.flatnonzero(counts.labels["test"] == 0):
        yield (
            f"class {schema.classes[label]} has no test row: nothing will be known of how well it "
            "is told"
        )


def _oddities(data: Dataset, shared: Shared, params: DataParams, is_whole: bool) -> Iterator[str]:
    """Lines that name the column, how many rows it is about, and what can be done."""
    train = shared.split.train
    rows = train[:: -(-len(train) // SAMPLE)]
    target = params.target
    for index, feature in enumerate(shared.features):
        values = shared.values[rows, index]
        name = f"column {feature.name!r}"
        if _tells(values, data.labels[rows], feature):
            yield (
                f"{name} alone predicts {target!r} in nearly all of {len(rows)} train rows: list "
                "it in data.ignore if it copies the target, or is known only after it"
            )
        categories = [] if feature.name in params.kinds else feature.categories or []
        if form := form_of(pa.array(categories, pa.string())):
            yield f"{name} is taken for categories, and holds {form}"
        if feature.categories is None:
            cells = data.columns[feature.name].take(pa.array(rows))
            yield from (f"{name} {loss}" for loss in _losses(cells, values))
        if is_whole and _is_identifier(data, feature, shared):
            yield (
                f"{name} has a different value in every row, like an identifier: list it in "
                "data.ignore"
            )
    test = shared.split.test[:: -(-len(shared.split.test) // SAMPLE)]
    if is_whole and (n_near := _n_near(shared, rows, test)):
        yield (
            f"{n_near} of {len(test)} test rows differ from a train row by less than a millionth "
            "of each column's standard deviation: if they are duplicates, round the columns, or "
            "set split.group_by to a column that they share"
        )


def _alike_classes(classes: Sequence[str], counts: Ids, target: str) -> Iterator[str]:
    """Args: counts: the rows of each class."""
    alike = defaultdict(list)
    for label, name in enumerate(classes):
        plain = category_name(name).casefold()
        alike[{"true": "1", "false": "0"}.get(plain, plain)].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            shown = ", ".join(f"{classes[label]!r} ({counts[label]} rows)" for label in labels)
            yield (
                f"column {target!r} holds classes that are perhaps one, {shown}: write them alike, "
                "or each is learned as a class of its own"
            )


def _tells(values: Features, labels: Ids, feature: Feature) -> bool:
    """Whether nearly every row has the most frequent class of its category or its bin.

    A bin of one row tells nothing.
    """
    if len(labels) < FEW:
        return False
    distinct, bins = np.unique(values, return_inverse=True)
    n_border = 0  # rows on the wrong side of a bound that falls into a bin
    if feature.categories is None and len(distinct) > len(values) // 4:
        n_bins = min(256, len(values) // 8)
        n_border = len(values) // n_bins // 2
        bins = np.where(np.isnan(values), n_bins, bins * n_bins // len(distinct))
    counts = np.zeros((int(bins.max()) + 1, int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (bins, labels), 1)
    n_right = int(counts.max(axis=1)[counts.sum(axis=1) > 1].sum())
    n_largest = int(counts.sum(axis=0).max())
    n_rest = len(labels) - n_largest
    return n_right - n_largest >= max(TELLING * n_rest - n_border, n_rest / 2, 2)


def _losses(cells: pa.ChunkedArray, values: Features) -> Iterator[str]:
    """What 32 bits do not hold of numbers or times.

    Args:
        cells: as read.
        values: as stored.
    """
    cells = typed(cells)
    numbers = cells if is_number(cells.type) else as_days(cells)
    if numbers is None:
        return
    known = ~np.isnan(values)
    numbers = numbers.filter(pa.array(known))
    n_read, n_stored = pc.count_distinct(numbers).as_py(), len(np.unique(values[known]))
    is_whole = is_number(cells.type) and _is_whole(as_floats(numbers))
    if n_read - n_stored > (0 if is_whole else MERGED * n_read):
        what = "numbers" if is_number(cells.type) else "times"
        yield (
            f"holds {n_read} different {what} in {len(values)} train rows, of which 32 bits tell "
            f"{n_stored} apart: subtract a constant, or set its kind to categorical in data.kinds"
        )


def _is_identifier(data: Dataset, feature: Feature, shared: Shared) -> bool:
    n_train = len(shared.split.train)
    if n_train < FEW or feature.missing:
        return False
    if feature.categories is not None:
        return len(feature.categories) == n_train
    cells = data.columns[feature.name]
    if not is_number(cells.type):
        return False
    wide = as_floats(cells)
    return (
        _is_whole(wide[:SAMPLE])
        and _is_whole(wide)
        and np.abs(wide).max() < EXACT
        and len(np.unique(wide)) == len(wide)
    )


def _is_whole(numbers: npt.NDArray[np.float64]) -> bool:
    return bool((numbers == np.floor(numbers)).all())


def _n_near(shared: Shared, rows: Ids, test: Ids) -> int:
    """How many test rows are all but equal to a train row.

    By chance, ten times the distance would hold ten times as many rows and more, for each column of
    numbers; if it does not hold three times as many, the near ones are no chance.
    """
    numeric = [index for index, each in enumerate(shared.features) if each.categories is None]
    if len(shared.features) < 2 or not numeric:
        return 0
    scale = np.ones(len(shared.features))
    known = [index for index in numeric if not np.isnan(shared.values[rows, index]).all()]
    deviation = np.nanstd(shared.values[rows][:, known].astype(np.float64), axis=0)
    scale[known] = np.where(deviation > 0, deviation, 1)

    def scaled(places: Ids) -> npt.NDArray[np.float64]:
        values = shared.values[places] / scale
        values[np.isnan(values)] = 1000  # far out for the missing ones
        return values

    train = shared.split.train
    _, first = np.unique(shared.equal[train], return_index=True)
    tree = KDTree(scaled(train[first]), balanced_tree=False, compact_nodes=False)
    within = 10 * NEAR
    distance = np.asarray(tree.query(scaled(test), p=np.inf, distance_upper_bound=within)[0])
    few, many = (int(((distance > 0) & (distance <= limit)).sum()) for limit in (NEAR, 10 * NEAR))
    return few if many < 3 * few else 0
