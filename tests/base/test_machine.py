"""The package runs where the calls that only Linux has are missing."""

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project

LINUX_ONLY = re.compile(
    r"sched_getaffinity|/proc/|/sys/|\bfcntl\b|\bprctl\b|\bmallopt\b|\bwait4\b|import resource"
)
# each with a way around it
KNOWN = {
    "vintage/base/machine.py": {"sched_getaffinity", "mallopt"},
    "vintage/base/console.py": {"prctl"},
    "vintage/repository/verify.py": {"/proc/"},
}


def test_calls_that_only_linux_has_are_in_few_places() -> None:
    files = [path for folder in ("vintage", "stages") for path in (ROOT / folder).rglob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix(): calls
        for path in files
        if (calls := set(LINUX_ONLY.findall(path.read_text(encoding="utf-8"))))
    }
    assert found == KNOWN


@pytest.mark.slow
@pytest.mark.parametrize("command", ["stages.train", "vintage"])
def test_a_system_without_them(reproduced: Project, tmp_path: Path, command: str) -> None:
    """As on macOS: no affinity, and a C library without glibc's and Linux's own functions."""
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes, os\n"
        "del os.sched_getaffinity\n"
        "class Library(ctypes.CDLL):\n"
        "    def __getattr__(self, name):\n"
        "        if name in ('mallopt', 'prctl', '__x86_get_cpuid_feature_leaf'):\n"
        "            raise AttributeError(name)\n"
        "        return super().__getattr__(name)\n"
        "ctypes.CDLL = Library\n"
    )
    arguments = ["predict", "data/wine.csv", "-o", "new.csv"] if command == "vintage" else []
    before = reproduced.outputs()
    run = (sys.executable, "-m", command, *arguments)
    reproduced.run(*run, env={"PYTHONPATH": str(tmp_path)})
    assert reproduced.outputs() == before
