"""Numbers and tables as text; `vintage/report/markdown.py` shows the same tables as Markdown."""

import textwrap
from collections.abc import Iterator, Sequence

from vintage.base.console import one_line
from vintage.scores.evaluation import Evaluation, Scores
from vintage.scores.metrics import METRICS

WIDTH = 100  # columns of a terminal
NUMBER = "+-<.0123456789"  # what a number begins with


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def between(low: float | None, high: float | None, form: str = ".3f") -> str:
    """Both bounds of an interval; `-` where there is none."""
    return "-" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def interval(scores: Scores, metric: str) -> str:
    """Both bounds of a metric."""
    return between(scores.get(f"{metric}_low"), scores.get(f"{metric}_high"))


def p_text(p_value: float | None) -> str:
    """A p-value; `-` where there is none."""
    if p_value is None:
        return "-"
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def score_cells(scores: Scores, metric: str) -> list[str]:
    """A metric's title, its score and the interval."""
    return [METRICS[metric].title, number(scores.get(metric)), interval(scores, metric)]


def score_rows(evaluation: Evaluation, others: Sequence[Scores] = ()) -> Iterator[list[str]]:
    """For each metric its title, test score, interval, train and validation score, and others'.

    A revision of another release may lack some.
    """
    more = (evaluation.train, evaluation.val, *others)
    for name in METRICS:
        yield [*score_cells(evaluation.test, name), *(number(each.get(name)) for each in more)]


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table for a terminal; columns of numbers are aligned to the right."""
    columns = []
    for title, *cells in zip(header, *rows, strict=True):
        width = max(map(len, [title, *cells]))
        adjust = str.rjust if all(cell[:1] in NUMBER for cell in cells) else str.ljust
        columns.append([adjust(cell, width) for cell in (title, *cells)])
    for row in zip(*columns, strict=True):
        yield "  ".join(row).rstrip()


def wrapped(text: str) -> list[str]:
    """`text` on lines that fit a terminal."""
    return textwrap.wrap(one_line(text), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
