"""The best of many models, and which of the others are shown to be worse."""

import numpy as np
import pytest

from vintage.report.best import RowLosses, beside_best, seed_variance

SURE = (1e-5, 20.0)  # a variance from training to training that is small


def models(draw: np.random.Generator, n_models: int, n_rows: int, worse: float) -> list[RowLosses]:
    """Rows that are hard for one model are hard for all; the first model is worse by so much."""
    rows = draw.gamma(1.0, 1.0, n_rows)
    noise = draw.normal(0, 0.3, (n_models, n_rows))
    noise[0] += worse
    return [RowLosses(rows + own, SURE) for own in noise]


def test_of_equally_good_models_the_best_is_rarely_better_than_one() -> None:
    """In at most one of twenty searches, as the level says."""
    draw = np.random.default_rng(1)
    n_wrong = 0
    for seed in range(40):
        beside = beside_best(models(draw, 20, 100, 0.0), np.arange(100), 0.95, seed)
        assert len(beside) == 19
        n_wrong += any(each.is_worse for each in beside.values())
    assert n_wrong <= 2 + 2  # the expected number, and less than two standard deviations


def test_a_worse_model_is_found() -> None:
    found = beside_best(
        models(np.random.default_rng(2), 10, 300, 0.2), np.arange(300), confidence=0.95, seed=1
    )
    assert [place for place, each in found.items() if each.is_worse] == [0]
    assert found[0].difference > 0.1


def test_rows_of_a_group_count_as_one() -> None:
    """Every row ten times: what shows for independent rows does not show any more."""
    few = models(np.random.default_rng(3), 3, 30, 0.3)
    many = [RowLosses(np.repeat(each.losses, 10), SURE) for each in few]
    as_groups = beside_best(many, np.repeat(np.arange(30), 10), 0.95, 1)
    as_rows = beside_best(many, np.arange(300), 0.95, 1)
    assert as_rows[0].is_worse
    assert as_groups[0].p_value > as_rows[0].p_value
    assert as_groups[0].difference == pytest.approx(as_rows[0].difference)


def test_equal_models_tie() -> None:
    one = RowLosses(np.array([0.5, 1.0, 2.0]), None)
    (found,) = beside_best([one, one], np.arange(3), 0.95, 1).values()
    assert (found.difference, found.p_value, found.is_worse) == (0.0, 1.0, False)
    assert beside_best([one], np.arange(3), 0.95, 1) == {}


def test_of_a_hundred_models_one_can_be_worse() -> None:
    found = beside_best(
        models(np.random.default_rng(4), 101, 60, 5.0), np.arange(60), confidence=0.95, seed=1
    )
    assert [place for place, each in found.items() if each.is_worse] == [0]


def test_many_rows_are_told_by_their_standard_error() -> None:
    found = beside_best(
        models(np.random.default_rng(5), 5, 6_000, 0.1), np.arange(6_000), confidence=0.95, seed=1
    )
    assert found[0].is_worse


def test_without_two_replicas_of_a_fold_none_is_worse() -> None:
    sure, unsure = (RowLosses(np.full(50, loss), None) for loss in (0.1, 5.0))
    (found,) = beside_best([sure, unsure], np.arange(50), 0.95, 1).values()
    assert (found.p_value, found.is_worse) == (1.0, False)


def test_what_seeds_do_is_told_by_replicas_of_one_fold() -> None:
    losses = np.array([1.0, 5.0, 1.2, 5.0, 1.4, 5.6])
    variance, freedom = seed_variance(losses[::2], np.zeros(7, dtype=np.int64)) or (0, 0)
    assert variance == pytest.approx(losses[::2].var(ddof=1) / 3)
    assert freedom == 2
    folds = np.array([0, 0, 0, 1])
    variance, freedom = seed_variance(losses, folds) or (0, 0)
    pooled = (losses[::2].var(ddof=1) + losses[1::2].var(ddof=1)) / 2
    assert variance == pytest.approx(pooled * ((3 / 4) ** 2 + (1 / 4) ** 2) / 3)
    assert freedom == 4
    variance, freedom = seed_variance(losses[:3], folds) or (0, 0)
    pooled = losses[[0, 2]].var(ddof=1)
    assert variance == pytest.approx(pooled * ((3 / 4) ** 2 / 2 + (1 / 4) ** 2))
    assert freedom == 1
    assert seed_variance(losses[:2], folds) is None
