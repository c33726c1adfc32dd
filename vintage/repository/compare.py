"""What is to be said of one revision, or of several, beside a first one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vintage.base.params import IntervalParams
from vintage.report.differences import Difference, differences_of_pairs, unpaired_differences
from vintage.report.pairing import Pairing, pair_rows
from vintage.report.recipes import (
    Pair,
    RecipeDifference,
    Settings,
    common_splits,
    differences_of_recipes,
)
from vintage.repository.looks import looks_in_words
from vintage.repository.revisions import SPLITS_PATH, Revision, shown
from vintage.repository.table_change import table_change
from vintage.scores.metrics import METRICS

TARGET = "data.target"
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


def compare_revisions(
    first: Revision, others: Sequence[Revision], n_models: Sequence[int] = ()
) -> list[Comparison]:
    """Compare each of the others, as B, with the first, as A; p-values are corrected over all.

    Paired on the test rows that both have and that neither has trained on, if there are any and the
    target is the same. The settings are `evaluate` of B or, if there are several, of A, so that no
    verdict depends on their order.

    Args:
        n_models: for each of `others`, how many were scored on its test rows, see
            `vintage.repository.looks`.
    """
    by = others[0] if len(others) == 1 else first
    settings = by.interval_params()
    changes = [_changes(first, b) for b in others]
    paired = [_paired(first, b, params) for b, params in zip(others, changes, strict=True)]
    metrics = _differences(first, others, [pairing for pairing, _ in paired], settings)
    recipes = _recipes(first, others, Settings(settings.confidence, by.margin()))
    comparisons = []
    for index, b in enumerate(others):
        pairing, title = paired[index]
        n_paired = len(pairing.a.rows) if pairing else 0
        title += f"{table_change(first, b)}; A is {_named(first)}, B is {_named(b)}"
        notes = [*first.warnings, *b.warnings, *_twins(first, b)]
        if pairing and n_paired and (pairing.a.probabilities == pairing.b.probabilities).all():
            title += ": the predictions are equal"
        else:
            notes += _verdict_notes(metrics[index], settings.confidence, len(others))
        if n_models and (looks := looks_in_words(n_models[index], by.looks(), metrics[index])):
            notes.append(looks)
        comparison = Comparison(
            first.name,
            b.name,
            title,
            paired=n_paired > 0,
            rows={"paired": n_paired, **pairing.left_out} if pairing else None,
            params=changes[index],
            metrics=metrics[index],
            recipe=recipes[index],
            summary=_summary(metrics[index], recipes[index]),
            notes=notes,
        )
        comparisons.append(comparison)
    return comparisons


def _changes(a: Revision, b: Revision) -> Changes:
    pairs = {key: (a.params.get(key), b.params.get(key)) for key in sorted({*a.params, *b.params})}
    return {key: pair for key, pair in pairs.items() if shown(pair[0]) != shown(pair[1])}


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


def _differences(
    first: Revision,
    others: Sequence[Revision],
    pairings: Sequence[Pairing | None],
    settings: IntervalParams,
) -> list[dict[str, Difference]]:
    """By metric, for each of the others; those that have no rows in common are not tested."""
    found: dict[int, dict[str, Difference]] = {}
    sides = {}
    for index, (b, pairing) in enumerate(zip(others, pairings, strict=True)):
        if pairing and len(pairing.a.rows):
            sides[index] = (
                replace(first.model, predictions=pairing.a),
                replace(b.model, predictions=pairing.b),
            )
        else:
            same_classes = pairing is not None
            found[index] = unpaired_differences(first.model, b.model, same_classes=same_classes)
    found |= zip(sides, differences_of_pairs(list(sides.values()), settings), strict=True)
    return [found[index] for index in range(len(others))]


def _twins(a: Revision, b: Revision) -> Iterator[str]:
    for side, revision in (("A", a), ("B", b)):
        seen = revision.model.predictions.seen
        if seen.any():
            yield (
                f"{int(seen.sum())} of the {len(seen)} test rows of {side} have a twin in train, "
                "so its scores may be too good."
            )


def _recipes(first: Revision, others: Sequence[Revision], settings: Settings) -> list[Recipes]:
    """The second block: the recipes over the splits that both revisions have."""
    common = [_common(first, b) for b in others]
    pairs = [each for each in common if not isinstance(each, str)]
    judged = iter(differences_of_recipes(pairs, settings))
    found = []
    for each in common:
        n_splits, metrics = 0, {}
        if isinstance(each, str):
            title = f"the recipes are not compared over other splits: {each}"
        else:
            n_splits, metrics = sum(map(len, each)), next(judged)
            title = (
                f"the recipes over {n_splits} other splits; equal in practice is a difference of "
                f"up to {settings.margin:g}"
            )
        found.append(Recipes(title, n_splits, metrics, settings.margin))
    return found


def _common(a: Revision, b: Revision) -> list[list[Pair]] | str:
    """By seed, the splits that both have; or why the recipes cannot be compared."""
    reasons = [
        f"{side} has no {SPLITS_PATH.name}; run `dvc repro`"
        if revision.splits is None
        else f"{side}: {revision.splits.reason}"
        for side, revision in (("A", a), ("B", b))
        if revision.splits is None or not revision.splits.splits
    ]
    if reasons or not a.splits or not b.splits:
        return "; ".join(reasons)
    pairs = common_splits(a.splits, b.splits)
    is_enough = sum(map(len, pairs)) > 1
    return pairs if is_enough else "fewer than two splits have the same rows in both"


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
    return "no difference shown" if "no difference" in named else "not comparable"


def _verdict_notes(
    metrics: dict[str, Difference], confidence: float, n_pairs: int
) -> Iterator[str]:
    if any(metric.verdict == "no difference" for metric in metrics.values()):
        yield (
            "No difference means none that these rows can show; `vintage power` says how large it "
            "would have to be."
        )
    if any(metric.p_value is not None for metric in metrics.values()):
        of_pairs = f" of {n_pairs} revisions" if n_pairs > 1 else ""
        yield (
            f"p is corrected for {len(metrics)} metrics{of_pairs} (Holm) at a confidence of "
            f"{confidence:.6g}. B is better or worse in a metric if its interval excludes zero."
        )
