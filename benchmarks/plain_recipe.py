"""From the plain recipe to the defaults: what each step brings.

    python -m benchmarks.plain_recipe                  a minute on two cores
    python -m benchmarks.plain_recipe --splits 10      the mean over ten splits, in ten minutes

Runs the real stages in a temporary clone of the working tree, once for each step, and compares each
step with the one before it. Prints the tables of docs/plain_recipe.md; the first form also draws
its figure, docs/plain_recipe.png.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from tests.conftest import Project, copy_working_tree

Floats = npt.NDArray[np.float64]
Losses = list[dict[str, float]]

FIGURE = Path("docs/plain_recipe.png")
PLAIN = {
    "split.val_size": 0,
    "split.stratify": False,
    "split.group_by": "none",
    "model.hidden": [64, 32],
    "model.dropout": 0,
    "model.activation": "relu",
    "model.normalize": "none",
    "model.scaling_layer": False,
    "train.replicas": 1,
    "train.learning_rate": 0.01,
    "train.weight_decay": 0,
    "train.batch_size": "all",
    "train.patience": 0,
    "train.calibration": "none",
}
STEPS: dict[str, dict[str, Any]] = {
    "1. the plain recipe": PLAIN,
    "2. validation rows choose the epoch": {"split.val_size": 0.1},
    "3. equal rows stay on one side": {"split.group_by": "duplicates", "split.stratify": True},
    "4. numbers are standardised": {"model.normalize": "standard"},
    "5. dropout and weight decay": {"model.dropout": 0.5, "train.weight_decay": 2},
    "6. 16 replicas": {"train.replicas": 16},
    "7. every row validates, the defaults": {
        "split.val_size": "auto",
        "model.activation": "auto",
        "model.scaling_layer": "auto",
        "train.batch_size": "auto",
        "train.learning_rate": "auto",
        "train.weight_decay": "auto",
        "train.patience": "auto",
        "train.calibration": "temperature",
    },
}
HONEST_SPLIT = 3  # the step from which on all have the same test rows
DRAWN = {
    "plain recipe on this split": (3, "#d95f02"),
    "standardised": (4, "#7570b3"),
    "regularised, 16 replicas": (6, "#1f77b4"),
}
METRICS = ("log_loss", "accuracy")
HEADER = (
    *("step", "it sets", "test rows", "log loss", "accuracy"),
    *("common rows", "log loss minus the step before", "accuracy minus the step before"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--splits", type=int, metavar="N", help="of other seeds, from 0 on")
    splits = parser.parse_args().splits
    with tempfile.TemporaryDirectory() as folder:
        project = copy_working_tree(Path(folder) / "project")
        if splits:
            over_splits(project, splits)
        else:
            step_by_step(project)


def step_by_step(project: Project) -> None:
    """The table of one split, and the figure."""
    print_header(*HEADER)
    curves: list[Losses] = []
    for step, keys in STEPS.items():
        reproduce(project, keys)
        project.commit(step)
        curves.append(json.loads((project.root / "metrics/losses.json").read_text()))
        shown = settings(keys) if len(curves) > 1 else "see above"
        beside = differences(project, "HEAD~1") if len(curves) > 1 else ["", "", ""]
        print(f"| {' | '.join([step, shown, *scores(project.root), *beside])} |", flush=True)
    _, *told = differences(project, f"HEAD~{len(STEPS) - HONEST_SPLIT}")
    print(f"\nStep {len(STEPS)} minus step {HONEST_SPLIT}: log loss {told[0]}; accuracy {told[1]}.")
    draw(curves)


def over_splits(project: Project, n_splits: int) -> None:
    """The table of means over splits, and of their differences from the step before."""
    print_header(
        "step",
        *(cell for name in METRICS for cell in (name.replace("_", " "), "minus the step before")),
    )
    before: dict[str, Floats] = {}
    for step, keys in STEPS.items():
        found = []
        for seed in range(n_splits):
            reproduce(project, {**keys, "split.seed": seed})
            found.append(test_scores(project.root))
        cells = [step]
        for name in METRICS:
            values = np.array([each[name] for each in found])
            change = mean_and_error(values - before[name], "+") if name in before else ""
            cells += [mean_and_error(values), change]
            before[name] = values
        print(f"| {' | '.join(cells)} |", flush=True)


def reproduce(project: Project, keys: Mapping[str, Any]) -> None:
    project.set_params(**keys)
    project.run("dvc", "repro", "--force", "evaluate")


def mean_and_error(values: Floats, sign: str = "") -> str:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():{sign}.3f} ± {error:.3f}"


def print_header(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")
    print(f"|{' --- |' * len(cells)}")


def settings(keys: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in keys.items()).replace(
        '"', ""
    )


def scores(root: Path) -> list[str]:
    """The number of test rows, and the two metrics with their intervals."""
    test = test_scores(root)
    n_rows = len((root / "metrics/predictions.csv").read_text().splitlines()) - 1
    return [
        str(n_rows),
        *(
            f"{test[name]:.3f} ({test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f})"
            for name in METRICS
        ),
    ]


def test_scores(root: Path) -> dict[str, float]:
    scores: dict[str, float] = json.loads((root / "metrics/details.json").read_text())["test"]
    return scores


def differences(project: Project, before: str) -> list[str]:
    """What `vintage compare` says of the last step beside an earlier one."""
    command = ("python", "-m", "vintage", "compare", before, "HEAD", "--format", "json")
    compared = json.loads(project.run(*command).stdout)
    metrics = [compared["metrics"][name] for name in METRICS]
    return [
        str(compared["rows"]["paired"]),
        *(
            f"{m['difference']:+.3f} ({m['low']:+.3f} to {m['high']:+.3f}), {m['verdict']}"
            for m in metrics
        ),
    ]


def draw(curves: Sequence[Losses]) -> None:
    """Validation loss by epoch, and train loss dotted, of steps that share their rows."""
    figure = Figure(figsize=(6.4, 4), dpi=120, layout="compressed")
    axes = figure.add_subplot()
    for name, (step, color) in DRAWN.items():
        records = curves[step - 1]
        epochs = [record["epoch"] for record in records]
        axes.plot(epochs, [record["val_loss"] for record in records], color=color, label=name)
        axes.plot(epochs, [record["train_loss"] for record in records], color=color, ls=":")
    axes.set(xlabel="Epoch", ylabel="Loss", ylim=(0.4, 1.6))
    axes.set_title("Validation loss by epoch (train loss dotted)")
    axes.legend(frameon=False)
    figure.savefig(FIGURE, metadata={"Software": None})


if __name__ == "__main__":
    main()
