"""A search of many settings beside runs of one by DVC, measured one after the other.

    python -m benchmarks.sweep                   50 settings
    python -m benchmarks.sweep --settings 10     fewer of them

In a temporary clone of the working tree, with the default table and parameters. Processor time is
that of all processes together, which other programs on the machine disturb less than the clock.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.conftest import Project, copy_working_tree, environment

DROPOUTS = ("0.1", "0.2", "0.3", "0.4", "0.5")
RATES = [f"{0.001 * 1.5**step:.4g}" for step in range(20)]
MOST_RUNS = 15  # that 50 settings may take as long as


class Cost(NamedTuple):
    """Of a command: seconds by the clock and of the processor, and megabytes at most."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--settings", type=int, default=50, metavar="N", help="5, 10, 15 ... 100")
    grid, n_settings = grid_of(parser.parse_args().settings)
    with tempfile.TemporaryDirectory() as folder:
        project = copy_working_tree(Path(folder) / "project")
        cost_of(project, "dvc", "repro", "evaluate")
        project.commit("results")
        search = cost_of(project, "python", "-m", "vintage", "sweep", *grid)
        shown = cost_of(project, "python", "-m", "vintage", "sweep", "--show")
        run_one = ("dvc", "exp", "run", "-S")  # of a rate each, which the run cache does not have
        train = cost_of(project, *run_one, "train.learning_rate=0.0123", "train")
        run = cost_of(project, *run_one, "train.learning_rate=0.0321")
    rows = {
        f"`vintage sweep` of {n_settings} settings": search,
        "of it, or alone, `--show`": shown,
        "`dvc exp run train`, one setting": train,
        "`dvc exp run`, one setting": run,
    }
    print("| what | seconds | processor | / `dvc exp run` | memory, MB |")
    print("|---|---|---|---|---|")
    for name, cost in rows.items():
        ratio = cost.cpu / run.cpu
        print(f"| {name} | {cost.wall:.0f} | {cost.cpu:.0f} | {ratio:.2f} | {cost.memory:.0f} |")
    if n_settings == 50:
        print(f"\nTo reach: {n_settings} settings in less time than {MOST_RUNS} runs.")


def grid_of(n_settings: int) -> tuple[list[str], int]:
    """A grid of about so many settings, of 5 at least and 100 at most; and of how many."""
    n_rates = min(max(1, n_settings // len(DROPOUTS)), len(RATES))
    grid = [
        f"train.learning_rate={','.join(RATES[:n_rates])}",
        f"model.dropout={','.join(DROPOUTS)}",
    ]
    return grid, n_rates * len(DROPOUTS)


def cost_of(project: Project, *command: str) -> Cost:
    """Run a command in the clone, and measure it with all that it starts."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=project.root, env=environment(), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"error: {' '.join(command)} failed")
    cost = Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    print(f"{' '.join(command)}: {cost.cpu:.0f} s of processor", file=sys.stderr, flush=True)
    return cost


if __name__ == "__main__":
    main()
