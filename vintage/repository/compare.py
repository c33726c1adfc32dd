"""Two revisions compared, as a table for a terminal, as Markdown or as JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from vintage.report import markdown
from vintage.report.differences import Difference, paired_differences, unpaired_differences
from vintage.report.pairing import Pairing, pair_rows
from vintage.report.recipes import (
    RecipeDifference,
    Settings,
    common_splits,
    recipe_differences,
)
from vintage.report.tables import aligned, wrapped
from vintage.repository.looks import looks_in_words
from vintage.repository.revisions import SPLITS_PATH, Revision
from vintage.repository.table_change import table_change
from vintage.scores.metrics import METRICS

TARGET = "data.target"
HEADER = ("", "A", "B", "B - A", "interval", "p", "verdict")
RECIPE_HEADER = ("", "B - A", "interval", "p", "better", "equal", "worse", "verdict")
LEFT_OUT = {
    "only_a": "of A alone",
    "only_b": "of B alone",
    "relabelled": "with another class in each",
    "seen": "with a twin in train",
}

Changes = dict[str, tuple[Any, Any]]  # by dotted key, A's and B's value of a parameter


@dataclass(frozen=True)
class Comparison:
    """What is to be said of revisions A and B; this is what the JSON holds.

    Attributes:
        title: whether and on which rows they are paired, and how the table has changed.
        rows: how many are `paired`, and how many are left out by reason, see `Pairing`; None if the
            classes are not the same.
        params: by dotted key, both values of those that differ; None where one is not set.
        metrics: by metric.
        recipe: the same of the recipes, over other splits.
        summary: both in a sentence.
        notes: what limits the result, a sentence each.
    """

    a: str
    b: str
    title: str
    paired: bool
    rows: dict[str, int] | None
    params: Changes
    metrics: dict[str, Difference]
    recipe: "Recipes"
    summary: str
    notes: list[str]


@dataclass(frozen=True)
class Recipes:
    """What is to be said of the recipes of A and B.

    Attributes:
        title: over how many splits, or why over none.
        metrics: by metric; empty without common splits.
        margin: up to which recipes are equal in practice.
    """

    title: str
    n_splits: int
    metrics: dict[str, RecipeDifference]
    margin: float


def compare_revisions(a: Revision, b: Revision, n_models: int = 0) -> Comparison:
    """Compare by the settings `evaluate` of B.

    Paired on the test rows that both have and that neither has trained on, if there are any and the
    target is the same.

    Args:
        n_models: how many were scored on the test rows of B, see `vintage.repository.looks`.
    """
    settings = b.interval_params()
    pairs = {key: (a.params.get(key), b.params.get(key)) for key in sorted({*a.params, *b.params})}
    params = {key: pair for key, pair in pairs.items() if _shown(pair[0]) != _shown(pair[1])}
    pairing, title = _paired(a, b, params)
    n_paired = len(pairing.a.rows) if pairing else 0
    if pairing and n_paired:
        sides = replace(a.model, predictions=pairing.a), replace(b.model, predictions=pairing.b)
        metrics = paired_differences(*sides, settings)
    else:
        metrics = unpaired_differences(a.model, b.model, same_classes=pairing is not None)
    title += f"{table_change(a, b)}; A is {_named(a)}, B is {_named(b)}"
    notes = [*a.warnings, *b.warnings]
    for side, revision in (("A", a), ("B", b)):
        seen = revision.model.predictions.seen
        if seen.any():
            notes.append(
                f"{int(seen.sum())} of the {len(seen)} test rows of {side} have a twin in train, "
                "so its scores may be too good."
            )
    if pairing and n_paired and (pairing.a.probabilities == pairing.b.probabilities).all():
        title += ": the predictions are equal"
    else:
        notes += _verdict_notes(metrics, settings.confidence)
    if looks := looks_in_words(n_models, b.looks(), metrics):
        notes.append(looks)
    rows = {"paired": n_paired, **pairing.left_out} if pairing else None
    recipe = _recipes(a, b, Settings(settings.confidence, b.margin()))
    return Comparison(
        a.name,
        b.name,
        title,
        paired=n_paired > 0,
        rows=rows,
        params=params,
        metrics=metrics,
        recipe=recipe,
        summary=_summary(metrics, recipe),
        notes=notes,
    )


def table_lines(comparison: Comparison) -> Iterator[str]:
    yield from wrapped(comparison.title)
    for key, values in comparison.params.items():
        yield from wrapped(f"{key}: {' -> '.join(map(_shown, values))}")
    yield ""
    yield from aligned(HEADER, list(_rows(comparison)))
    yield from ("", *wrapped(comparison.recipe.title))
    if comparison.recipe.metrics:
        yield ""
        yield from aligned(RECIPE_HEADER, list(_recipe_rows(comparison.recipe)))
    yield from ("", *wrapped(comparison.summary))
    for note in comparison.notes:
        yield from ("", *wrapped(note))


def markdown_lines(comparison: Comparison) -> Iterator[str]:
    yield from (markdown.escaped(comparison.title), "")
    if comparison.params:
        params = [(key, *map(_shown, pair)) for key, pair in comparison.params.items()]
        yield from (*markdown.table_lines(("parameter", "A", "B"), params), "")
    yield from markdown.table_lines(HEADER, list(_rows(comparison)))
    yield from ("", markdown.escaped(comparison.recipe.title))
    if comparison.recipe.metrics:
        yield ""
        yield from markdown.table_lines(RECIPE_HEADER, list(_recipe_rows(comparison.recipe)))
    yield from ("", markdown.escaped(comparison.summary))
    for note in comparison.notes:
        yield from ("", markdown.escaped(note))


def json_lines(comparison: Comparison) -> Iterator[str]:
    yield json.dumps(asdict(comparison), indent=2, allow_nan=False)


FORMATS: dict[str, Callable[[Comparison], Iterator[str]]] = {
    "table": table_lines,
    "md": markdown_lines,
    "json": json_lines,
}


def _paired(a: Revision, b: Revision, params: Changes) -> tuple[Pairing | None, str]:
    """The test rows that count, and in words, which these are or why there are none."""
    predictions_a, predictions_b = a.model.predictions, b.model.predictions
    if TARGET in params:
        return None, "not paired: the target is {} in A and {} in B".format(*params[TARGET])
    if predictions_a.classes != predictions_b.classes:
        return None, "not paired: the classes are not the same"
    pairing = pair_rows(predictions_a, predictions_b).without_seen()
    words = [f"{n} {LEFT_OUT[reason]}" for reason, n in pairing.left_out.items() if n]
    left_out = f" (left out: {', '.join(words)})" if words else ""
    if not len(pairing.a.rows):
        return pairing, f"not paired: no test row is left to compare on{left_out}"
    return pairing, f"paired on {'' if words else 'all '}{len(pairing.a.rows)} test rows{left_out}"


def _named(revision: Revision) -> str:
    if revision.commit is None or revision.commit.startswith(revision.name):
        return revision.name
    return f"{revision.name} ({revision.commit[:7]})"


def _recipes(a: Revision, b: Revision, settings: Settings) -> Recipes:
    """The second block: the recipes over the splits that both revisions have."""
    sides = {"A": a, "B": b}
    reasons = [
        f"{side} has no {SPLITS_PATH.name}; run `dvc repro`"
        if revision.splits is None
        else f"{side}: {revision.splits.reason}"
        for side, revision in sides.items()
        if revision.splits is None or not revision.splits.splits
    ]
    pairs = []
    if not reasons and a.splits and b.splits:
        pairs = common_splits(a.splits, b.splits)
        reasons += ["fewer than two splits have the same rows in both"] if len(pairs) < 2 else []
    if reasons:
        title = f"the recipes are not compared over other splits: {'; '.join(reasons)}"
        return Recipes(title, 0, {}, settings.margin)
    title = (
        f"the recipes over {len(pairs)} other splits; equal in practice is a difference of up to "
        f"{settings.margin:g}"
    )
    return Recipes(title, len(pairs), recipe_differences(pairs, settings), settings.margin)


def _summary(metrics: Mapping[str, Difference], recipe: Recipes) -> str:
    """Both blocks: of these two models, and of what made them."""
    of_model = _in_words({name: metric.verdict for name, metric in metrics.items()})
    of_recipe = _in_words({name: metric.verdict for name, metric in recipe.metrics.items()})
    return f"this model on these rows: {of_model}; this recipe on such tables: {of_recipe}"


def _in_words(verdicts: Mapping[str, str]) -> str:
    named: dict[str, list[str]] = {}
    for name, verdict in verdicts.items():
        named.setdefault(verdict, []).append(METRICS[name].title)
    found = [
        f"B is {word} in {', '.join(named[word])}" for word in ("better", "worse") if word in named
    ]
    if found:
        return " and ".join(found)
    return "no difference shown" if "no difference" in named else "cannot be told"


def _verdict_notes(metrics: dict[str, Difference], confidence: float) -> Iterator[str]:
    if any(metric.verdict == "no difference" for metric in metrics.values()):
        yield (
            "No difference means none that these rows can show; `vintage power` says how large it "
            "would have to be."
        )
    if any(metric.p_value is not None for metric in metrics.values()):
        yield (
            f"p is corrected for {len(metrics)} metrics (Holm) at a confidence of "
            f"{confidence:.6g}. B is better or worse in a metric if its interval excludes zero."
        )


def _recipe_rows(recipe: Recipes) -> Iterator[tuple[str, ...]]:
    for name, metric in recipe.metrics.items():
        shares = (_share(value) for value in (metric.better, metric.equal, metric.worse))
        difference = _number(metric.difference, "+")
        bounds = _interval(metric.low, metric.high), _p_value(metric.p_value)
        yield (METRICS[name].title, difference, *bounds, *shares, metric.verdict)


def _rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    for name, metric in comparison.metrics.items():
        numbers = _number(metric.a), _number(metric.b), _number(metric.difference, "+")
        bounds = _interval(metric.low, metric.high), _p_value(metric.p_value)
        yield (METRICS[name].title, *numbers, *bounds, metric.verdict)


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{_number(low, '+')} to {_number(high, '+')}"


def _p_value(p_value: float | None) -> str:
    return "< 0.0001" if p_value is not None and p_value < 0.0001 else _number(p_value)


def _share(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.2f}"


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{round(value, 4) + 0.0:{sign}.4f}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
