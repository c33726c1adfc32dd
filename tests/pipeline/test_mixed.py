"""The stages on tables of mixed kinds: what they learn, from whom, and how the rows are shared."""

import csv
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from tests.conftest import SHORT, Project, Run, only_error
from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.params import load_params
from vintage.base.tensors import (
    Examples,
    Feature,
    Schema,
    read_examples,
    read_schema,
    write_examples,
)
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.checkpoint import read_checkpoint
from vintage.predict.estimator import Classifier
from vintage.predict.export import export_onnx
from vintage.predict.new_rows import predict_table
from vintage.repository.check import check_outputs
from vintage.scores.baselines import BASELINES
from vintage.scores.evaluation import Baselines, Evaluation, scores_with_bounds
from vintage.scores.predictions import read_predictions
from vintage.scores.rows import Sample
from vintage.training.rows import Part, balanced_weights, row_weights

ALL = ("split", "train", "evaluate", "baseline", "explain", "report")


def schema_of(folder: Path) -> Schema:
    return read_schema(folder / "data/tensors/schema.json")


def part_of(folder: Path, name: str) -> Examples:
    return read_examples(folder / f"data/tensors/{name}.safetensors", schema_of(folder))


def text_of(names: str, rows: list[list[Any]]) -> str:
    return f"{names}\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def mixed_rows(n_rows: int = 90) -> list[list[Any]]:
    """`number, sparse, city, member, day, kind`; the numbers tell all rows apart."""
    draw = random.Random(3)
    rows = []
    for _ in range(n_rows):
        kind = draw.choice("xyz")
        rows.append(
            [
                draw.random() + 0.5 * "xyz".index(kind),
                draw.choice(["", "NA", draw.gauss(0, 1), draw.gauss(5, 2)]),
                draw.choice(["Rome", "Oslo", "Lima", ""]),
                draw.choice(["true", "false"]),
                f"20{draw.randint(10, 24)}-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}",
                kind,
            ]
        )
    return rows


MIXED = "number,sparse,city,member,day,kind"


@pytest.mark.parametrize("name", ["mlp", "tabm"])
def test_nothing_is_fitted_on_test_rows(run: Run, name: str) -> None:
    """Other features in the test rows leave every fitted constant as it was, to the byte."""
    rows = mixed_rows()
    settings = {"model.name": name, "train.calibration": "temperature", "train.replicas": 1}
    folder = run(text_of(MIXED, rows), "split", "train", **settings)
    assert {f.kind for f in schema_of(folder).features} == {"numeric", "categorical", "datetime"}
    names = ["checkpoint/model.safetensors", "checkpoint/model.json", "checkpoint/schema.json"]
    names += ["tensors/train.safetensors", "tensors/val.safetensors", "tensors/schema.json"]
    before = {name: (folder / "data" / name).read_bytes() for name in names}
    test = part_of(folder, "test")
    odd = ["", "Rome", "a new city", "another"]
    days = ["", "1066-10-14", "2999-12-31"]
    for place, row in enumerate(test.rows):
        new = [-1e6 * (place + 1), 1e9, odd[place % 4], ["", "true"][place % 2], days[place % 3]]
        rows[row] = [*new, rows[row][-1]]
    run(text_of(MIXED, rows), "split", "train", **settings)
    assert part_of(folder, "test").rows.tolist() == test.rows.tolist()
    assert (part_of(folder, "test").features != test.features).mean() > 0.7
    for path, content in before.items():
        found = (folder / "data" / path).read_bytes()
        if path.endswith("schema.json"):
            assert without_counts(found) == without_counts(content), path
        else:
            assert found == content, path


def without_counts(schema: bytes) -> dict[str, Any]:
    """All but the numbers of missing cells, which are those of all rows."""
    content: dict[str, Any] = json.loads(schema)
    assert content.pop("missing_cells")
    return content


def test_every_stage_takes_a_mixed_table(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[*row[:-1], 7, "", row[-1]] for row in mixed_rows()]
    rows[5][-1], rows[70][-1] = "", "NA"
    folder = run(text_of("number,sparse,city,member,day,same,none,kind", rows), *ALL)
    shown = capsys.readouterr().out
    assert "table.csv: 88 rows, 5 features, 3 classes of 'kind'\n" in shown
    assert "\n  2 categorical, 1 datetime, 2 numeric\n" in shown
    assert "\n  column 'same' is dropped: constant in the train rows\n" in shown
    assert "\n  column 'none' is dropped: empty in the train rows\n" in shown
    assert "\n  2 rows without a target are left out\n" in shown
    assert list(check_outputs(folder, load_params(folder / "params.yaml"))) == []
    assert schema_of(folder).dropped == ["none", "same"]
    kept = [row for i, row in enumerate(rows) if i not in (5, 70)]
    n_sparse, n_city = (sum(row[i] in ("", "NA") for row in kept) for i in (1, 2))
    assert schema_of(folder).missing_cells == {"sparse": n_sparse, "city": n_city}
    assert f"\n  missing cells by column: sparse {n_sparse}, city {n_city}\n" in shown
    report = (folder / "metrics/report.md").read_text()
    most = sorted([f"{n_sparse:02} sparse", f"{n_city:02} city"], reverse=True)
    counts = ", ".join(f"{name} {int(count)}" for count, name in (each.split() for each in most))
    assert f"\nCells that are missing, by column: {counts}.\n" in report
    found = np.concatenate([part_of(folder, name).rows for name in ("train", "val", "test")])
    assert sorted(found.tolist()) == sorted({*range(90)} - {5, 70})
    models = read_json(folder / "metrics/baseline.json", Baselines).models
    assert set(models) == set(BASELINES)
    losses = [models[name]["log_loss"] or np.nan for name in BASELINES]
    assert (np.array(losses[1:]) < losses[0]).all()  # than that of the majority class


def test_unknown_categories_are_counted(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[i, f"c{i % 3}", ["train", "val", "test"][i // 20], "xy"[i % 2]] for i in range(60)]
    for place in (41, 42, 25):
        rows[place][1] = f"new{place}"
    run(text_of("n,city,part,kind", rows), "split", **{"split.column": "part"})
    shown = capsys.readouterr().out
    assert "  2 cells of column 'city' in test hold a category that no train row has\n" in shown
    assert "  1 cells of column 'city' in val hold a category that no train row has\n" in shown
    assert "in train hold" not in shown


@pytest.mark.parametrize("same", ["1.0,1", "TRUE,true", "x ,x", "NA,"])
def test_twins_are_kept_together_however_they_are_written(run: Run, same: str) -> None:
    """The check, which sees only what is stored, agrees."""
    one, other = same.split(",")
    rows = [[i % 25, one if i < 50 else other, "xy"[i % 2]] for i in range(100)]
    rows += [[50, "z", "x"], [51, "z", "y"]]
    folder = run(text_of("n,c,kind", rows), "split")
    sides = {
        int(row): name for name in ("train", "val", "test") for row in part_of(folder, name).rows
    }
    for row in range(100):
        assert sides[row] == sides[row % 25]
    assert schema_of(folder).rows.repeated == 75


def sides_of(folder: Path) -> dict[int, str]:
    return {
        int(row): name for name in ("train", "val", "test") for row in part_of(folder, name).rows
    }


def test_rows_that_are_twins_without_a_dropped_column_share_a_side(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column that varies among the late rows alone is constant in train, and dropped there."""
    draw = random.Random(2)
    rows = [[i % 50, max(0, i - 94), i, draw.choice("xy")] for i in range(100)]
    folder = run(text_of("n,late,when,kind", rows), "split", **{"split.order_by": "when"})
    assert schema_of(folder).dropped == ["late"]
    assert "column 'late' is dropped" in (shown := capsys.readouterr().out)
    sides = sides_of(folder)
    assert all(sides[row] == sides[row + 50] for row in range(50))
    assert "50 rows repeat an earlier one; kept together with their twins" in shown
    assert "split 2 times" in shown


def test_no_seed_tears_twins_apart_by_dropping_a_column(run: Run) -> None:
    """One row differs from its twins in a column of which it alone has another value."""
    rows = [[i % 20, int(i == 39), "xy"[i % 3 % 2]] for i in range(40)]
    n_dropped = 0
    for seed in range(12):
        folder = run(text_of("n,rare,kind", rows), "split", **{"split.seed": seed})
        examples = {name: part_of(folder, name).features for name in ("train", "val", "test")}
        known = {tuple(row) for row in examples["train"].tolist()}
        assert not known & {tuple(row) for row in examples["test"].tolist()}
        n_dropped += bool(schema_of(folder).dropped)
    assert n_dropped


def test_the_check_sees_torn_twins_beside_a_dropped_column(run: Run) -> None:
    rows = [[i, 5, "xy"[i // 2 % 2]] for i in range(60)]
    folder = run(text_of("n,same,kind", rows), *ALL)
    params = load_params(folder / "params.yaml")
    assert list(check_outputs(folder, params)) == []
    schema, test = schema_of(folder), part_of(folder, "test")
    assert schema.dropped == ["same"]
    train = part_of(folder, "train")
    test.features[0] = train.features[0]
    write_examples(folder / "data/tensors/test.safetensors", test)
    found = list(check_outputs(folder, params))
    assert any("has a twin on another side of the split" in line for line in found)


def test_rows_that_differ_in_an_ignored_column_alone_share_a_side(run: Run) -> None:
    """As those of one person, told apart by a number of their own that is no feature."""
    rows = [[i, i % 20, f"t{i % 3}", "xy"[i % 2]] for i in range(120)]
    for seed in range(4):
        settings = {"data.ignore": ["id"], "split.seed": seed, "split.val_size": 0.1}
        folder = run(text_of("id,a,b,kind", rows), "split", **settings)
        sides = sides_of(folder)
        assert all(sides[row] == sides[row + 60] for row in range(60))
        assert schema_of(folder).rows.repeated == 60
        assert len(set(sides.values())) == 3


def test_unknown_categories_make_no_twins(run: Run) -> None:
    """They are one to the model, but no train row has them; rows are not joined by them."""
    rows = [["p", f"c{i}", "xy"[i % 2]] for i in range(60)] * 2
    kinds = {"data.kinds": {"c": "categorical"}}
    folder = run(text_of("p,c,kind", rows), *ALL, **kinds)
    sides = sides_of(folder)
    assert all(sides[row] == sides[row + 60] for row in range(60))
    assert schema_of(folder).rows.repeated == 60
    assert len(part_of(folder, "test").rows) == 24
    assert list(check_outputs(folder, load_params(folder / "params.yaml"))) == []


def groups_of(folder: Path) -> list[int]:
    with (folder / "metrics/predictions.csv").open(newline="") as file:
        return [int(row["group"]) for row in csv.DictReader(file)]


def test_rows_of_a_group_stay_together_and_count_as_one(run: Run) -> None:
    rows = [[i + i * i % 7 / 10, f"p{i // 4}", "xy"[i // 4 % 2]] for i in range(200)]
    folder = run(
        text_of("n,who,kind", rows), "split", "train", "evaluate", **{"split.group_by": "who"}
    )
    assert [feature.name for feature in schema_of(folder).features] == ["n"]
    sides = [
        {row // 4 for row in part_of(folder, name).rows.tolist()}
        for name in ("train", "val", "test")
    ]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 50
    test = part_of(folder, "test").rows.tolist()
    assert groups_of(folder) == [row - row % 4 for row in test]
    assert list(check_outputs(folder, load_params(folder / "params.yaml"))) == []

    found = read_predictions(folder / "metrics/predictions.csv")
    width, alone = (
        (scores["log_loss_high"] or 0) - (scores["log_loss_low"] or 0)
        for scores in (
            read_json(folder / "metrics/details.json", Evaluation).test,
            scores_with_bounds(Sample.of(found.labels, found.probabilities, found.rows), 0.95),
        )
    )
    assert width > alone * 1.2


@pytest.mark.parametrize(
    "moment",
    [
        lambda i: (i * 37) % 100,
        lambda i: f"20{(i * 37) % 100:02}-03-01",
        lambda i: f"2024-01-01T00:{(i * 37) % 100 // 2:02}:{(i * 37) % 100 % 2 * 30:02}Z",
    ],
    ids=["numbers", "dates", "times"],
)
def test_the_latest_rows_are_the_test_part(run: Run, moment: Callable[[int], Any]) -> None:
    rows = [[i, moment(i), "xy"[i % 2]] for i in range(100)]
    sizes = {"split.order_by": "when", "split.test_size": 0.2, "split.val_size": 0.1}
    folder = run(text_of("n,when,kind", rows), "split", **sizes)
    assert [feature.name for feature in schema_of(folder).features] == ["n"]
    by_time = sorted(range(100), key=lambda i: (i * 37) % 100)
    assert part_of(folder, "train").rows.tolist() == sorted(by_time[:70])
    assert part_of(folder, "val").rows.tolist() == sorted(by_time[70:80])
    assert part_of(folder, "test").rows.tolist() == sorted(by_time[80:])


def test_a_group_is_as_late_as_its_latest_row(run: Run) -> None:
    rows = [[i, i, i % 10, "xy"[i % 2]] for i in range(100)]
    rows[3][1] = 1000
    settings = {"split.order_by": "when", "split.group_by": "who", "split.val_size": 0}
    folder = run(text_of("n,when,who,kind", rows), "split", **settings, **{"split.test_size": 0.1})
    assert part_of(folder, "test").rows.tolist() == list(range(3, 100, 10))
    assert len(part_of(folder, "val").rows) == 0


@pytest.mark.parametrize("with_val", [True, False])
def test_a_ready_made_split_is_honoured(run: Run, with_val: bool) -> None:
    part = [["train", "train", "test", "val" if with_val else "train"][i % 4] for i in range(80)]
    rows = [[i, part[i], "xy"[i // 4 % 2]] for i in range(80)]
    folder = run(text_of("n,part,kind", rows), *ALL, **{"split.column": "part"})
    for name in ("train", "val", "test"):
        assert part_of(folder, name).rows.tolist() == [i for i in range(80) if part[i] == name]
    assert [feature.name for feature in schema_of(folder).features] == ["n"]
    assert list(check_outputs(folder, load_params(folder / "params.yaml"))) == []


PARTS = [[i, ["train", "val", "test"][i % 3], i, "xy"[i // 3 % 2]] for i in range(60)]


def changed(*cells: tuple[int, int, Any]) -> list[list[Any]]:
    rows = [list(row) for row in PARTS]
    for row, column, value in cells:
        rows[row][column] = value
    return rows


def without(part: str) -> list[list[Any]]:
    return changed(*((row, 1, "val") for row in range(60) if PARTS[row][1] == part))


only_held_out = [(row, 3, "z") for row in range(1, 60, 3)]
BAD_SPLITS: dict[str, tuple[list[list[Any]], dict[str, Any], str]] = {
    "a wrong part": (
        changed((17, 1, "validation")), {"split.column": "part"},
        "column 'part', row 17: 'validation' is no part; allowed is train, val, test"),
    "an empty part": (
        changed((0, 3, ""), (17, 1, "")), {"split.column": "part"},
        "column 'part', row 17: '' is no part"),
    "numbers": ([[i, i % 2, i, "xy"[i % 2]] for i in range(60)], {"split.column": "part"}, "row 0"),
    "no train rows": (
        without("train"), {"split.column": "part"},
        "this split leaves no row of class 'x' in train; correct the column of split.column"),
    "no test rows": (
        without("test"), {"split.column": "part"}, "leaves no row in test; correct the column"),
    "a class that is not in train": (
        changed(*only_held_out), {"split.column": "part"}, "no row of class 'z' in train"),
    "a class that comes late": (
        changed(*((row, 3, "z") for row in range(55, 60))), {"split.order_by": "when"},
        "no row of class 'z' in train; take other sizes"),
    "a missing time": (
        changed((9, 2, "NA")), {"split.order_by": "when"}, "'when', row 9: the cell is missing"),
    "no times": (PARTS, {"split.order_by": "part"}, "holds neither numbers nor times in ISO 8601"),
    "a group by the target": (PARTS, {"split.group_by": "kind"}, "no class has two groups"),
    "no such column": (
        PARTS, {"split.group_by": "nobody"}, "split.group_by names 'nobody', which is no column"),
    "no features": (
        PARTS, {"data.ignore": ["n", "when", "part"]}, "no column is left as a feature"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SPLITS)
def test_an_impossible_split_is_refused(run: Run, case: str) -> None:
    rows, settings, expected = BAD_SPLITS[case]
    with pytest.raises(InputError) as error:
        run(text_of("n,part,when,kind", rows), "split", **settings)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_test_row_without_a_number_is_named(fresh: Project) -> None:
    """In a column that is numeric by its train rows; with its row in the table, as a process."""
    rows = [[i, i % 7, ["train", "train", "test"][i % 3], "xy"[i % 2]] for i in range(60)]
    rows[0][-1] = ""
    rows[41][1] = "low"
    (fresh.root / "table.csv").write_text(text_of("n,level,part,kind", rows))
    fresh.set_params(**SHORT, **{"split.column": "part"})
    error = only_error(fresh.stage("split"))
    assert error.startswith("error: table.csv: column 'level', row 41: 'low' is not a number;")


def test_weights_that_balance_the_classes() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    (weights,) = balanced_weights(Part.of_all(torch.zeros(10, 1), labels).class_counts(3))
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert weights[labels].sum() == pytest.approx(10)
    logits = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(1))
    loss = torch.nn.CrossEntropyLoss(weight=weights)
    expected = [float(loss(one, labels)) for one in logits]
    for arithmetic in ARITHMETIC.values():
        of_rows = row_weights(labels, torch.ones(10, dtype=torch.bool), weights)
        found = arithmetic.cross_entropy(logits, labels, of_rows)
        assert found.tolist() == pytest.approx(expected)


def test_balanced_weights_raise_the_balanced_accuracy(run: Run) -> None:
    draw = random.Random(1)
    rows = [[draw.gauss(2 * (i % 12 == 0), 1), draw.random(), int(i % 12 == 0)] for i in range(600)]
    scores = {}
    for weight in ("none", "balanced"):
        settings = {"train.class_weight": weight, "train.epochs": 60, "model.dropout": 0.0}
        folder = run(text_of("a,b,kind", rows), "split", "train", "evaluate", **settings)
        test = read_json(folder / "metrics/details.json", Evaluation).test
        scores[weight] = test["balanced_accuracy"] or 0
    assert scores["balanced"] > scores["none"] + 0.1


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_classes"),
    [(30, 2, 2), (260, 1, 26), (1000, 2, 100), (60, 2000, 2)],
)
def test_tables_of_many_sizes(run: Run, n_rows: int, n_columns: int, n_classes: int) -> None:
    draw = np.random.default_rng(1).normal(size=(n_rows, n_columns)).round(3)
    rows = [[*values, f"k{i % n_classes}"] for i, values in enumerate(draw.tolist())]
    names = ",".join([*(f"c{index}" for index in range(n_columns)), "kind"])
    sizes = {"split.test_size": 0.2, "split.val_size": 0.2}
    stages = ALL if n_classes < 26 and n_columns < 10 else ALL[:3]
    folder = run(text_of(names, rows), *stages, **sizes)
    schema = schema_of(folder)
    assert len(schema.features) == n_columns
    assert len(schema.classes) == n_classes
    predictions = read_predictions(folder / "metrics/predictions.csv")
    assert predictions.probabilities.shape == (schema.rows.test, n_classes)
    assert Counter(predictions.labels.tolist()).total() == schema.rows.test


@pytest.mark.slow
def test_a_table_of_300_000_rows(run: Run) -> None:
    values = np.random.default_rng(1).normal(size=(300_000, 3)).round(4)
    labels = (values.sum(axis=1) > 0).astype(int)
    lines = [f"{a},{b},{c},c{i % 9},{labels[i]}" for i, (a, b, c) in enumerate(values.tolist())]
    table = "a,b,c,d,kind\n" + "\n".join(lines) + "\n"
    folder = run(table, "split", "train", "evaluate", **{"train.epochs": 1, "train.replicas": 1})
    assert sum(schema_of(folder).rows.model_dump(exclude={"repeated"}).values()) == 300_000
    assert (read_json(folder / "metrics/details.json", Evaluation).test["accuracy"] or 0) > 0.9


def test_categories_alone(run: Run) -> None:
    """No numbers to impute or to scale, and more categories than a tree has bins for."""
    draw = random.Random(5)
    rows = [[f"c{i % 300}", draw.choice(["", "p", "q"]), "xy"[i % 300 % 2]] for i in range(600)]
    kinds = {"data.kinds": {"city": "categorical"}, "split.group_by": "none"}
    folder = run(text_of("city,part,kind", rows), *ALL, **kinds)
    assert list(check_outputs(folder, load_params(folder / "params.yaml"))) == []
    assert len(schema_of(folder).features[0].categories or []) > 255


def test_texts_that_mean_missing_are_set(run: Run) -> None:
    """Namibia's code is a country then, in every way to predict, as it is where it is trained."""
    draw = random.Random(8)
    rows = [
        [
            draw.choice(["NA", "DE", " - ", "", "BW"]),
            draw.choice(["-", 20230100 + draw.randint(1, 28), 20230101]),
            draw.choice([0.5, 1.25, "-"]),
            draw.choice("xy"),
        ]
        for _ in range(200)
    ]
    settings = {"data.missing": ["-"], "split.group_by": "none"}
    table = text_of("country,when,n,kind", rows)
    folder = run(table, "split", "train", "evaluate", **settings)
    schema = schema_of(folder)
    assert schema.missing == ["-"]
    assert schema.features[0] == Feature(
        name="country", kind="categorical", missing=True, categories=["BW", "DE", "NA"]
    )
    assert [feature.missing for feature in schema.features] == [True] * 3
    assert schema.features[1].offset == 20230101
    found = read_predictions(folder / "metrics/predictions.csv")

    export_onnx(folder / "model.onnx", read_checkpoint(folder / "data/checkpoint"))
    texts = [[str(cell) for cell in column] for column in zip(*rows, strict=True)]
    columns = dict(zip(["country", "when", "n", "kind"], texts, strict=True))
    pyarrow.parquet.write_table(pa.table(columns), folder / "table.parquet")
    model = folder / "data/checkpoint"
    for source in ("table.csv", "table.parquet"):
        predict_table(read_checkpoint(model), str(folder / source), str(folder / "new.csv"))
        with (folder / "new.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        new = [[float(lines[row][f"probability_{k}"]) for k in "xy"] for row in found.rows]
        assert np.allclose(new, found.probabilities, rtol=0, atol=1e-6)
    loaded = Classifier(model).predict_proba(pd.DataFrame(columns))
    assert np.allclose(loaded[found.rows], found.probabilities, rtol=0, atol=1e-6)
    cells = {
        "country": np.array([["NA"], ["-"], [""], ["??"]], dtype=object),
        "when": np.array([[20230103.0], [20230104.0], [np.nan], [20230101.0]]),
        "n": np.full((4, 1), np.nan, dtype=np.float32),
    }
    session = onnxruntime.InferenceSession((folder / "model.onnx").read_bytes())
    stranger = session.run(["probabilities"], cells)[0]
    frame = pd.DataFrame({name: column[:, 0] for name, column in cells.items()})
    assert np.allclose(Classifier(model).predict_proba(frame), stranger, atol=1e-6)
