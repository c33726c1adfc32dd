"""Peak memory and speed of the stages on tables that are larger than the memory should be.

    python -m benchmarks.large_tables                       2 and 20 million rows of 28 features
    python -m benchmarks.large_tables --rows 200000 2000000
    python -m benchmarks.large_tables --stages split

The tables are CSV files with numbers, categories, missing cells and twins, see
`benchmarks.large_table`. `split` reads them in parts, and one replica is trained for one epoch.
Beside them, pandas reads the smallest table. Each is a process of its own, imports included. 20
million rows take 4 GB of disk as CSV and 10 GB more while they are split.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.large_table import N_CATEGORIES, N_NUMBERS, write_table
from benchmarks.split import seconds_and_megabytes
from tests.conftest import copy_working_tree

PANDAS = "import sys, pandas; pandas.read_csv(sys.argv[1])"
SETTINGS = {
    "data.target": "label",
    "split.by": "hash",
    "split.val_size": 0.1,
    "train.epochs": 1,
    "train.replicas": 1,
    "compute.streaming": True,
}
STAGES = ("split", "train", "evaluate")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    arguments = parser.parse_args()
    print(f"{N_NUMBERS} columns of numbers and {N_CATEGORIES} of categories\n", flush=True)
    print("| what | rows | seconds | rows/s | / pandas | peak MB |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = copy_working_tree(folder / "project")
        pandas_speed = 0.0
        for n_rows in sorted(arguments.rows):
            table = folder / f"{n_rows}.csv"
            write_table(table, n_rows)
            project.set_params(**{**SETTINGS, "data.path": str(table)})
            commands = {stage: ["-m", f"stages.{stage}"] for stage in arguments.stages}
            if not pandas_speed:
                commands = {"pandas.read_csv": ["-c", PANDAS, str(table)], **commands}
            for what, command in commands.items():
                seconds, megabytes = seconds_and_megabytes(command, project.root)
                speed = n_rows / seconds
                pandas_speed = pandas_speed or speed
                print(
                    f"| {what} | {n_rows:,} | {seconds:.0f} | {speed:,.0f} "
                    f"| {speed / pandas_speed:.2f} | {megabytes:.0f} |",
                    flush=True,
                )
            table.unlink()


if __name__ == "__main__":
    main()
