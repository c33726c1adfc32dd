"""`vintage power`: the smallest difference that the last run's rows and splits can show."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.params import IntervalParams
from vintage.report.differences import Candidate, Difference, paired_differences
from vintage.report.pairing import pair_rows
from vintage.report.recipes import detectable, shared_rows
from vintage.report.tables import aligned, wrapped
from vintage.report.verdict import best_rival, model_in_words
from vintage.repository.revisions import WORKSPACE, Revision, read_revision
from vintage.scores.evaluation import Baselines
from vintage.scores.metrics import METRICS
from vintage.scores.predictions import read_predictions
from vintage.scores.splits import Splits

BASELINES = Path("metrics/baseline.json")
PREDICTIONS = Path("data/baseline")


@dataclass(frozen=True)
class Power:
    """Of one metric; None: no difference is large enough, or it cannot be told.

    Attributes:
        test_set, splits: the true difference that is found with a probability of 80 %.
        rows_for_half: how many test rows would show half of `test_set`.
    """

    test_set: float | None
    splits: float | None
    rows_for_half: int | None


def power_lines() -> Iterator[str]:
    """What the last run can show, for a terminal.

    How well a difference shows depends on how often two models disagree. The network and its best
    rival stand in for the two: most changes of a recipe make less of a difference than that.

    Raises:
        InputError: a result of the last run is missing.
    """
    last = read_revision(WORKSPACE)
    settings = last.interval_params()
    rival = best_rival(read_json(BASELINES, Baselines).models)
    if rival is None:
        raise InputError(
            f"{BASELINES}: has no model but the majority class, because the rows that the others "
            "would be fitted to are all of one class; nothing tells how much two models disagree"
        )
    pairing = pair_rows(read_predictions(PREDICTIONS / f"{rival}.csv"), last.model.predictions)
    n_rows = len(pairing.b.rows)
    if any(pairing.left_out.values()):
        raise InputError(f"{PREDICTIONS}/{rival}.csv: is of other test rows; run `dvc repro`")
    found = paired_differences(Candidate(pairing.a), last.model, settings)
    powers = {
        name: power_of(name, difference, last, settings, len(found))
        for name, difference in found.items()
    }
    yield from wrapped(
        "the true difference that is found with a probability of 80 %, between models that "
        f"disagree as much as the network and {model_in_words(rival)}; the more alike two models "
        "are, the smaller it is"
    )
    yield ""
    n_splits = len(last.splits.all_splits) if last.splits else 0
    header = ("", f"{n_rows} test rows", f"{n_splits} splits", "rows to detect half")
    yield from aligned(header, [(METRICS[n].title, *_cells(power)) for n, power in powers.items()])
    for note in _notes(last.splits, powers, n_rows):
        yield from ("", *wrapped(note))


def power_of(
    name: str, difference: Difference, last: Revision, settings: IntervalParams, n_metrics: int
) -> Power:
    """At the level of the metric that is tested first."""
    error, level = difference.error, round(1 - settings.confidence, 12) / n_metrics
    if not error:
        return Power(None, None, None)
    by_splits = None
    if last.splits and len(last.splits.all_splits) > 1:
        sizes = [len(of_seed) for of_seed in last.splits.splits.values()]
        by_splits = detectable(error, sizes, shared_rows(last.splits.all_splits), level)
        by_splits = by_splits if by_splits <= METRICS[name].max_difference else None
    of_seeds = last.model.stds.get(name, 0.0) ** 2 / last.model.replicas
    rest = error**2 / 4 - of_seeds
    n_rows = len(last.model.predictions.rows)
    rows_for_half = math.ceil(n_rows * (error**2 - of_seeds) / rest) if rest > 0 else None
    return Power(difference.detectable, by_splits, rows_for_half)


def _cells(power: Power) -> tuple[str, str, str]:
    rows = "-" if power.rows_for_half is None else f"{power.rows_for_half}"
    return _rounded_up(power.test_set), _rounded_up(power.splits), rows


def _rounded_up(value: float | None) -> str:
    """Two digits that do not promise more than `value`."""
    if value is None:
        return "-"
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:.{digits}f}"


def _notes(splits: Splits | None, powers: dict[str, Power], n_rows: int) -> Iterator[str]:
    if splits is None or len(splits.all_splits) < 2:
        reason = "there is no metrics/splits.json"
        if splits is not None:
            reason = splits.reason or "evaluate.splits is 1"
        yield f"Splits show nothing here: {reason}."
    else:
        found = splits.all_splits
        share = sum(each.test_rows for each in found) / len(found)
        yield (
            f"The table has {found[0].test_rows + found[0].train_rows} rows, of which a split "
            f"tests {share:.0f}. Half of what the splits show takes about four times as many."
        )
    if any(power.test_set and power.rows_for_half is None for power in powers.values()):
        yield (
            "Where no number of rows is given, more than a quarter of the variance is due to the "
            "seeds: raise train.replicas first."
        )
    if any(power.test_set is None for power in powers.values()):
        yield f"Where no difference is given, {n_rows} test rows show none that is possible."
