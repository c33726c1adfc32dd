"""A table of numbers only, for benchmarks that make their own rows."""

from vintage.base.tensors import Feature, RowCounts, Schema


def numeric_schema(n_features: int, n_classes: int) -> Schema:
    return Schema(
        target="class",
        classes=[str(label) for label in range(n_classes)],
        features=[Feature(name=f"f{index}", kind="numeric") for index in range(n_features)],
        rows=RowCounts(train=1, val=0, test=1, repeated=0),
    )
