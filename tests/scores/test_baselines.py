"""The baselines that a table gets."""

import csv
import io
import json

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from tests.conftest import Run
from vintage.base import tensors
from vintage.base.files import read_json
from vintage.base.tensors import Feature
from vintage.scores.baselines import BASELINES, SEED, predict_baseline
from vintage.scores.evaluation import Baselines


def test_a_baseline_is_one_entry(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"knn5": lambda *_: KNeighborsClassifier(5)}
    monkeypatch.setattr("stages.baseline.BASELINES", entry)
    monkeypatch.setattr("vintage.scores.baselines.BASELINES", entry)
    table = "a,kind\n" + "".join(f"{n},{'xy'[n % 7 > 2]}\n" for n in range(60))
    folder = run(table, "split", "baseline")
    assert list(read_json(folder / "metrics/baseline.json", Baselines).models) == ["knn5"]
    entry["5 neighbours"] = entry.pop("knn5")
    with pytest.raises(ValidationError, match="5 neighbours"):
        run(table, "baseline")


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


def test_a_class_with_a_single_train_row_stops_no_model() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(12_000, 2)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    labels[7] = 2
    columns = [Feature(name=name, kind="numeric") for name in "ab"]
    test = features[:100]
    found = predict_baseline("hist_gradient_boosting", columns, features, labels, test, 3)
    assert (found.argmax(axis=1)[8:] == labels[8:100]).all()


def test_a_column_with_hardly_any_numbers_stops_no_model() -> None:
    """Early stopping may put all of them among the rows that it validates by."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(10_100, 2)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    features[:, 1] = np.nan
    columns = [
        Feature(name="a", kind="numeric"),
        Feature(name="sparse", kind="numeric", missing=True),
    ]
    for place in range(0, 100, 5):
        train = features.copy()
        train[place, 1] = 1
        test = features[:100]
        found = predict_baseline("hist_gradient_boosting", columns, train, labels, test, 2)
        assert (found.argmax(axis=1) == labels[:100]).mean() > 0.9


def test_a_column_with_hardly_any_numbers_is_split_on_as_ever() -> None:
    """That is never: it has fewer than a leaf has rows."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(400, 2)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    features[19:, 1] = np.nan
    columns = [
        Feature(name="a", kind="numeric"),
        Feature(name="sparse", kind="numeric", missing=True),
    ]
    found = predict_baseline("hist_gradient_boosting", columns, features, labels, features, 2)
    plain = HistGradientBoostingClassifier(random_state=SEED).fit(features, labels)
    assert found == pytest.approx(plain.predict_proba(features), rel=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BASELINES)
def test_a_column_without_numbers_in_the_sample_stops_no_model(name: str) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(300, 2)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    features[:, 1] = np.nan
    test = features[:100].copy()
    test[7, 1] = 5
    columns = [
        Feature(name="a", kind="numeric"),
        Feature(name="sparse", kind="numeric", missing=True),
    ]
    found = predict_baseline(name, columns, features, labels, test, 2)
    assert np.isfinite(found).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BASELINES)
def test_hardly_more_rows_than_classes_are_fitted_without_a_word(name: str) -> None:
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(30, 2)).astype(np.float32), np.arange(30) % 20
    columns = [Feature(name=name, kind="numeric") for name in "ab"]
    found = predict_baseline(name, columns, features, labels, features, 20)
    assert found.sum(axis=1) == pytest.approx(np.ones(30))


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**90])
@pytest.mark.parametrize("name", ["logistic_regression", "random_forest", "hist_gradient_boosting"])
def test_a_table_in_other_units_gets_the_same_predictions(name: str, unit: float) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(400, 2)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64)
    train, test = features[:300], features[300:]
    columns = [Feature(name=name, kind="numeric") for name in "ab"]
    as_it_is, found = (
        predict_baseline(name, columns, part, labels[:300], rows, 2)
        for part, rows in ((train, test), (train * np.float32(unit), test * np.float32(unit)))
    )
    assert found == pytest.approx(as_it_is, rel=1e-5)


def test_a_forest_keeps_no_trees_and_predicts_as_all_of_them() -> None:
    """Those of noisy rows of a hundred classes would take gigabytes."""
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(300, 3)).astype(np.float32), draw.integers(0, 20, 300)
    columns = [Feature(name=name, kind="numeric") for name in "abc"]
    found = BASELINES["random_forest"](columns, 20).fit(features, labels)
    expected = RandomForestClassifier(n_estimators=500, random_state=SEED).fit(features, labels)
    assert np.array_equal(found.predict_proba(features), expected.predict_proba(features))
    assert len({id(tree) for tree in found[-1].estimators_}) == 1


def test_a_forest_takes_test_rows_far_beyond_the_train_rows() -> None:
    features = np.linspace(1, 2, 100, dtype=np.float32)[:, None]
    labels = (features[:, 0] > 1.5).astype(np.int64)
    columns = [Feature(name="a", kind="numeric")]
    test = np.array([[3e38], [-3e38]], dtype=np.float32)
    found = predict_baseline("random_forest", columns, features, labels, test, 2)
    assert found.argmax(axis=1).tolist() == [1, 0]


def test_a_sample_of_one_class_is_said_and_stops_no_stage(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tensors, "LARGE", 20)
    monkeypatch.setattr(tensors, "SAMPLED_ROWS", 20)
    table = "a,kind\n" + "".join(f"{n},{'x' if n % 200 else 'rare'}\n" for n in range(600))
    settings = {"split.by": "hash", "split.val_size": 0.1, "train.epochs": 1}
    stages = ("split", "train", "evaluate", "baseline", "explain")
    folder = run(table, *stages, **settings)
    assert "all of one class, so no other model is fitted" in capsys.readouterr().out
    assert list(read_json(folder / "metrics/baseline.json", Baselines).models) == ["majority_class"]
    run(table, "report", **settings)
