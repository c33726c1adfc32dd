"""`vintage show`: the verdict and the scores of the last run, or of another revision."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from vintage.base.files import parse_json
from vintage.report.figures import FIGURES
from vintage.report.rivals import Rivals
from vintage.report.tables import aligned, score_rows, wrapped
from vintage.report.verdict import (
    MAJORITY,
    best_rival,
    curve_in_words,
    few_rows,
    model_in_words,
    verdict,
)
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
from vintage.scores.evaluation import OTHER_RELEASE, Baselines, Evaluation, Scores

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
        if commit is None:
            return parse_json(content, str(path), kind)
        return parse_json(content, f"{path} of {name}", kind, OTHER_RELEASE)

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


def score_lines(
    evaluation: Evaluation,
    baselines: Mapping[str, Scores] | None = None,
    rivals: Rivals | None = None,
) -> Iterator[str]:
    """Lines of at most 100 characters: the verdict, the scores, and what limits them.

    Args:
        baselines: `baseline.json`, if it exists.
        rivals: `comparison.json`, if it exists.
    """
    if baselines is None or rivals is None:
        yield "not compared with other models yet; run `dvc repro`"
    elif any(evaluation.test.get(name) != value for name, value in rivals.network.items()):
        yield "metrics/comparison.json compares an earlier network; run `dvc repro`"
    else:
        for sentence in verdict(evaluation, baselines, rivals):
            yield from wrapped(sentence)
    yield ""
    baselines = baselines or {}
    rival = best_rival(baselines)
    columns = {"best rival": rival, "majority": MAJORITY if MAJORITY in baselines else None}
    others = {title: baselines[name] for title, name in columns.items() if name}
    header = ("", "test", "interval", "train", "val", *others)
    yield from aligned(header, list(score_rows(evaluation, list(others.values()))))
    if rival:
        yield f"best rival by log loss: {model_in_words(rival)}"
    yield ""
    resolved = [f"{key.partition('.')[2]} {value}" for key, value in evaluation.resolved.items()]
    for paragraph in (
        few_rows(evaluation) or "",
        curve_in_words(evaluation.epochs),
        f"trained with {', '.join(resolved)}",
    ):
        yield from wrapped(paragraph)
