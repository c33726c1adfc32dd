"""The corrected resampled t-test, against numbers that are worked out in another way."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from benchmarks.simulate_comparisons import recipe_pairs
from benchmarks.simulate_retrainings import (
    load,
    retrain,
    side_of,
    splits_of,
    trainings_of,
    wrong_metrics,
)
from tests.conftest import PARAMS
from vintage.base.params import load_params
from vintage.report.recipes import Settings, common_splits, detectable, recipe_differences
from vintage.scores.metrics import METRICS, compared_metrics
from vintage.scores.splits import Splits, SplitScores
from vintage.training.pack import train_all

SETTINGS = Settings(confidence=0.95, margin=0.01)
DRAW = np.random.default_rng(4)
DIFFERENCES = DRAW.normal(0.02, 0.02, 10).round(6)


def splits(values: list[float | None], n_test: int = 100, n_train: int = 400) -> Splits:
    found = {
        str(seed): SplitScores(
            test_rows=n_test,
            train_rows=n_train,
            test_digest=f"{seed}",
            scores=dict.fromkeys(METRICS, value),
        )
        for seed, value in enumerate(values)
    }
    return Splits(splits=found)


def compare(values: list[float | None], others: list[float | None] | None = None) -> dict:  # type: ignore[type-arg]
    pairs = common_splits(splits(others or [0.5] * len(values)), splits(values))
    return recipe_differences(pairs, SETTINGS)


def test_it_is_the_test_of_nadeau_and_bengio() -> None:
    found = compare([0.5 + float(each) for each in DIFFERENCES])
    error = np.sqrt((1 / 10 + 100 / 400) * DIFFERENCES.var(ddof=1))
    p_value = 2 * stats.t.sf(abs(DIFFERENCES.mean()) / error, 9)
    n_metrics = len(compared_metrics())
    for metric in found.values():
        assert metric.difference == pytest.approx(DIFFERENCES.mean())
        assert metric.p_value == pytest.approx(min(1, n_metrics * p_value))
        half_width = stats.t.isf(0.05 / n_metrics / 2, 9) * error
        assert metric.low == pytest.approx(DIFFERENCES.mean() - half_width)
        assert metric.high == pytest.approx(DIFFERENCES.mean() + half_width)
        assert (metric.verdict == "no difference") == (metric.low <= 0 <= metric.high)


def test_the_probabilities_are_areas_of_a_student_distribution() -> None:
    found = compare([0.5 + float(each) for each in DIFFERENCES])
    error = np.sqrt((1 / 10 + 100 / 400) * DIFFERENCES.var(ddof=1))
    density = stats.t(9, DIFFERENCES.mean(), error).pdf
    edges = [-1, -0.01, 0.01, 1]
    areas = [quad(density, *ends, points=[0.02], limit=200)[0] for ends in pairwise(edges)]
    accuracy, log_loss = found["accuracy"], found["log_loss"]
    shares = [accuracy.worse, accuracy.equal, accuracy.better]
    assert shares == pytest.approx(areas, abs=1e-5)
    assert [log_loss.better, log_loss.equal, log_loss.worse] == pytest.approx(areas, abs=1e-5)


def test_what_cannot_be_judged_is_not() -> None:
    assert compare([0.5, 0.5])["accuracy"].equal == 1
    for values in ([0.7, 0.7], [0.7], [None, 0.7]):
        metric = compare(values)["accuracy"]  # type: ignore[arg-type]
        assert metric.difference == pytest.approx(0.2)
        assert (metric.p_value, metric.verdict) == (None, "no difference")
    assert compare([None, None])["accuracy"].difference is None


def test_the_detectable_difference_is_found_with_the_probability_that_it_promises() -> None:
    """On splits whose differences are correlated as the test takes them to be."""
    n_splits, share, level = 10, 0.25, 0.01
    effect = detectable(0.02, n_splits, share, level)
    draw = np.random.default_rng(1)
    common = draw.normal(0, 0.02 * np.sqrt(share / (1 + share)), (20_000, 1))
    own = draw.normal(0, 0.02 / np.sqrt(1 + share), (20_000, n_splits))
    for true, expected in ((effect, 0.8), (0.0, level)):
        differences = true + common + own
        error = np.sqrt((1 / n_splits + share) * differences.var(axis=1, ddof=1))
        statistic = np.abs(differences.mean(axis=1)) / error
        found = np.mean(statistic > stats.t.isf(level / 2, n_splits - 1))
        assert found == pytest.approx(expected, abs=0.06 if true else 0.004)


def verdicts(
    kind: str, replicas: int, gain: float, n_pairs: int
) -> tuple[list[set[str]], list[set[str]]]:
    """Of each pair, the verdicts in all metrics: by one test set, and by splits."""
    pairs = recipe_pairs(kind, replicas, gain, n_splits=10, n_pairs=n_pairs)
    one, many = zip(*pairs, strict=True)
    return [{m.verdict for m in each.values()} for each in one], [
        {m.verdict for m in each.values()} for each in many
    ]


@pytest.mark.parametrize(
    ("kind", "replicas"),
    [("another seed", 1), ("another seed", 4), ("another seed", 16), ("another recipe", 4)],
)
def test_equally_good_recipes_seldom_differ(kind: str, replicas: int) -> None:
    """On fresh tables, each with other seeds; at most 6 % of pairs in any metric."""
    n_pairs = 34
    for way in verdicts(kind, replicas, 0.0, n_pairs):
        assert sum(each != {"no difference"} for each in way) <= 0.06 * n_pairs


def test_splits_show_what_one_test_set_does_not() -> None:
    one, many = verdicts("another recipe", 4, 0.4, 20)
    assert sum("worse" in each for each in [*one, *many]) == 0
    assert sum("better" in each for each in many) > sum("better" in each for each in one) + 4


@pytest.mark.slow
def test_real_retrainings_get_no_verdict_and_another_recipe_does() -> None:
    """A small run of benchmarks/simulate_retrainings.py."""
    params = load_params(PARAMS)
    few = params.evaluate.model_copy(update={"splits": 5, "resamples": 500})
    short = params.train.model_copy(update={"replicas": 4, "epochs": 20, "numerics": "fast"})
    params = params.model_copy(update={"evaluate": few, "train": short})
    found = retrain(params, "cultivars", range(3))
    assert [each.wrong for each in found] == [([], [])] * 3

    splits = list(splits_of(*load("cultivars", params), params, 0))
    trainings = [
        trainings_of(splits, params.model_copy(update={"train": recipe}), seed)
        for seed, recipe in enumerate((short, short.model_copy(update={"epochs": 1})))
    ]
    train_all([each for of_side in trainings for each in of_side])
    a, b = (side_of(splits, each) for each in trainings)
    worse = wrong_metrics(a, b, params)
    assert all("log_loss" in names for names in worse)
