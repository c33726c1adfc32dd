"""What a stage uses is what `dvc.yaml` declares: by its imports, its code and its system calls."""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Project

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STRACE = shutil.which("strace")


def imported_modules(path: Path, seen: set[Path] | None = None) -> set[Path]:
    """The project's modules that a file imports, wherever in it and through others."""
    seen = set() if seen is None else seen
    if path == ROOT / "vintage/__init__.py":  # imports for other programs, in what no stage calls
        return seen
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            base = ROOT / name.replace(".", "/")
            for file in (base.with_suffix(".py"), base / "__init__.py"):
                if file.exists() and file not in seen:
                    seen.add(file)
                    imported_modules(file, seen)
    return seen


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
            used |= set(PARAMS)
    return used


@pytest.mark.parametrize("stage", STAGES)
def test_the_declared_modules_are_the_imported_ones(stage: str) -> None:
    script = ROOT / f"stages/{stage}.py"
    imported = {str(path.relative_to(ROOT)) for path in {script, *imported_modules(script)}}
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert declared == imported


@pytest.mark.parametrize("stage", STAGES)
def test_the_declared_parameters_are_the_read_ones(stage: str) -> None:
    declared = set(STAGES[stage].get("params", []))
    used = used_params(stage)
    whole = {key for key in declared if "." not in key}
    for key in used:
        assert key in declared or key.partition(".")[0] in whole, f"{key} is not declared"
    for key in declared:
        assert any(u == key or u.startswith(f"{key}.") for u in used), f"{key} is not read"


def test_every_key_of_a_section_is_read_somewhere() -> None:
    """As `params.key`, `section.key`, `params.section.key`, or `settings.key` where a part of a
    section is handed on; in code and not in a text.
    """
    files = [file for folder in ("stages", "vintage") for file in (ROOT / folder).glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    read = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, keys in params.items():
        for key in keys:
            owners = ("params", section, f"params.{section}", "settings")
            ways = {f"{owner}.{key}" for owner in owners}
            assert read & ways, f"{section}.{key} is not read"


def declared_paths(stage: str) -> tuple[set[str], set[str]]:
    spec = STAGES[stage]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    reads = {dep.replace("${data.path}", params["data"]["path"]) for dep in spec["deps"]}
    listed = [out for kind in ("outs", "metrics", "plots") for out in spec.get(kind, [])]
    writes = {out if isinstance(out, str) else next(iter(out)) for out in listed}
    return reads | {"params.yaml"}, writes


OPENED = re.compile(
    r"\b(?:openat|open|creat|rename|renameat2?|unlink|unlinkat|truncate)\((.*)\) = (\d+)"
)


@pytest.mark.slow
@pytest.mark.skipif(STRACE is None and "CI" not in os.environ, reason="strace is not installed")
@pytest.mark.parametrize("stage", STAGES)
def test_the_system_calls_touch_declared_files_only(reproduced: Project, stage: str) -> None:
    reads, writes = declared_paths(stage)
    log = reproduced.root.parent / "strace.log"
    command = [sys.executable, "-m", f"stages.{stage}"]
    networks = ("mlp", "tabm") if "vintage/tabm.py" in reads else ("mlp",)
    touched = set()
    for network in networks:
        if len(networks) > 1:
            reproduced.set_params(**{"model.name": network, "train.epochs": 1})
        if stage == "evaluate":
            reproduced.stage("train", check=True)
        reproduced.run("strace", "-f", "-qq", "-y", "-e", "trace=file", "-o", str(log), *command)
        touched |= touched_files(log.read_text(errors="replace"), reproduced.root)
    own = {"data/resume/train.safetensors"} if stage == "train" else set()
    for path, writing in touched:
        allowed = writes | own if writing else reads | writes | own
        inside = any(path == a or path.startswith(f"{a}/") for a in allowed)
        assert inside, f"{stage} {'writes' if writing else 'reads'} {path}, undeclared"
    read = {path for path, _ in touched}
    reads.discard("vintage/tabm.py")  # which an mlp does not need
    for dep in reads - {dep for dep in reads if dep.endswith("__init__.py")}:
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
    "train": {"pandas", "sklearn", "matplotlib", "pyarrow", "torch._dynamo"},
    "evaluate": {"sklearn", "pyarrow.csv", "torch._dynamo"},
    "baseline": {"torch", "matplotlib"},
    "report": {"torch", "sklearn", "pandas", "matplotlib"},
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_loads_no_library_that_it_does_not_need(reproduced: Project, stage: str) -> None:
    done = reproduced.run(sys.executable, "-X", "importtime", "-m", f"stages.{stage}")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "numpy" in loaded
    assert not loaded & NOT_NEEDED[stage]
