"""Run the stages on other platforms and compare every output with the native one, byte for byte.

    python -m benchmarks.platforms --markdown       the table of docs/robustness.md: hours
    python -m benchmarks.platforms --platforms Haswell arm64 --recipes large --epochs 1

The stages run in a temporary copy of the working tree, with the tests' table. Each stage gets the
native outputs of those before it, so that what differs is its own. Emulated processors need
`qemu-user` (Debian), and other versions of PyTorch are downloaded once, 5 to 6 GB each on disk.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks import arm64
from tests.conftest import Project, copy_working_tree
from vintage.base import console


@dataclass(frozen=True)
class Platform:
    """How Python runs there.

    Attributes:
        python: the command that stands for `python`.
        environment: variables to set.
        params: parameters to set for `train` and `evaluate`, by dotted key.
    """

    python: list[str] = field(default_factory=lambda: [sys.executable])
    environment: dict[str, str] = field(default_factory=dict)
    params: dict[str, object] = field(default_factory=dict)


class VoidError(Exception):
    """The platform cannot be had here; the argument says why."""


def with_variables(**environment: str) -> Platform:
    return Platform(environment=environment)


def one_core() -> Platform:
    return Platform([tool("taskset"), "-c", "0", sys.executable])


def emulated(cpu: str) -> Platform:
    # QEMU 7.2 of Debian 12 crashes in NumPy's AVX2 sort
    settings = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4", "OMP_NUM_THREADS": "1"}
    return Platform([tool("qemu-x86_64"), "-cpu", cpu, sys.executable], settings)


def arm() -> Platform:
    return Platform(arm64.prepare(), arm64.environment() | {"OMP_NUM_THREADS": "1"})


def other_torch(version: str) -> Platform:
    """Another PyTorch with what it requires, ahead of the installed packages, which stay."""
    target = arm64.folder().parent / f"torch-{version}"
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(partial)]
        arm64.run(*pip, "--only-binary=:all:", f"torch=={version}")
        partial.rename(target)
    return with_variables(PYTHONPATH=str(target))


def avx512() -> Platform:
    import torch

    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        raise VoidError("this processor has no AVX-512")
    return with_variables(ATEN_CPU_CAPABILITY="avx512")


def cuda() -> Platform:
    import torch

    if not torch.cuda.is_available():
        raise VoidError("there is no CUDA device")
    return Platform(params={"train.device": "cuda"})


def several(n_workers: int) -> Platform:
    return Platform(environment={"OMP_NUM_THREADS": "1"}, params={"compute.workers": n_workers})


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise VoidError(f"{name} is not installed")
    return path


PLATFORMS: dict[str, Callable[[], Platform]] = {
    "one-core": one_core,
    "threads-5": lambda: with_variables(OMP_NUM_THREADS="5", MKL_NUM_THREADS="5"),
    "aten-default": lambda: with_variables(ATEN_CPU_CAPABILITY="default"),
    "aten-avx2": lambda: with_variables(ATEN_CPU_CAPABILITY="avx2"),
    "aten-avx512": avx512,
    "mkl-cbwr": lambda: with_variables(MKL_CBWR="COMPATIBLE"),
    "Nehalem": lambda: emulated("Nehalem"),
    "Haswell": lambda: emulated("Haswell"),
    "EPYC": lambda: emulated("EPYC"),
    "Cascadelake-Server": lambda: emulated("Cascadelake-Server"),
    "arm64": arm,
    "torch-2.6.0": lambda: other_torch("2.6.0"),
    "torch-2.8.0": lambda: other_torch("2.8.0"),
    "cuda": cuda,
    "workers-2": lambda: several(2),
    "workers-3": lambda: several(3),
    "workers-4": lambda: several(4),
}
STAGES: dict[str, dict[str, Any]] = yaml.safe_load(
    (arm64.ROOT / "dvc.yaml").read_text(encoding="utf-8")
)["stages"]


@dataclass(frozen=True)
class Recipe:
    """What is trained, and where the table of docs/robustness.md tries it.

    Attributes:
        params: by dotted key, beside the tests' own.
    """

    epochs: int
    params: dict[str, object] = field(default_factory=dict)
    platforms: Sequence[str] = tuple(PLATFORMS)
    stages: Sequence[str] = tuple(STAGES)


TRAINED = ("train", "evaluate")
SEVERAL = ("workers-2", "workers-3", "workers-4")
LARGE = {
    "model.activation": "silu",
    "model.normalize": "piecewise",
    "model.scaling_layer": True,
    "train.batch_size": 256,
}
BALANCED = {
    "split.val_size": 0.2,
    "train.batch_size": "all",
    "train.class_weight": "balanced",
}
RECIPES = {
    "default": Recipe(5),
    "balanced": Recipe(5, BALANCED, SEVERAL, stages=TRAINED),
    "tabm": Recipe(
        1,
        {"model.name": "tabm", "train.replicas": 1},
        ("Haswell", "arm64", *SEVERAL),
        stages=TRAINED,
    ),
    "large": Recipe(2, LARGE, ("Haswell", "arm64", *SEVERAL), stages=TRAINED),
    "whole": Recipe(100, platforms=("arm64",), stages=TRAINED),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--platforms", nargs="+", choices=PLATFORMS)
    parser.add_argument("--stages", nargs="+", choices=STAGES)
    parser.add_argument("--epochs", type=int)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as train.replicas=2"
    )
    parser.add_argument("--markdown", action="store_true", help="print a table at the end")
    arguments = parser.parse_args()
    changes = dict(map(change, arguments.set))
    rows: dict[str, dict[str, str]] = {}
    for name in arguments.recipes:
        asked = RECIPES[name]
        recipe = Recipe(
            arguments.epochs or asked.epochs,
            asked.params | changes,
            arguments.platforms or asked.platforms,
            [each for each in STAGES if each in (arguments.stages or asked.stages)],
        )
        for platform, found in compared(recipe):
            rows[f"{platform}, {name}" if name != "default" else platform] = found
    if arguments.markdown:
        print_table(rows)
    words = {word(verdict) for row in rows.values() for verdict in row.values()}
    sys.exit(bool(words & {"differs", "fails"}))


def compared(recipe: Recipe) -> Iterator[tuple[str, dict[str, str]]]:
    """Each platform of a recipe, and its verdict by stage; printed as they come."""
    with tempfile.TemporaryDirectory() as folder:
        native = copy_working_tree(Path(folder) / "native")
        native.set_params(**recipe.params, **{"train.epochs": recipe.epochs})
        for stage in list(STAGES)[: list(STAGES).index(recipe.stages[-1]) + 1]:
            if error := run_stage(native, stage, Platform()):
                raise console.InputError(f"stage {stage} fails natively: {error}")
        for name in recipe.platforms:
            started = time.monotonic()
            project = native.copy_to(Path(folder) / name)
            found = verdicts(project, native, recipe.stages, PLATFORMS[name])
            seconds = time.monotonic() - started
            print(f"{name:20} {in_one_line(found)} ({seconds:.0f} s)", flush=True)
            yield name, found


def change(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    if key.count(".") != 1:
        raise console.InputError(f"--set {text}: found no section, such as train.replicas=2")
    return key, yaml.safe_load(value)


def verdicts(
    project: Project, native: Project, stages: Sequence[str], prepare: Callable[[], Platform]
) -> dict[str, str]:
    """By stage: `equal`, `differs in` which files, `fails` with the last line, or `void`."""
    try:
        platform = prepare()
    except (VoidError, console.InputError) as reason:
        return dict.fromkeys(stages, f"void: {reason}")
    found = {}
    for stage in stages:
        error = run_stage(project, stage, platform)
        differing = restore(project, native, stage)
        found[stage] = f"differs in {', '.join(differing)}" if differing else "equal"
        if error:
            found[stage] = f"fails in {stage}: {error}"
    return found


def run_stage(project: Project, stage: str, platform: Platform) -> str:
    """Run a stage anew; the last line of its error, empty if there was none."""
    for path in outputs(project, stage):
        path.unlink()
    params = project.root / "params.yaml"
    before = params.read_bytes()
    if stage in ("train", "evaluate"):
        project.set_params(**platform.params)
    done = subprocess.run(
        [*platform.python, "-m", f"stages.{stage}"],
        cwd=project.root,
        env=os.environ | platform.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    params.write_bytes(before)
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def restore(project: Project, native: Project, stage: str) -> list[str]:
    """Put the native outputs of a stage in place of the project's; the names of other ones."""
    found, expected = (
        {str(path.relative_to(each.root)): path.read_bytes() for path in outputs(each, stage)}
        for each in (project, native)
    )
    for name in found:
        (project.root / name).unlink()
    for name, content in expected.items():
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_bytes(content)
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


def outputs(project: Project, stage: str) -> list[Path]:
    """The files that a stage has put out, by dvc.yaml."""
    files = []
    for kind in ("outs", "metrics", "plots"):
        for entry in STAGES[stage].get(kind, []):
            path = project.root / (entry if isinstance(entry, str) else next(iter(entry)))
            files += [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return files


def in_one_line(row: dict[str, str]) -> str:
    start = "differs in "
    files = [verdict.removeprefix(start) for verdict in row.values() if verdict.startswith(start)]
    others = [verdict for verdict in row.values() if word(verdict) in ("fails", "void")]
    parts = [start + ", ".join(files)] if files else []
    return "; ".join([*parts, *dict.fromkeys(others)]) or "equal"


def print_table(rows: dict[str, dict[str, str]]) -> None:
    stages = [stage for stage in STAGES if any(stage in row for row in rows.values())]
    print(f"\n| platform | {' | '.join(stages)} |")
    print("|---" * (len(stages) + 1) + "|")
    for name, row in rows.items():
        words = [word(row[stage]) if stage in row else "" for stage in stages]
        print(f"| {name} | {' | '.join(words)} |")


def word(verdict: str) -> str:
    """`equal`, `differs`, `fails` or `void`."""
    return verdict.partition(" ")[0].rstrip(":")


if __name__ == "__main__":
    console.run(main)
