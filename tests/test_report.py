"""The report says what the other outputs say, and shows any name letter by letter."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Project
from vintage.markdown import escaped, table_lines


def report(project: Project) -> str:
    return (project.root / "metrics/report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_numbers_are_those_of_the_evaluation(reproduced: Project) -> None:
    page = report(reproduced)
    evaluation = json.loads((reproduced.root / "metrics/evaluation.json").read_text())
    test = evaluation["test"]
    assert f"| log loss | {test['log_loss']:.3f} | {test['log_loss_low']:.3f} to" in page
    assert f"{evaluation['replicas']['accuracy_mean']:.3f} ± " in page
    baselines = json.loads((reproduced.root / "metrics/baseline.json").read_text())["models"]
    for name, scores in baselines.items():
        assert f"| {name.replace('_', ' ')} | {scores['log_loss']:.3f} (" in page
    for name, scores in evaluation["classes"].items():
        assert f"| {name} | {scores['support']} |" in page
    assert "Classes with fewer than 30 test rows: 3 (1), 4 (7), 7 (26), 8 (3)." in page


@pytest.mark.slow
def test_its_figures_exist(reproduced: Project) -> None:
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", report(reproduced))
    assert len(links) == 3
    for link in links:
        assert (reproduced.root / "metrics" / link).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_it_warns_of_the_leak(reproduced: Project) -> None:
    assert "each is on the same side of the split as its twin" in report(reproduced)
    reproduced.set_params(**{"split.group_by": "none", "train.epochs": 2})
    reproduced.repro()
    assert "may have a twin in train, and the scores may be too good" in report(reproduced)


@pytest.mark.slow
def test_one_replica_and_no_validation_are_reported(reproduced: Project) -> None:
    reproduced.set_params(**{"train.replicas": 1, "split.val_size": 0, "train.epochs": 2})
    reproduced.repro()
    page = report(reproduced)
    assert "one replica, mean" not in page
    assert re.search(r"\| log loss \| [\d.]+ \| [\d. to]+ \| [\d.]+ \| - \|", page)


def test_names_are_shown_letter_by_letter() -> None:
    name = "a|b`c*d_e[f](g)<script>\n#h"
    assert escaped(name) == r"a\|b\`c\*d\_e\[f\](g)&lt;script&gt;\\n\#h"
    lines = list(table_lines(["x"], [[name]]))
    assert len(lines) == 3
    assert "\n" not in lines[2]


def test_the_baselines_do_not_depend_on_the_validation_part(reproduced: Project) -> None:
    before = Path(reproduced.root / "metrics/baseline.json").read_bytes()
    reproduced.set_params(**{"split.val_size": 0.3})
    reproduced.stage("split", check=True)
    reproduced.stage("baseline", check=True)
    assert Path(reproduced.root / "metrics/baseline.json").read_bytes() == before
