"""Each package is pinned once, in a file of the stages that load it, and installed as pinned."""

from collections import Counter
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from vintage.base.console import InputError
from vintage.repository.requirements import (
    FOLDER,
    OTHERS,
    check_requirements,
    declared_files,
    needed_packages,
    read_pins,
    share_out,
    with_required,
)

PINS = {path.name: read_pins(path) for path in (ROOT / FOLDER).glob("*.txt")}


def normal(pins: dict[str, str]) -> set[str]:
    return {canonicalize_name(name) for name in pins}


def test_every_file_is_declared_and_every_package_in_one_of_them() -> None:
    declared = {path.name for paths in declared_files(ROOT).values() for path in paths}
    assert set(PINS) == declared | set(OTHERS)
    counts = Counter(name for pins in PINS.values() for name in normal(pins))
    assert set(counts.values()) == {1}
    assert with_required(["vintage[dev]"]) - {"vintage"} >= set(counts)


@pytest.mark.slow
def test_each_package_is_where_the_command_would_pin_it() -> None:
    """But for those that only some platforms have."""
    pinned = {name for pins in PINS.values() for name in normal(pins)}
    shares = share_out(ROOT)
    assert {file: pinned & set(share) for file, share in shares.items()} == {
        file: normal(PINS[file]) for file in shares
    }


@pytest.mark.slow
@pytest.mark.parametrize("stage", declared_files(ROOT))
def test_each_declared_file_is_used(stage: str) -> None:
    needed = needed_packages(ROOT, stage)
    for path in declared_files(ROOT)[stage]:
        assert needed & normal(PINS[path.name]), f"{stage} needs nothing of {path}"


def write_project(root: Path, pins: str) -> None:
    (root / FOLDER).mkdir()
    (root / FOLDER / "base.txt").write_text(pins)
    (root / "dvc.yaml").write_text(
        "stages: {one: {cmd: run, deps: [requirements/base.txt, data.csv]}, two: {cmd: run}}"
    )


def test_what_is_not_installed_as_pinned_is_named(tmp_path: Path) -> None:
    numpy = PINS["base.txt"]["numpy"]
    write_project(tmp_path, f"nowhere==1\nnumpy==1.0\nscipy=={PINS['base.txt']['scipy']}\n")
    advice = "run `pip install -r requirements/base.txt`"
    assert list(check_requirements(tmp_path)) == [
        f"nowhere is not installed, and requirements/base.txt pins 1; {advice}",
        f"numpy {numpy} is installed, and requirements/base.txt pins 1.0; {advice}",
    ]


def test_this_environment_is_the_pinned_one() -> None:
    assert list(check_requirements(ROOT)) == []


@pytest.mark.parametrize("line", ["numpy", "numpy>=2", "numpy==2 # new", ""])
def test_a_line_that_pins_nothing_is_refused(tmp_path: Path, line: str) -> None:
    write_project(tmp_path, f"scipy==1\n{line}\n")
    with pytest.raises(InputError, match=r"base.txt, line 2: found .*, not name==version"):
        list(check_requirements(tmp_path))
