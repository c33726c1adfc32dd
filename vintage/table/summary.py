"""What the split says of a table: what was read, how the rows were shared out, what looks odd."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from vintage.base.console import one_line
from vintage.base.params import DataParams
from vintage.base.tensors import Schema, unknown_counts
from vintage.table.dataset import Dataset
from vintage.table.oddities import oddities
from vintage.table.sharing import Shared

SHOWN = 20  # columns in a line


def summary(data: Dataset, shared: Shared, schema: Schema, params: DataParams) -> Iterator[str]:
    """The lines, of which all but the first one are details."""
    yield one_line(
        f"{data.place.path}: {len(data.labels)} rows, {len(schema.features)} features, "
        f"{len(data.classes)} classes of {schema.target!r}"
    )
    for lines in (
        _columns(data, schema, shared.dropped),
        _parts(data, shared),
        _sharing(data, shared, schema),
        oddities(data, shared, params),
    ):
        yield from (f"  {one_line(line)}" for line in lines)


def _columns(data: Dataset, schema: Schema, dropped: dict[str, str]) -> Iterator[str]:
    kinds = Counter(feature.kind for feature in schema.features)
    if set(kinds) != {"numeric"}:
        yield ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    for name, reason in dropped.items():
        yield f"column {name!r} is dropped: {reason}"
    if counts := [f"{name} {count}" for name, count in schema.missing_cells.items()]:
        more = [f"and {len(counts) - SHOWN} columns more"] if len(counts) > SHOWN else []
        yield f"missing cells by column: {', '.join(counts[:SHOWN] + more)}"
    if data.n_unlabelled:
        yield f"{data.n_unlabelled} rows without a target are left out"


def _parts(data: Dataset, shared: Shared) -> Iterator[str]:
    for name, places in shared.split._asdict().items():
        counts = np.bincount(data.labels[places], minlength=len(data.classes))
        shares = [f"{label}: {count}" for label, count in zip(data.classes, counts, strict=True)]
        yield f"{name:5} {len(places):7} rows  ({', '.join(shares)})"
        for column, count in unknown_counts(shared.values[places], shared.features).items():
            yield (
                f"{count} cells of column {column!r} in {name} hold a category that no train row "
                "has"
            )


def _sharing(data: Dataset, shared: Shared, schema: Schema) -> Iterator[str]:
    split, twins = shared.split, shared.twins
    n_torn = int(np.isin(twins[split.test], twins[split.train]).sum())
    together = (
        f"NOT kept together: {n_torn} test rows have a twin in train, and a score may be too good"
        if n_torn
        else "kept together with their twins"
    )
    yield f"{schema.rows.repeated} rows repeat an earlier one; {together}"
    if shared.n_draws > 1:
        yield (
            f"shared out {shared.n_draws} times, until rows that differ in nothing that is stored "
            "were on one side"
        )
    held_out = data.labels[np.concatenate([split.val, split.test])]
    for label in sorted(set(range(len(data.classes))) - set(held_out.tolist())):
        yield f"class {data.classes[label]} is in train alone: it has too few groups to share"
