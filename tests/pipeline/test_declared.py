"""What a stage uses is what `dvc.yaml` declares: by its imports, its code and its system calls."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.conftest import PARAMS, ROOT, Project, stage_here
from vintage.base.params import NO_RESULT
from vintage.repository.declared import check_declared, imported_modules, read_stages
from vintage.repository.requirements import declared_files, packages_of, read_pins

STAGES = read_stages(ROOT / "dvc.yaml")
SECTIONS = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
TRACED = shutil.which("strace") is not None or "CI" in os.environ


def used_params(stage: str) -> set[str]:
    """What a stage's script reads: `section.key`, a whole `section` that it hands on, or all."""
    used = set()
    inner: set[int] = set()  # of a longer chain: `params.train` in `params.train.seed`
    for node in ast.walk(ast.parse((ROOT / f"stages/{stage}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            chain = ast.unparse(node).split(".")
            if chain[0] == "params":
                inner |= {id(child) for child in ast.walk(node)}
                used.add(".".join(chain[1:3]))
        elif isinstance(node, ast.Call) and any(
            isinstance(argument, ast.Name) and argument.id == "params" for argument in node.args
        ):
            used |= set(SECTIONS)
    return used


def test_every_stage_declares_the_modules_that_it_imports() -> None:
    assert list(check_declared(ROOT)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_its_script_is_found_with_what_that_imports(stage: str) -> None:
    found = imported_modules(ROOT, STAGES[stage])
    assert {ROOT / f"stages/{stage}.py", ROOT / "vintage/__init__.py"} < found


IMPORTS = {
    "run.py": "import os, torch, own.a.deep\nfrom own import name",
    "own/__init__.py": "",
    "own/a/__init__.py": "from . import beside\n",
    "own/a/beside.py": "def f():\n    if f:\n        from ..b import c as d, e\n",
    "own/a/deep.py": "import own.b\n",
    "own/b.py": "import importlib\nimportlib.import_module('own.by_a_name')\n",
    "own/by_a_name.py": "",
    "own/other.py": "import run\n",
}
IMPORTED = ["own/__init__.py", "own/a/__init__.py", "own/a/beside.py", "own/a/deep.py", "own/b.py"]


@pytest.mark.parametrize(
    "cmd", ["exec python -m run", "python3 -m run x", ["true", "python -m run"]]
)
@pytest.mark.parametrize(
    ("declared", "missing"),
    [
        ([], [*IMPORTED, "run.py"]),
        (["run.py", *IMPORTED, "data.csv"], []),
        (["run.py", "own"], []),
        (["own/"], ["run.py"]),
        (["run.py", "own/a", "own/b.py"], ["own/__init__.py"]),
        (["."], []),
    ],
)
def test_files_and_folders_are_declared(
    tmp_path: Path, cmd: object, declared: list[str], missing: list[str]
) -> None:
    for name, text in IMPORTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    stages = {"one": {"cmd": cmd, "deps": declared}, "other": {"cmd": "echo python"}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    assert list(check_declared(tmp_path)) == [
        f"stage one imports {name}, which dvc.yaml does not declare; add it to its deps"
        for name in missing
    ]


@pytest.mark.slow
def test_the_check_names_a_module_that_was_forgotten(reproduced: Project) -> None:
    (reproduced.root / "vintage/foo.py").write_text("VALUE = 1\n")
    line = "from vintage.base import console\n"
    reproduced.edit("stages/report.py", line, f"{line}from vintage import foo  # noqa: F401\n")
    assert reproduced.repro() == ["report"]
    reproduced.edit("vintage/foo.py", "1", "2")
    assert reproduced.repro() == [], "the results are of older code"
    check = ("python", "-m", "vintage", "check")
    done = reproduced.run(*check, check=False)
    assert done.returncode == 1
    assert done.stdout.endswith(
        "\nwrong: stage report imports vintage/foo.py, which dvc.yaml does not declare; "
        "add it to its deps\nproblems found: 1\n"
    )
    graph = yaml.safe_load((reproduced.root / "dvc.yaml").read_text())
    graph["stages"]["report"]["deps"].append("vintage/foo.py")
    (reproduced.root / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    assert reproduced.repro() == ["report"]
    assert reproduced.run(*check).stdout.endswith("\nthe outputs are valid\n")


@pytest.mark.parametrize("stage", STAGES)
def test_the_declared_parameters_are_the_read_ones(stage: str) -> None:
    """But for those that no result depends on, whose change should rerun nothing."""
    declared = set(STAGES[stage].get("params", []))
    used = {key for key in used_params(stage) if key.partition(".")[0] not in NO_RESULT}
    whole = {key for key in declared if "." not in key}
    for key in used:
        assert key in declared or key.partition(".")[0] in whole, f"{key} is not declared"
    for key in declared:
        assert any(u == key or u.startswith(f"{key}.") for u in used), f"{key} is not read"


def test_every_key_of_a_section_is_read_somewhere() -> None:
    """As `params.key`, `section.key`, `settings.key` where a part of a section is handed on,
    `revision.key`, or without `auto` as `architecture.key` or `recipe.key`; in code and not in a
    text.
    """
    files = [file for folder in ("stages", "vintage") for file in (ROOT / folder).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    chains = [ast.unparse(node).split(".") for node in nodes if isinstance(node, ast.Attribute)]
    read = {".".join(chain[-2:]) for chain in chains}
    for section, keys in SECTIONS.items():
        for key in keys:
            owners = ("params", section, "settings", "revision", "architecture", "recipe")
            ways = {f"{owner}.{key}" for owner in owners}
            assert read & ways, f"{section}.{key} is not read"


def declared_paths(stage: str) -> tuple[set[str], set[str]]:
    spec = STAGES[stage]
    reads = {dep.replace("${data.path}", SECTIONS["data"]["path"]) for dep in spec["deps"]}
    listed = [out for kind in ("outs", "metrics", "plots") for out in spec.get(kind, [])]
    writes = {out if isinstance(out, str) else next(iter(out)) for out in listed}
    return reads | {"params.yaml", "dvc.yaml"}, writes


OPENED = re.compile(
    r"\b(?:openat|open|creat|rename|renameat2?|unlink|unlinkat|truncate)\((.*)\) = (\d+)"
)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_system_calls_touch_and_the_imports_load_what_is_declared_only(
    reproduced: Project, stage: str
) -> None:
    reads, writes = declared_paths(stage)
    log = reproduced.root.parent / "strace.log"
    # stopped at these calls alone, which takes half the time
    trace = f"strace -f --seccomp-bpf -qq -y -e trace=file -o {log}".split()
    command = [*(trace if TRACED else []), sys.executable, "-X", "importtime", "-m"]
    touched = set()
    for network in ("mlp", "tabm") if stage in ("train", "evaluate") else ("mlp",):
        if network == "tabm":
            reproduced.set_params(**{"model.name": network, "train.epochs": 1})
            if stage == "evaluate":
                stage_here(reproduced.root, "train")
        loaded = modules_of(reproduced.run(*command, f"stages.{stage}"))
        assert "numpy" in loaded
        assert not loaded & NOT_NEEDED[stage]
        assert packages_of(loaded - PRELOADED) <= pinned_for(stage)
        if TRACED:
            touched |= touched_files(log.read_text(errors="replace"), reproduced.root)
    if not TRACED:
        pytest.skip("strace is not installed")
    own = {"data/resume/train.safetensors"} if stage == "train" else set()
    for path, writing in touched:
        allowed = writes | own if writing else reads | writes | own
        inside = any(path == a or path.startswith(f"{a}/") for a in allowed)
        assert inside, f"{stage} {'writes' if writing else 'reads'} {path}, undeclared"
    read = {path for path, _ in touched}
    for dep in reads:
        # a module may be for other parameters, and of the packages the pins are not read
        if dep.endswith(".py") or dep.startswith("requirements/"):
            continue
        assert any(p == dep or p.startswith(f"{dep}/") for p in read), f"{stage} never reads {dep}"


def touched_files(log: str, root: Path) -> set[tuple[str, bool]]:
    """The repository's files that were opened, renamed or removed, and whether to write."""
    touched = set()
    for line in log.splitlines():
        match = OPENED.search(line)
        if not match:
            continue
        writing = bool(re.search(r"O_WRONLY|O_RDWR|O_CREAT|rename|unlink|truncate|creat\(", line))
        for name in re.findall(r'"([^"]*)"', match[1]):
            path = Path(os.path.normpath(root / name))
            if not path.is_relative_to(root):
                continue
            relative = str(path.relative_to(root))
            temporary = re.sub(r"(^|/)\.([^/]+)\.\d+\.tmp$", r"\1\2", relative)
            hidden = "__pycache__" in relative or relative.startswith(".venv")
            if not hidden and (path.is_file() or writing):
                touched.add((temporary, writing))
    return touched


# half of a stage's time is imports, so that a stage loads nothing that it does not need
NOT_NEEDED = {
    "split": {"torch", "matplotlib"},
    "train": {"pandas", "sklearn", "matplotlib", "pyarrow", "torch._dynamo", "sympy"},
    "evaluate": {"sklearn", "pyarrow.csv", "torch._dynamo", "sympy"},
    "splits": {"matplotlib", "torch._dynamo", "sympy"},
    "baseline": {"torch", "matplotlib"},
    "explain": {"pandas", "sklearn", "matplotlib", "pyarrow", "torch._dynamo", "sympy"},
    "report": {"torch", "sklearn", "pandas", "matplotlib"},
}


def pinned_for(stage: str) -> set[str]:
    paths = declared_files(ROOT)[stage]
    return {canonicalize_name(package) for path in paths for package in read_pins(ROOT / path)}


def modules_of(done: subprocess.CompletedProcess[str]) -> set[str]:
    """What was imported, as `-X importtime` tells."""
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


# of the interpreter itself, and of what its environment loads
PRELOADED = modules_of(
    subprocess.run(
        [sys.executable, "-X", "importtime", "-c", ""], capture_output=True, text=True, check=True
    )
)
