"""What the split says of a table in which something looks like a leak or a loss, and of others."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.conftest import WINE, Run
from tests.pipeline.test_mixed import mixed_rows, text_of

Said = Callable[..., str]


@pytest.fixture
def said(run: Run, capsys: pytest.CaptureFixture[str]) -> Said:
    def split(table: str, **settings: Any) -> str:
        capsys.readouterr()
        run(table, "split", **settings)
        return capsys.readouterr().out

    return split


def rows_of(draw: random.Random, n_rows: int = 300) -> list[list[Any]]:
    """`a, b, kind`, which nothing tells."""
    return [
        [round(draw.gauss(0, 1), 3), round(draw.gauss(0, 1), 3), draw.choice("xy")]
        for _ in range(n_rows)
    ]


def odd(shown: str) -> list[str]:
    """The lines that none of the known ones is."""
    known = ("  train ", "  val ", "  test ", "table.csv: ", "data/wine.csv: ")
    return [
        line
        for line in shown.splitlines()
        if not line.startswith(known) and "repeat an earlier one" not in line
    ]


def test_nothing_is_said_of_plain_tables(said: Said) -> None:
    draw = random.Random(1)
    assert odd(said(text_of("a,b,kind", rows_of(draw)))) == []
    mixed = odd(said(text_of("number,sparse,city,member,day,kind", mixed_rows(600))))
    kinds, missing = mixed
    assert kinds == "  2 categorical, 1 datetime, 2 numeric"
    assert missing.startswith("  missing cells by column: sparse ")
    wine = WINE.read_text()
    assert odd(said(wine, **{"data.target": "quality"})) == []


@pytest.mark.filterwarnings("error")
def test_a_column_without_a_number_in_the_rows_that_are_looked_at(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vintage.table.summary.SAMPLE", 20)
    rows = [
        [a, b, 5 if n == 90 else "", kind]
        for n, (a, b, kind) in enumerate(rows_of(random.Random(1)))
    ]
    assert odd(said(text_of("a,b,sparse,kind", rows))) == ["  missing cells by column: sparse 299"]


COPIES: dict[str, Callable[[random.Random, str], Any]] = {
    "text": lambda _, kind: {"x": "no", "y": "yes"}[kind],
    "a number": lambda _, kind: "xy".index(kind),
    "a number beyond a bound": lambda draw, kind: draw.random() + 5 * (kind == "x"),
    "missing": lambda draw, kind: "" if kind == "x" else draw.random(),
    "with a rare error": lambda draw, kind: kind if draw.random() > 0.005 else "y",
}


@pytest.mark.parametrize("case", COPIES)
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_a_column_that_tells_the_target(said: Said, case: str, share: float) -> None:
    draw = random.Random(3)
    rows = []
    for a, b, _ in rows_of(draw, 2000):
        kind = "x" if draw.random() < share else "y"
        rows.append([a, COPIES[case](draw, kind), b, kind])
    shown = said(text_of("a,copy,b,kind", rows))
    assert "  column 'copy' alone predicts 'kind' in nearly all of 1600 train rows" in shown
    assert shown.count("alone predicts") == 1


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_a_column_that_tells_much_is_no_copy(said: Said, share: float) -> None:
    draw = random.Random(4)
    rows = []
    for a, b, _ in rows_of(draw, 2000):
        kind = "x" if draw.random() < share else "y"
        rows.append([a, kind if draw.random() > 0.1 else "x", b, kind])
    assert "alone predicts" not in said(text_of("a,hint,b,kind", rows))


LOST: dict[str, tuple[Callable[[int], Any], str]] = {
    "whole numbers beside 0": (
        lambda i: 2**26 + i if i else 0,
        "different numbers in 240 train rows, of which 32 bits tell",
    ),
    "times of seconds in a century": (
        lambda i: f"20{9 + i % 2 * 90:02}-05-01T12:{i % 60:02}:{i // 60:02}",
        "different times in 240 train rows, of which 32 bits tell",
    ),
    "far beyond float64": (
        lambda i: 2**62 + i,
        "is dropped: constant in the train rows as 64-bit numbers; see data.kinds",
    ),
    "all near 0": (
        lambda i: f"{i + 1}e-60",
        "is dropped: constant in the train rows as 32-bit numbers; multiply it",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_numbers_that_32_bits_do_not_tell_apart(said: Said, case: str) -> None:
    cell, expected = LOST[case]
    rows = [[a, cell(i), kind] for i, (a, _, kind) in enumerate(rows_of(random.Random(5)))]
    assert expected in said(text_of("a,n,kind", rows))


def test_whole_numbers_of_64_bits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(1)
    ids = (2**62 + draw.permutation(300)).tolist()
    table = pa.table({"a": draw.normal(size=300), "id": ids, "kind": ["x", "y"] * 150})
    folder = run("")
    pyarrow.parquet.write_table(table, folder / "t.parquet")
    run("", "split", **{"data.path": "t.parquet"})
    assert "column 'id' is dropped: constant in the train rows as 64-bit" in capsys.readouterr().out
    run("", "split", **{"data.path": "t.parquet", "data.kinds": {"id": "categorical"}})
    assert "column 'id' has a different value in every row" in capsys.readouterr().out


@pytest.mark.parametrize("n_columns", [2, 6])
def test_near_twins_on_two_sides(said: Said, n_columns: int) -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(size=(500, n_columns)) * 10.0 ** np.arange(n_columns)
    values[250:] = values[:250]
    values[250:, 0] += 2e-7
    rows = [[*row, "xy"[i % 2]] for i, row in enumerate(values.tolist())]
    names = ",".join([*(f"c{i}" for i in range(n_columns)), "kind"])
    line = next(line for line in odd(said(text_of(names, rows))) if "test rows differ" in line)
    assert 50 < int(line.split()[0]) < 100
    assert "by less than a millionth of each column's standard deviation" in line


def test_neighbours_by_chance_are_no_near_twins(said: Said) -> None:
    draw = np.random.default_rng(3)
    rows = [[*row, "xy"[i % 2]] for i, row in enumerate(draw.normal(size=(20_000, 2)).tolist())]
    assert odd(said(text_of("a,b,kind", rows))) == []


@pytest.mark.parametrize(
    ("classes", "counts"),
    [
        (["a", "a ", "b"], "'a' (100 rows), 'a ' (100 rows)"),
        (["Yes", "yes", "no"], "'Yes' (100 rows), 'yes' (100 rows)"),
        (["True", "1", "0"], "'1' (100 rows), 'True' (100 rows)"),
        (["1.0", "1", "c"], "'1' (100 rows), '1.0' (100 rows)"),
    ],
)
def test_classes_that_are_perhaps_one(said: Said, classes: list[str], counts: str) -> None:
    rows = [[a, b, classes[i % 3]] for i, (a, b, _) in enumerate(rows_of(random.Random(6)))]
    (line,) = odd(said(text_of("a,b,kind", rows)))
    assert line == (
        f"  column 'kind' holds classes that are perhaps one, {counts}: write them alike, or each "
        "is learned as a class of its own"
    )


def test_a_class_without_a_test_row(said: Said) -> None:
    """By whatever rule, which need not be that it has few rows."""
    rows = [
        [a, b, "xyz"[i % 3], "test" if i < 90 and i % 3 else "train"]
        for i, (a, b, _) in enumerate(rows_of(random.Random(7)))
    ]
    shown = odd(said(text_of("a,b,kind,part", rows), **{"split.column": "part"}))
    assert shown == ["  class x has no test row: nothing will be known of how well it is told"]


@pytest.mark.parametrize("name", ["{}", "user{}"])
def test_an_identifier(said: Said, name: str) -> None:
    rows = [
        [a, name.format(7 * i), kind] for i, (a, _, kind) in enumerate(rows_of(random.Random(7)))
    ]
    settings: dict[str, Any] = {} if name == "{}" else {"data.kinds": {"id": "categorical"}}
    line = "  column 'id' has a different value in every row, like an identifier: list it in "
    line += "data.ignore"
    assert line in odd(said(text_of("a,id,kind", rows), **settings))
    rows[5][1] = rows[6][1]
    rows[7][1] = rows[8][1]
    settings = {"split.seed": 1}
    if name == "{}":
        assert line not in odd(said(text_of("a,id,kind", rows), **settings))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            ["31.12.2024", "24.12.2024"],
            "dates such as '24.12.2024'; write them in ISO 8601, such as",
        ),
        (["1,5", "2,5", "3"], "numbers with decimal commas or separated thousands, such as '1,5'"),
        (["12 kg", "13 kg", "5 kg", "6 kg", "8 kg"], "numbers with a unit, such as '12 kg'; write"),
    ],
)
def test_categories_that_were_meant_as_something_else(
    said: Said, cells: list[str], expected: str
) -> None:
    rows = [
        [a, f'"{cells[i % len(cells)]}"', k]
        for i, (a, _, k) in enumerate(rows_of(random.Random(9)))
    ]
    shown = odd(said(text_of("a,c,kind", rows)))
    start = f"  column 'c' is taken for categories, and holds {expected}"
    assert sum(line.startswith(start) for line in shown) == 1
    by_hand = odd(said(text_of("a,c,kind", rows), **{"data.kinds": {"c": "categorical"}}))
    assert not any("is taken for" in line for line in by_hand)
