"""The report says what the other outputs say, and shows any name letter by letter."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WINE, Project, Run
from vintage.report.differences import lead_by_chance
from vintage.report.markdown import escaped, table_lines
from vintage.report.rivals import Rivals
from vintage.report.verdict import verdict
from vintage.repository.show_revision import score_lines
from vintage.scores.evaluation import Baselines, ClassScore, Evaluation
from vintage.scores.metrics import METRICS, compared_metrics

BOUNDED = [f"{name}{suffix}" for name in METRICS for suffix in ("", "_low", "_high")]


def report(project: Project) -> str:
    return (project.root / "metrics/report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_numbers_are_those_of_the_evaluation(reproduced: Project) -> None:
    page = report(reproduced)
    evaluation = json.loads((reproduced.root / "metrics/details.json").read_text())
    test = evaluation["test"]
    assert f"| log loss | {test['log_loss']:.3f} | {test['log_loss_low']:.3f} to" in page
    assert f"{evaluation['replicas']['accuracy_mean']:.3f} ± " in page
    baselines = json.loads((reproduced.root / "metrics/baseline.json").read_text())["models"]
    for name, scores in baselines.items():
        assert f"| {name.replace('_', ' ')} | {scores['log_loss']:.3f} | " in page
    compared = json.loads((reproduced.root / "metrics/comparison.json").read_text())
    for name, differences in compared["models"].items():
        start = f"| {name.replace('_', ' ')} |"
        rows = [line for line in page.splitlines() if line.startswith(start)]
        for metric, row in zip(("log_loss", "accuracy"), rows, strict=True):
            assert f"| {differences[metric]['difference']:+.3f} (" in row
    assert page.splitlines()[2] == (
        "**Ties with logistic regression, beats the majority class (log loss, 228 test rows).**"
    )
    assert "Classes with fewer than 5 test rows: '3' (1), '8' (3); means over" in page
    for name, scores in evaluation["classes"].items():
        assert f"| {name} | {scores['support']} |" in page
    assert "Classes with fewer than 30 test rows: 3 (1), 4 (7), 7 (26), 8 (3)." in page
    error = compared["models"]["logistic_regression"]["log_loss"]["error"]
    lead = lead_by_chance(20, error)
    said = (
        "Of 20 equally good ones, as unlike each other as the network and logistic regression, the"
    )
    assert f"{said} best would lead their mean by about {lead:.3f} in log loss." in page
    assert 0 < lead < compared["models"]["logistic_regression"]["log_loss"]["high"]


@pytest.mark.slow
def test_its_figures_exist(reproduced: Project) -> None:
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", report(reproduced))
    assert len(links) == 3
    for link in links:
        assert (reproduced.root / "metrics" / link).read_bytes().startswith(b"<svg ")


@pytest.mark.slow
def test_it_warns_of_the_leak(reproduced: Project, run: Run) -> None:
    assert "each is on the same side of the split as its twin" in report(reproduced)
    leaky = report_of_wine(run, **{"split.group_by": "none"})
    assert "may have a twin in train, and the scores may be too good" in leaky


def test_one_replica_and_no_validation_are_reported(run: Run) -> None:
    page = report_of_wine(run, **{"train.replicas": 1, "split.val_size": 0})
    assert "one replica, mean" not in page
    assert re.search(r"\| log loss \| [\d.]+ \| [\d. to]+ \| [\d.]+ \| - \|", page)


def report_of_wine(run: Run, **changes: Any) -> str:
    stages = ("split", "train", "evaluate", "baseline", "explain", "report")
    changes |= {"data.target": "quality", "train.epochs": 2}
    return report(Project(run(WINE.read_text(), *stages, **changes)))


def test_names_are_shown_letter_by_letter() -> None:
    name = "a|b`c*d_e[f](g)<script>\n#h"
    assert escaped(name) == r"a\|b\`c\*d\_e\[f\](g)&lt;script&gt;\\n\#h"
    lines = list(table_lines(["x"], [[name]]))
    assert len(lines) == 3
    assert "\n" not in lines[2]


@pytest.mark.parametrize(
    "name",
    [
        *("@somebody", "x@somebody", "see @org/team", "a@example.org", "(@somebody)"),
        *("#123", "owner/repo#7", "GH-1", "gh-22", "xGH-1", "https://example.org", "ftp://x.org"),
        *("http://example.org", "www.example.org", "WWW.example.org", "mailto:a@example.org"),
        *("0123abc", "deadbeef" * 5, "fixes 1a2b3c4d", "owner@0123abcdef", "DEADBEEF"),
    ],
)
def test_a_name_calls_nobody_and_links_nowhere(name: str) -> None:
    """By GitHub's rules, which look at the text between tags after entities are decoded."""
    shown = escaped(name)
    text = re.sub(r"\\(?=[\\`*_|\[\]~#])", "", html.unescape(shown))
    assert text.replace("\u200b", "") == name
    assert not re.search(r"@\w|#\d|\bgh-\d|\w://|\bwww\.|\b[0-9a-f]{7,40}\b", text, re.I)


@pytest.mark.parametrize("text", ["0.583 (0.516 to 0.647)", "1000000000", "1143 rows", "auto"])
def test_plain_text_and_numbers_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text


def test_the_baselines_do_not_depend_on_the_validation_part(reproduced: Project) -> None:
    before = Path(reproduced.root / "metrics/baseline.json").read_bytes()
    reproduced.set_params(**{"split.val_size": 0.3})
    reproduced.stage("split", check=True)
    reproduced.stage("baseline", check=True)
    assert Path(reproduced.root / "metrics/baseline.json").read_bytes() == before


def evaluation_of(recall: float) -> Evaluation:
    """A network for two classes of 195 and 5 rows."""
    per_class = {
        name: {**dict.fromkeys(ClassScore.model_fields, 0.9), "recall": value, "support": support}
        for name, value, support in (("no", 0.99, 195), ("yes", recall, 5))
    }
    return Evaluation.model_validate(
        {
            "test": dict.fromkeys(BOUNDED, 0.5),
            "train": dict.fromkeys(METRICS, 0.5),
            "val": dict.fromkeys(METRICS),
            "classes": per_class,
            "epochs": {"trained": 9, "best": 4, "still_falling": False},
            "resolved": {},
            "temperature": 1.0,
            "numerics": "exact",
        }
    )


def compared(**verdicts: tuple[str, str]) -> tuple[Baselines, Rivals]:
    """Baselines by name with the verdicts on the network in log loss and accuracy."""
    scores = {
        name: {**dict.fromkeys(BOUNDED, 0.5), "accuracy": 0.975, "log_loss": 0.1 * index}
        for index, name in enumerate(verdicts)
    }
    models = {
        name: {
            metric: {
                "difference": 0.1,
                "low": None,
                "high": None,
                "verdict": log_loss if metric == "log_loss" else accuracy,
            }
            for metric in compared_metrics()
        }
        for name, (log_loss, accuracy) in verdicts.items()
    }
    network = dict.fromkeys(compared_metrics(), 0.5)
    return (
        Baselines.model_validate({"models": scores}),
        Rivals.model_validate({"network": network, "models": models}),
    )


TIE, WIN, LOSS = "no difference", "better", "worse"


@pytest.mark.parametrize(
    ("verdicts", "recall", "expected"),
    [
        (
            {"svc": (TIE, TIE), "majority_class": (WIN, WIN)},
            0.9,
            ["ties with svc, beats the majority class (log loss, 200 test rows)"],
        ),
        (
            {"svc": (TIE, TIE), "random_forest": (LOSS, TIE), "majority_class": (WIN, WIN)},
            0.9,
            [
                "loses to random forest, ties with svc, beats the majority class "
                "(log loss, 200 test rows)"
            ],
        ),
        (
            {"svc": (TIE, TIE), "majority_class": (WIN, TIE)},
            0.03,
            [
                "ties with svc, beats the majority class (log loss, 200 test rows)",
                "in accuracy not better than always saying 'no'; recall of 'yes' 0.03; "
                "see train.class_weight",
            ],
        ),
        (
            {"majority_class": (TIE, TIE)},
            0.9,
            [
                "ties with the majority class (log loss, 200 test rows)",
                "not better than always saying 'no'; recall of 'yes' 0.90",
            ],
        ),
    ],
)
def test_the_verdict(
    verdicts: dict[str, tuple[str, str]], recall: float, expected: list[str]
) -> None:
    baselines, rivals = compared(**verdicts)
    assert list(verdict(evaluation_of(recall), baselines.models, rivals)) == expected


def test_the_verdict_names_the_majority_of_the_train_rows() -> None:
    """It may be rare among the test rows, such as the latest ones."""
    baselines, rivals = compared(majority_class=(TIE, TIE))
    baselines.models["majority_class"]["accuracy"] = 0.025
    said = list(verdict(evaluation_of(0.9), baselines.models, rivals))
    assert said[1] == "not better than always saying 'yes'; recall of 'yes' 0.90"


def test_a_score_without_an_interval_has_a_dash() -> None:
    evaluation = evaluation_of(0.5)
    evaluation.test.update(calibration_error_low=None, calibration_error_high=None)
    line = next(line for line in score_lines(evaluation) if line.startswith("calibration"))
    assert line.split() == ["calibration", "error", "0.500", "-", "0.500", "-"]
