"""`vintage power`: what the last run's rows and splits can show."""

import re

import numpy as np
import pytest

from tests.conftest import Run
from vintage.base.console import InputError
from vintage.base.files import read_json, write_json
from vintage.report.verdict import MAJORITY
from vintage.repository.power import BASELINES, power_lines
from vintage.scores.evaluation import Baselines
from vintage.scores.metrics import METRICS, compared_metrics


def table(n_rows: int) -> str:
    draw = np.random.default_rng(3)
    inputs = draw.normal(size=(n_rows, 3)).round(3)
    kinds = np.where(inputs[:, 0] ** 2 + draw.normal(size=n_rows) > 0.7, "yes", "no")
    lines = [f"{a},{b},{c},{kind}" for (a, b, c), kind in zip(inputs, kinds, strict=True)]
    return "\n".join(["a,b,c,kind", *lines]) + "\n"


STAGES = ("split", "train", "evaluate", "baseline", "splits")


def shown() -> dict[str, list[float]]:
    """By metric, what the test rows and the splits show, and the rows for half."""
    lines = list(power_lines())
    found = {}
    for name in compared_metrics():
        row = next(line for line in lines if line.startswith(f"{METRICS[name].title} "))
        cells = row.removeprefix(METRICS[name].title).split()
        found[name] = [float("nan") if cell == "-" else float(cell) for cell in cells]
    return found


def test_more_rows_and_more_splits_show_smaller_differences(run: Run) -> None:
    changes = {"train.epochs": 4, "train.replicas": 8, "evaluate.splits": 4}
    run(table(200), *STAGES, **changes)
    few = shown()
    run(table(200), "splits", **changes | {"evaluate.splits": 8})
    more_splits = shown()
    run(table(600), *STAGES, **changes)
    more_rows = shown()
    for name in ("accuracy", "log_loss"):
        assert more_splits[name][0] == few[name][0]
        assert more_splits[name][1] < few[name][1]
        assert more_rows[name][0] < few[name][0]
        assert more_rows[name][1] < few[name][1]
        assert few[name][2] >= 4 * 40, "half the difference takes four times the rows, or more"


def test_it_says_what_is_missing(run: Run) -> None:
    folder = run(table(200), *STAGES, **{"train.epochs": 2, "evaluate.splits": 0})
    assert "Splits show nothing here: evaluate.splits is 0." in list(power_lines())
    (folder / "metrics/splits.json").unlink()
    assert re.search("there is no metrics/splits.json", "\n".join(power_lines()))
    baselines = read_json(BASELINES, Baselines)
    only = baselines.model_copy(update={"models": {MAJORITY: baselines.models[MAJORITY]}})
    write_json(BASELINES, only.model_dump(exclude_defaults=True))
    with pytest.raises(InputError, match="has no model but the majority class, because the rows"):
        list(power_lines())
    BASELINES.unlink()
    with pytest.raises(InputError, match=r"metrics/baseline.json: no such file; run `dvc repro`"):
        list(power_lines())
