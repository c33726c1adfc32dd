"""The scores as a short table for a terminal, beside the best rival's and the majority class's."""

from collections.abc import Iterator, Mapping

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
from vintage.scores.evaluation import Evaluation, Scores


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
    for sentence in _sentences(evaluation, baselines, rivals):
        yield from wrapped(sentence)
    yield ""
    baselines = baselines or {}
    rival = best_rival(baselines)
    others = {"best rival": baselines[rival]} if rival else {}
    if MAJORITY in baselines:
        others["majority"] = baselines[MAJORITY]
    header = ("", "test", "interval", "train", "val", *others)
    yield from aligned(header, list(score_rows(evaluation, list(others.values()))))
    if rival:
        yield f"best rival by log loss: {model_in_words(rival)}"
    yield ""
    if few := few_rows(evaluation):
        yield from wrapped(few)
    yield from wrapped(curve_in_words(evaluation.epochs))
    resolved = (f"{key.partition('.')[2]} {value}" for key, value in evaluation.resolved.items())
    yield from wrapped(f"trained with {', '.join(resolved)}")
    yield "report: metrics/report.md"
    yield from wrapped(f"figures: metrics/figures/{', '.join(FIGURES)}")


def _sentences(
    evaluation: Evaluation, baselines: Mapping[str, Scores] | None, rivals: Rivals | None
) -> Iterator[str]:
    if baselines is None or rivals is None:
        yield "not compared with other models yet; run `dvc repro`"
    elif any(evaluation.test[name] != value for name, value in rivals.network.items()):
        yield "metrics/comparison.json compares an earlier network; run `dvc repro`"
    else:
        yield from verdict(evaluation, baselines, rivals)
