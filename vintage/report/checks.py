"""Checks of a result, each with a code that never changes its meaning; see docs/checks.md.

They judge how far the scores can be relied on, and what could be better. Whether the outputs are
damaged is another question, which `vintage/repository/check.py` answers.
"""

from collections.abc import Sequence

from vintage.explain.explanation import Explanation
from vintage.report.blocks import Check
from vintage.report.rivals import Rivals
from vintage.report.verdict import MAJORITY, listed, model_in_words, quoted
from vintage.scores.evaluation import RARE_ROWS, Evaluation
from vintage.scores.predictions import Predictions

RARE = 30  # test rows of a class, below which a recall says little
ORDER = {"issue": 0, "tip": 1, "passed": 2, "does not apply": 3}


def checks(
    evaluation: Evaluation,
    predictions: Predictions,
    rivals: Rivals | None,
    explanation: Explanation | None,
) -> list[Check]:
    """The checks in the order of their codes.

    Args:
        rivals: `comparison.json`, if it exists.
        explanation: `explanation.json`, if it exists.
    """
    return [
        _twins(predictions),
        _baselines(rivals),
        _rare_classes(evaluation),
        _falling_loss(evaluation),
        _drift(explanation),
    ]


def by_urgency(found: Sequence[Check]) -> list[Check]:
    """Issues first, then tips; of each outcome in the order of their codes."""
    return sorted(found, key=lambda each: ORDER[each.outcome])


def _twins(predictions: Predictions) -> Check:
    n_seen, n_rows = int(predictions.seen.sum()), len(predictions.rows)
    if not n_seen:
        return Check("V001", "passed", "No test row has the same features as a train row.")
    return Check(
        "V001",
        "issue",
        f"{n_seen} of {n_rows} test rows have the same features as a train or validation row, so "
        "the scores may be too good; set split.group_by to duplicates.",
    )


def _baselines(rivals: Rivals | None) -> Check:
    if rivals is None or not rivals.models:
        return Check("V002", "does not apply", "There is no baseline to compare with.")
    verdicts = {name: paired["log_loss"].verdict for name, paired in rivals.models.items()}
    better = [model_in_words(name) for name, found in verdicts.items() if found == "worse"]
    equal = [model_in_words(name) for name, found in verdicts.items() if found == "no difference"]
    if better:
        said = f"{_upper(listed(better))} has a lower log loss than the network, beyond chance."
        return Check("V002", "issue", said)
    if not equal:
        return Check("V002", "passed", "The network has a lower log loss than every baseline.")
    said = (
        f"These test rows cannot tell the network from {listed(equal)}; as long as that is so, the "
        "simpler model will do."
    )
    is_useless = verdicts.get(MAJORITY) == "no difference"
    return Check("V002", "issue" if is_useless else "tip", said)


def _rare_classes(evaluation: Evaluation) -> Check:
    supports = {name: each.support for name, each in evaluation.classes.items()}
    rare = [f"{quoted(name)} ({n})" for name, n in supports.items() if n < RARE]
    if not rare:
        return Check("V003", "passed", f"Every class has {RARE} test rows or more.")
    said = (
        f"Classes with fewer than {RARE} test rows, whose recall is little more than a guess: "
        f"{listed(rare)}."
    )
    is_issue = min(supports.values()) < RARE_ROWS
    return Check("V003", "issue" if is_issue else "tip", said)


def _falling_loss(evaluation: Evaluation) -> Check:
    epochs = evaluation.epochs
    if epochs.best is None:
        return Check("V004", "does not apply", "There are no validation rows to see it by.")
    if epochs.still_falling:
        said = (
            f"The validation loss was still falling at the last of {epochs.trained} epochs; raise "
            "train.epochs."
        )
        return Check("V004", "issue", said)
    said = f"The validation loss was lowest at epoch {epochs.best} of {epochs.trained}."
    return Check("V004", "passed", said)


def _drift(explanation: Explanation | None) -> Check:
    if explanation is None:
        return Check("V005", "does not apply", "The stage explain was not run.")
    if not explanation.drift:
        said = f"None of {explanation.columns} columns has drifted from train to test rows."
        return Check("V005", "passed", said)
    columns = [quoted(each.column) for each in explanation.drift]
    said = f"Drifted from train to test rows: {listed(columns)}."
    return Check("V005", "issue", said)


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
