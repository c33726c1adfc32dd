"""Comparisons with a first revision, as one table for a terminal, as Markdown or as JSON."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from vintage.base.console import one_line
from vintage.report import markdown
from vintage.report.tables import aligned, p_text, wrapped
from vintage.repository.compare import Comparison
from vintage.repository.revisions import shown
from vintage.scores.metrics import METRICS

HEADER = ("", "A", "B", "B - A", "interval", "p", "verdict")
RECIPE_HEADER = ("", "B - A", "interval", "p", "better", "equal", "worse", "verdict")


def table_lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for comparison in comparisons:
        yield from wrapped(comparison.title)
        for key, values in comparison.params.items():
            yield from wrapped(f"{key}: {' -> '.join(map(shown, values))}")
        yield ""
    yield from _below(comparisons, wrapped, aligned)


def markdown_lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for comparison in comparisons:
        yield from (markdown.escaped(comparison.title), "")
        if comparison.params:
            params = [(key, *map(shown, pair)) for key, pair in comparison.params.items()]
            yield from (*markdown.table_lines(("parameter", "A", "B"), params), "")
    yield from _below(comparisons, lambda text: [markdown.escaped(text)], markdown.table_lines)


def json_lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """An object; of several revisions, a list of them."""
    found = [asdict(comparison) for comparison in comparisons]
    yield json.dumps(found if len(found) > 1 else found[0], indent=2, allow_nan=False)


FORMATS: dict[str, Callable[[Sequence[Comparison]], Iterator[str]]] = {
    "table": table_lines,
    "md": markdown_lines,
    "json": json_lines,
}


def _below(
    comparisons: Sequence[Comparison],
    text: Callable[[str], list[str]],
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], Iterator[str]],
) -> Iterator[str]:
    """What stands below the titles and parameters: both tables, and the sentences about them."""
    yield from table(HEADER, list(_rows(comparisons)))
    for title in _each(comparisons, lambda comparison: [comparison.recipe.title]):
        yield from ("", *text(title))
    if recipe_rows := list(_recipe_rows(comparisons)):
        yield from ("", *table(RECIPE_HEADER, recipe_rows))
    for summary in _each(comparisons, lambda comparison: [comparison.summary]):
        yield from ("", *text(summary))
    for note in _each(comparisons, lambda comparison: comparison.notes):
        yield from ("", *text(note))


def _each(
    comparisons: Sequence[Comparison], of: Callable[[Comparison], list[str]]
) -> Iterator[str]:
    """Each sentence once, behind the revisions that it is said of if these are not all."""
    names: dict[str, list[str]] = {}
    for comparison in comparisons:
        for sentence in of(comparison):
            names.setdefault(sentence, []).append(comparison.b)
    for sentence, said_of in names.items():
        is_common = len(said_of) == len(comparisons)
        yield sentence if is_common else f"{', '.join(said_of)}: {sentence}"


def _rows(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, ...]]:
    for name in comparisons[0].metrics:
        of_metric = []
        for comparison in comparisons:
            metric = comparison.metrics[name]
            numbers = _number(metric.a), _number(metric.b), _number(metric.difference, "+")
            bounds = _interval(metric.low, metric.high), p_text(metric.p_value)
            of_metric.append((comparison.b, *numbers, *bounds, metric.verdict))
        yield from _titled(METRICS[name].title, of_metric, len(comparisons))


def _recipe_rows(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, ...]]:
    with_splits = [comparison for comparison in comparisons if comparison.recipe.metrics]
    for name in with_splits[0].recipe.metrics if with_splits else ():
        of_metric = []
        for comparison in with_splits:
            metric = comparison.recipe.metrics[name]
            shares = [_share(value) for value in (metric.better, metric.equal, metric.worse)]
            bounds = _interval(metric.low, metric.high), p_text(metric.p_value)
            difference = _number(metric.difference, "+")
            of_metric.append((comparison.b, difference, *bounds, *shares, metric.verdict))
        yield from _titled(METRICS[name].title, of_metric, len(comparisons))


def _titled(
    title: str, rows: Sequence[tuple[str, ...]], n_revisions: int
) -> Iterator[tuple[str, ...]]:
    """The rows of a metric: one beside its title, or one for each revision below it."""
    if n_revisions == 1:
        yield (title, *rows[0][1:])
        return
    yield (title, *[""] * (len(rows[0]) - 1))
    for name, *cells in rows:
        yield (f"  {one_line(name)}", *cells)


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{_number(low, '+')} to {_number(high, '+')}"


def _share(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.2f}"


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{round(value, 4) + 0.0:{sign}.4f}"
