"""`vintage sweep`: the settings of a grid, or those that a sampler proposes."""

from collections.abc import Sequence
from pathlib import Path

from vintage.base.console import InputError
from vintage.repository.grid import MOST, parse_grid, parse_space
from vintage.repository.search import Search


def sweep(root: Path, assignments: Sequence[str], n_trials: int | None) -> None:
    """Train settings as experiments of HEAD; those that are there already are not trained again.

    Args:
        assignments: see `vintage.repository.grid`.
        n_trials: how many settings a sampler proposes; None: all of the grid.

    Raises:
        InputError: there are no such settings, or the experiments cannot start from here.
    """
    if n_trials is None:
        grid = parse_grid(assignments)
        if not any(loss is not None for loss in Search(root).train(grid)):
            raise InputError("no setting could be trained")
        return
    if not 1 <= n_trials <= MOST:
        raise InputError(f"--trials: found {n_trials}; allowed is a number from 1 to {MOST}")
    space = parse_space(assignments)
    from vintage.repository.trials import run_trials  # the only one that needs Optuna

    run_trials(Search(root), space, n_trials)
