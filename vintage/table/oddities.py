"""What in a table looks like a leak or a loss, and is no error: a line for each, with the way out.

Columns are looked at in at most `SAMPLE` of the train rows, evenly spaced.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import KDTree

from vintage.base.params import DataParams
from vintage.base.tensors import Feature
from vintage.table.cells import EXACT, as_days, as_floats, category_name, is_number, typed
from vintage.table.dataset import Dataset
from vintage.table.forms import form_of
from vintage.table.sharing import Shared

SAMPLE = 5_000
FEW = 20  # rows, of which nothing can be told
TELLING = 0.98  # of what the largest class leaves unknown
MERGED = 0.01  # of all numbers, above which it matters that some are equal in 32 bits
NEAR = 1e-6  # of a column's standard deviation

Ids = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


def oddities(data: Dataset, shared: Shared, params: DataParams) -> Iterator[str]:
    """Lines that name the column, how many rows it is about, and what can be done."""
    train = shared.split.train
    rows = train[:: -(-len(train) // SAMPLE)]
    target = params.target
    yield from _alike_classes(data, target)
    for index, feature in enumerate(shared.features):
        values = shared.values[rows, index]
        name = f"column {feature.name!r}"
        if _tells(values, data.labels[rows], feature):
            yield (
                f"{name} alone tells {target!r} in nearly all of {len(rows)} train rows: list it "
                "in data.ignore if it is a copy, or known only afterwards"
            )
        categories = [] if feature.name in params.kinds else feature.categories or []
        if form := form_of(pa.array(categories, pa.string())):
            yield f"{name} is taken for categories, and holds {form}"
        if feature.categories is None:
            cells = data.columns[feature.name].take(pa.array(rows))
            yield from (f"{name} {loss}" for loss in _losses(cells, values))
        if _is_identifier(data, feature, shared):
            yield f"{name} is another one in each row, as an identifier is: list it in data.ignore"
    if n_near := _n_near(shared, rows):
        yield (
            f"{n_near} test rows are equal to a train row but for less than a millionth of each "
            "column's spread: if they are the same ones, round the columns, or name what they "
            "share in split.group_by"
        )


def _alike_classes(data: Dataset, target: str) -> Iterator[str]:
    alike = defaultdict(list)
    for label, name in enumerate(data.classes):
        plain = category_name(name).casefold()
        alike[{"true": "1", "false": "0"}.get(plain, plain)].append(label)
    counts = np.bincount(data.labels, minlength=len(data.classes))
    for labels in alike.values():
        if len(labels) > 1:
            shown = ", ".join(f"{data.classes[label]!r} ({counts[label]} rows)" for label in labels)
            yield (
                f"column {target!r} holds classes that are perhaps one, {shown}: write them alike, "
                "or each is learned as a class of its own"
            )


def _tells(values: Values, labels: Ids, feature: Feature) -> bool:
    """Whether nearly every row has the most frequent class of its category or its bin.

    A bin of one row tells nothing.
    """
    if len(labels) < FEW:
        return False
    distinct, bins = np.unique(values, return_inverse=True)
    if feature.categories is None and len(distinct) > len(values) // 4:
        n_bins = min(256, len(values) // 8)
        bins = np.where(np.isnan(values), n_bins, bins * n_bins // len(distinct))
    counts = np.zeros((int(bins.max()) + 1, int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (bins, labels), 1)
    n_right = int(counts.max(axis=1)[counts.sum(axis=1) > 1].sum())
    n_largest = int(counts.sum(axis=0).max())
    return n_right - n_largest >= max(TELLING * (len(labels) - n_largest), 2)


def _losses(cells: pa.ChunkedArray, values: Values) -> Iterator[str]:
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
    return _is_whole(wide) and np.abs(wide).max() < EXACT and len(np.unique(wide)) == len(wide)


def _is_whole(numbers: npt.NDArray[np.float64]) -> bool:
    return bool((numbers == np.floor(numbers)).all())


def _n_near(shared: Shared, rows: Ids) -> int:
    """How many test rows are all but equal to a train row.

    By chance, ten times the distance would hold ten times as many rows and more, for each column of
    numbers; if it does not hold three times as many, the near ones are no chance.
    """
    numeric = [index for index, each in enumerate(shared.features) if each.categories is None]
    if len(shared.features) < 2 or not numeric:
        return 0
    scale = np.ones(len(shared.features))
    deviation = np.nanstd(shared.values[rows][:, numeric], axis=0, dtype=np.float64)
    scale[numeric] = np.where(deviation > 0, deviation, 1)
    train, test = (
        np.nan_to_num(shared.values[places] / scale, nan=1000)  # far out for the missing ones
        for places in (shared.split.train, shared.split.test)
    )
    _, first = np.unique(shared.equal[shared.split.train], return_index=True)
    tree = KDTree(train[first], balanced_tree=False, compact_nodes=False)
    distance, _ = tree.query(test, p=np.inf, distance_upper_bound=10 * NEAR)
    few, many = (int(((distance > 0) & (distance <= limit)).sum()) for limit in (NEAR, 10 * NEAR))
    return few if many < 3 * few else 0
