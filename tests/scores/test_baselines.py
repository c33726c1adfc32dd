"""The baselines that a table gets."""

import csv
import io
import json

import numpy as np
import pytest

from tests.conftest import Run


def test_an_svc_whose_last_digits_do_not_settle_is_left_out(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    shares = np.array([[0.5], [0.3], [0.8]])
    columns = [draw.integers(18, 90, 1500), *(draw.random((3, 1500)) < shares).astype(int)]
    kinds = draw.random(1500) < 0.3 + 0.1 * columns[1]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["age", "a", "b", "c", "kind"])
    writer.writerows(zip(*columns, kinds, strict=True))
    folder = run(text.getvalue(), "split", "baseline")
    assert "svc: left out, its last digits do not settle on these rows" in capsys.readouterr().out
    models = json.loads((folder / "metrics/baseline.json").read_text())["models"]
    assert list(models) == [
        "hist_gradient_boosting", "logistic_regression", "majority_class", "random_forest",
    ]  # fmt: skip
