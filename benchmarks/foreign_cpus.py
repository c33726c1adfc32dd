"""Run the stages on emulated CPUs and compare every output with the native one, byte for byte.

    python -m benchmarks.foreign_cpus                          all stages on all of CPUS
    python -m benchmarks.foreign_cpus --cpus Haswell --epochs 10

Needs `qemu-x86_64` (Debian: qemu-user). The stages run in a temporary copy of the working tree.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import copy_working_tree

CPUS = ["Haswell", "Broadwell", "Skylake-Client", "Cascadelake-Server", "EPYC", "EPYC-Milan", "max"]
STAGES = ["split", "train", "baseline", "evaluate", "report"]
OUTPUTS = ["data/tensors", "data/checkpoint", "data/baseline", "metrics"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cpus", nargs="+", default=CPUS)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--epochs", type=int, help="shorten the training")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as batch_size=64"
    )
    arguments = parser.parse_args()
    if shutil.which("qemu-x86_64") is None:
        sys.exit("error: qemu-x86_64 is not installed; on Debian: apt-get install qemu-user")
    changes = dict(change.split("=", 1) for change in arguments.set)
    if arguments.epochs:
        changes["epochs"] = str(arguments.epochs)
    with tempfile.TemporaryDirectory() as folder:
        project = prepare(Path(folder) / "project", changes)
        expected = run_stages(project, arguments.stages, [])
        print(f"{len(expected)} outputs of the native CPU", flush=True)
        failed = False
        for cpu in arguments.cpus:
            started = time.monotonic()
            found = run_stages(project, arguments.stages, ["qemu-x86_64", "-cpu", cpu])
            differing = sorted(p for p in expected if found.get(p) != expected[p])
            verdict = f"differs in {', '.join(differing)}" if differing else "equal"
            print(f"{cpu:20} {verdict} ({time.monotonic() - started:.0f} s)", flush=True)
            failed = failed or bool(differing)
    sys.exit(failed)


def prepare(folder: Path, changes: dict[str, str]) -> Path:
    """Copy the code and the tests' inputs; `changes` sets parameters by their last name."""
    path = copy_working_tree(folder).root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^  {key}: (\[.*?\]|\S+)", f"  {key}: {value}", text)
        if not count:
            sys.exit(f"error: params.yaml has no key {key}")
    path.write_text(text, encoding="utf-8")
    return folder


def run_stages(project: Path, stages: list[str], emulator: list[str]) -> dict[str, str]:
    """Run stages one after the other; the hash of every output by path."""
    for stage in stages:
        done = subprocess.run(
            [*emulator, sys.executable, "-m", f"stages.{stage}"],
            cwd=project,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"error: stage {stage} exited with {done.returncode}:\n{done.stderr}")
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in OUTPUTS
        for path in sorted((project / folder).rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    main()
