"""Which columns are features, and their cells as float32.

Kinds and categories are those of the train rows. They stand in the schema, by which the cells of
every table are encoded, today's test rows as well as those that come later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from vintage.base.tensors import Feature, Features
from vintage.table.cells import Place, is_missing, is_number, is_text, is_time, typed, utf8_text
from vintage.table.identity import Ids
from vintage.table.kinds import KINDS, kind_of
from vintage.table.problems import Problems

BLOCK_ROWS = 8192

Columns = Mapping[str, pa.ChunkedArray]


def fit_features(
    columns: Columns, train: Ids, kinds: Mapping[str, str], place: Place
) -> tuple[list[Feature], dict[str, str]]:
    """Find each column's kind and categories in the train rows.

    A column that is constant or empty there is dropped.

    Args:
        columns: cells by name; those of a kind that is set by hand as that kind takes them, and
            others typed.
        train: the train rows' places in the columns.
        kinds: kinds set by hand.

    Returns:
        The features, and by dropped column the reason.

    Raises:
        InputError: free text, cells that are not of the kind set by hand, or no feature left.
    """
    of_train = place.take(train)

    def fitted() -> Iterator[tuple[str, pa.ChunkedArray, Place, int]]:
        for name, column in columns.items():
            cells = column.take(pa.array(train))
            yield name, cells, of_train.at(name), len(cells) - cells.null_count

    def encode(features: Sequence[Feature]) -> None:
        encode_features(columns, features, place)

    return fit_columns(fitted(), kinds, encode)


def fit_columns(
    columns: Iterable[tuple[str, pa.ChunkedArray, Place, int]],
    kinds: Mapping[str, str],
    encode: Callable[[Sequence[Feature]], None],
) -> tuple[list[Feature], dict[str, str]]:
    """As `fit_features`.

    Args:
        columns: name and cells of the train rows, or of those that tell as much, see
            `vintage.table.telling`; where they stand, and how many train rows have text there.
        encode: refuses what is wrong in the other rows alone.
    """
    features, dropped, problems = [], {}, Problems()
    for name, cells, place, n_texts in columns:
        with problems.noted():
            feature = _fit(name, cells, kinds.get(name), place, n_texts)
            if isinstance(feature, str):
                dropped[name] = feature
            else:
                features.append(feature)
    if problems.found:
        with problems.noted():
            encode(features)
    problems.refuse()
    if not features:
        raise place.at(next(iter(dropped))).column_error(
            "and all others are constant or empty in the train rows; no feature is left"
        )
    return features, dropped


def _fit(
    name: str, cells: pa.ChunkedArray, by_hand: str | None, place: Place, n_texts: int
) -> Feature | str:
    if is_missing(cells).all():
        return "empty in the train rows"
    if by_hand is not None:
        return KINDS[by_hand].fit(name, cells, place)
    cells = typed(cells)
    kind = next(kind for kind in KINDS.values() if kind.recognises(cells, place, n_texts))
    return kind.fit(name, cells, place)


def encode_features(columns: Columns, features: Sequence[Feature], place: Place) -> Features:
    """The cells of `features` as the schema says: float32 `[n, n_features]`.

    Raises:
        InputError: a cell is not what its column holds, not finite in 32 bits, or not UTF-8.
    """
    encoded, problems = [], Problems()
    for feature in features:
        column, of_column = columns[feature.name], place.at(feature.name)
        with problems.noted():
            check_type(column, of_column)
            encoded.append(kind_of(feature).encode(column, feature, of_column))
    problems.refuse()
    rows = np.empty((len(place.rows), len(features)), dtype=np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):  # in blocks that a core's cache holds
        for index, column in enumerate(encoded):
            rows[start : start + BLOCK_ROWS, index] = column[start : start + BLOCK_ROWS]
    return rows


def check_type(column: pa.ChunkedArray, place: Place) -> None:
    """Refuse a column of lists, durations and the like, and text that is not UTF-8."""
    kind = column.type
    if is_text(kind):
        utf8_text(column, place)
    is_taken = (is_number, is_text, is_time, pa.types.is_boolean, pa.types.is_null)
    if not any(is_one(kind) for is_one in is_taken):
        advice = place.advice(": list it in data.ignore")
        raise place.column_error(
            f"is of type {kind}; a feature is numbers, text, truth values, dates or timestamps"
            f"{advice}"
        )
