"""What the split says of a table: what was read, how the rows were shared out, what looks odd."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from vintage.base.console import one_line
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import Schema, unknown_counts
from vintage.table.dataset import Dataset
from vintage.table.oddities import oddities
from vintage.table.sharing import Shared
from vintage.table.split import rule_of

SHOWN = 20  # columns in a line


def summary(
    data: Dataset, shared: Shared, schema: Schema, params: DataParams, split: SplitParams
) -> Iterator[str]:
    """The lines, of which all but the first one are details."""
    yield (
        f"{one_line(data.place.path)}: {len(data.labels)} rows, {len(schema.features)} features, "
        f"{len(data.classes)} classes of {schema.target!r}"
    )
    details = (
        _columns(data, schema, shared.dropped),
        _parts(data, shared),
        _sharing(shared, schema, rule_of(split).remark),
        map(one_line, oddities(data, shared, params)),
        (
            f"class {one_line(data.classes[label])} has too few groups to share: all to train"
            for label in shared.split.train_only
        ),
    )
    for lines in details:
        yield from (f"  {line}" for line in lines)


def _columns(data: Dataset, schema: Schema, dropped: dict[str, str]) -> Iterator[str]:
    kinds = Counter(feature.kind for feature in schema.features)
    if set(kinds) != {"numeric"}:
        yield ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    for name, reason in dropped.items():
        yield f"column {one_line(name)!r} is dropped: {reason}"
    if schema.missing_cells:
        counts = [f"{one_line(name)} {count}" for name, count in schema.missing_cells.items()]
        n_more = len(counts) - SHOWN
        shown = [*counts[:SHOWN], *([f"and {n_more} columns more"] if n_more > 0 else [])]
        yield f"missing cells by column: {', '.join(shown)}"
    if data.n_unlabelled:
        yield f"{data.n_unlabelled} rows without a target are left out"


def _parts(data: Dataset, shared: Shared) -> Iterator[str]:
    for name, places in shared.split.parts.items():
        counts = np.bincount(data.labels[places], minlength=len(data.classes))
        shares = ", ".join(
            f"{one_line(label)}: {count}" for label, count in zip(data.classes, counts, strict=True)
        )
        yield f"{name:5} {len(places):7} rows  ({shares})"
        for column, count in unknown_counts(shared.values[places], shared.features).items():
            yield (
                f"{count} cells of column {one_line(column)!r} in {name} hold a category that no "
                "train row has"
            )


def _sharing(shared: Shared, schema: Schema, remark: str) -> Iterator[str]:
    together = (
        f"NOT kept together: {n_torn} test rows have a twin in train, and a score may be too good"
        if (n_torn := shared.n_torn)
        else "kept together with their twins"
    )
    yield f"{schema.rows.repeated} rows repeat an earlier one; {together}"
    if remark:
        yield remark
    if shared.n_draws > 1:
        yield (
            f"shared out {shared.n_draws} times, until rows that differ in nothing that is stored "
            "were on one side"
        )
