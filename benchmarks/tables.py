"""Run the pipeline on public tables with nothing changed but the table, and print who wins.

    python -m benchmarks.tables                        all of them: 40 minutes on two cores
    python -m benchmarks.tables --only mroz digits     some of them
    python -m benchmarks.tables --part held-out        those that the defaults were not chosen by
    python -m benchmarks.tables --set model.name=tabm  with other parameters than the default ones

Each table goes through the real stages in a temporary clone of the working tree, in which
`data.path`, `data.target` and `data.ignore` are set, and nothing else that is not asked for. The
packages that the tables come in are installed into an environment of their own, `build/tables`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.public_tables import DEVELOPMENT, HELD_OUT, PACKAGES, TABLES, Table
from tests.conftest import Project, copy_working_tree, environment

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "tables"
RIVALS = ["logistic_regression", "random_forest", "hist_gradient_boosting"]
HEADER = [
    *("table", "rows x columns", "classes", "network's log loss", "LR", "RF", "HGB", "SVC"),
    *("network minus the best of LR, RF, HGB", "verdict", "seconds to train", "in all"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=["all", "development", "held-out"], default="all")
    parser.add_argument("--only", nargs="+", metavar="TABLE", choices=list(TABLES))
    parser.add_argument("--set", nargs="+", metavar="KEY=VALUE", default=[])
    arguments = parser.parse_args()
    changes = dict(change.split("=", 1) for change in arguments.set)
    others = {key: yaml.safe_load(value) for key, value in changes.items()}
    parts = {"all": [*TABLES.values()], "development": DEVELOPMENT, "held-out": HELD_OUT}
    tables = parts[arguments.part]
    if arguments.only:
        tables = [TABLES[name] for name in arguments.only]
    write_csv(tables)
    print(f"| {' | '.join(HEADER)} |")
    print(f"|{' --- |' * len(HEADER)}")
    for table in tables:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {' | '.join(measure(table, others, Path(folder)))} |", flush=True)


def write_csv(tables: list[Table]) -> None:
    """Write the tables into `build/tables`, all in one process, and only those that lack."""
    missing = [table.name for table in tables if not csv_path(table).is_file()]
    if not missing:
        return
    python = BUILD / "venv" / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", BUILD / "venv"], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    script = Path(__file__).with_name("public_tables.py")
    subprocess.run([python, script, BUILD, *missing], check=True)


def csv_path(table: Table) -> Path:
    return BUILD / f"{table.name}.csv"


def measure(table: Table, others: dict[str, Any], folder: Path) -> list[str]:
    """Run all stages on a table; the cells of its row, or what the pipeline said against it."""
    project = copy_working_tree(folder / "project")
    shutil.copy(csv_path(table), project.root / "data")
    project.set_params(
        **{
            "data.path": f"data/{table.name}.csv",
            "data.target": table.target,
            "data.ignore": list(table.ignore),
        }
        | others
    )
    seconds = []
    for stages in (["split"], ["train"], []):
        started = time.monotonic()
        if error := repro(project, stages):
            return [table.name, error, *[""] * (len(HEADER) - 2)]
        seconds.append(time.monotonic() - started)
    return [table.name, *scores(project.root), f"{seconds[1]:.0f}", f"{sum(seconds):.0f}"]


def repro(project: Project, stages: list[str]) -> str:
    """Run `dvc repro`; the error that it ended with, or nothing."""
    done = subprocess.run(
        ["dvc", "repro", *stages],
        cwd=project.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return (said or ["failed"])[0] if done.returncode else ""


def scores(root: Path) -> list[str]:
    """The cells from `rows x columns` to the verdict."""
    schema = read(root / "data/tensors/schema.json")
    network = read(root / "metrics/details.json")["test"]
    models = read(root / "metrics/baseline.json")["models"]
    best = min(RIVALS, key=lambda name: models[name]["log_loss"])
    difference, verdict = beside(root, best)
    losses = [models.get(name, {}).get("log_loss") for name in [*RIVALS, "svc"]]
    return [
        f"{sum(schema['rows'][part] for part in ('train', 'val', 'test')):,} "
        f"x {len(schema['features'])}",
        str(len(schema["classes"])),
        interval(network),
        *("" if loss is None else f"{loss:.3f}" for loss in losses),
        difference,
        verdict,
    ]


def beside(root: Path, baseline: str) -> tuple[str, str]:
    """The paired difference in log loss and the verdict, as the report has them."""
    for line in (root / "metrics/report.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == baseline.replace("_", " "):
            return cells[2], cells[3]
    sys.exit(f"error: the report has no line for {baseline}")


def interval(scores: dict[str, float]) -> str:
    low, high = scores["log_loss_low"], scores["log_loss_high"]
    return f"{scores['log_loss']:.3f} ({low:.3f} to {high:.3f})"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
