"""The whole pipeline beside one plain script that does the bare recipe: ratios in one run.

    python -m benchmarks.pipeline            about two minutes; leave the machine alone meanwhile

The pipeline runs in temporary clones of the working tree, without `baseline` and `report`, which
the plain script has no counterpart of. It trains 16 replicas, validates, and puts out intervals.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Project, copy_working_tree, environment

ROUNDS = 3
TARGETS = {
    "cold pipeline": 2.2,
    "learning-rate change to new metrics": 1.5,
    "earlier learning rate restored": 0.2,
    "nothing to do": 0.2,
}
PLAIN = Path(__file__).with_name("plain_script.py")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    plain = statistics.median(rows.pop("plain script"))
    print("| what | seconds | / plain script | to reach |")
    print("|---|---|---|---|")
    print(f"| plain script | {plain:.2f} | 1 |  |")
    for name, seconds in rows.items():
        median = statistics.median(seconds)
        print(f"| {name} | {median:.2f} | {median / plain:.2f} | <= {TARGETS[name]} |")
    print(f"\nMedians of {ROUNDS} rounds, in which every line takes its turn.")


def measure(folder: Path) -> dict[str, list[float]]:
    """Seconds of each thing to do, by its name, one for each round."""
    template = copy_working_tree(folder / "template")
    rows: dict[str, list[float]] = {}
    for round_ in range(ROUNDS):
        project = template.copy_to(folder / f"round{round_}")
        for name, action in actions(project, folder).items():
            started = time.perf_counter()
            action()
            rows.setdefault(name, []).append(time.perf_counter() - started)
    return rows


def actions(project: Project, folder: Path) -> dict[str, Callable[[], object]]:
    def plain() -> None:
        table = str(project.root / "data/wine.csv")
        command = [sys.executable, str(PLAIN), table, "quality", str(folder)]
        subprocess.run(command, check=True, env=environment())

    def cold() -> None:
        # without --force, DVC would skip what lies in Git
        run(project, "dvc", "repro", "--force", "evaluate", expect=["split", "train", "evaluate"])

    def learning_rate(value: str, expect: list[str]) -> Callable[[], None]:
        def change() -> None:
            path = project.root / "params.yaml"
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r"learning_rate: \S+", f"learning_rate: {value}", text))
            run(project, "dvc", "repro", "evaluate", expect=expect)

        return change

    return {
        "plain script": plain,
        "cold pipeline": cold,
        "learning-rate change to new metrics": learning_rate("0.02", ["train", "evaluate"]),
        "earlier learning rate restored": learning_rate("auto", []),
        "nothing to do": learning_rate("auto", []),
    }


def run(project: Project, *command: str, expect: list[str]) -> None:
    done = project.run(*command)
    ran = re.findall(r"^Running stage '(\w+)'", done.stdout, re.M)
    if ran != expect:
        sys.exit(f"error: {' '.join(command)} ran {ran}, not {expect}")


if __name__ == "__main__":
    main()
