"""The metrics are scikit-learn's, for any weighting of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from vintage.scores.metrics import METRICS, class_scores, score


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
        found = METRICS[name].function(labels, probabilities, weights[None])[0]
        assert found == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_what_its_entry_says(name: str) -> None:
    """By what it is for perfect, random and the worst possible predictions."""
    labels, random = example(3)
    right = np.eye(random.shape[1])[labels]
    by_quality = [score(labels, each)[name] for each in (right, random, np.roll(right, 1, axis=1))]
    assert by_quality == sorted(by_quality, reverse=not METRICS[name].lower_is_better)
    assert by_quality[0] != by_quality[1] != by_quality[2]
    assert abs(by_quality[0] - by_quality[2]) <= METRICS[name].max_difference


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
