"""A metric and a figure are one entry each: whoever adds one sees it wherever the others are."""

import json
import random
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import Run
from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.params import load_params
from vintage.report.figures import FIGURES, FigureEntry, confusion_matrix
from vintage.repository.check import check_outputs
from vintage.repository.compare import compare_revisions
from vintage.repository.revisions import read_revision
from vintage.repository.show_comparison import table_lines
from vintage.repository.show_revision import revision_lines, score_lines
from vintage.scores.evaluation import Evaluation, check_required
from vintage.scores.metrics import METRICS, Metric
from vintage.scores.predictions import read_predictions
from vintage.scores.rows import Floats, Labels

STAGES = ("split", "train", "evaluate", "baseline", "explain", "report")


def table() -> str:
    rng = random.Random(1)
    rows = [(rng.random(), rng.random()) for _ in range(300)]
    kinds = ["a" if x + rng.gauss(0, 0.3) > y else "b" for x, y in rows]
    lines = [f"{x:.4f},{y:.4f},{kind}" for (x, y), kind in zip(rows, kinds, strict=True)]
    return "\n".join(["x,y,kind", *lines]) + "\n"


def brier(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    squares = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1)
    return weights @ squares / weights.sum(axis=1)


BRIER = Metric(
    brier,
    "Brier score",
    lower_is_better=True,
    max_difference=2,
    averages_classes=False,
    follow_val=True,
)


def test_a_metric_is_one_entry(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "brier", BRIER)
    changes = {"evaluate.require": {"brier": 0.0001}, "train.epochs": 60}
    folder = run(table(), *STAGES, **changes)
    metrics = {
        name: json.loads((folder / f"metrics/{name}.json").read_text())
        for name in ("evaluation", "details", "baseline", "comparison")
    }
    value = metrics["details"]["test"]["brier"]
    predictions = read_predictions(folder / "metrics/predictions.csv")
    once = np.ones((1, len(predictions.rows)))
    assert value == pytest.approx(
        brier(predictions.labels, predictions.probabilities, once)[0], abs=1e-6
    )
    assert metrics["evaluation"]["test"]["brier"] == value
    assert metrics["evaluation"]["val"]["brier"] == metrics["details"]["val"]["brier"]
    assert metrics["details"]["test"]["brier_low"] is None
    assert metrics["details"]["replicas"]["brier_std"] > 0
    assert metrics["baseline"]["models"]["svc"]["brier"] > 0
    assert metrics["comparison"]["models"]["majority_class"]["brier"]["difference"] < 0
    assert f"| Brier score | {value:.3f} | - |" in (folder / "metrics/report.md").read_text()
    shown = "\n".join(score_lines(read_json(folder / "metrics/details.json", Evaluation)))
    assert re.search(rf"^Brier score +{value:.3f} +- ", shown, re.M)

    a = read_revision("workspace")
    majority = read_predictions(folder / "data/baseline/majority_class.csv")
    b = replace(a, model=replace(a.model, predictions=majority))
    (comparison,) = compare_revisions(a, [b])
    found = comparison.metrics["brier"]
    assert found.verdict == "worse"
    assert found.low is not None
    assert found.low > 0
    assert found.detectable is not None
    assert 0 < found.detectable < 1
    assert "Brier score" in "\n".join(table_lines([comparison]))
    problems = list(check_outputs(folder, load_params()))
    assert [problem[:26] for problem in problems] == ["evaluate.require: brier is"]


def test_a_bound_of_an_unknown_metric_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"evaluate\.require: found 'brier'; .* are accuracy, "):
        check_required({"accuracy": 0.5, "brier": 1.0})
    monkeypatch.setitem(METRICS, "brier", replace(BRIER, is_compared=False))
    check_required({"accuracy": 0.5, "brier": 1.0})


def test_a_figure_is_one_entry(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FigureEntry(confusion_matrix, "The same once more")
    monkeypatch.setitem(FIGURES, "again.svg", entry)
    folder = run(table(), *STAGES)
    shown = list(revision_lines("workspace"))
    figures = folder / "metrics/figures"
    assert (figures / "again.svg").read_bytes() == (figures / "confusion.svg").read_bytes()
    page = (folder / "metrics/report.md").read_text()
    assert page.endswith("\n## More figures\n\n![The same once more](figures/again.svg)\n")
    assert shown[-1].endswith("calibration.svg, again.svg")
