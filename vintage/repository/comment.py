"""What a change does to the scores, as a comment on a pull request.

    python -m vintage.repository.comment BASE STALE_STAGES

BASE is a Git revision, STALE_STAGES what `vintage stale` printed before the pipeline ran. A pull
request may name its classes, parameters and branches as it likes: all of them are escaped.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vintage.base import console, numerics
from vintage.base.console import InputError
from vintage.repository.dvc_command import run_dvc


def comment_lines(base: str, stale: str) -> Iterator[str]:
    """The comment as Markdown."""
    from vintage.report.markdown import escaped
    from vintage.repository.compare import compare_revisions, markdown_lines
    from vintage.repository.revisions import WORKSPACE, read_revision

    comparison = compare_revisions(read_revision(base), read_revision(WORKSPACE))
    yield from ("### What this change does to the scores", "")
    yield f"Stale stages, whose inputs were not those in the committed dvc.lock: {escaped(stale)}"
    yield from ("", *markdown_lines(comparison), "")
    yield from ("<details><summary>Every metric that changed</summary>", "")
    diff = run_dvc(Path(), "metrics", "diff", "--json", "--", base)
    yield from changed_metrics(json.loads(diff))
    yield from ("", "</details>")


def changed_metrics(changes: dict[str, Any]) -> Iterator[str]:
    """What `dvc metrics diff --json` says, as a table."""
    from vintage.report.markdown import table_lines

    rows = [
        [path, name, *(_shown(change.get(key)) for key in ("old", "new", "diff"))]
        for path, metrics in changes.items()
        for name, change in metrics.items()
    ]
    yield from table_lines(["file", "metric", "before", "now", "change"], rows)


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def main() -> None:
    if len(sys.argv) != 3:
        raise InputError("expected a Git revision and the stages that were stale")
    numerics.pin()
    for line in comment_lines(*sys.argv[1:]):
        console.say(line)


if __name__ == "__main__":
    console.run(main)
