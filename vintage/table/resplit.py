"""The same table split anew: other rows are held out, and nothing is kept of the first split."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vintage.base.console import InputError
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import Examples, Schema
from vintage.table.dataset import Dataset
from vintage.table.sharing import examples_of, schema_of, share_out
from vintage.table.split import rule_of
from vintage.table.streamed import is_large

FIXED = {
    "order_by": "the latest rows are the test rows, and no others can be",
    "column": "the column of split.column says which rows are test rows",
}


class OtherSplit(NamedTuple):
    """The rows of each part, as the stage `split` stores them, and their schema."""

    seed: int
    parts: dict[str, Examples]
    schema: Schema


def why_fixed(data: DataParams, params: SplitParams) -> str | None:
    """Why the rows cannot, or not in memory, be split in another way; None if they can."""
    rule = rule_of(params)
    if rule not in FIXED and is_large(Path(data.path)):
        return f"{data.path} is so large that other splits of it are not made"
    return f"split.{rule}: {FIXED[rule]}" if rule in FIXED else None


def other_splits(
    dataset: Dataset, data: DataParams, split: SplitParams, n_splits: int
) -> Iterator[OtherSplit]:
    """The first splits by the seeds 0, 1, 2, ..., without `split.seed`.

    So two revisions have them in common, even if their own split has another seed. What is fitted,
    from medians to categories, is fitted on the train rows of each.

    Raises:
        InputError: more than half of the seeds make no split.
    """
    seeds = [seed for seed in range(2 * n_splits + 1) if seed != split.seed]
    n_made = 0
    for seed in seeds:
        if n_made == n_splits:
            return
        try:
            shared = share_out(dataset, data.kinds, split.model_copy(update={"seed": seed}))
        except InputError as error:
            reason = str(error)
            continue
        n_made += 1
        schema = schema_of(dataset, shared, data)
        yield OtherSplit(seed, examples_of(dataset, shared), schema)
    if n_made < n_splits:
        raise InputError(
            f"params.yaml: evaluate.splits: of {len(seeds)} seeds, {n_made} make a split; the last "
            f"reason was: {reason}; set 0"
        )
