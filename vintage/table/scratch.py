"""Numbers of more rows than memory holds: in files, and grouped there by their hashes.

Rows of equal hashes are written into one file of several, its bucket, and a bucket is looked
through at a time. What is found of its rows goes into files by their places, from which it comes
back in the order of the rows.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vintage.table.identity import Hashes, Ids, mixed

PART_ROWS = 1 << 17  # that are read at a time
BUCKET_ROWS = 1 << 19  # of different hashes; of twice as many, all are read at a time

Numbers = npt.NDArray[Any]


class Column:
    """Numbers of one type in a file, which are appended at its end and read from its beginning."""

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.n_rows = 0
        path.touch()

    def append(self, values: Numbers) -> None:
        with self.path.open("ab") as file:
            file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.n_rows += len(values)

    def slice(self, start: int, n_rows: int) -> Numbers:
        """At most `n_rows` numbers from the place `start` on."""
        with self.path.open("rb") as file:
            return np.fromfile(file, self.dtype, n_rows, offset=start * self.dtype.itemsize)

    def parts(self, of_a_bucket: bool = False) -> Iterator[Numbers]:
        """All numbers in their order, `PART_ROWS` at a time."""
        n_rows = 2 * BUCKET_ROWS if of_a_bucket else PART_ROWS
        for start in range(0, self.n_rows, n_rows):
            yield self.slice(start, n_rows)

    def view(self, dtype: npt.DTypeLike) -> "Column":
        """The same bytes as numbers of another type."""
        column = Column(self.path, dtype)
        column.n_rows = self.n_rows
        return column

    def remove(self) -> None:
        self.path.unlink()


class Scratch:
    """A folder of columns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._n_columns = 0

    def column(self, dtype: npt.DTypeLike) -> Column:
        self._n_columns += 1
        return Column(self.folder / str(self._n_columns), dtype)

    def buckets(self, dtype: npt.DTypeLike, n_rows: int) -> list[Column]:
        return [self.column(dtype) for _ in range(max(1, -(-n_rows // BUCKET_ROWS)))]


def add(buckets: Sequence[Column], records: Numbers, numbers: Ids) -> None:
    """Append each record to the bucket of its number, in their order."""
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(len(buckets) + 1))
    for bucket, start, stop in zip(buckets, bounds[:-1], bounds[1:], strict=True):
        if stop > start:
            bucket.append(records[order[start:stop]])


def numbers_of(hashes: Hashes, n_buckets: int) -> Ids:
    """The bucket of each hash, from 0."""
    return ((hashes >> np.uint64(32)).astype(np.int64) * n_buckets) >> 32


def by_hash(
    scratch: Scratch,
    hashes: Column,
    others: Sequence[Column],
    find: Callable[[Column], Iterator[tuple[Ids, Numbers]]],
    dtype: npt.DTypeLike,
) -> Column:
    """What is found of rows together with those of equal hashes, in the order of the rows.

    Args:
        hashes: uint64 `[n]`.
        others: what else is known of the rows, `[n]` each.
        find: gets the rows of a bucket in their order, as records of `place`, `hash` and, of
            `others`, `0`, `1`, ...; gives the places of some, and what is found of these.
        dtype: of what is found.
    """
    fields = [(str(index), other.dtype) for index, other in enumerate(others)]
    kinds = np.dtype([("place", np.int64), ("hash", np.uint64), *fields])
    buckets = scratch.buckets(kinds, hashes.n_rows)
    columns = zip(hashes.parts(), *(other.parts() for other in others), strict=True)
    for index, (keys, *values) in enumerate(columns):
        records = np.empty(len(keys), kinds)
        records["place"] = index * PART_ROWS + np.arange(len(keys))
        records["hash"] = keys
        for name, value in enumerate(values):
            records[str(name)] = value
        add(buckets, records, numbers_of(keys, len(buckets)))
    results = scratch.buckets([("place", np.int64), ("found", dtype)], hashes.n_rows)
    for bucket in buckets:
        for places, found in find(bucket):
            records = np.empty(len(places), results[0].dtype)
            records["place"], records["found"] = places, found
            add(results, records, places // BUCKET_ROWS)
        bucket.remove()
    column = scratch.column(dtype)
    for index, result in enumerate(results):
        records = result.slice(0, BUCKET_ROWS)
        ordered = np.empty(len(records), dtype)
        ordered[records["place"] - index * BUCKET_ROWS] = records["found"]
        column.append(ordered)
        result.remove()
    return column


class Numbering:
    """Numbers hashes from 0, by the order in which they first come."""

    def __init__(self) -> None:
        self._known: Hashes = np.empty(0, np.uint64)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, hashes: Hashes) -> Ids:
        codes, different = pd.factorize(hashes)
        places: Ids = pd.Index(self._known).get_indexer(pd.Index(different))
        is_new = places < 0
        places[is_new] = len(self._known) + np.arange(is_new.sum())
        self._known = np.concatenate([self._known, different[is_new]])
        return places[codes]


def least_by_hash(scratch: Scratch, hashes: Column, values: Column) -> Column:
    """For each row, the least value of those with its hash."""
    largest = np.iinfo(values.dtype).max

    def find(bucket: Column) -> Iterator[tuple[Ids, Numbers]]:
        numbering, lowest = Numbering(), np.empty(0, values.dtype)
        for part in bucket.parts(of_a_bucket=True):
            codes = numbering.of(part["hash"])
            lowest = padded(lowest, len(numbering), largest)
            np.minimum.at(lowest, codes, part["0"])
        for part in bucket.parts(of_a_bucket=True):
            yield part["place"], lowest[numbering.of(part["hash"])]

    return by_hash(scratch, hashes, [values], find, values.dtype)


def earlier_by_hash(scratch: Scratch, hashes: Column) -> Column:
    """For each row, how many of those above it have its hash: int64."""

    def find(bucket: Column) -> Iterator[tuple[Ids, Numbers]]:
        numbering, counts = Numbering(), np.empty(0, np.int64)
        for part in bucket.parts(of_a_bucket=True):
            codes = numbering.of(part["hash"])
            counts = padded(counts, len(numbering), 0)
            yield part["place"], counts[codes] + pd.Series(codes).groupby(codes).cumcount()
            counts += np.bincount(codes, minlength=len(counts))

    return by_hash(scratch, hashes, [], find, np.int64)


def padded(values: Numbers, length: int, fill: Any) -> Numbers:
    """The same numbers, and `fill` behind them along the last axis."""
    n_more = length - values.shape[-1]
    more = np.full((*values.shape[:-1], n_more), fill, values.dtype)
    return np.concatenate([values, more], axis=-1)


class Distinct:
    """Counts different numbers."""

    def __init__(self, scratch: Scratch, n_rows: int) -> None:
        """`n_rows`: about how many numbers there are."""
        self.buckets = scratch.buckets(np.float32, n_rows)

    def add(self, numbers: npt.NDArray[np.float32]) -> None:
        different = np.unique(numbers)
        hashes = mixed(different.astype(np.float64).view(np.uint64))
        add(self.buckets, different, numbers_of(hashes, len(self.buckets)))

    def count(self) -> int:
        total = 0
        for bucket in self.buckets:
            known = np.empty(0, np.float32)
            for part in bucket.parts(of_a_bucket=True):
                known = np.union1d(known, part)
            total += len(known)
        return total
