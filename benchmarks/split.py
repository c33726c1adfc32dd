"""Time the split of a large CSV file beside pandas and scikit-learn.

    python -m benchmarks.split

Both read 1,000,000 rows of 28 numbers, share them out 70 / 10 / 20, stratified, and write the three
parts as tensors. Each is a process of its own, imports included; `split` also looks for twins,
checks every cell and writes a schema.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import copy_working_tree, environment

ROUNDS = 3
N_ROWS, N_FEATURES = 1_000_000, 28
TARGETS = {"seconds": 0.8, "MB": 1.2}

RIVAL = """
import sys
import pandas as pd, torch
from sklearn.model_selection import train_test_split

table = pd.read_csv(sys.argv[1])
x, y = table.drop(columns="label"), table["label"]
x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=42, stratify=y)
x, x_val, y, y_val = train_test_split(x, y, test_size=0.125, random_state=42, stratify=y)
for name, features, labels in (("train", x, y), ("val", x_val, y_val), ("test", x_test, y_test)):
    features = torch.tensor(features.to_numpy(), dtype=torch.float32)
    torch.save({"features": features, "labels": torch.tensor(labels.to_numpy())}, f"{name}.pt")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "table.csv"
        write_table(table)
        project = copy_working_tree(folder / "project")
        project.set_params(**{"data.path": str(table), "data.target": "label"})
        commands = {"split": ["-m", "stages.split"], "pandas and torch": ["-c", RIVAL, str(table)]}
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for what, command in commands.items():
                measured[what].append(seconds_and_megabytes(command, project.root))
    print_table(measured)


def write_table(path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv

    generator = np.random.default_rng(0)
    features = generator.normal(size=(N_ROWS, N_FEATURES)).round(6)
    columns = {f"f{index}": column for index, column in enumerate(features.T)}
    noise = generator.normal(size=N_ROWS)
    label = (features[:, :5].sum(axis=1) + noise > 0).astype(int)
    pyarrow.csv.write_csv(pa.table({**columns, "label": label}), path)


def seconds_and_megabytes(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall-clock time and peak memory of a Python process."""
    os.sync()  # or the next one waits for the disk to take what the last one wrote
    started = time.perf_counter()
    # from the second round on, the project's modules are compiled, as the rival's always are
    compiling = environment() | {"PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=compiling, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise subprocess.CalledProcessError(status, command)
    return seconds, usage.ru_maxrss / 1000  # Linux counts in KB


def print_table(measured: dict[str, list[tuple[float, float]]]) -> None:
    medians = {
        name: [statistics.median(values) for values in zip(*rounds, strict=True)]
        for name, rounds in measured.items()
    }
    ours, rival = medians.values()
    print("| what | split | pandas and torch | ratio | to reach |")
    print("|---|---|---|---|---|")
    for index, (unit, target) in enumerate(TARGETS.items()):
        ratio = ours[index] / rival[index]
        print(f"| {unit} | {ours[index]:.2f} | {rival[index]:.2f} | {ratio:.2f} | <= {target} |")


if __name__ == "__main__":
    main()
