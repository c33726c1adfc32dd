"""The same table split anew: other rows are held out, and nothing is kept of the first split."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vintage.base.console import InputError
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import Examples, Schema
from vintage.table.dataset import Dataset
from vintage.table.sharing import examples_of, schema_of, share_out
from vintage.table.split import RULES, n_turns, rule_of
from vintage.table.streamed import is_large


class OtherSplit(NamedTuple):
    """The rows of each part, as the stage `split` stores them, and their schema.

    Attributes:
        seed, turn: of the split. Splits of one seed have no test row in common.
    """

    seed: int
    turn: int
    parts: dict[str, Examples]
    schema: Schema


def why_fixed(data: DataParams, params: SplitParams) -> str | None:
    """Why the rows cannot, or not in memory, be split in another way; None if they can."""
    fixed = RULES[rule_of(params)].fixed
    if fixed is None and is_large(Path(data.path)):
        return f"{data.path} is so large that other splits of it are not made"
    return fixed


def other_splits(
    dataset: Dataset, data: DataParams, split: SplitParams, n_splits: int
) -> Iterator[OtherSplit]:
    """The first splits by the seeds 0, 1, 2, ..., without the one that the stage `split` makes.

    So two revisions have them in common, even if their own split has another seed.

    Raises:
        InputError: too many seeds make no split.
    """
    n_made = n_failed = 0
    for seed in itertools.count():
        of_seed = splits_of_seed(dataset, data, split.model_copy(update={"seed": seed}))
        try:
            first = next(of_seed)
        except InputError as error:
            n_failed += 1
            if n_failed > n_splits:
                raise InputError(
                    f"params.yaml: evaluate.splits: only {seed + 1 - n_failed} of {seed + 1} seeds "
                    f"give a valid split (the last error: {error}); set 0"
                ) from None
            continue
        for each in itertools.chain([first], of_seed):
            if (each.seed, each.turn) == (split.seed, 0):
                continue
            yield each
            n_made += 1
            if n_made == n_splits:
                return


def splits_of_seed(dataset: Dataset, data: DataParams, split: SplitParams) -> Iterator[OtherSplit]:
    """Splits of which each tests rows that no other does, as many as fit into the table.

    The first one is that of the stage `split`, unless another one tears rows apart that are twins
    to a model; such rows stay together in all of them. What is fitted, from medians to categories,
    is fitted on the train rows of each.

    Raises:
        InputError: the seed makes no split.
    """
    dataset, n_made = _with_untorn_groups(dataset, data, split)
    for turn in range(n_made):
        shared = share_out(dataset, data.kinds, split, turn)
        schema = schema_of(dataset, shared, data)
        yield OtherSplit(split.seed, turn, examples_of(dataset, shared), schema)


def _with_untorn_groups(
    dataset: Dataset, data: DataParams, split: SplitParams
) -> tuple[Dataset, int]:
    """The table with groups that are whole in every turn, and how many turns can be made."""
    turn = 0
    while turn < n_turns(dataset, split):
        try:
            shared = share_out(dataset, data.kinds, split, turn)
        except InputError:
            if not turn:
                raise
            break
        turn += 1
        if shared.n_draws > 1:  # with other groups, other rows are drawn
            dataset, turn = replace(dataset, groups=shared.groups), 0
    return dataset, turn
