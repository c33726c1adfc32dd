"""Which rows go where, and which are equal, of more rows than memory holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vintage.base.console import InputError
from vintage.base.groups import joined_groups
from vintage.base.params import SplitParams
from vintage.table.hashed import Rows, Source
from vintage.table.identity import Hashes, Ids, mixed
from vintage.table.scratch import Column, Numbering, Scratch, by_hash, least_by_hash, padded
from vintage.table.split import check_parts, parts_of_keys
from vintage.table.target import PARTS

MOST_JOINED = 1 << 21  # pairs of groups and twins, which are in memory


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
        TornError: twins that are to stay together are in two parts.
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

        alike, stored = Numbering(), Numbering()
        has_alike = has_stored = np.empty((len(PARTS), 0), np.bool_)  # rows, by part
        for key, part, twin in each("hash", "2", "0"):
            of_twins, of_stored = alike.of(twin), stored.of(key)
            has_alike = padded(has_alike, len(alike), False)
            has_stored = padded(has_stored, len(stored), False)
            has_alike[part, of_twins] = True
            has_stored[part, of_stored] = True
        n_different += len(alike)
        is_torn |= bool((has_alike.sum(axis=0) > 1).any())
        for key, part, twin, place in each("hash", "2", "0", "place"):
            n_torn += int((has_alike[0, alike.of(twin)] & (part == 2)).sum())
            yield place, (has_stored[0] | has_stored[1])[stored.of(key)]
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
                f"{source.data.path}: more than {MOST_JOINED:,} groups share equal rows, and are "
                "joined in memory; set split.group_by to duplicates or a column of larger groups, "
                "round the columns of numbers, or set compute.streaming: false"
            )

    seen = by_hash(scratch, equal, [twins, groups, drawn.parts], find, np.bool_)
    if together and is_torn:
        raise TornError(np.concatenate(pairs["twins"]))
    return Likeness(seen, n_different, n_torn, np.concatenate(pairs["part"]))


def _shared(keys_and_groups: Iterable[tuple[Hashes, ...]]) -> Hashes:
    """The different pairs of a group and a key that several groups have."""
    known = np.empty((2, 0), np.uint64)
    for both in keys_and_groups:
        pairs = np.concatenate([known, np.stack(both)], axis=1)
        known = pairs[:, ~pd.Series(mixed(pairs[0] + mixed(pairs[1]))).duplicated().to_numpy()]
    keys, groups = known
    several = pd.Series(keys).duplicated(keep=False).to_numpy()
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


class TornError(Exception):
    """Twins are in two parts, so that what is written must not stay."""

    def __init__(self, pairs: Hashes) -> None:
        super().__init__()
        self.pairs = pairs
