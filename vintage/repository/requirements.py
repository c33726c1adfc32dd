"""The pinned packages in `requirements/`.        python -m vintage.repository.requirements

A stage depends in `dvc.yaml` on the files that pin what it loads, so that a new version reruns the
stages that it can change, and no other. Run as a command, this module pins what is installed. Of
the files on which all stages that load a package depend, it goes into the one with the fewest; what
the commands need besides goes into `dvc.txt`, and what development needs into `dev.txt`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vintage.base import console
from vintage.base.console import InputError
from vintage.base.files import write_bytes
from vintage.repository.declared import imports_from_elsewhere, read_stages, scripts_of

FOLDER = Path("requirements")
OTHERS = {"dvc.txt": "vintage", "dev.txt": "vintage[dev]"}  # beside the stages' files
PIN = re.compile(r"(\S+)==(\S+)")
LOADED = """\
import importlib, json, sys
before = set(sys.modules)  # what any Python loads here
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({*sys.modules} - before)))
"""
packages_by_module = cache(metadata.packages_distributions)


def check_requirements(root: Path) -> Iterator[str]:
    """Yields one line for each package of a stage that is not installed as pinned."""
    for path in sorted({path for paths in declared_files(root).values() for path in paths}):
        for name, pinned in read_pins(root / path).items():
            found = installed(name)
            if found != pinned:
                yield (
                    f"{name} {f'{found} is' if found else 'is not'} installed, and {path} pins "
                    f"{pinned}; run `pip install -r {path}`"
                )


def read_pins(path: Path) -> dict[str, str]:
    """The pinned version by package.

    Raises:
        InputError: it is missing, or a line is not `name==version`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; take it out of dvc.yaml, or `git checkout` it")
    pins = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not (pin := PIN.fullmatch(line)):
            raise InputError(f"{path}, line {number}: found {line!r}, not name==version")
        pins[pin[1]] = pin[2]
    return pins


def installed(package: str) -> str | None:
    """The version without what a build adds, such as `+cpu`."""
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def declared_files(root: Path) -> dict[str, list[Path]]:
    """By stage, the files of pinned packages that it depends on."""
    return {
        stage: [path for path in map(Path, map(str, spec.get("deps", []))) if path.parent == FOLDER]
        for stage, spec in read_stages(root / "dvc.yaml").items()
    }


def share_out(root: Path) -> dict[str, list[str]]:
    """By file, the installed packages that belong there, by their normal names."""
    declared = declared_files(root)
    files = sorted({path.name for paths in declared.values() for path in paths})
    readers = {name: {s for s in declared if FOLDER / name in declared[s]} for name in files}
    needed = {stage: needed_packages(root, stage) for stage in declared}
    shares: dict[str, list[str]] = {name: [] for name in (*files, *OTHERS)}
    for package in sorted(set().union(*needed.values())):
        stages = {stage for stage in needed if package in needed[stage]}
        fitting = [name for name in files if stages <= readers[name]]
        if not fitting:
            raise InputError(f"{package}: {', '.join(sorted(stages))} depend on no common file")
        shares[min(fitting, key=lambda name: len(readers[name]))].append(package)
    for name, project in OTHERS.items():
        placed = {package for share in shares.values() for package in share}
        shares[name] = sorted(with_required([project]) - placed - {"vintage"})
    return shares


@cache
def needed_packages(root: Path, stage: str) -> set[str]:
    """What a stage's modules import, wherever it stands, or load when they are imported; and what
    those packages require.
    """
    spec = read_stages(root / "dvc.yaml")[stage]
    names = imports_from_elsewhere(root.absolute(), spec)
    for script in scripts_of(spec):
        command = [sys.executable, "-c", LOADED, script]
        names |= set(json.loads(subprocess.check_output(command, cwd=root)))
    return with_required(packages_of(names))


def packages_of(modules: Iterable[str]) -> set[str]:
    """The other packages that these modules belong to, by their normal names."""
    packages = packages_by_module()
    tops = {module.partition(".")[0] for module in modules} - {"vintage"}
    return {canonicalize_name(package) for top in tops for package in packages.get(top, [])}


def with_required(requirements: Iterable[str]) -> set[str]:
    """The packages by their normal names, and all that they require here."""
    due = [Requirement(text) for text in requirements]
    found: set[tuple[str, str]] = set()
    while due:
        requirement = due.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {e for n, e in found if n == name}:
            found.add((name, extra))
            required = map(Requirement, metadata.distribution(name).requires or [])
            due += [r for r in required if not r.marker or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def main() -> None:
    for name, packages in share_out(Path()).items():
        names = sorted((metadata.distribution(p).metadata["Name"] for p in packages), key=str.lower)
        lines = [f"{each}=={installed(each)}\n" for each in names]
        write_bytes(FOLDER / name, "".join(lines).encode())
        console.say(f"{FOLDER / name}: {len(names)} packages")


if __name__ == "__main__":
    console.run(main)
