"""Split: table -> tensors and schema.        python -m stages.split

Reads   the table at data.path; params: data, split
Writes  data/tensors/{train,val,test}.safetensors, data/tensors/schema.json
"""

from pathlib import Path

from vintage import console, numerics
from vintage.console import one_line

TENSORS = Path("data/tensors")


def main() -> None:
    from vintage.params import load_params

    params = load_params()
    numerics.pin()
    import numpy as np

    from vintage.splitting import split_rows
    from vintage.table import encode_table, read_table
    from vintage.tensors import Examples, Feature, RowCounts, Schema, write_examples, write_schema
    from vintage.twins import duplicate_groups

    by_column = params.split.group_by not in ("duplicates", "none")
    table = encode_table(
        read_table(Path(params.data.path)),
        params.data,
        group_column=params.split.group_by if by_column else None,
    )
    twins = duplicate_groups(table.features)
    if table.groups is not None:
        groups = table.groups
    elif params.split.group_by == "duplicates":
        groups = twins
    else:
        groups = np.arange(len(twins))
    split = split_rows(table.labels, groups, table.classes, params.split)

    parts = {"train": split.train, "val": split.val, "test": split.test}
    for name, rows in parts.items():
        examples = Examples(table.features[rows], table.labels[rows], rows)
        write_examples(TENSORS / f"{name}.safetensors", examples)
    n_repeated = len(twins) - int(twins.max()) - 1
    schema = Schema(
        target=params.data.target,
        classes=table.classes,
        features=[Feature(name=name, kind="numeric") for name in table.feature_names],
        rows=RowCounts(repeated=n_repeated, **{name: len(rows) for name, rows in parts.items()}),
    )
    write_schema(TENSORS / "schema.json", schema)

    console.say(
        f"{one_line(params.data.path)}: {len(twins)} rows, {len(schema.features)} features, "
        f"{len(table.classes)} classes of {params.data.target!r}"
    )
    for name, rows in parts.items():
        counts = np.bincount(table.labels[rows], minlength=len(table.classes))
        shares = ", ".join(
            f"{one_line(label)}: {count}"
            for label, count in zip(table.classes, counts, strict=True)
        )
        console.say(f"  {name:5} {len(rows):7} rows  ({shares})")
    together = (
        "kept together with their twins"
        if params.split.group_by == "duplicates"
        else ("NOT kept together: a score may be too good")
    )
    console.say(f"  {n_repeated} rows repeat an earlier one; {together}")
    for label in split.train_only:
        console.say(
            f"  class {one_line(table.classes[label])} has too few groups to share: all to train"
        )


if __name__ == "__main__":
    console.run(main)
