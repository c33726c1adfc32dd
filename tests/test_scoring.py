"""The metrics are scikit-learn's, for any weighting of the rows; the intervals cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from vintage.scoring import (
    METRICS,
    bootstrap_weights,
    class_scores,
    score,
    score_with_intervals,
    wilson_bounds,
)


def example(seed: int, n: int = 60, n_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    logits = generator.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[labels]
    logits = logits.round(1)  # ties in the ranking
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities


def by_sklearn(labels: np.ndarray, p: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    predicted = p.argmax(axis=1)
    seen = np.unique(labels[weights > 0])
    areas = [sk.roc_auc_score(labels == k, p[:, k], sample_weight=weights) for k in seen]
    keep = weights > 0
    return {
        "accuracy": sk.accuracy_score(labels, predicted, sample_weight=weights),
        "balanced_accuracy": sk.balanced_accuracy_score(
            labels[keep], predicted[keep], sample_weight=weights[keep]
        ),
        "f1_macro": sk.f1_score(
            labels[keep], predicted[keep], average="macro", sample_weight=weights[keep]
        ),
        "log_loss": sk.log_loss(labels, p, labels=range(p.shape[1]), sample_weight=weights),
        "roc_auc_ovr": float(np.mean(areas)),
    }


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@given(st.integers(0, 10_000))
def test_every_metric_is_scikit_learns(seed: int) -> None:
    labels, probabilities = example(seed)
    weights = np.random.default_rng(seed).integers(0, 3, len(labels)).astype(float)
    for name, expected in by_sklearn(labels, probabilities, weights).items():
        found = METRICS[name](labels, probabilities, weights[None])[0]
        assert found == pytest.approx(expected, abs=1e-12), name


def test_class_scores_are_scikit_learns() -> None:
    labels, probabilities = example(3)
    expected = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(4), zero_division=0
    )
    found = class_scores(labels, probabilities, np.ones((1, len(labels))))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[0] == pytest.approx(theirs)


def test_undefined_is_nan_and_not_an_error() -> None:
    labels = np.zeros(5, dtype=np.int64)
    probabilities = np.tile([0.6, 0.4], (5, 1))
    found = score(labels, probabilities)
    assert np.isnan(found["roc_auc_ovr"])
    assert found["accuracy"] == 1
    assert score(labels, np.tile([0.0, 1.0], (5, 1)))["log_loss"] == pytest.approx(36.04, abs=0.01)


@pytest.mark.filterwarnings("error")
def test_an_undefined_metric_has_undefined_bounds_and_no_warning() -> None:
    labels, probabilities = np.zeros(8, dtype=np.int64), np.full((8, 2), 0.5)
    found = score_with_intervals(labels, probabilities, np.arange(8), 0.95, 100, 1)
    assert np.isnan(found["roc_auc_ovr"]).all()
    assert not np.isnan(found["log_loss"]).any()


def test_a_resample_keeps_strata_and_groups() -> None:
    groups = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6])
    strata = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2])
    weights = bootstrap_weights(strata, groups, 500, np.random.default_rng(1))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 6] == weights[:, 7]).all()
    assert (weights[:, [0, 2, 3, 4]].sum(axis=1) == 4).all()
    assert (weights[:, 8] == 1).all()
    assert weights[:, 2].mean() == pytest.approx(1, abs=0.15)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 400 samples from a known population, about 95 % of intervals hold its accuracy."""
    population, p = example(0, n=20_000)
    truth = score(population, p)
    generator = np.random.default_rng(5)
    held = dict.fromkeys(("accuracy", "log_loss", "roc_auc_ovr"), 0)
    for _ in range(400):
        rows = generator.integers(0, len(population), 200)
        found = score_with_intervals(population[rows], p[rows], np.arange(200), 0.95, 300, seed=1)
        for name in held:
            held[name] += found[name].low <= truth[name] <= found[name].high
    for name, count in held.items():
        assert 0.91 <= count / 400 <= 0.985, f"{name}: {count / 400}"


def test_wilson_bounds_are_statsmodels() -> None:
    hits, n = np.array([0, 1, 5, 40]), np.array([7, 1, 9, 94])
    low, high = wilson_bounds(hits / n, n.astype(float), 0.95)
    expected = proportion_confint(hits, n, alpha=0.05, method="wilson")
    assert low == pytest.approx(expected[0], abs=1e-12)
    assert high == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_an_accuracy_without_variation_has_wilsons_interval(right: bool) -> None:
    labels = np.array([0, 1] * 20)
    probabilities = np.eye(2)[labels if right else 1 - labels]
    groups = np.arange(40) // 2  # twenty trials
    share, low, high = score_with_intervals(labels, probabilities, groups, 0.95, 100, 1)["accuracy"]
    expected = proportion_confint(20 if right else 0, 20, method="wilson")
    assert share == right
    assert (low, high) == pytest.approx(expected)
