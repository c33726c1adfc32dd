"""The scores as a short table for a terminal, beside the best rival's and the majority class's."""

import textwrap
from collections.abc import Iterator, Mapping

from vintage.report.verdict import (
    MAJORITY,
    best_rival,
    curve_in_words,
    few_rows,
    model_in_words,
    verdict,
)
from vintage.scores.evaluation import Comparison, Evaluation, Scores

WIDTH = 100
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "log_loss": "log loss",
    "roc_auc_ovr": "ROC AUC (one vs rest)",
    "calibration_error": "calibration error",
}
FILES = (
    "report: metrics/report.md",
    "figures: metrics/figures/losses.png, confusion.png and calibration.png",
)


def score_lines(
    evaluation: Evaluation,
    baselines: Mapping[str, Scores] | None = None,
    comparison: Comparison | None = None,
) -> Iterator[str]:
    """Lines of at most 100 characters: the verdict, the scores, and what limits them.

    Args:
        baselines: `baseline.json`, if it is there.
        comparison: `comparison.json`, if it is there.
    """
    for sentence in _sentences(evaluation, baselines, comparison):
        yield from textwrap.wrap(sentence, WIDTH)
    yield ""
    yield from _table(evaluation, baselines or {})
    yield ""
    if few := few_rows(evaluation):
        yield from textwrap.wrap(few, WIDTH)
    yield from textwrap.wrap(curve_in_words(evaluation.epochs), WIDTH)
    resolved = (f"{key.partition('.')[2]} {value}" for key, value in evaluation.resolved.items())
    yield from textwrap.wrap(f"trained with {', '.join(resolved)}", WIDTH)
    yield from FILES


def _sentences(
    evaluation: Evaluation,
    baselines: Mapping[str, Scores] | None,
    comparison: Comparison | None,
) -> Iterator[str]:
    if baselines is None or comparison is None:
        yield "not compared with other models yet; run `dvc repro`"
    elif any(evaluation.test[name] != value for name, value in comparison.network.items()):
        yield "metrics/comparison.json compares an earlier network; run `dvc repro`"
    else:
        yield from verdict(evaluation, baselines, comparison)


def _table(evaluation: Evaluation, baselines: Mapping[str, Scores]) -> Iterator[str]:
    rival = best_rival(baselines)
    shown = {"best rival": baselines[rival]} if rival else {}
    if MAJORITY in baselines:
        shown["majority"] = baselines[MAJORITY]
    header = f"{'':22}{'test':>8}   {'interval':^17}  {'train':>8}{'val':>8}"
    yield header + "".join(f"{title:>12}" for title in shown)
    for key, name in NAMES.items():
        yield (
            f"{name:22}{number(evaluation.test[key]):>8}   {interval(evaluation.test, key):^17}  "
            f"{number(evaluation.train[key]):>8}{number(evaluation.val[key]):>8}"
            + "".join(f"{number(scores[key]):>12}" for scores in shown.values())
        )
    if rival:
        yield f"best rival by log loss: {model_in_words(rival)}"


def interval(scores: Scores, metric: str) -> str:
    """Both bounds; `-` where the metric has no interval."""
    low, high = scores[f"{metric}_low"], scores[f"{metric}_high"]
    return "-" if low is None or high is None else f"{number(low)} to {number(high)}"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
