"""The rows of a table, some at a time: more or fewer than in the batches that they come in."""

from collections.abc import Iterator

import pyarrow as pa

MAX_GATHERED = 2**26  # bytes


def regrouped(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """The same rows, at most `n_rows` at a time."""
    for batch in batches:
        for start in range(0, batch.num_rows, n_rows):
            yield pa.Table.from_batches([batch.slice(start, n_rows)])


def gathered(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """The same rows, about `n_rows` at a time, and fewer where their cells are long."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = n_bytes = 0
    for batch in batches:
        is_full = n_waiting + batch.num_rows > n_rows or n_bytes > MAX_GATHERED
        if waiting and (is_full or batch.schema != waiting[0].schema):
            yield pa.Table.from_batches(waiting)
            waiting, n_waiting, n_bytes = [], 0, 0
        waiting.append(batch)
        n_waiting += batch.num_rows
        n_bytes += batch.nbytes
    if waiting:
        yield pa.Table.from_batches(waiting)
