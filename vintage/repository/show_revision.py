"""`vintage show`: the verdict and the scores of the last run, or of another revision."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from vintage.base.files import parse_json
from vintage.report.figures import FIGURES
from vintage.report.rivals import Rivals
from vintage.report.show import score_lines
from vintage.report.tables import wrapped
from vintage.repository.git import find_commit
from vintage.repository.looks import count_looks, looks_in_words
from vintage.repository.revisions import (
    DETAILS_PATH,
    PREDICTIONS_PATH,
    WORKSPACE,
    needed_file,
    read_file,
    read_lock,
    read_revision,
)
from vintage.scores.evaluation import Baselines, Evaluation

BASELINE_PATH = Path("metrics/baseline.json")
COMPARISON_PATH = Path("metrics/comparison.json")
REPORT_PATH = Path("metrics/report.html")

Content = TypeVar("Content")


def revision_lines(name: str) -> Iterator[str]:
    """Lines of at most 100 characters, from Git and DVC's cache; the workspace is left alone.

    Raises:
        InputError: there is no such revision, or it has no scores, or was not evaluated.
    """
    commit = None if name == WORKSPACE else find_commit(name)

    def parsed(path: Path, content: bytes, kind: type[Content]) -> Content:
        return parse_json(content, f"{path} of {name}" if commit else str(path), kind)

    def found(path: Path, kind: type[Content]) -> Content | None:
        content = read_file(commit, path)
        return None if content is None else parsed(path, content, kind)

    if commit:
        read_lock(commit, name)
    evaluation = parsed(DETAILS_PATH, needed_file(commit, DETAILS_PATH, name), Evaluation)
    baselines = found(BASELINE_PATH, Baselines)
    rivals = found(COMPARISON_PATH, Rivals)
    yield from score_lines(evaluation, baselines.models if baselines else None, rivals)
    if commit is None:
        yield from wrapped(f"report: {REPORT_PATH}")
        yield from wrapped(f"figures: metrics/figures/{', '.join(FIGURES)}")
    elif read_file(commit, REPORT_PATH) is None:
        yield from wrapped(f"report: {REPORT_PATH} is neither in Git nor in DVC's cache at {name}")
    else:
        yield from wrapped(f"report: git show {commit[:7]}:./{REPORT_PATH} > report.html")
    if read_file(commit, PREDICTIONS_PATH) is not None:
        revision = read_revision(name)
        n_models = count_looks(revision.model.predictions, PREDICTIONS_PATH)
        if looks := looks_in_words(n_models, revision.looks(), {}):
            yield from wrapped(f"{looks} `vintage compare` says what that means.")
