"""The intervals hold the truth as often as they say, beside those of other programs and methods."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import bootstrap, norm
from statsmodels.stats.proportion import proportion_confint

from benchmarks.simulate_intervals import POPULATIONS, SHOWN, Population, covered, true_scores
from tests.scores.test_metrics import example
from vintage.scores.evaluation import class_table, scores_with_bounds
from vintage.scores.intervals import wilson_bounds
from vintage.scores.metrics import METRICS
from vintage.scores.rows import Floats, Labels, Sample

BY_NAME = {population.name: population for population in POPULATIONS}
CONSTANT = Population("constant", (0.55, 0.45), 0.0)


class Interval(NamedTuple):
    value: float
    low: float
    high: float


def intervals(
    labels: Labels, probabilities: Floats, groups: Labels | None = None
) -> dict[str, Interval]:
    groups = np.arange(len(labels)) if groups is None else groups
    scores = scores_with_bounds(Sample.of(labels, probabilities, groups), 0.95)
    found = {
        name: (scores[name], scores[f"{name}_low"], scores[f"{name}_high"]) for name in METRICS
    }
    return {
        name: Interval(*(np.nan if value is None else value for value in values))
        for name, values in found.items()
    }


@pytest.mark.parametrize(
    ("population", "kind", "n", "metrics"),
    [
        (BY_NAME["10 % in a class"], "single rows", 229, SHOWN),
        (BY_NAME["wine-like"], "twins", 229, SHOWN),
        (BY_NAME["balanced"], "groups", 60, SHOWN),
        (BY_NAME["10 % in a class"], "groups", 60, ("accuracy", "balanced_accuracy")),
        (CONSTANT, "twins", 229, ("accuracy",)),
    ],
    ids=["skewed", "wine-like twins", "groups", "few groups", "constant with twins"],
)
def test_95_percent_intervals_hold_the_truth(
    population: Population, kind: str, n: int, metrics: tuple[str, ...]
) -> None:
    """A small run of benchmarks/simulate_intervals.py; 300 tables tell 95 % from 90 %."""
    shares, recalls, _ = covered(population, true_scores(population), n, kind, 300)
    for name in metrics:
        assert 0.92 <= shares[name] <= 0.99, f"{name}: {shares[name]}"
    assert min(recalls) >= 0.92


@pytest.mark.filterwarnings("error")
def test_an_undefined_metric_has_undefined_bounds_and_no_warning() -> None:
    labels, probabilities = np.zeros(8, dtype=np.int64), np.full((8, 2), 0.5)
    found = intervals(labels, probabilities)
    assert np.isnan(found["roc_auc_ovr"]).all()
    assert not np.isnan(found["accuracy"]).any()


def test_wilson_bounds_are_statsmodels() -> None:
    hits, n = np.array([0, 1, 5, 40]), np.array([7, 1, 9, 94])
    low, high = wilson_bounds(hits / n, n.astype(float), float(norm.isf(0.025)))
    expected = proportion_confint(hits, n, alpha=0.05, method="wilson")
    assert low == pytest.approx(expected[0], abs=1e-12)
    assert high == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("right", [0, 3, 31, 60])
def test_accuracy_of_single_rows_has_wilsons_interval(right: int) -> None:
    labels = np.arange(60) % 2
    probabilities = np.eye(2)[np.where(np.arange(60) < right, labels, 1 - labels)]
    _, low, high = intervals(labels, probabilities)["accuracy"]
    assert (low, high) == pytest.approx(proportion_confint(right, 60, method="wilson"), abs=1e-6)


def test_recall_of_single_rows_has_about_wilsons_interval() -> None:
    labels, probabilities = example(4)
    table = class_table(Sample.of(labels, probabilities, np.arange(60)), list("abcd"), 0.95)
    hit = probabilities.argmax(axis=1) == labels
    for label, name in enumerate("abcd"):
        of_class = labels == label
        expected = proportion_confint(
            (hit & of_class).sum(), of_class.sum(), alpha=0.05, method="wilson"
        )
        found = (table[name].recall_low, table[name].recall_high)
        assert found == pytest.approx(expected, abs=0.03)
        assert found[0] <= expected[0] + 1e-6
        assert found[1] >= expected[1] - 1e-6


def test_area_of_many_rows_has_delongs_interval() -> None:
    labels, probabilities = example(7, n=800, n_classes=2)
    ranking = probabilities[:, 1]
    positive, negative = ranking[labels == 1], ranking[labels == 0]
    won = (positive[:, None] > negative) + (positive[:, None] == negative) / 2
    area = won.mean()
    error = np.sqrt(
        won.mean(axis=1).var(ddof=1) / len(positive) + won.mean(axis=0).var(ddof=1) / len(negative)
    )
    logit, step = np.log(area / (1 - area)), 1.96 * error / (area * (1 - area))
    expected = [1 / (1 + np.exp(-(logit + sign * step))) for sign in (-1, 1)]
    value, low, high = intervals(labels, probabilities)["roc_auc_ovr"]
    assert value == pytest.approx(area, abs=1e-4)
    assert [low, high] == pytest.approx(expected, abs=0.04 * (expected[1] - expected[0]))


def test_log_loss_of_many_rows_has_the_bootstraps_interval() -> None:
    labels, probabilities = example(8, n=800)
    losses = -np.log(probabilities[np.arange(800), labels])
    expected = bootstrap((losses,), np.mean, method="BCa", rng=1).confidence_interval
    _, low, high = intervals(labels, probabilities)["log_loss"]
    width = expected.high - expected.low
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.05 * width)


def test_rows_that_stand_there_twice_count_once() -> None:
    labels, probabilities = example(2)
    twice = np.repeat(np.arange(60), 2)
    found, alone = (
        intervals(labels[twice], probabilities[twice], twice),
        intervals(labels, probabilities),
    )
    for name in SHOWN:
        assert tuple(found[name]) == pytest.approx(tuple(alone[name]), abs=0.02), name


def test_a_pair_of_twins_changes_little_for_a_constant_classifier() -> None:
    """Its resamples within each class differ in nothing, unless twins move their sizes."""
    labels = (np.arange(228) < 94).astype(np.int64)
    probabilities = np.tile([0.59, 0.41], (228, 1))
    groups = np.arange(228)
    alone = intervals(labels, probabilities, groups)
    groups[1] = 0
    found = intervals(labels, probabilities, groups)
    for name in SHOWN:
        assert tuple(found[name]) == pytest.approx(tuple(alone[name]), abs=0.002), name
    assert found["accuracy"].high - found["accuracy"].low == pytest.approx(0.127, abs=0.002)


def test_no_error_leaves_room_for_some() -> None:
    labels = np.arange(60) % 3
    found = intervals(labels, np.eye(3)[labels] * 0.97 + 0.01)
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        assert found[name].high == pytest.approx(1), name
        assert found[name].low == pytest.approx(60 / (60 + 1.96**2), abs=0.006), name
    assert found["roc_auc_ovr"].low < 0.96
    certain = intervals(labels, np.eye(3)[labels])
    assert np.isnan(certain["log_loss"].low)  # nothing tells what an error would cost


@pytest.mark.parametrize("tiny", [1e-100, 1e-230, 1e-300])
def test_rows_that_are_all_but_certain_have_no_interval_or_hardly_any(tiny: float) -> None:
    labels = np.arange(20) % 2
    found = intervals(labels, np.where(np.eye(2)[labels] == 1, 1, tiny))["log_loss"]
    assert np.isnan(found.low) or [found.low, found.high] == pytest.approx([0, 0], abs=1e-9)


def test_means_over_classes_have_no_interval_if_a_class_has_no_test_rows() -> None:
    labels, probabilities = example(5, n=400, n_classes=2)
    absent = np.hstack([probabilities, np.zeros((400, 1))])
    found, alone = intervals(labels, absent), intervals(labels, probabilities)
    for name in ("balanced_accuracy", "f1_macro", "roc_auc_ovr"):
        assert found[name].value == alone[name].value
        assert np.isnan(found[name][1:]).all(), name
        assert not np.isnan(alone[name]).any(), name
    assert found["accuracy"] == alone["accuracy"]
    absent[0] = [0, 0, 1]
    found = intervals(labels, absent)  # that the absent class is predicted is an error of its F1
    assert np.isnan(found["balanced_accuracy"].low)
    assert found["f1_macro"].low < found["f1_macro"].value < found["f1_macro"].high


def test_what_few_groups_do_not_show_is_assumed() -> None:
    """Whether the rows of the only group are alike; a variance of 0 does not tell, either."""
    labels = np.arange(40) % 2
    for probabilities in (np.eye(2)[labels], np.tile([0.6, 0.4], (40, 1))):
        alone = intervals(labels, probabilities)["accuracy"]
        of_pairs = intervals(labels, probabilities, np.arange(40) // 2)["accuracy"]
        of_one = intervals(labels, probabilities, np.zeros(40, dtype=np.int64))["accuracy"]
        assert alone.low >= of_pairs.low > of_one.low + 0.1


def test_the_calibration_error_has_no_interval() -> None:
    labels, probabilities = example(6)
    scores = scores_with_bounds(Sample.of(labels, probabilities, np.arange(60)), 0.95)
    assert scores["calibration_error"] is not None
    assert scores["calibration_error_low"] is None
    assert scores["calibration_error_high"] is None


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_rows_and_one_group_are_no_error(n: int) -> None:
    labels, probabilities = np.arange(n) % 2, np.tile([0.6, 0.4], (n, 1))
    for groups in (np.arange(n), np.zeros(n, dtype=np.int64)):
        for _, low, high in intervals(labels, probabilities, groups).values():
            assert np.isnan(low) or 0 <= low <= high
