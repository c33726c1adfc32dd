"""Whether one model is better than another on the same test rows, or what cannot be told.

Each metric is tested twice, and the larger p-value counts:

- by exchange (`vintage/report/permutation.py`; McNemar's exact test for accuracy), whose level is
  exact for any number of rows, given the two trained models;
- by a standard error: of the paired bootstrap (both models scored on the same resamples, whole
  groups drawn without regard to class; Efron and Tibshirani, An Introduction to the Bootstrap,
  1993), or of the exchanges where that is larger, with the seed-to-seed variance added.
  Without a known seed-to-seed spread, accuracy leaves this out and is McNemar's test alone.

What r replicas predict together is taken to vary from training to training with std ** 2 / r, std
over single replicas: an approximation, since scores of a mean are no mean of scores.
Since std is an estimate from few, the sum of variances has the degrees of freedom of Satterthwaite,
An Approximate Distribution of Estimates of Variance Components, 1946. Part of what seeds do is seen
by the bootstrap, too, so that it counts twice, to the careful side.

The p-values are corrected by Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
Each interval is at the level at which Holm's procedure tested its metric, and as wide as what that
test takes for chance: it holds zero exactly when the verdict names no winner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from vintage.base.groups import joined_groups
from vintage.base.params import IntervalParams
from vintage.report.permutation import (
    DIGITS,
    exchange_test,
    exchanged_differences,
    mcnemar,
    won_rows,
)
from vintage.report.power import (
    StandardError,
    accuracy_detectable,
    mean_detectable,
    recall_detectable,
)
from vintage.scores.metrics import LOWER_IS_BETTER, METRICS, Floats, Labels, bootstrap, score
from vintage.scores.predictions import Predictions

COMPARED = ("accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc_ovr")
UNBOUNDED = ("log_loss",)
MAX_EXCHANGES = 100_000

Verdict = Literal["better", "worse", "no difference", "unpaired"]


@dataclass(frozen=True)
class Spread:
    """Each metric's standard deviation over replicas of another seed; `replicas` is at least 2."""

    std: Mapping[str, float]
    replicas: int


@dataclass(frozen=True)
class Model:
    """What is compared. `spread` is None where seed-to-seed spread is not known."""

    predictions: Predictions
    spread: Spread | None = None


@dataclass(frozen=True)
class Difference:
    """One metric of both models, and B - A with its interval. None: not defined.

    Attributes:
        p_value: corrected for the number of metrics.
        detectable: the size of difference that is found with a probability of 80 %, at the level
            of the metric that is tested first; None if predictions as like as these show nothing.
    """

    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict
    detectable: float | None


class _Test(NamedTuple):
    """A metric's uncorrected p-value; half its interval's width and what is found, by level."""

    p_value: float
    half_widths: list[float]
    detectable: float | None


@dataclass(frozen=True)
class _Pair:
    """Both models' probabilities for the same rows in the same order."""

    labels: Labels
    a: Floats
    b: Floats
    groups: Labels


def paired_differences(a: Model, b: Model, settings: IntervalParams) -> dict[str, Difference]:
    """B - A for each metric of `COMPARED`, of predictions for the same rows in the same order."""
    pair = _pair_of(a.predictions, b.predictions)
    values_a, values_b = score(pair.labels, pair.a), score(pair.labels, pair.b)
    if np.array_equal(pair.a, pair.b):
        return {name: _equal(values_a[name]) for name in COMPARED}
    names = [name for name in COMPARED if not np.isnan(values_a[name])]
    levels = _levels(settings.confidence, len(names))
    resampled = _resampled_differences(names, pair, settings)
    exchanged = exchanged_differences(
        [METRICS[name] for name in names],
        pair.labels,
        pair.a,
        pair.b,
        pair.groups,
        _n_exchanges(settings.resamples, levels[0]),
        settings.seed,
    )
    columns = {name: exchanged[:, index] for index, name in enumerate(names)}
    errors = {
        name: _error(
            max(float(np.nanstd(resampled[:, index], ddof=1)), float(np.sqrt(np.mean(column**2)))),
            _seed_variances(name, a.spread, b.spread),
        )
        for index, (name, column) in enumerate(columns.items())
    }
    tests = {
        name: _test_metric(values_b[name] - values_a[name], columns[name], errors[name], levels)
        for name in names
    }
    tests["accuracy"] = _test_accuracy(
        pair, _seed_variances("accuracy", a.spread, b.spread), levels
    )
    found = _detectable(pair, columns, tests, errors, levels[0])
    tests |= {name: tests[name]._replace(detectable=found[name]) for name in found}
    return _judged(values_a, values_b, tests, settings.confidence)


def unpaired_differences(a: Model, b: Model) -> dict[str, Difference]:
    """B - A where each is scored on rows of its own.

    There is neither an interval nor a p-value: each model learned from other rows, too, and how
    much that moves a score cannot be told from two models.
    """
    values = _scores(a), _scores(b)
    if a.predictions.classes != b.predictions.classes:
        return without_differences(a, b)
    return {
        name: _untested(values[0][name], values[1][name], values[1][name] - values[0][name])
        for name in COMPARED
    }


def without_differences(a: Model, b: Model) -> dict[str, Difference]:
    """Both values alone, for models of two targets."""
    values = _scores(a), _scores(b)
    return {name: _untested(values[0][name], values[1][name]) for name in COMPARED}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order of `p_values`."""
    n_tests = len(p_values)
    order = sorted(range(n_tests), key=lambda index: p_values[index])
    corrected, largest = [1.0] * n_tests, 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (n_tests - rank)))
        corrected[index] = largest
    return corrected


def _levels(confidence: float, n_tests: int) -> list[float]:
    """The level of each step of Holm's procedure."""
    return [round(1 - confidence, 12) / (n_tests - step) for step in range(n_tests)]


def _tested_at(p_values: Sequence[float], confidence: float) -> list[int]:
    """The step of `_levels` at which each p-value was tested, or at which testing stopped."""
    levels = _levels(confidence, len(p_values))
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    steps, stopped = [0] * len(p_values), False
    step = 0
    for rank, index in enumerate(order):
        step = step if stopped else rank
        steps[index] = step
        stopped = stopped or p_values[index] > levels[step]
    return steps


def _n_exchanges(resamples: int, level: float) -> int:
    """Enough for a p-value well under `level`, as far as that can be afforded."""
    return min(MAX_EXCHANGES, max(resamples, int(np.ceil(5 / level)) - 1))


def _pair_of(a: Predictions, b: Predictions) -> _Pair:
    return _Pair(b.labels, a.probabilities, b.probabilities, joined_groups(a.groups, b.groups))


def _resampled_differences(names: Sequence[str], pair: _Pair, settings: IntervalParams) -> Floats:
    """float64 `[n_resamples, n_names]`."""
    metrics = [METRICS[name] for name in names]

    def differences(weights: Floats) -> Floats:
        columns = [
            metric(pair.labels, pair.b, weights) - metric(pair.labels, pair.a, weights)
            for metric in metrics
        ]
        return np.stack(columns, axis=1)

    return bootstrap(differences, pair.groups, settings.resamples, settings.seed)


def _scores(model: Model) -> dict[str, float]:
    return score(model.predictions.labels, model.predictions.probabilities)


def _untested(a: float, b: float, difference: float = float("nan")) -> Difference:
    values = _defined(a), _defined(b), _defined(difference)
    return Difference(*values, None, None, None, "unpaired", None)


def _seed_variances(name: str, *spreads: Spread | None) -> list[tuple[float, int]]:
    """Of each side whose spread is known: its variance from training to training, and replicas."""
    return [
        (spread.std[name] ** 2 / spread.replicas, spread.replicas)
        for spread in spreads
        if spread is not None and name in spread.std
    ]


def _error(rows: float, seeds: Sequence[tuple[float, int]]) -> StandardError:
    of_seeds = sum(variance for variance, _ in seeds)
    total = rows**2 + of_seeds
    uncertain = sum(variance**2 / (replicas - 1) for variance, replicas in seeds)
    freedom = total**2 / uncertain if uncertain else float("inf")
    return StandardError(float(np.sqrt(total)), float(np.sqrt(of_seeds)), freedom)


def _test_accuracy(
    pair: _Pair, seeds: Sequence[tuple[float, int]], levels: Sequence[float]
) -> _Test:
    """McNemar's test; its standard error is that of its null hypothesis, sqrt(sum of squares)."""
    won, n_rows = won_rows(pair.labels, pair.a, pair.b, pair.groups), len(pair.labels)
    p_value, limit = mcnemar(won)
    error = _error(float(np.sqrt((won**2).sum())) / n_rows, seeds)
    if seeds:
        p_value = max(p_value, error.p_of(int(won.sum()) / n_rows))
    widths = [max(limit(level) / n_rows, error.half_width(level)) for level in levels]
    return _Test(p_value, widths, accuracy_detectable(won, n_rows, error, levels[0]))


def _test_metric(
    difference: float, exchanged: Floats, error: StandardError, levels: Sequence[float]
) -> _Test:
    """The tests by exchange and by standard error; what is detectable is found later."""
    p_value, limit, _ = exchange_test(difference, exchanged)
    widths = [max(limit(level), error.half_width(level)) for level in levels]
    return _Test(max(p_value, error.p_of(difference)), widths, None)


def _detectable(
    pair: _Pair,
    exchanged: Mapping[str, Floats],
    tests: Mapping[str, _Test],
    errors: Mapping[str, StandardError],
    level: float,
) -> dict[str, float | None]:
    """What the metrics but accuracy could have shown at `level`, that of the first width.

    Macro F1 follows mean recall, as much as its standard error is larger.
    """
    _, first = np.unique(pair.groups, return_index=True)
    won = won_rows(pair.labels, pair.a, pair.b, pair.groups)
    recall = recall_detectable(won, pair.labels[first], errors["balanced_accuracy"], level)
    _, sizes = np.unique(pair.labels, return_counts=True)
    # the sum of squared weights of a mean over rows, and of a mean over classes' means
    concentrations = {
        "f1_macro": float((1 / sizes).sum()) / len(sizes) ** 2,
        "log_loss": 1 / len(pair.labels),
        "roc_auc_ovr": float((1 / sizes).sum()) / len(sizes) ** 2,
    }
    found: dict[str, float | None] = {"balanced_accuracy": recall}
    for name, concentration in concentrations.items():
        if name in tests:
            _, _, reachable = exchange_test(0, exchanged[name])
            critical = tests[name].half_widths[0]
            found[name] = (
                mean_detectable(critical, errors[name], level, concentration)
                if reachable(level)
                else None
            )
    of_recall = errors["balanced_accuracy"].total
    if recall is not None and of_recall > 0:
        scaled = recall * errors["f1_macro"].total / of_recall
        found["f1_macro"] = max(found["f1_macro"] or 0, scaled)
    return found


def _judged(
    a: Mapping[str, float],
    b: Mapping[str, float],
    tests: Mapping[str, _Test],
    confidence: float,
) -> dict[str, Difference]:
    """The tests together, corrected; a metric without a test has its values alone."""
    p_values = [test.p_value for test in tests.values()]
    corrected = dict(zip(tests, holm(p_values), strict=True))
    steps = dict(zip(tests, _tested_at(p_values, confidence), strict=True))
    judged = {}
    for name in COMPARED:
        values = _defined(a[name]), _defined(b[name])
        if name not in tests:
            judged[name] = Difference(*values, None, None, None, None, "no difference", None)
            continue
        difference = b[name] - a[name]
        low, high = _bounds(name, difference, float(tests[name].half_widths[steps[name]]))
        significant = corrected[name] <= round(1 - confidence, 12)
        verdict = _verdict(name, difference, significant)
        found = tests[name].detectable
        judged[name] = Difference(*values, difference, low, high, corrected[name], verdict, found)
    return judged


def _bounds(name: str, difference: float, half_width: float) -> tuple[float, float]:
    """Rounded, so that a bound that is zero but for the last bit is zero."""
    limit = float("inf") if name in UNBOUNDED else 1.0
    low, high = max(difference - half_width, -limit), min(difference + half_width, limit)
    return round(low, DIGITS), round(high, DIGITS)


def _verdict(name: str, difference: float, significant: bool) -> Verdict:
    if not significant or difference == 0:
        return "no difference"
    return "better" if (difference < 0) == (name in LOWER_IS_BETTER) else "worse"


def _equal(value: float) -> Difference:
    if np.isnan(value):
        return Difference(None, None, None, None, None, None, "no difference", None)
    return Difference(value, value, 0.0, 0.0, 0.0, 1.0, "no difference", None)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
