"""`vintage sweep`: the settings of a grid, or those that a sampler proposes."""

from collections.abc import Sequence
from pathlib import Path

from vintage.base.console import InputError, say
from vintage.repository.grid import MOST, parse_grid, parse_space
from vintage.repository.search import Search
from vintage.training.ray_cluster import Cluster, connect


def sweep(
    root: Path, assignments: Sequence[str], n_trials: int | None, on_ray: bool = False
) -> None:
    """Train settings as experiments of HEAD; those that are there already are not trained again.

    Args:
        assignments: see `vintage.repository.grid`.
        n_trials: how many settings a sampler proposes; None: all of the grid.
        on_ray: whether to train on a Ray cluster.

    Raises:
        InputError: there are no such settings, or the experiments cannot start from here; or there
            is no cluster.
    """
    if n_trials is None:
        grid = parse_grid(assignments)
        search = Search(root, _cluster() if on_ray else None)
        if not any(loss is not None for loss in search.train(grid)):
            raise InputError("no setting could be trained")
        return
    if not 1 <= n_trials <= MOST:
        raise InputError(f"--trials: found {n_trials}; allowed is a number from 1 to {MOST}")
    space = parse_space(assignments)
    from vintage.repository.trials import run_trials  # the only one that needs Optuna

    run_trials(Search(root, _cluster() if on_ray else None), space, n_trials)


def _cluster() -> Cluster:
    cluster = connect("--ray", shows_tasks=False)
    if not cluster.n_processors:
        raise InputError("the Ray cluster has no processor; start a node with `ray start`")
    say(f"a Ray cluster of {cluster.n_nodes} nodes, {cluster.n_processors} processors")
    return cluster
