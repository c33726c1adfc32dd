"""The test of recipes over splits, against numbers that are worked out in another way."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from benchmarks.simulate_comparisons import Made, recipe_pairs
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
from vintage.report.recipes import (
    RecipeDifference,
    Settings,
    common_splits,
    detectable,
    differences_of_recipes,
)
from vintage.scores.metrics import METRICS, compared_metrics
from vintage.scores.splits import Splits, SplitScores
from vintage.training.pack import train_all

SETTINGS = Settings(confidence=0.95, margin=0.01)
COMPARED = compared_metrics()
DRAW = np.random.default_rng(4)
DIFFERENCES = DRAW.normal(0.02, 0.02, 10).round(6)


def splits(values: Sequence[float | None], n_turns: int = 1) -> Splits:
    found: dict[str, dict[str, SplitScores]] = {}
    for number, value in enumerate(values):
        scores = SplitScores(
            test_rows=100,
            train_rows=400,
            test_digest=f"{number}",
            scores=dict.fromkeys(METRICS, value),
        )
        found.setdefault(str(number // n_turns), {})[str(number % n_turns)] = scores
    return Splits(splits=found)


def compare(values: Sequence[float | None], n_turns: int = 1) -> dict[str, RecipeDifference]:
    pairs = common_splits(splits([0.5] * len(values), n_turns), splits(values, n_turns))
    return differences_of_recipes([pairs], SETTINGS)[0]


@pytest.mark.parametrize(
    ("n_turns", "variance", "freedom"),
    [
        (1, (1 / 10 + 100 / 400) * DIFFERENCES.var(ddof=1), 9),  # Nadeau and Bengio's
        (5, 10 * DIFFERENCES.var() / 8 / 5, 8),  # of all rows, from four free numbers of each seed
        (10, (1 / 10 + 0.2 * 9 / 10) * DIFFERENCES.var(ddof=1), 9),  # of one seed, not independent
    ],
)
def test_the_fewer_rows_splits_share_the_more_they_show(
    n_turns: int, variance: float, freedom: float
) -> None:
    found = compare([0.5 + float(each) for each in DIFFERENCES], n_turns)
    error = np.sqrt(variance)
    p_value = 2 * stats.t.sf(abs(DIFFERENCES.mean()) / error, freedom)
    n_metrics = len(COMPARED)
    for metric in found.values():
        assert metric.low is not None
        assert metric.high is not None
        assert metric.difference == pytest.approx(DIFFERENCES.mean())
        assert metric.p_value == pytest.approx(min(1, n_metrics * p_value))
        half_width = stats.t.isf(0.05 / n_metrics / 2, freedom) * error
        assert metric.low == pytest.approx(DIFFERENCES.mean() - half_width)
        assert metric.high == pytest.approx(DIFFERENCES.mean() + half_width)
        excludes_zero = metric.low > 0 or metric.high < 0
        assert (metric.verdict != "no difference") == excludes_zero


def test_the_probabilities_are_areas_of_a_student_distribution() -> None:
    found = compare([0.5 + float(each) for each in DIFFERENCES])
    error = np.sqrt((1 / 10 + 100 / 400) * DIFFERENCES.var(ddof=1))
    density = stats.t(9, DIFFERENCES.mean(), error).pdf
    edges = [-1, -0.01, 0.01, 1]
    areas = [
        quad(density, *ends, points=[0.02], limit=200)[0] for ends in itertools.pairwise(edges)
    ]
    accuracy, log_loss = found["accuracy"], found["log_loss"]
    shares = [accuracy.worse, accuracy.equal, accuracy.better]
    assert shares == pytest.approx(areas, abs=1e-5)
    assert [log_loss.better, log_loss.equal, log_loss.worse] == pytest.approx(areas, abs=1e-5)


def test_what_cannot_be_judged_is_not() -> None:
    assert compare([0.5, 0.5])["accuracy"].equal == 1
    for values in ([0.7, 0.7], [0.7], [None, 0.7]):
        metric = compare(values)["accuracy"]
        assert metric.difference == pytest.approx(0.2)
        assert (metric.p_value, metric.verdict) == (None, "no difference")
    assert compare([None, None])["accuracy"].difference is None


@pytest.mark.parametrize("n_turns", [1, 3, 5])
def test_the_detectable_difference_is_found_with_the_probability_that_it_promises(
    n_turns: int,
) -> None:
    """On ten splits, each of which tests a fifth of the rows of one table."""
    n_tables, n_rows, level = 2000, 100, 0.05
    sizes = [n_turns] * (10 // n_turns) + [1] * (10 % n_turns)
    effect = detectable(1 / np.sqrt(n_rows / 5), sizes, 0.2, level)
    draw = np.random.default_rng(1)
    tables = draw.normal(size=(n_tables, n_rows))
    parts = [draw.permuted(tables, axis=1).reshape(n_tables, 5, -1).mean(axis=2) for _ in sizes]
    by_split = np.hstack([means[:, :size] for means, size in zip(parts, sizes, strict=True)])
    a = splits([0.5] * 10).all_splits
    for true, expected in ((effect, 0.8), (0.0, level)):
        n_found = 0
        for differences in by_split + true:
            b = splits((0.5 + 0.01 * differences).tolist()).all_splits
            pairs = iter(zip(a, b, strict=True))
            by_seed = [list(itertools.islice(pairs, size)) for size in sizes]
            found = differences_of_recipes([by_seed], SETTINGS)[0]["accuracy"]
            n_found += found.p_value is not None and found.p_value <= level * len(COMPARED)
        assert n_found / n_tables == pytest.approx(expected, abs=0.04 if true else 0.01)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
@pytest.mark.parametrize("sizes", [[2], [1, 1], [5, 5], [10] * 100])
def test_a_detectable_difference_is_found_at_any_confidence(
    confidence: float, sizes: list[int]
) -> None:
    assert detectable(0.01, sizes, 0.2, (1 - confidence) / len(COMPARED)) > 0


def test_an_earlier_release_had_one_split_of_each_seed() -> None:
    now = splits([0.6, 0.7])
    earlier = {"splits": {seed: of_seed["0"].model_dump() for seed, of_seed in now.splits.items()}}
    assert Splits.model_validate(earlier) == now
    assert [len(pairs) for pairs in common_splits(now, splits([0.6, 0.7], n_turns=2))] == [1]


def verdicts(
    kind: str, replicas: int, gain: float, n_pairs: int
) -> tuple[list[set[str]], list[set[str]]]:
    """Of each pair, the verdicts in all metrics: by one test set, and by splits."""
    pairs = recipe_pairs(Made(), kind, replicas, gain, n_splits=10, n_pairs=n_pairs)
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
    few = params.evaluate.model_copy(update={"splits": 8, "resamples": 500})
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
