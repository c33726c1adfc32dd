"""Split: table -> tensors and schema.        python -m stages.split

Reads   the table at data.path; params: data, split
Writes  data/tensors/{train,val,test}.safetensors, data/tensors/schema.json
"""

from vintage.base.stage import Stage

STAGE = Stage("split")  # ahead of NumPy and PyTorch

from collections import Counter
from pathlib import Path

import numpy as np

from vintage.base import console
from vintage.base.console import one_line
from vintage.base.machine import keep_freed_memory
from vintage.base.params import load_params
from vintage.base.tensors import (
    RowCounts,
    Schema,
    unknown_counts,
    write_examples,
    write_schema,
)
from vintage.table.dataset import Dataset, load_dataset
from vintage.table.features import missing_counts
from vintage.table.oddities import oddities
from vintage.table.sharing import examples_of, share_out

TENSORS = Path("data/tensors")
SHOWN = 20  # columns in a line


def main() -> None:
    params = load_params()
    keep_freed_memory()

    data = load_dataset(params.data, params.split)
    shared = share_out(data, params.data.kinds, params.split)
    split, features, encoded = shared.split, shared.features, shared.values

    parts = split.parts
    for name, examples in examples_of(data, shared).items():
        write_examples(TENSORS / f"{name}.safetensors", examples)
    n_repeated = len(shared.twins) - int(shared.twins.max()) - 1
    schema = Schema(
        target=params.data.target,
        classes=data.classes,
        features=features,
        dropped=sorted(shared.dropped),
        missing=params.data.missing,
        missing_cells=missing_counts(data.columns, features),
        rows=RowCounts(repeated=n_repeated, **{name: len(rows) for name, rows in parts.items()}),
    )
    write_schema(TENSORS / "schema.json", schema)
    say_what_was_read(data, schema, shared.dropped)
    for name, places in parts.items():
        counts = np.bincount(data.labels[places], minlength=len(data.classes))
        shares = ", ".join(
            f"{one_line(label)}: {count}" for label, count in zip(data.classes, counts, strict=True)
        )
        console.say(f"  {name:5} {len(places):7} rows  ({shares})")
        for column, count in unknown_counts(encoded[places], features).items():
            console.say(
                f"  {count} cells of column {one_line(column)!r} in {name} hold a category that no "
                "train row has"
            )
    together = (
        f"NOT kept together: {n_torn} test rows have a twin in train, and a score may be too good"
        if (n_torn := shared.n_torn)
        else "kept together with their twins"
    )
    console.say(f"  {n_repeated} rows repeat an earlier one; {together}")
    if data.keys is not None:
        console.say(
            "  split.by: hash: each row's side is its own, so the shares are met within chance and "
            "the classes are not stratified"
        )
    if shared.n_draws > 1:
        console.say(
            f"  shared out {shared.n_draws} times, until rows that differ in nothing that is "
            "stored were on one side"
        )
    for line in oddities(data, shared, params.data):
        console.say(f"  {one_line(line)}")
    for label in split.train_only:
        console.say(
            f"  class {one_line(data.classes[label])} has too few groups to share: all to train"
        )


def say_what_was_read(data: Dataset, schema: Schema, dropped: dict[str, str]) -> None:
    kinds = Counter(feature.kind for feature in schema.features)
    console.say(
        f"{one_line(data.source.path)}: {len(data.labels)} rows, {len(schema.features)} features, "
        f"{len(data.classes)} classes of {schema.target!r}"
    )
    if set(kinds) != {"numeric"}:
        console.say("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    for name, reason in dropped.items():
        console.say(f"  column {one_line(name)!r} is dropped: {reason}")
    if schema.missing_cells:
        counts = [f"{one_line(name)} {count}" for name, count in schema.missing_cells.items()]
        shown = counts[:SHOWN] + [f"and {n} columns more" for n in [len(counts) - SHOWN] if n > 0]
        console.say(f"  missing cells by column: {', '.join(shown)}")
    if data.n_unlabelled:
        console.say(f"  {data.n_unlabelled} rows without a target are left out")


if __name__ == "__main__":
    STAGE.run(main)
