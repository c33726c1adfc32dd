"""`vintage score`: labelled rows that came later."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.conftest import Run
from vintage.base import tensors
from vintage.base.console import InputError
from vintage.network.checkpoint import read_checkpoint
from vintage.predict.scored import score_lines
from vintage.predict.shift import score_changes
from vintage.scores.drift import category_drift, column_drift
from vintage.scores.rows import Sample

STAGES = ("split", "train")


def rows_of(n_rows: int, seed: int, shift: float = 0.0, flip: float = 0.0) -> list[str]:
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(n_rows, 2)).round(4)
    letters = draw.choice(list("abc"), n_rows)
    is_yes = inputs[:, 0] + draw.normal(0, 0.3, n_rows) > 0
    is_yes ^= draw.random(n_rows) < flip
    shown = inputs + np.array([0, shift])
    return [
        f"{a:.4f},{b:.4f},{letter},{'yes' if yes else 'no'}"
        for (a, b), letter, yes in zip(shown, letters, is_yes, strict=True)
    ]


HEADER = "a,b,letter,kind"
OWN = rows_of(500, seed=1)


@pytest.fixture
def model(run: Run) -> Path:
    return run("\n".join([HEADER, *OWN]) + "\n", *STAGES, **{"train.epochs": 30})


def scored(folder: Path, rows: list[str], header: str = HEADER) -> list[str]:
    (folder / "next.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    network = read_checkpoint(folder / "data/checkpoint")
    lines = list(score_lines(network, "next.csv", "auto", 0.95))
    assert all(len(line) <= 100 for line in lines)
    return lines


def test_a_folder_is_scored_as_one_table(model: Path) -> None:
    rows = rows_of(300, seed=2)
    lines = scored(model, rows)
    (folder := model / "next").mkdir()
    for name, part in (("a.csv", rows[:100]), ("b.csv", rows[100:])):
        (folder / name).write_text("\n".join([HEADER, *part]) + "\n", encoding="utf-8")
    network = read_checkpoint(model / "data/checkpoint")
    assert [*score_lines(network, "next", "auto", 0.95)][1:] == lines[1:]
    (folder / "b.csv").write_text("\n".join([HEADER, *rows[100:], "low,0,a,no"]) + "\n")
    with pytest.raises(InputError, match=r"next/b.csv: column 'a', row 200: 'low' is not a number"):
        list(score_lines(network, "next", "auto", 0.95))


def verdict(lines: list[str], metric: str) -> str:
    return next(line for line in lines if line.startswith(f"{metric} "))


def test_more_rows_like_these_are_scored_alike(model: Path) -> None:
    lines = scored(model, rows_of(300, seed=2))
    assert lines[0] == "next.csv: 300 new labelled rows"
    for metric in ("accuracy", "log loss", "macro F1"):
        assert verdict(lines, metric).endswith("no difference")
    assert lines[-1] == "no column has drifted, of 4 that were tested"


def test_rows_of_which_many_have_another_class_are_scored_worse(model: Path) -> None:
    lines = scored(model, rows_of(300, seed=2, flip=0.3))
    for metric in ("accuracy", "log loss", "macro F1"):
        assert verdict(lines, metric).endswith("worse")


def test_a_column_that_drifted_is_named(model: Path) -> None:
    lines = scored(model, rows_of(300, seed=2, shift=0.5))
    assert "1 of 4 columns have drifted:" in lines
    assert lines[-1].startswith("b ")
    other = [row.replace(",a,", ",b,") for row in rows_of(300, seed=2)]
    assert scored(model, other)[-1].startswith("letter ")


def test_rows_that_the_model_knows_are_no_evidence(model: Path) -> None:
    """It has seen them, or they are the test rows that the new ones are compared with."""
    new = rows_of(200, seed=2)
    lines = scored(model, [*OWN[:60], *new])
    assert lines[0].startswith("next.csv: 200 new labelled rows (left out: 60 with a twin")
    assert lines[2:] == scored(model, new)[2:]
    with pytest.raises(InputError, match=r"no labelled row is new: 60 with a twin in the model's"):
        scored(model, OWN[:60])


def test_beside_a_large_table_every_twin_is_known_and_a_sample_is_scored(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(
        "\n".join([HEADER, *OWN]) + "\n", *STAGES, **{"train.epochs": 30, "split.val_size": 0.1}
    )
    of_all = scored(folder, [*rows_of(300, seed=2), *OWN])
    monkeypatch.setattr(tensors, "LARGE", 250)
    monkeypatch.setattr(tensors, "SAMPLED_ROWS", 60)
    of_sample = scored(folder, [*rows_of(300, seed=2), *OWN])
    assert "of 100 test rows, " in capsys.readouterr().out
    assert of_sample[0] == of_all[0]
    assert "500 with a twin" in " ".join(of_sample)
    columns = [re.split(r"  +", verdict(lines, "accuracy")) for lines in (of_all, of_sample)]
    assert columns[0][3:5] == columns[1][3:5]  # of the new rows
    assert columns[0][1:3] != columns[1][1:3]  # of the test rows


def test_rows_without_a_class_or_of_an_unknown_one_are_counted(model: Path) -> None:
    new = rows_of(200, seed=2)
    odd = [new[0].replace(",yes", ",").replace(",no", ","), "1,1,a,maybe", "2,1,a,perhaps"]
    lines = " ".join(scored(model, [*odd, *new[1:]]))
    said = (
        "199 new labelled rows (left out: 1 without a class, 2 of a class that the model does not"
    )
    assert said in " ".join(lines.split())


@pytest.mark.parametrize(
    ("own", "new"),
    [
        (["True", "False", "maybe"], {"True": "True", "False": "False"}),
        (["01", "02", "x"], {"01": "01", "02": "02"}),
        (["1", "2", "3"], {"1": "1.0", "2": "+2", "3": "x"}),
        (["true", "false"], {"true": " TRUE", "false": "False"}),
    ],
)
def test_a_class_is_known_beside_any_others(run: Run, own: list[str], new: dict[str, str]) -> None:
    """A table whose target is text is known by its cells also where all of them say numbers."""

    def table(n_rows: int, seed: int) -> list[list[str]]:
        rows = (row.rsplit(",", 1) for row in rows_of(n_rows, seed))
        return [[cells, own[index % len(own)]] for index, (cells, _) in enumerate(rows)]

    lines = [",".join(row) for row in table(300, 1)]
    folder = run("\n".join([HEADER, *lines]) + "\n", *STAGES)
    later = [",".join([cells, new[name]]) for cells, name in table(60, 2) if name in new]
    n_known = sum(not row.endswith("x") for row in later)
    assert scored(folder, later)[0].startswith(f"next.csv: {n_known} new labelled rows")


def test_a_class_that_is_not_utf_8_is_named(model: Path) -> None:
    rows = [*rows_of(5, seed=2), "1,1,a,", "1,1,a,\udcff"]
    text = "\n".join([HEADER, *rows, ""])
    (model / "next.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    network = read_checkpoint(model / "data/checkpoint")
    with pytest.raises(InputError, match=r"next.csv: column 'kind', row 6: the cell is not UTF-8"):
        list(score_lines(network, "next.csv", "auto", 0.95))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (pa.array([["yes"], ["no"]]), "is of type list<.*>; a target"),
        (pa.array([0, 1], pa.timestamp("s")), r"is of type timestamp\[us\]; a target"),
        (pa.nulls(2), "no labelled row is new: 2 without a class"),
    ],
)
def test_a_column_of_a_foreign_type_is_no_target(
    model: Path, cells: pa.Array, message: str
) -> None:
    table = {"a": [0.5, 1.5], "b": [1, 2], "letter": ["a", "b"], "kind": cells}
    pyarrow.parquet.write_table(pa.table(table), model / "next.parquet")
    network = read_checkpoint(model / "data/checkpoint")
    with pytest.raises(InputError, match=message):
        list(score_lines(network, "next.parquet", "auto", 0.95))


def test_without_its_tensors_a_model_is_scored_alone(model: Path) -> None:
    (model / "data/tensors/schema.json").unlink()
    lines = scored(model, rows_of(50, seed=2))
    assert lines[-1] == "data/tensors is not of this model, so nothing is compared"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a,b,letter,sort", r"next.csv: has no column 'kind', the target"),
        ("a,c,letter,kind", r"next.csv: has no column 'b'"),
    ],
)
def test_a_column_that_is_missing_is_named(model: Path, header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scored(model, rows_of(20, seed=2), header)


def test_rows_of_one_population_seldom_differ() -> None:
    """At most 6 % of pairs, as for comparisons: scores, numbers and categories."""
    draw = np.random.default_rng(6)
    found = []
    for _ in range(30):
        sides = []
        for n_rows in (200, 120):
            labels = draw.choice(3, n_rows, p=[0.5, 0.4, 0.1])
            evidence = np.exp(draw.normal(1.5 * np.eye(3)[labels], 1))
            probabilities = evidence / evidence.sum(axis=1, keepdims=True)
            sides.append(Sample.of(labels, probabilities, np.arange(n_rows)))
        changes = score_changes(sides[0], sides[1])
        p_values = [change.p_value for change in changes.values()]
        gaps = draw.normal(size=200), draw.normal(size=120)
        with_gaps = [
            np.where(draw.random(len(g)) < 0.1, np.nan, g).astype(np.float32) for g in gaps
        ]
        p_values.append(column_drift(*with_gaps).p_value)
        p_values.append(
            category_drift(draw.integers(0, 30, 200), draw.integers(0, 30, 120)).p_value
        )
        found.append([p is not None and p < 0.05 for p in p_values])
    assert np.mean(found) <= 0.06


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("n_old", "n_new"), [(1, 1), (1, 2), (4, 1), (3, 2), (100, 1), (60, 4)])
def test_a_few_numbers_have_drifted_no_oftener_than_chance_has_it(n_old: int, n_new: int) -> None:
    """Such as those of a single site that was held out of five."""
    draw = np.random.default_rng(0)
    drawn = [draw.normal(size=(n_old + n_new, 1)).astype(np.float32) for _ in range(500)]
    p_values = [column_drift(each[:n_old, 0], each[n_old:, 0]).p_value for each in drawn]
    for level in (0.01, 0.05, 0.2):
        assert np.mean([p_value <= level for p_value in p_values]) <= level + 0.02


def test_a_table_without_rows_is_refused(model: Path) -> None:
    (model / "next.csv").write_text(f"{HEADER}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"next.csv: has a header but no rows"):
        list(score_lines(read_checkpoint(model / "data/checkpoint"), "next.csv", "auto", 0.95))


def test_a_bad_cell_is_named_by_its_row_in_the_table(model: Path) -> None:
    rows = [row.replace(",yes", ",").replace(",no", ",") for row in rows_of(5, seed=2)]
    with pytest.raises(InputError, match=r"column 'a', row 5: 'x' is not a number"):
        scored(model, [*rows, "x,1,a,yes"])


def test_another_model_of_the_same_form_has_no_test_rows_here(model: Path) -> None:
    """Its test rows may be among those that this one learned from."""
    manifest = model / "data/checkpoint/model.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(re.sub(r'("learned_rows": ")\w+', r"\g<1>0", text), encoding="utf-8")
    assert scored(model, rows_of(50, seed=2))[-1].startswith("data/tensors is not of this model")


def test_few_distinct_rows_do_not_drift_by_being_left_out(run: Run) -> None:
    """New rows that look like known ones are left out of the scores, but not of the test."""
    draw = np.random.default_rng(5)

    def rows(n_rows: int) -> list[str]:
        return [
            ",".join([*draw.choice(list("abcd"), 3), draw.choice(["yes", "no"])])
            for _ in range(n_rows)
        ]

    folder = run("\n".join(["p,q,r,kind", *rows(150)]) + "\n", *STAGES)
    lines = scored(folder, rows(400), "p,q,r,kind")
    assert any(line.startswith("more than half of the rows are left out") for line in lines)
    assert lines[-1] == "no column has drifted, of 4 that were tested"


@pytest.mark.parametrize("n_new", [1, 5, 20])
def test_few_new_rows_seldom_drift(n_new: int) -> None:
    draw = np.random.default_rng(n_new)
    shares = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.04, 0.03, 0.03])
    p_values = [
        category_drift(draw.choice(9, 1000, p=shares), draw.choice(9, n_new, p=shares)).p_value
        for _ in range(200)
    ]
    assert sum(p <= 0.05 for p in p_values) <= 20
