"""The statistics of `vintage compare`, against the literature's formulas and by simulation."""

from dataclasses import replace
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test, wilcoxon
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from benchmarks.simulate_comparisons import Scenario, simulate_pair
from tests.conftest import PARAMS
from vintage.base.params import load_params
from vintage.report.differences import (
    Candidate,
    paired_differences,
    unpaired_differences,
)
from vintage.report.resampling import bootstrap_weights, mcnemar, permuted_differences, won_rows
from vintage.scores.holm import holm
from vintage.scores.metrics import METRICS, compared_metrics, roc_auc_contributions, roc_auc_ovr
from vintage.scores.predictions import Predictions
from vintage.scores.rows import Floats, Labels, Sample

EVALUATE = load_params(PARAMS).evaluate
SETTINGS = EVALUATE.model_copy(update={"resamples": 500})


def predictions(labels: Labels, probabilities: Floats, groups: Labels | None = None) -> Predictions:
    rows = np.arange(len(labels))
    classes = [f"class {index}" for index in range(probabilities.shape[1])]
    groups = rows if groups is None else groups
    return Predictions(classes, rows, labels, probabilities, groups, rows, rows < 0)


def sample(predicted: Predictions) -> Sample:
    return Sample.of(predicted.labels, predicted.probabilities, predicted.groups)


def random_pair(
    seed: int, n: int = 120, n_classes: int = 3, noise: float = 0.7
) -> tuple[Predictions, Predictions]:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), generator.integers(0, n_classes, n - n_classes)])
    common = 1.5 * np.eye(n_classes)[labels] + generator.normal(0, 1, (n, n_classes))
    a, b = (np.exp(common + generator.normal(0, noise, common.shape)) for _ in range(2))
    return (
        predictions(labels, a / a.sum(axis=1, keepdims=True)),
        predictions(labels, b / b.sum(axis=1, keepdims=True)),
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_of_single_rows_is_the_exact_binomial_test(wins: int, losses: int) -> None:
    won = np.array([1] * wins + [-1] * losses + [0] * 5)
    expected = statsmodels_mcnemar([[7, wins], [losses, 9]], exact=True).pvalue
    assert mcnemar(won, 99)[0] == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_mcnemar_of_twins_is_the_exact_permutation_test_of_groups(won: list[int]) -> None:
    array = np.array(won)
    differences = [
        (array * [1 if code >> bit & 1 else -1 for bit in range(len(won))]).sum()
        for code in range(2 ** len(won))
    ]
    expected = np.mean(np.abs(differences) >= abs(array.sum()))
    assert mcnemar(array, 99)[0] == pytest.approx(expected)


def test_twins_that_agree_count_once() -> None:
    labels = np.zeros(12, dtype=np.int64)
    right, wrong = np.tile([0.9, 0.1], (12, 1)), np.tile([0.1, 0.9], (12, 1))
    a, b = (predictions(labels, x, np.repeat(np.arange(3), 4)) for x in (wrong, right))
    won = won_rows(sample(a), sample(b))
    assert won.tolist() == [4, 4, 4]
    assert mcnemar(won, 12)[0] == 2 / 2**3


@settings(max_examples=25)  # of which each takes statsmodels a while
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values, 0.05)[0] == pytest.approx(expected.tolist())


def test_permuted_log_loss_is_scipys_permutation_test() -> None:
    a, b = random_pair(3, n=40)
    once = np.arange(40)
    loss = [-np.log(x.probabilities[once, x.labels]) for x in (a, b)]
    reference = permutation_test(
        loss, lambda x, y, axis: np.mean(y - x, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20_000, rng=1,
    )  # fmt: skip
    permuted = permuted_differences([METRICS["log_loss"]], sample(a), sample(b), 20_000, 1)[:, 0]
    share = np.mean(np.abs(permuted) >= abs(float(np.mean(loss[1] - loss[0]))))
    assert share == pytest.approx(reference.pvalue, abs=0.015)
    # a rank test of the same pairs looks at the same question in another way
    assert share == pytest.approx(wilcoxon(loss[0], loss[1]).pvalue, abs=0.3)


def test_contributions_to_the_area_give_what_swapped_rows_give() -> None:
    a, b = random_pair(5, n=30)
    parts = roc_auc_contributions(a.labels, a.probabilities, b.probabilities)
    n = len(a.labels)
    # the ranks of rows within each model, so that a swap mixes no scales
    ranks_a, ranks_b = (
        x.probabilities.argsort(axis=0).argsort(axis=0).astype(np.float64) for x in (a, b)
    )
    for seed in range(5):
        swap = np.random.default_rng(seed).integers(0, 2, n).astype(bool)
        new_a, new_b = np.where(swap[:, None], [ranks_b, ranks_a], [ranks_a, ranks_b])
        expected = [float(roc_auc_ovr(a.labels, x, np.ones((1, n)))[0]) for x in (new_a, new_b)]
        assert (np.where(swap, -1, 1) * parts).sum() == pytest.approx(expected[1] - expected[0])


def test_interval_of_log_loss_is_like_scipys_bootstrap() -> None:
    a, b = random_pair(9, n=400)
    once = np.arange(400)
    difference = np.log(a.probabilities[once, a.labels]) - np.log(b.probabilities[once, b.labels])
    reference = bootstrap(
        (difference,), np.mean, confidence_level=0.99, method="basic", n_resamples=4000, rng=1
    ).confidence_interval
    found = paired_differences(
        Candidate(a), Candidate(b), EVALUATE.model_copy(update={"resamples": 4000})
    )["log_loss"]
    assert found.low is not None
    assert found.high is not None
    assert found.difference == pytest.approx(difference.mean())
    # within the widths of Holm's steps: 95 % to 99 %
    assert found.high - found.low < 1.1 * (reference.high - reference.low)
    assert found.high - found.low > 0.9 * 1.96 / 2.576 * (reference.high - reference.low)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.8, 0.9, 0.95, 0.99]), st.floats(0, 1.5))
def test_interval_and_verdict_never_contradict_each_other(
    seed: int, confidence: float, noise: float
) -> None:
    a, b = random_pair(seed, n=60, noise=noise)
    changed = EVALUATE.model_copy(update={"confidence": confidence, "resamples": 200})
    result = paired_differences(Candidate(a), Candidate(b), changed)
    for metric in result.values():
        assert metric.low is not None
        assert metric.high is not None
        assert metric.p_value is not None
        assert (metric.low > 0 or metric.high < 0) == (metric.verdict != "no difference")
        assert (metric.verdict != "no difference") == (metric.p_value <= 1 - confidence + 1e-12)


def test_direction_of_better() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 300)
    good = np.where(np.eye(2)[labels] == 1, 0.8, 0.2)
    flip = generator.random(300) < 0.3
    bad = np.where(flip[:, None], 1 - good, good)
    forth = paired_differences(
        Candidate(predictions(labels, bad)), Candidate(predictions(labels, good)), SETTINGS
    )
    back = paired_differences(
        Candidate(predictions(labels, good)), Candidate(predictions(labels, bad)), SETTINGS
    )
    assert {metric.verdict for metric in forth.values()} == {"better"}
    assert {metric.verdict for metric in back.values()} == {"worse"}
    assert forth["log_loss"].difference == pytest.approx(-back["log_loss"].difference)  # type: ignore[operator]


def test_a_class_of_one_row_proves_nothing() -> None:
    """A bootstrap alone would take the model that has this row right for better."""
    labels = np.array([0] * 50 + [1] * 50 + [2])
    a = np.eye(3)[labels] * 0.7 + 0.1
    b = a.copy()
    a[-1] = [0.8, 0.1, 0.1]
    result = paired_differences(
        Candidate(predictions(labels, a)), Candidate(predictions(labels, b)), SETTINGS
    )
    assert result["balanced_accuracy"].difference == pytest.approx(1 / 3)
    assert {metric.verdict for metric in result.values()} == {"no difference"}


def test_seed_to_seed_spread_widens_every_interval() -> None:
    a, b = random_pair(1)
    spread = 4, dict.fromkeys(compared_metrics(), 0.2)
    alone = paired_differences(Candidate(a), Candidate(b), SETTINGS)
    counted = paired_differences(Candidate(a, *spread), Candidate(b, *spread), SETTINGS)
    for name in compared_metrics():
        assert counted[name].p_value >= alone[name].p_value  # type: ignore[operator]
        assert counted[name].low < alone[name].low  # type: ignore[operator]
        assert counted[name].high > alone[name].high  # type: ignore[operator]


def test_equal_predictions() -> None:
    a, _ = random_pair(1)
    for metric in paired_differences(Candidate(a), Candidate(a), SETTINGS).values():
        assert (metric.difference, metric.p_value, metric.verdict) == (0, 1, "no difference")


def test_degenerate_inputs() -> None:
    one_class = predictions(np.zeros(5, dtype=np.int64), np.tile([0.6, 0.4], (5, 1)))
    other = predictions(np.zeros(5, dtype=np.int64), np.tile([0.7, 0.3], (5, 1)))
    result = paired_differences(Candidate(one_class), Candidate(other), SETTINGS)
    assert result["roc_auc_ovr"].a is None
    assert result["accuracy"].difference == 0
    single = predictions(np.array([1]), np.array([[0.6, 0.4]]))
    flipped = predictions(np.array([1]), np.array([[0.4, 0.6]]))
    for metric in paired_differences(Candidate(single), Candidate(flipped), SETTINGS).values():
        assert metric.verdict == "no difference"


def test_unpaired_models_get_neither_interval_nor_p_value() -> None:
    a, b = random_pair(4)
    moved = replace(b, rows=b.rows + 7)
    for name, metric in unpaired_differences(Candidate(a), Candidate(moved)).items():
        paired = paired_differences(Candidate(a), Candidate(b), SETTINGS)[name]
        assert metric.difference == paired.difference
        assert (metric.low, metric.high, metric.p_value, metric.detectable) == (None,) * 4
        assert metric.verdict == "unpaired"


@pytest.mark.parametrize("n_differing", [2, 12, 40])
def test_detectable_accuracy_is_found_as_often_as_claimed(n_differing: int) -> None:
    n_rows, level = 228, 0.05 / 5
    rows = np.arange(n_rows)
    a_wins, b_wins = rows < n_differing / 2, (rows >= n_differing / 2) & (rows < n_differing)
    labels = np.zeros(n_rows, dtype=np.int64)
    a, b = (
        predictions(labels, np.where(lost[:, None], [0.4, 0.6], [0.6, 0.4]))
        for lost in (b_wins, a_wins)
    )
    claimed = paired_differences(Candidate(a), Candidate(b), SETTINGS)["accuracy"].detectable
    assert claimed is not None
    differing = max(n_differing / n_rows, claimed)
    generator = np.random.default_rng(0)
    shares = [(differing + claimed) / 2, (differing - claimed) / 2, 1 - differing]
    drawn = generator.multinomial(n_rows, shares, size=1000)
    found = [
        statsmodels_mcnemar([[0, wins], [losses, 0]], exact=True).pvalue <= level and wins > losses
        for wins, losses, _ in drawn
    ]
    assert 0.75 <= np.mean(found) <= 0.92


def test_equally_good_models_get_no_verdict() -> None:
    """A small run of benchmarks/simulate_comparisons.py, with classes of one and three rows."""
    labels = np.repeat(np.arange(5), [1, 3, 60, 60, 20])
    groups = np.arange(len(labels)) // 2 * 2
    scenario = Scenario("small", labels, groups, strength=1.2, noise=0.7)
    generator = np.random.default_rng(1)
    few = EVALUATE.model_copy(update={"resamples": 100})
    judged = [paired_differences(*simulate_pair(scenario, 0.0, generator), few) for _ in range(100)]
    wrong = [any(m.verdict != "no difference" for m in result.values()) for result in judged]
    assert mean(wrong) <= 0.06
    better = [paired_differences(*simulate_pair(scenario, 1.0, generator), few) for _ in range(20)]
    assert mean(result["log_loss"].verdict == "better" for result in better) > 0.9


def test_a_resample_draws_whole_groups_of_any_class() -> None:
    groups = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6])
    rows = Sample.of(np.zeros(9, dtype=np.int64), np.ones((9, 1)), groups)
    weights = bootstrap_weights(rows, 500, np.random.default_rng(1))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 6] == weights[:, 7]).all()
    assert (weights[:, [0, 2, 3, 4, 5, 6, 8]].sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(9), abs=0.15)
    assert (weights[:, 8] == 0).any()  # so a class of a single group is missing from some
