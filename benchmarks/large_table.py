"""A table of any size, written in parts: numbers, categories, missing cells and twins."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

N_NUMBERS, N_CATEGORIES = 25, 3
PART_ROWS = 250_000
MISSING, TWINS = 0.02, 0.05  # shares of the cells of three columns, and of all rows


def write_table(path: Path, n_rows: int) -> None:
    """`n_rows` rows of 28 features and a `label`, as CSV or, by its name, Parquet."""
    parts = _parts(n_rows)
    first = next(parts)
    options = pyarrow.csv.WriteOptions(quoting_style="none")
    with (
        pyarrow.parquet.ParquetWriter(path, first.schema)
        if path.suffix == ".parquet"
        else pyarrow.csv.CSVWriter(path, first.schema, write_options=options)
    ) as file:
        file.write_table(first)
        for part in parts:
            file.write_table(part)


def _parts(n_rows: int) -> Iterator[pa.Table]:
    for start in range(0, n_rows, PART_ROWS):
        yield _part(start, min(PART_ROWS, n_rows - start))


def _part(start: int, n_rows: int) -> pa.Table:
    generator = np.random.default_rng(start)
    numbers = generator.normal(size=(n_rows, N_NUMBERS)).round(4)
    numbers[:, -1] = generator.integers(1950, 2025, n_rows)
    codes = generator.integers(0, [2, 12, 300], size=(n_rows, N_CATEGORIES))
    noise = generator.logistic(size=n_rows)
    label = (numbers[:, :5].sum(axis=1) + codes[:, 0] + noise > 0.5).astype(np.int64)
    numbers[:, :3][generator.random((n_rows, 3)) < MISSING] = np.nan
    twins = generator.integers(0, n_rows, size=(2, int(TWINS * n_rows)))
    for values in (numbers, codes, label):
        values[twins[0]] = values[twins[1]]
    columns = {
        f"x{index}": pa.array(column, from_pandas=True) for index, column in enumerate(numbers.T)
    }
    columns |= {
        f"c{index}": pa.array([f"v{code}" for code in range(int(column.max()) + 1)]).take(
            pa.array(column)
        )
        for index, column in enumerate(codes.T)
    }
    return pa.table({**columns, "label": label})
