"""Two revisions compared, as a table for a terminal, as Markdown or as JSON."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from vintage import markdown
from vintage.console import one_line
from vintage.differences import (
    COMPARED,
    Difference,
    Model,
    Spread,
    equal_predictions,
    paired_differences,
    unpaired_differences,
    why_not_paired,
    without_differences,
)
from vintage.params import IntervalParams
from vintage.revisions import Revision
from vintage.show import NAMES

TARGET = "data.target"
OF_TEST_ROWS = ("data.", "split.")
HEADER = ("", "A", "B", "B - A", "interval", "p", "verdict")


@dataclass(frozen=True)
class Comparison:
    """Revisions A and B, and what is to be said of them.

    Attributes:
        not_paired: in words, why not; None if they are paired.
        params: by dotted key, A's and B's value where they differ; None where there is none.
        metrics: by metric.
        notes: what limits the result, a sentence each.
    """

    a: Revision
    b: Revision
    not_paired: str | None
    params: dict[str, tuple[Any, Any]]
    metrics: dict[str, Difference]
    notes: list[str]


def compare_revisions(a: Revision, b: Revision) -> Comparison:
    """Compare by the settings `evaluate` of B; paired if the test rows and the target are equal."""
    settings = b.interval_params()
    params = differing_params(a.params, b.params)
    not_paired = why_not_paired(a.predictions, b.predictions)
    if TARGET in params:
        not_paired = f"the target is {params[TARGET][0]} in A and {params[TARGET][1]} in B"
        metrics = without_differences(_model(a), _model(b))
    elif not_paired:
        metrics = unpaired_differences(_model(a), _model(b))
    else:
        metrics = paired_differences(_model(a), _model(b), settings)
    notes = [*_split_notes(params, not_paired), *_test_notes(a, b, not_paired, settings)]
    return Comparison(a, b, not_paired, params, metrics, notes)


def differing_params(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By sorted key, both values, as JSON can hold them."""
    pairs = {key: (_plain(a.get(key)), _plain(b.get(key))) for key in sorted({*a, *b})}
    return {key: pair for key, pair in pairs.items() if json.dumps(pair[0]) != json.dumps(pair[1])}


def is_worse(comparison: Comparison) -> bool:
    return any(metric.verdict == "worse" for metric in comparison.metrics.values())


def table_lines(comparison: Comparison) -> Iterator[str]:
    yield one_line(_title(comparison))
    for key, values in comparison.params.items():
        yield one_line(f"{key}: {' -> '.join(map(_shown_param, values))}")
    yield ""
    rows = [HEADER, *_rows(comparison)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, len(HEADER) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
    if comparison.notes:
        yield ""
    yield from map(one_line, comparison.notes)


def markdown_lines(comparison: Comparison) -> Iterator[str]:
    yield markdown.escaped(_title(comparison))
    yield ""
    if comparison.params:
        yield from markdown.table_lines(
            ("parameter", "A", "B"),
            [(key, *map(_shown_param, values)) for key, values in comparison.params.items()],
        )
        yield ""
    yield from markdown.table_lines(HEADER, _rows(comparison))
    for note in comparison.notes:
        yield ""
        yield markdown.escaped(note)


def json_lines(comparison: Comparison) -> Iterator[str]:
    content = {
        "a": comparison.a.name,
        "b": comparison.b.name,
        "paired": comparison.not_paired is None,
        "params": comparison.params,
        "metrics": {name: asdict(metric) for name, metric in comparison.metrics.items()},
    }
    yield json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False)


FORMATS: dict[str, Callable[[Comparison], Iterator[str]]] = {
    "table": table_lines,
    "md": markdown_lines,
    "json": json_lines,
}


def verdict_in_words(metric: Difference) -> str:
    if metric.verdict != "no difference":
        return metric.verdict
    if metric.difference is None:
        return "not defined for these test rows"
    words = "no difference that this test set can show"
    if metric.detectable is None:
        return words
    return f"{words} (it could have shown {_rounded_up(metric.detectable)})"


def _model(revision: Revision) -> Model:
    known = revision.replicas > 1 and revision.stds
    return Model(revision.predictions, Spread(revision.stds, revision.replicas) if known else None)


def _title(comparison: Comparison) -> str:
    a, b = (_named(revision) for revision in (comparison.a, comparison.b))
    if comparison.not_paired:
        return f"not paired: {comparison.not_paired}; A is {a}, B is {b}"
    n_rows = len(comparison.b.predictions.rows)
    if equal_predictions(comparison.a.predictions, comparison.b.predictions):
        return f"A is {a}, B is {b}: the predictions for all {n_rows} test rows are equal"
    return f"A is {a}, B is {b}, paired on {n_rows} test rows"


def _named(revision: Revision) -> str:
    if revision.commit is None or revision.commit.startswith(revision.name):
        return revision.name
    return f"{revision.name} ({revision.commit[:7]})"


def _split_notes(params: dict[str, tuple[Any, Any]], not_paired: str | None) -> Iterator[str]:
    keys = [key for key in params if key.startswith(OF_TEST_ROWS)]
    if not_paired and keys:
        differ = "differs" if len(keys) == 1 else "differ"
        yield f"The test rows are others, since {' and '.join(keys)} {differ}."
    for side, value in zip("AB", params.get("split.group_by", ()), strict=False):
        if value == "none":
            yield (
                f"{side} was split with split.group_by: none, so twins of its train rows may "
                "stand among its test rows, and its scores may be too good."
            )


def _test_notes(
    a: Revision, b: Revision, not_paired: str | None, settings: IntervalParams
) -> Iterator[str]:
    if not not_paired and equal_predictions(a.predictions, b.predictions):
        if differing_params(a.params, b.params):
            yield "The parameters differ all the same: has `dvc repro` run since?"
        return
    if not_paired:
        yield "Only what is paired gets an interval and a p-value."
        return
    yield (
        f"p is corrected for {len(COMPARED)} metrics (Holm) at a confidence of "
        f"{settings.confidence:.6g}; an interval without zero is a verdict."
    )
    unknown = [side for side, x in (("A", a), ("B", b)) if _model(x).spread is None]
    if unknown:
        yield (
            f"How much {' and '.join(unknown)} would change with another seed is not known (no "
            "replicas), so this holds for these two trained models and not for their recipes."
        )


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    return [
        (
            NAMES[name],
            _number(metric.a),
            _number(metric.b),
            _number(metric.difference, "+"),
            _interval(metric),
            _p_value(metric.p_value),
            verdict_in_words(metric),
        )
        for name, metric in comparison.metrics.items()
    ]


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{round(value, 4) + 0.0:{sign}.4f}"


def _interval(metric: Difference) -> str:
    if metric.low is None or metric.high is None:
        return "-"
    return f"{_number(metric.low, '+')} to {_number(metric.high, '+')}"


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _rounded_up(value: float) -> str:
    """Two digits that do not promise more than `value`."""
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:.{digits}f}"


def _shown_param(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: dates and numbers that are not finite as text."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
