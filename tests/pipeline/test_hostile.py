"""Names that carry markup, formulas, paths and line breaks are shown everywhere as themselves."""

import csv
import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from tests.conftest import Project, Run
from tests.fuzzing import cases
from vintage.base.console import one_line
from vintage.base.tensors import read_schema
from vintage.network.checkpoint import read_checkpoint
from vintage.predict.new_rows import predict_table
from vintage.report.markdown import escaped
from vintage.scores.predictions import (
    Predictions,
    parse_predictions,
    read_predictions,
    write_predictions,
)

COLUMNS = [
    *("../../etc/passwd", "a/b\\c", "it's", '"quoted"', "two\nlines", "cr\rlf\r\n", "tab\tbed"),
    *("=cmd|' /C calc'!A0", "+1+1", "-x", "@SUM(1)", "<script>alert(1)</script>", "|a|b|"),
    *("**bold**", "`code`", "$x$", "[link](http://example.org)", "\U0001f377", "\u200f\u05d0"),
    *("\x00", "\x1b[31mred", "%s {0} ${HOME} $(id)", " ", "n" * 3000, "data.target: 1", "null"),
]  # fmt: skip
TARGET = "=HYPERLINK(\"http://example.org\")\n|<b>*t*</b>| `../x`, '$y$'"
CLASSES = [
    "=cmd|' /C calc'!A0", "'=1+1", "@x\n|<script>alert(1)</script>|", "../a b", "\u202eolleh",
    '-"**a**", `b` $c$', "\U0001f377" * 40, "+", "\x00\t", "c" * 2000,
]  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
PATH = "data/=a, <b>|*'$x$.csv"


@pytest.fixture(scope="module")
def hostile(_reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a small table of hostile names, after `dvc repro`."""
    project = _reproduced.copy_to(tmp_path_factory.mktemp("hostile") / "project")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, TARGET])
    draw = np.random.default_rng(1)
    for row in range(120):
        values = draw.normal(size=len(COLUMNS)).round(3)
        writer.writerow([*values, CLASSES[row % len(CLASSES)]])
    (project.root / PATH).write_bytes(text.getvalue().encode())
    project.set_params(
        **{
            "data.path": PATH,
            "data.target": TARGET,
            "train.epochs": 3,
            "train.replicas": 2,
            "model.hidden": [4],
            "evaluate.resamples": 100,
        }
    )
    project.repro()
    return project


def test_the_outputs_are_valid_and_hold_the_names(hostile: Project) -> None:
    done = hostile.run("python", "-m", "vintage", "check")
    assert done.stdout.endswith("\nthe outputs are valid\n")
    schema = read_schema(hostile.root / "data/tensors/schema.json")
    assert schema.target == TARGET
    assert schema.classes == sorted(CLASSES)
    assert [feature.name for feature in schema.features] == COLUMNS
    assert read_predictions(hostile.root / "metrics/predictions.csv").classes == sorted(CLASSES)


@pytest.mark.parametrize("path", ["metrics/predictions.csv", "data/baseline/svc.csv"])
def test_no_cell_is_a_formula(hostile: Project, path: str) -> None:
    with (hostile.root / path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 10
    assert not [cell for row in rows for cell in row if cell.startswith(FORMULA)]


STAGES = ["split", "train", "evaluate", "splits", "baseline", "explain", "report"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_speaks_in_plain_lines(hostile: Project, stage: str) -> None:
    done = hostile.stage(stage, check=True)
    assert done.stderr == ""
    assert not [c for line in done.stdout.splitlines() for c in line if not c.isprintable()]
    said = "epoch|scored|see|the|training|log loss|importance|learning"
    known = rf"({said}|  |\w+: log|{re.escape(PATH)}: )"
    assert all(re.match(known, line) for line in done.stdout.splitlines()), done.stdout


@pytest.mark.parametrize(
    "command", [["show"], *(["compare", "--format", form] for form in ("table", "md", "json"))]
)
def test_a_command_speaks_in_plain_lines(hostile: Project, command: list[str]) -> None:
    done = hostile.run("python", "-m", "vintage", *command)
    assert done.stderr == ""
    assert not [c for line in done.stdout.splitlines() for c in line if not c.isprintable()]
    if "show" in command:
        assert max(map(len, done.stdout.splitlines())) <= 100
    if "md" in command:
        assert "<script" not in done.stdout
        assert "<b>" not in done.stdout


def test_a_pull_request_comment_shows_the_names_and_calls_nobody(hostile: Project) -> None:
    comment = hostile.run("bash", ".ci/comment", "HEAD", "train").stdout
    assert comment.count("<") == 4, "beside <details> and <summary>, and their ends"
    assert escaped(TARGET) in comment
    assert not re.search(r"@\w|://", comment)


def test_the_page_shows_the_names(hostile: Project) -> None:
    page = (hostile.root / "metrics/report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    assert f"<strong>{escape(one_line(TARGET))}</strong>" in page
    shown = {unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)}
    assert {*map(one_line, CLASSES)} <= shown
    assert len({*map(one_line, COLUMNS)} & shown) >= 15, "the most important columns"
    assert not re.search(r"<script|<img src=x|=\"https?:|url\(", page)


def test_the_report_shows_the_names(hostile: Project) -> None:
    report = (hostile.root / "metrics/report.md").read_text(encoding="utf-8")
    assert report.startswith(f"# {escaped(TARGET)}, predicted from {escaped(PATH)}\n")
    assert "<" not in report
    assert "$" not in report
    assert "&#36;y&#36;" in report
    for name in CLASSES:
        assert f"| {escaped(name)} |" in report
    tables = re.findall(r"(?:^\|.*\n)+", report, re.M)
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, "a name broke a table"


@cases(0.05)
@given(
    classes=st.lists(st.text(max_size=6).map(lambda t: t.encode(errors="replace").decode()),
                     min_size=1, max_size=4, unique=True),
    prefix=st.sampled_from(
        ["", "=", "'", "''", "+1", "-", "@", "\t", "\r", "\n", ",", '"', ";", "x;=", ";'", "x|'-"]
    ),
)  # fmt: skip
def test_any_class_name_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], prefix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "predictions.csv"
    names = [prefix + name for name in classes]
    ids = np.arange(len(names))
    probabilities = np.eye(len(names))
    seen = np.zeros(len(names), dtype=np.bool_)
    write_predictions(path, Predictions(names, ids, ids, probabilities, ids, ids, seen))
    found = parse_predictions(path.read_bytes(), "x")
    assert found.classes == names
    assert found.labels.tolist() == ids.tolist()
    for row in csv.reader(io.StringIO(path.read_bytes().decode(), newline="")):
        for cell in row[2:4]:
            assert not cell.startswith(FORMULA) or re.fullmatch(r"[+-][0-9.e+-]+", cell)
    assert not runs_elsewhere(path.read_bytes().decode())


def runs_elsewhere(text: str) -> list[str]:
    """Cells of predictions that are formulas to a spreadsheet that splits at other characters."""
    ends = re.split(r"[;\t|\r\n]", text)
    return [
        cell for cell in ends if cell.startswith(FORMULA) and not re.match(r"[+-][\d,.e]", cell)
    ]


NAMES = ["x;=F()", "a\t+b", "y|@z", "two\n=lines", "it's; 'so'", "- 50000.", "A - B", "m;n"]


def test_no_name_is_a_formula_where_cells_end_elsewhere(run: Run) -> None:
    rows = [f'{index},"{NAMES[index % len(NAMES)]}"\n' for index in range(80)]
    folder = run("x,kind\n" + "".join(rows), "split", "train", "evaluate")
    written = folder / "metrics/predictions.csv"
    predict_table(read_checkpoint(folder / "data/checkpoint"), str(folder / "table.csv"), "new.csv")
    for path in (written, folder / "new.csv"):
        text = path.read_bytes().decode()
        assert "x;'=F()" in text
        assert "A - B" in text
        assert not runs_elsewhere(text)
    assert read_predictions(written).classes == sorted(NAMES)


@pytest.mark.parametrize("name", ["-1", "+2", "-1.5", "-1e-07", "plain", "it's"])
def test_a_number_and_a_plain_name_stay_as_they_are(tmp_path: Path, name: str) -> None:
    one = np.zeros(1, dtype=np.int64)
    predictions = Predictions([name], one, one, np.ones((1, 1)), one, one, one.astype(np.bool_))
    write_predictions(tmp_path / "p.csv", predictions)
    assert f"\n0,x{'0' * 16},{name},{name},1.0,0,0\n" in (tmp_path / "p.csv").read_text()
