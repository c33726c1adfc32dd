"""The same table split anew: other rows are held out, and nothing is kept of the first split."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vintage.base.console import InputError
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import Examples, Schema
from vintage.table.dataset import Dataset
from vintage.table.sharing import examples_of, schema_of, share_out
from vintage.table.split import n_turns, rule_of
from vintage.table.streamed import is_large

FIXED = {
    "order_by": "the latest rows are the test rows, and no others can be",
    "column": "the column of split.column says which rows are test rows",
}


class OtherSplit(NamedTuple):
    """The rows of each part, as the stage `split` stores them, and their schema.

    Attributes:
        seed: of the split. Splits of one seed have no test row in common.
        number: another one for each split.
    """

    seed: int
    number: int
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

    So two revisions have them in common, even if their own split has another seed. A seed has as
    many splits as test parts fit into the table side by side: the first one is the split that
    `split.seed` makes, and the others test rows that those before them do not. What is fitted, from
    medians to categories, is fitted on the train rows of each.

    Raises:
        InputError: more than half of them cannot be made.
    """
    n_of_seed = n_turns(len(dataset.labels), split)
    seeds = (seed for seed in itertools.count() if seed != split.seed)
    tries = ((seed, turn) for seed in seeds for turn in range(n_of_seed))
    n_made, n_tries = 0, 2 * n_splits + 1
    for seed, turn in itertools.islice(tries, n_tries):
        if n_made == n_splits:
            return
        try:
            shared = share_out(dataset, data.kinds, split.model_copy(update={"seed": seed}), turn)
        except InputError as error:
            reason = str(error)
            continue
        n_made += 1
        schema = schema_of(dataset, shared, data)
        number = seed * n_of_seed + turn
        yield OtherSplit(seed, number, examples_of(dataset, shared), schema)
    if n_made < n_splits:
        raise InputError(
            f"params.yaml: evaluate.splits: of {n_tries} splits, {n_made} can be made; the last "
            f"reason was: {reason}; set 0"
        )
