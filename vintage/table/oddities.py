"""What in a table looks like a leak or a loss, and is no error: a line for each, with the way out.

Columns are looked at in at most `SAMPLE` of the train rows, evenly spaced.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vintage.base.params import DataParams
from vintage.base.tensors import Feature, Features
from vintage.table.cells import EXACT, as_days, as_floats, category_name, is_number, typed
from vintage.table.dataset import Dataset
from vintage.table.forms import form_of
from vintage.table.kinds import is_far
from vintage.table.sharing import Shared

SAMPLE = 5_000
FEW = 20  # rows, of which nothing can be told
TELLING = 0.98  # of what the largest class leaves unknown
MERGED = 0.01  # of all numbers, above which it matters that some are equal in 32 bits
NEAR = 1e-6  # of a column's standard deviation
BLOCK_ROWS = 8192

Ids = npt.NDArray[np.int64]


def oddities(data: Dataset, shared: Shared, params: DataParams) -> Iterator[str]:
    """Lines that name the column, how many rows it is about, and what can be done."""
    train = shared.split.train
    rows = train[:: -(-len(train) // SAMPLE)]
    target = params.target
    yield from _alike_classes(data, target)
    for index, feature in enumerate(shared.features):
        values = shared.values[rows, index]
        name = f"column {feature.name!r}"
        if _tells(_bins(values, feature), data.labels[rows]):
            yield (
                f"{name} alone tells {target!r} in nearly all of {len(rows)} train rows: list it "
                "in data.ignore if it is a copy, or known only afterwards"
            )
        categories = [] if feature.name in params.kinds else feature.categories or []
        if form := form_of(pa.array(categories, pa.string())):
            yield f"{name} is taken for categories, and holds {form}"
        if feature.categories is None:
            cells = typed(data.columns[feature.name].take(pa.array(rows)))
            yield from (f"{name} {loss}" for loss in _losses(cells, values, feature))
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


def _bins(values: npt.NDArray[np.float32], feature: Feature) -> Ids:
    """The number of each value's category, or of its bin between quantiles: int64 `[n]`."""
    distinct, codes = np.unique(values, return_inverse=True)
    if feature.categories is not None or len(distinct) <= len(values) // 4:
        return codes.astype(np.int64)
    shares = np.linspace(0, 1, min(256, max(2, len(values) // 8)) + 1)[1:-1]
    known = ~np.isnan(values)
    edges = np.quantile(values[known].astype(np.float64), shares)
    return np.where(known, np.searchsorted(edges, values, side="right"), len(edges) + 1)


def _tells(bins: Ids, labels: Ids) -> bool:
    """Whether the most frequent class of its bin is nearly every row's; not by bins of one row."""
    n_classes = int(labels.max()) + 1
    counts = np.bincount(bins * n_classes + labels, minlength=(int(bins.max()) + 1) * n_classes)
    by_bin = counts.reshape(-1, n_classes)
    n_right = int(by_bin.max(axis=1)[by_bin.sum(axis=1) > 1].sum())
    n_largest = int(by_bin.sum(axis=0).max())
    return len(labels) >= FEW and n_right - n_largest >= max(TELLING * (len(labels) - n_largest), 2)


def _losses(
    cells: pa.ChunkedArray, values: npt.NDArray[np.float32], feature: Feature
) -> Iterator[str]:
    """What 32 bits do not hold of numbers or times.

    Args:
        cells: as read.
        values: as stored.
    """
    known = ~np.isnan(values)
    numbers = cells if is_number(cells.type) else as_days(cells)
    if numbers is None:
        return
    numbers = numbers.filter(pa.array(known))
    wide = as_floats(numbers)
    n_lost = int(((wide != 0) & (np.abs(wide) < np.finfo(np.float32).tiny)).sum())
    if n_lost and not feature.offset:
        yield (
            f"holds numbers nearer to 0 than 32 bits hold exactly in {n_lost} of {len(values)} "
            "train rows: multiply it by a constant"
        )
    is_whole = is_number(cells.type) and bool((wide == np.floor(wide)).all())
    low, high = float(wide.min()), float(wide.max())
    if is_whole and is_far(low, high) and max(abs(low), abs(high)) >= EXACT:
        yield (
            "holds whole numbers beyond 2**53, not all of which 64 bits tell apart: set its kind "
            "to categorical in data.kinds"
        )
        return
    stored = values[known]
    n_read, n_stored = (
        int(pc.count_distinct(each).as_py()) for each in (numbers, pa.array(stored))
    )
    if n_read - n_stored <= (0 if is_whole else MERGED * n_read):
        return
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
    column = data.columns[feature.name]
    start = column.slice(0, SAMPLE)
    return all(
        pc.count_distinct(cells).as_py() == len(cells) and _is_whole(cells)
        for cells in (start, column)
    )


def _is_whole(cells: pa.ChunkedArray) -> bool:
    if not is_number(cells.type):
        return False
    wide = as_floats(cells)
    return bool((wide == np.floor(wide)).all()) and float(np.abs(wide).max()) < EXACT


def _n_near(shared: Shared, rows: Ids) -> int:
    """How many test rows are all but equal to a train row.

    Rows are neighbours if they are so in the order of a random projection, and are then compared.
    By chance, ten times the distance would hold ten times as many rows and more, for each column of
    numbers; if it does not hold three times as many, the near ones are no chance.
    """
    values, features = shared.values, shared.features
    numeric = [index for index, feature in enumerate(features) if feature.categories is None]
    if len(features) < 2 or not numeric:
        return 0
    scale = _scales(values[rows], numeric)
    side = np.zeros(len(values), dtype=np.int8)
    side[shared.split.train], side[shared.split.test] = 1, 2
    weights = np.random.default_rng(0).uniform(1, 2, size=(len(features), 2)) / scale[:, None]
    projected = np.empty((2, len(values)))
    for start in range(0, len(values), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        projected[:, block] = (_filled(values[block], scale) @ weights).T
    order = np.argsort(projected[0])
    projected, side = projected[:, order], side[order]
    reach = 20 * NEAR * np.sqrt(len(features))
    near: dict[float, set[int]] = {NEAR: set(), 10 * NEAR: set()}
    for lag in (1, 2, 3):
        close = side[:-lag] + side[lag:] == 3
        for line in projected:
            close &= line[lag:] - line[:-lag] < reach
            close &= line[:-lag] - line[lag:] < reach
        places = np.flatnonzero(close)
        one, other = order[places], order[places + lag]
        apart = np.abs(_filled(values[one], scale) - _filled(values[other], scale))
        distance = (apart / scale).max(axis=1)
        test = np.where(side[places] == 2, one, other)
        for limit, found in near.items():
            found |= set(test[(distance <= limit) & (distance > 0)].tolist())
    few, many = (len(found) for found in near.values())
    return few if many < 3 * few else 0


def _scales(train: Features, numeric: list[int]) -> npt.NDArray[np.float64]:
    """Each column's standard deviation, 1 for codes: float64 `[n_features]`."""
    scale = np.ones(train.shape[1])
    deviation = np.nanstd(train[:, numeric], axis=0, dtype=np.float64)
    scale[numeric] = np.where(deviation > 0, deviation, 1)
    return scale


def _filled(values: Features, scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """In 64 bits, with a number far out for the missing ones."""
    wide = values.astype(np.float64)
    missing = np.isnan(wide)
    return np.where(missing, 1000 * scale, wide) if missing.any() else wide
