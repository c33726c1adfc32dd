"""`vintage verify`: whether the stages of a revision, run again, make what it records.

No NumPy is loaded and nothing pinned here: the stages do that for themselves.
"""

import platform
import tempfile
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from vintage.base.console import InputError, one_line, say
from vintage.base.files import write_json
from vintage.base.waiting import waiting
from vintage.repository.cache import md5_of
from vintage.repository.git import find_commit
from vintage.repository.lock_file import LOCK_FILE
from vintage.repository.rerun import Rerun, Result

PACKAGES = ("torch", "numpy", "scikit-learn")


def verify(revision: str, stage: str | None, receipt: Path | None) -> int:
    """Run stages of a revision again and print the verdicts.

    Args:
        stage: the only one to run.
        receipt: where to write what was verified, where, and what came out.

    Returns:
        1 if an output differs, otherwise 2 if a stage is void, otherwise 0.

    Raises:
        InputError: there is no such revision or stage, or it cannot be cloned.
    """
    commit = find_commit(revision)
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        with waiting("cloning"):
            rerun = Rerun(Path(folder), commit)
            chosen = _chosen(rerun, stage)
        results = [_run(rerun, name) for name in chosen]
        if receipt:
            write_json(receipt, _receipt(commit, md5_of(rerun.recorded / LOCK_FILE), results))
    verdicts = Counter(result.verdict for result in results)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    say(f"{one_line(revision)} ({commit[:7]}): {counts}")
    return 1 if verdicts["differs"] else 2 if verdicts["void"] else 0


def control(revision: str, stage: str | None) -> int:
    """Change a bit of what a stage, by default the first one, has recorded, and run it again.

    Returns:
        0 if the changed file is found to differ, otherwise 1.

    Raises:
        InputError: as `verify`; or there is no file to change.
    """
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        with waiting("cloning"):
            rerun = Rerun(Path(folder), find_commit(revision))
            name = _chosen(rerun, stage)[0]
        path = rerun.change_a_bit(name)
        result = _run(rerun, name)
    named = any(detail.startswith(f"{path}: ") for detail in result.details)
    found = result.verdict == "differs" and named
    say(f"a bit was changed in {one_line(path)}, and {'found' if found else 'not found'}")
    return 0 if found else 1


def _chosen(rerun: Rerun, stage: str | None) -> list[str]:
    stages = rerun.stages()
    if stage and stage not in stages:
        raise InputError(f"{stage}: no such stage; there are {', '.join(stages)}")
    return [stage] if stage else stages


def _run(rerun: Rerun, stage: str) -> Result:
    """Run a stage again, and say what came out."""
    with waiting(f"running {one_line(stage)}"):
        result = rerun.run(stage)
    say(f"{result.stage}: {result.verdict}")
    for detail in result.details:
        say(f"  {one_line(detail)}")
    return result


def _receipt(commit: str, lock_md5: str, results: list[Result]) -> dict[str, object]:
    packages = {name: version(name) for name in PACKAGES}
    return {
        "commit": commit,
        "dvc_lock_md5": lock_md5,
        "processor": _processor(),
        "stages": {result.stage: asdict(result) for result in results},
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **packages},
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
