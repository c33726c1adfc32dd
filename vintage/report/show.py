"""The scores as a short table for a terminal, beside the best rival's and the majority class's."""

from collections.abc import Iterator, Mapping

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
    if baselines is None or rivals is None:
        yield "not compared with other models yet; run `dvc repro`"
    elif any(evaluation.test[name] != value for name, value in rivals.network.items()):
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
