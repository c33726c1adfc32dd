"""A table of one's own: what is proposed, asked and written."""

import csv
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Project, environment, only_error
from vintage.base.params import load_params

pytestmark = pytest.mark.slow
INIT = (sys.executable, "-m", "vintage", "init")


def write_visits(project: Project) -> None:
    """Of 60 patients, in the order of their dates."""
    draw = random.Random(1)
    with (project.root / "data/visits.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["visit_id", "patient", "visited_at", "note", "pressure", "is ill"])
        for row in range(240):
            day = f"2024-{1 + row // 20:02d}-{1 + row % 20:02d}"
            measured, ill = f"{draw.gauss(120, 9):.1f}", draw.choice(["yes", "no"])
            writer.writerow([row + 1, draw.randint(1, 60), day, f"note {row}", measured, ill])


def answered(project: Project, table: str, answers: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*INIT, table, "--no-run"],
        cwd=project.root,
        env=environment(),
        input=answers,
        capture_output=True,
        text=True,
        check=False,
    )


def comments(project: Project) -> list[str]:
    return re.findall(r"#.*", (project.root / "params.yaml").read_text(encoding="utf-8"))


def test_one_command_leads_to_a_report(fresh: Project) -> None:
    fresh.edit("params.yaml", "splits: 2", "splits: 0")
    before = comments(fresh)
    shown = fresh.run(*INIT, "data/penguins.csv", "--yes").stdout
    assert "proposed: species (its name is typical of a target; 3 classes)" in shown
    assert "report: metrics/report.html" in shown
    assert (fresh.root / "metrics/report.html").exists()
    data = load_params(fresh.root / "params.yaml").data
    assert (data.path, data.target, data.ignore) == ("data/penguins.csv", "species", [])
    assert comments(fresh) == before


def test_the_proposals_have_reasons(fresh: Project) -> None:
    write_visits(fresh)
    shown = fresh.run(*INIT, "data/visits.csv", "--yes", "--no-run").stdout
    assert "is ill (the last column that holds classes; 2 classes)" in shown
    assert "visit_id: a different number in every row; note: a different text in every row" in shown
    assert "visited_at (it holds times; the latest rows would be the test rows)" in shown
    params = load_params(fresh.root / "params.yaml")
    assert (params.data.target, params.data.ignore) == ("is ill", ["visit_id", "note"])
    assert (params.split.order_by, params.split.group_by) == ("visited_at", "duplicates")
    fresh.stage("split", check=True)


def test_of_a_large_table_the_first_rows_are_read_and_it_is_split_in_parts(fresh: Project) -> None:
    write_visits(fresh)
    with (fresh.root / "data/visits.csv").open("a", encoding="utf-8") as file:
        file.write("241,7,2024-12-20,more,high,unknown\n")  # further down: another kind and class
    fresh.edit("vintage/table/streamed.py", "LARGE_BYTES = 1 << 31", "LARGE_BYTES = 4_000")
    fresh.edit("vintage/table/csv_rules.py", "BLOCK_BYTES = 1 << 20", "BLOCK_BYTES = 4_000")
    fresh.edit("vintage/repository/propose.py", "CELLS = 5_000_000", "CELLS = 600")
    shown = fresh.run(*INIT, "data/visits.csv", "--yes", "--no-run").stdout
    assert "is large, so it is split in parts, by a hash of each row" in shown
    assert "is ill (the last column that holds classes; 2 classes)" in shown
    assert "time of each row" not in shown
    split = load_params(fresh.root / "params.yaml").split
    assert (split.by, split.order_by, split.group_by) == ("hash", "none", "patient")


def test_an_answer_is_taken_instead_of_a_proposal(fresh: Project) -> None:
    write_visits(fresh)
    done = answered(fresh, "data/visits.csv", "ill\nis ill\nnone\nnone\npatient\n")
    assert "'ill' is no column; the columns are visit_id, patient, visited_at" in done.stdout
    params = load_params(fresh.root / "params.yaml")
    assert (params.data.target, params.data.ignore) == ("is ill", [])
    assert (params.split.order_by, params.split.group_by) == ("none", "patient")


def test_what_was_said_of_the_table_before_goes(fresh: Project) -> None:
    fresh.edit("params.yaml", "id: none", "id: row")
    fresh.edit("params.yaml", "ignore: []", 'ignore: [a, "b # c"]')
    fresh.edit("params.yaml", "require: {}", "require: {accuracy: 0.9}")
    fresh.run(*INIT, "data/penguins.csv", "--yes", "--no-run")
    params = load_params(fresh.root / "params.yaml")
    assert (params.data.id, params.data.ignore, params.evaluate.require) == ("none", [], {})


def test_a_folder_is_named_without_a_slash(fresh: Project) -> None:
    (fresh.root / "data/birds").mkdir()
    (fresh.root / "data/penguins.csv").rename(fresh.root / "data/birds/a.csv")
    fresh.run(*INIT, "data/birds/", "--yes", "--no-run")
    data = load_params(fresh.root / "params.yaml").data
    assert (data.path, data.target) == ("data/birds", "species")


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        ("data/none.csv", None, "data/none.csv: no such file"),
        ("data/*.csv", None, "read several files as one table, name their folder"),
        ("../table.csv", "a,b\n1,2\n", "../table.csv: lies outside of this repository; copy it"),
        ("data/n.csv", "a,b\n1.5,2\n2,3\n", "no column holds classes of several rows each"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    fresh: Project, table: str, content: str | None, message: str
) -> None:
    if content is not None:
        (fresh.root / table).write_text(content, encoding="utf-8")
    before = (fresh.root / "params.yaml").read_bytes()
    assert message in only_error(fresh.run(*INIT, table, "--yes", check=False))
    assert (fresh.root / "params.yaml").read_bytes() == before


def test_a_missing_answer_writes_nothing(fresh: Project) -> None:
    before = (fresh.root / "params.yaml").read_bytes()
    done = answered(fresh, "data/penguins.csv", "species\n")
    assert only_error(done) == "error: the answer is missing; --yes takes the proposals"
    assert (fresh.root / "params.yaml").read_bytes() == before


def test_a_key_on_several_lines_is_left_to_a_person(fresh: Project) -> None:
    fresh.edit("params.yaml", "ignore: []", "ignore:\n  - a\n  ")
    error = only_error(fresh.run(*INIT, "data/penguins.csv", "--yes", check=False))
    assert error.startswith("error: params.yaml: data.ignore: write it on one line")


def test_it_is_run_from_the_root(tmp_path: Path) -> None:
    done = subprocess.run(
        [*INIT, "x.csv"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=environment() | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert only_error(done).startswith("error: params.yaml: no such file")
