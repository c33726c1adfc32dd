"""From the plain recipe to the defaults: what each step brings.

    python -m benchmarks.plain_recipe            a minute on two cores

Runs the real stages in a temporary clone of the working tree, once for each step, and compares each
step with the one before it. Prints the table of docs/plain_recipe.md, and draws its figure,
docs/plain_recipe.png.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import Project, copy_working_tree
from vintage.base.files import write_bytes
from vintage.base.losses import LossRecord, read_losses
from vintage.report.figures import new_figure, png

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
}
STEPS: dict[str, dict[str, Any]] = {
    "1. the plain recipe": PLAIN,
    "2. validation rows choose the epoch": {"split.val_size": 0.1},
    "3. equal rows stay on one side": {"split.group_by": "duplicates", "split.stratify": True},
    "4. numbers are standardised": {"model.normalize": "standard"},
    "5. dropout and weight decay": {"model.dropout": 0.5, "train.weight_decay": 2},
    "6. 16 replicas, the defaults": {"train.replicas": 16},
}
HONEST_SPLIT = 3  # the step from which on all have the same train, validation and test rows
DRAWN = {
    "plain recipe on this split": (3, "#d95f02"),
    "standardised": (4, "#7570b3"),
    "defaults": (6, "#1f77b4"),
}
METRICS = ("log_loss", "accuracy")
HEADER = (
    *("step", "it sets", "test rows", "log loss", "accuracy"),
    *("common rows", "log loss minus the step before", "accuracy minus the step before"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = copy_working_tree(Path(folder) / "project")
        print(f"| {' | '.join(HEADER)} |")
        print(f"|{' --- |' * len(HEADER)}")
        curves = []
        for step, keys in STEPS.items():
            project.set_params(**keys)
            project.run("dvc", "repro", "--force", "evaluate")
            project.commit(step)
            curves.append(read_losses(project.root / "metrics/losses.json"))
            shown = settings(keys) if len(curves) > 1 else "see above"
            beside = differences(project, "HEAD~1") if len(curves) > 1 else ["", "", ""]
            print(f"| {' | '.join([step, shown, *scores(project.root), *beside])} |", flush=True)
        _, *told = differences(project, f"HEAD~{len(STEPS) - HONEST_SPLIT}")
    print(f"\nStep 6 minus step 3: log loss {told[0]}; accuracy {told[1]}.")
    write_bytes(FIGURE, draw(curves))


def settings(keys: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in keys.items()).replace(
        '"', ""
    )


def scores(root: Path) -> list[str]:
    """The number of test rows, and the two metrics with their intervals."""
    test = json.loads((root / "metrics/details.json").read_text())["test"]
    n_rows = len((root / "metrics/predictions.csv").read_text().splitlines()) - 1
    return [
        str(n_rows),
        *(
            f"{test[name]:.3f} ({test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f})"
            for name in METRICS
        ),
    ]


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


def draw(curves: Sequence[list[LossRecord]]) -> bytes:
    """Validation loss by epoch, and train loss dotted, of the steps that share their rows."""
    figure, axes = new_figure(6.4, 4)
    for name, (step, color) in DRAWN.items():
        records = curves[step - 1]
        epochs = [record.epoch for record in records]
        axes.plot(epochs, [record.val_loss for record in records], color=color, label=name)
        axes.plot(epochs, [record.train_loss for record in records], color=color, ls=":")
    axes.set(xlabel="Epoch", ylabel="Loss", ylim=(0.4, 1.6))
    axes.set_title("Validation loss by epoch (train loss dotted)")
    axes.legend(frameon=False)
    return png(figure)


if __name__ == "__main__":
    main()
