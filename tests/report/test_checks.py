"""Each check says what is so, by each of its outcomes, and has its section in the docs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT, Project, needs_docs
from tests.report.test_page import LOSS, TIE, WIN, compared, evaluation_of
from vintage.explain.explanation import Drift, Explanation
from vintage.report.blocks import Check
from vintage.report.checks import by_urgency, checks
from vintage.report.rivals import Rivals
from vintage.repository.check import environment_check
from vintage.scores.evaluation import Epochs, Evaluation
from vintage.scores.predictions import Predictions

ROWS = np.arange(4)
UNSEEN = Predictions(
    ["no", "yes"], ROWS, ROWS % 2, np.full((4, 2), 0.5), ROWS, ROWS, np.zeros(4, dtype=np.bool_)
)
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("columns", "importance_rows", "repeats", "slices_tested"), 1),
    **{key: [] for key in ("importance", "mistakes", "slices", "drift")},
    "curve": None,
}
PLAIN = Explanation.model_validate(NOTHING)


def rivals_of(log_loss: str, majority: str = WIN) -> Rivals:
    return compared(svc=(log_loss, TIE), majority_class=(majority, TIE))[1]


def with_rows(n: int) -> Evaluation:
    evaluation = evaluation_of(0.5)
    classes = evaluation.classes | {
        "yes": evaluation.classes["yes"].model_copy(update={"support": n})
    }
    return evaluation.model_copy(update={"classes": classes})


def with_epochs(best: int | None, still_falling: bool) -> Evaluation:
    epochs = Epochs(trained=9, best=best, still_falling=still_falling)
    return evaluation_of(0.5).model_copy(update={"epochs": epochs})


SEEN = Predictions(
    ["no", "yes"], ROWS, ROWS % 2, np.full((4, 2), 0.5), ROWS, ROWS, np.array([1, 0, 0, 1]) == 1
)
DRIFTED = PLAIN.model_copy(update={"drift": [Drift(column="<b>", distance=0.3, p_value=0.0)]})
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("V001", {}, "passed", "No test row"),
    ("V001", {"predictions": SEEN}, "issue", "2 of 4 test rows"),
    ("V002", {"rivals": None}, "does not apply", "no baseline"),
    ("V002", {"rivals": rivals_of(WIN)}, "passed", "every baseline"),
    ("V002", {"rivals": rivals_of(TIE)}, "tip", "from svc"),
    ("V002", {"rivals": rivals_of(LOSS)}, "issue", "Svc has a lower log loss"),
    ("V002", {"rivals": rivals_of(WIN, TIE)}, "issue", "from the majority class"),
    ("V003", {"evaluation": with_rows(30)}, "passed", "30 test rows"),
    ("V003", {"evaluation": with_rows(29)}, "tip", "'yes' (29)"),
    ("V003", {"evaluation": with_rows(4)}, "issue", "'yes' (4)"),
    ("V004", {"evaluation": with_epochs(4, False)}, "passed", "at epoch 4 of 9"),
    ("V004", {"evaluation": with_epochs(9, True)}, "issue", "raise train.epochs"),
    ("V004", {"evaluation": with_epochs(None, False)}, "does not apply", "no validation rows"),
    ("V005", {}, "passed", "None of 1 columns"),
    ("V005", {"explanation": None}, "does not apply", "explain was not run"),
    ("V005", {"explanation": DRIFTED}, "issue", "'<b>'"),
]


def found(**changes: Any) -> list[Check]:
    plain: dict[str, Any] = {
        "evaluation": with_rows(30),
        "predictions": UNSEEN,
        "rivals": rivals_of(WIN),
        "explanation": PLAIN,
    }
    return checks(**(plain | changes))


@pytest.mark.parametrize(("code", "changes", "outcome", "said"), CASES)
def test_it_says_what_is_so(code: str, changes: dict[str, Any], outcome: str, said: str) -> None:
    check = next(each for each in found(**changes) if each.code == code)
    assert check.outcome == outcome
    assert said in check.sentence
    assert re.fullmatch(r"[^.].*\.", check.sentence)


@needs_docs
def test_each_has_a_section_of_its_own_in_the_docs() -> None:
    path, _, _ = found()[0].page.partition("#")
    titles = re.findall(r"^## (\w+)$", (ROOT / path).read_text(encoding="utf-8"), re.M)
    assert titles == [check.code for check in [*found(), environment_check([])]]


@pytest.mark.parametrize(
    ("packages", "outcome", "said"),
    [
        ([], "passed", "as they are pinned"),
        (["numpy 1 is installed", "x"], "issue", "numpy 1 is installed, and 1 more."),
    ],
)
def test_the_environment_is_judged_beside_them(
    packages: list[str], outcome: str, said: str
) -> None:
    check = environment_check(packages)
    assert (check.code, check.outcome) == ("V006", outcome)
    assert said in check.sentence


def test_issues_come_first() -> None:
    shown = by_urgency(found(predictions=SEEN, rivals=rivals_of(TIE)))
    assert [check.code for check in shown][:3] == ["V001", "V002", "V003"]


@pytest.mark.slow
def test_the_page_and_the_command_say_the_same(reproduced: Project) -> None:
    printed = reproduced.run("python", "-m", "vintage", "check").stdout
    said = dict(re.findall(r"^(V\d+) ([a-z ]+): ", printed, re.M))
    assert [*said] == [f"V00{number}" for number in range(1, 7)]
    page = (reproduced.root / "metrics/report.html").read_text(encoding="utf-8")
    del said["V006"]  # which depends on where it is asked
    assert "V006" not in page
    for code, outcome in said.items():
        item = page[: page.index(f"#{code.lower()}")].rpartition("<li ")[2]
        assert f'<span class="outcome">{outcome}</span>' in item
    report = Path(reproduced.root / "metrics/report.md").read_text(encoding="utf-8")
    assert all(f"](../docs/checks.md#{code.lower()}) {said[code]}: " in report for code in said)
