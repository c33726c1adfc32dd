"""Two revisions compared, as a table for a terminal, as Markdown or as JSON."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from vintage.base.params import IntervalParams
from vintage.report import markdown
from vintage.report.differences import (
    Candidate,
    Difference,
    paired_differences,
    unpaired_differences,
)
from vintage.report.pairing import Pairing, pair_rows
from vintage.report.tables import aligned, wrapped
from vintage.repository.revisions import AUTO, Revision
from vintage.repository.table_change import TableChange, table_change
from vintage.scores.metrics import METRICS

TARGET = "data.target"
OF_TEST_ROWS = ("data.", "split.")
HEADER = ("", "A", "B", "B - A", "interval", "p", "verdict")
SHUFFLED = 0.1  # the share of test rows on one side only, from which a split counts as drawn anew

Changes = dict[str, tuple[Any, Any]]  # by dotted key, A's and B's value of a parameter


@dataclass(frozen=True)
class Comparison:
    """Revisions A and B, and what is to be said of them.

    Attributes:
        not_paired: in words, why not; None if they are paired.
        pairing: the test rows that both are scored on; None if they are not paired.
        table: how B's table differs from A's; None if it is the same.
        params: those that differ; a value is None where it is not set.
        metrics: by metric.
        notes: what limits the result, a sentence each.
    """

    a: Revision
    b: Revision
    not_paired: str | None
    pairing: Pairing | None
    table: TableChange | None
    params: Changes
    metrics: dict[str, Difference]
    notes: list[str]


def compare_revisions(a: Revision, b: Revision) -> Comparison:
    """Compare by the settings `evaluate` of B.

    Paired on the test rows that both have and that neither has trained on, if there are any and the
    target is the same.
    """
    settings = b.interval_params()
    params = differing_params(a.params, b.params)
    sides = [Candidate(side.predictions, side.replicas, side.stds) for side in (a, b)]
    pairing, not_paired = None, _why_not_paired(a, b, params)
    if not not_paired:
        pairing = pair_rows(a.predictions, b.predictions).without_seen()
        if not len(pairing.a.rows):
            not_paired = f"no test row is left to compare on{_left_out(pairing)}"
            pairing = None
    if pairing:
        paired = replace(sides[0], predictions=pairing.a), replace(sides[1], predictions=pairing.b)
        metrics = paired_differences(*paired, settings)
    else:
        same_classes = TARGET not in params and a.predictions.classes == b.predictions.classes
        metrics = unpaired_differences(sides[0], sides[1], same_classes)
    shown = _with_resolved(a, b, params)
    comparison = Comparison(a, b, not_paired, pairing, table_change(a, b), shown, metrics, [])
    comparison.notes.extend(_notes(comparison, settings))
    return comparison


def differing_params(a: dict[str, Any], b: dict[str, Any]) -> Changes:
    """By sorted key, both values, as JSON can hold them."""
    pairs = {key: (_plain(a.get(key)), _plain(b.get(key))) for key in sorted({*a, *b})}
    return {key: pair for key, pair in pairs.items() if json.dumps(pair[0]) != json.dumps(pair[1])}


def is_worse(comparison: Comparison) -> bool:
    return any(metric.verdict == "worse" for metric in comparison.metrics.values())


def table_lines(comparison: Comparison) -> Iterator[str]:
    yield from wrapped(_title(comparison))
    for key, values in comparison.params.items():
        yield from wrapped(f"{key}: {' -> '.join(map(_shown_param, values))}")
    yield ""
    yield from aligned(HEADER, _rows(comparison))
    for note in comparison.notes:
        yield from ("", *wrapped(note))


def markdown_lines(comparison: Comparison) -> Iterator[str]:
    yield markdown.escaped(_title(comparison))
    yield ""
    if comparison.params:
        params = [(key, *map(_shown_param, pair)) for key, pair in comparison.params.items()]
        yield from markdown.table_lines(("parameter", "A", "B"), params)
        yield ""
    yield from markdown.table_lines(HEADER, _rows(comparison))
    for note in comparison.notes:
        yield from ("", markdown.escaped(note))


def json_lines(comparison: Comparison) -> Iterator[str]:
    pairing = comparison.pairing
    content = {
        "a": comparison.a.name,
        "b": comparison.b.name,
        "paired": pairing is not None,
        "rows": pairing and {"paired": len(pairing.a.rows), **pairing.left_out},
        "table": comparison.table and asdict(comparison.table),
        "params": comparison.params,
        "metrics": {name: asdict(metric) for name, metric in comparison.metrics.items()},
        "notes": comparison.notes,
    }
    yield json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False)


FORMATS: dict[str, Callable[[Comparison], Iterator[str]]] = {
    "table": table_lines,
    "md": markdown_lines,
    "json": json_lines,
}


def _why_not_paired(a: Revision, b: Revision, params: Changes) -> str | None:
    if TARGET in params:
        return f"the target is {params[TARGET][0]} in A and {params[TARGET][1]} in B"
    if a.predictions.classes != b.predictions.classes:
        return "the classes are not the same"
    return None


def _with_resolved(a: Revision, b: Revision, params: Changes) -> Changes:
    """Differing parameters, with what stands for `auto`, also where that alone differs."""

    def with_auto(revision: Revision, key: str, value: Any) -> Any:
        if value != AUTO or key not in revision.resolved:
            return value
        return f"{AUTO} ({_shown_param(revision.resolved[key])})"

    resolved_otherwise = {
        key: (AUTO, AUTO)
        for key in sorted({*a.resolved} & {*b.resolved})
        if a.resolved[key] != b.resolved[key]
    }
    return {
        key: (with_auto(a, key, pair[0]), with_auto(b, key, pair[1]))
        for key, pair in (params | resolved_otherwise).items()
    }


def _title(comparison: Comparison) -> str:
    pairing = comparison.pairing
    end = f"{_table_in_words(comparison.table)}; A is {_named(comparison.a)}, B is "
    end += _named(comparison.b)
    if pairing is None:
        return f"not paired: {comparison.not_paired}{end}"
    n_rows = f"{'' if any(pairing.left_out.values()) else 'all '}{len(pairing.a.rows)} test rows"
    equal = ": the predictions are equal" if _are_equal(pairing) else ""
    return f"paired on {n_rows}{_left_out(pairing)}{end}{equal}"


def _left_out(pairing: Pairing) -> str:
    reasons = {
        "only_a": "of A alone",
        "only_b": "of B alone",
        "relabelled": "with another class in each",
        "seen": "with a twin in train",
    }
    words = [f"{n} {reasons[reason]}" for reason, n in pairing.left_out.items() if n]
    return f" (left out: {', '.join(words)})" if words else ""


def _table_in_words(table: TableChange | None) -> str:
    if table is None:
        return ""
    if table.unknown:
        return f"; how the table has changed is not known: {table.unknown}"
    counts = {"added": table.added, "removed": table.removed, "changed": table.changed}
    words = [f"{count} row{'s' * (count != 1)} {what}" for what, count in counts.items() if count]
    change = ", ".join(words) or "the same rows, written or ordered anew"
    return f"; the table has changed: {change}"


def _are_equal(pairing: Pairing) -> bool:
    return bool((pairing.a.probabilities == pairing.b.probabilities).all())


def _named(revision: Revision) -> str:
    if revision.commit is None or revision.commit.startswith(revision.name):
        return revision.name
    return f"{revision.name} ({revision.commit[:7]})"


def _notes(comparison: Comparison, settings: IntervalParams) -> Iterator[str]:
    sides = {"A": comparison.a, "B": comparison.b}
    for revision in sides.values():
        yield from revision.warnings
    yield from _split_notes(comparison)
    if comparison.pairing is None:
        yield "Unpaired: a difference may come from the rows and not the models, so no verdict."
    elif _are_equal(comparison.pairing):
        return
    else:
        yield from _verdict_notes(comparison.metrics, settings)
    unknown = [side for side, x in sides.items() if not (x.replicas > 1 and x.stds)]
    if unknown:
        yield (
            f"How much {' and '.join(unknown)} would change with another seed is not known (no "
            "replicas), so this holds for these two trained models and not for their recipes."
        )


def _split_notes(comparison: Comparison) -> Iterator[str]:
    n_test = len(comparison.b.predictions.rows)
    left_out = comparison.pairing.left_out if comparison.pairing else {"only_b": n_test}
    n_alone = left_out.get("only_a", 0) + left_out["only_b"]
    keys = [key for key in comparison.params if key.startswith(OF_TEST_ROWS)]
    if n_alone and keys:
        differ = "differs" if len(keys) == 1 else "differ"
        yield f"The test rows are not the same, since {' and '.join(keys)} {differ}."
    elif (
        n_alone > SHUFFLED * n_test
        and comparison.table
        and comparison.b.params.get("split.by") == "shuffle"
    ):
        yield (
            "The table has changed, and split.by: shuffle deals all rows anew when it does. With "
            "split.by: hash each row keeps its side, and more of them are paired."
        )
    for side, revision in (("A", comparison.a), ("B", comparison.b)):
        seen = revision.predictions.seen
        if seen.any():
            yield (
                f"{int(seen.sum())} of the {len(seen)} test rows of {side} have a twin in train, "
                "so its scores may be too good."
            )


def _verdict_notes(metrics: dict[str, Difference], settings: IntervalParams) -> Iterator[str]:
    missed = [
        f"{_rounded_up(metric.detectable)} in {METRICS[name].title}"
        for name, metric in metrics.items()
        if metric.verdict == "no difference" and metric.detectable is not None
    ]
    if missed:
        yield (
            "No difference means none that this test set can show. With a probability of 80 %, it "
            f"would have shown a difference of {', '.join(missed)}."
        )
    undefined = [METRICS[name].title for name, each in metrics.items() if each.difference is None]
    if undefined:
        yield f"Not defined for these test rows: {', '.join(undefined)}."
    yield (
        f"p is corrected for {len(metrics)} metrics (Holm) at a confidence of "
        f"{settings.confidence:.6g}. B is better or worse in a metric if its interval excludes "
        "zero."
    )


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    return [
        (
            METRICS[name].title,
            _number(metric.a),
            _number(metric.b),
            _number(metric.difference, "+"),
            _interval(metric),
            _p_value(metric.p_value),
            metric.verdict,
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
    return json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=str)
