"""`vintage check`: whether the outputs are those of this code, table and parameters, and undamaged.

Beside that, it repeats what the report says of the result; see `vintage/report/checks.py`.

The split is searched for leaks, and the test scores are computed once more. What is stored is
compared with `dvc.lock`, and `dvc.lock` with a second split and with the checkpoint's own record.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.params import Params
from vintage.base.tensors import is_known, is_large, read_examples, read_schema
from vintage.explain.explanation import Explanation
from vintage.report.blocks import Check
from vintage.report.checks import checks
from vintage.report.rivals import Rivals
from vintage.repository.cache import check_cache
from vintage.repository.declared import check_declared
from vintage.repository.provenance import check_provenance
from vintage.repository.requirements import check_requirements
from vintage.repository.status import check_status
from vintage.scores.evaluation import Evaluation, class_table, scores_with_bounds
from vintage.scores.metrics import METRICS
from vintage.scores.predictions import Predictions, read_predictions
from vintage.scores.rows import Sample
from vintage.table.identity import equal_rows, torn_rows
from vintage.table.target import PARTS


def check(root: Path, params: Params) -> Iterator[str]:
    """Yields one line for each thing that is wrong."""
    checks: list[Callable[[], Iterator[str]]] = [
        lambda: check_outputs(root, params),
        lambda: check_provenance(params),
        lambda: check_cache(root),
        lambda: check_status(root),
        lambda: check_declared(root),
        lambda: check_requirements(root),
    ]
    for each in checks:
        try:
            yield from each()
        except InputError as error:
            yield str(error)


def check_result(root: Path) -> list[Check]:
    """How far the scores can be relied on, as the report says it, and the packages.

    Raises:
        InputError: a file is missing, cut or foreign.
    """
    metrics = root / "metrics"
    comparison, explanation = metrics / "comparison.json", metrics / "explanation.json"
    of_report = checks(
        read_json(metrics / "details.json", Evaluation),
        read_predictions(metrics / "predictions.csv"),
        read_json(comparison, Rivals) if comparison.exists() else None,
        read_json(explanation, Explanation) if explanation.exists() else None,
    )
    return [*of_report, environment_check(list(check_requirements(root)))]


def environment_check(packages: Sequence[str]) -> Check:
    """V006, which the report leaves out: a tracked page must not depend on where it was made.

    Args:
        packages: one line for each that is not installed as pinned.
    """
    if not packages:
        return Check("V006", "passed", "The packages are installed as they are pinned.")
    more = f", and {len(packages) - 1} more" if len(packages) > 1 else ""
    return Check("V006", "issue", f"{packages[0]}{more}.")


def check_outputs(root: Path, params: Params) -> Iterator[str]:
    """Check the split for leaks, and the scores against the predictions and their bounds.

    Raises:
        InputError: a file is missing, cut or foreign.
    """
    if params.split.column == "none":
        yield from _check_split(root / "data/tensors", params.split.group_by)
    predictions = read_predictions(root / "metrics/predictions.csv")
    evaluation = read_json(root / "metrics/details.json", Evaluation)
    headline = read_json(root / "metrics/evaluation.json", dict[str, Any])
    yield from _check_evaluation(evaluation, predictions, params)
    if headline != evaluation.headline():
        yield "metrics/evaluation.json: is not what metrics/details.json says; run `dvc repro`"
    yield from _check_required(evaluation, params)


def _check_split(tensors: Path, group_by: str) -> Iterator[str]:
    """A row, its group, and its twins where they count, must be on one side of the split.

    Of a table that does not fit into memory, the comparison with a second split has to do.
    """
    schema = read_schema(tensors / "schema.json")
    if any(is_large(getattr(schema.rows, name), schema) for name in PARTS):
        return
    parts = [read_examples(tensors / f"{name}.safetensors", schema) for name in PARTS]
    part = np.repeat(np.arange(len(parts)), [len(examples.rows) for examples in parts])
    rows, groups, features = (
        np.concatenate([getattr(examples, name) for examples in parts])
        for name in ("rows", "groups", "features")
    )
    torn = torn_rows(rows, part) | torn_rows(groups, part)
    if group_by == "duplicates":
        known = is_known(features, schema.features)  # which one an unknown category is, is lost
        torn[known] |= torn_rows(equal_rows(features[known].T), part[known])
    if torn.any():
        what = "twin" if group_by == "duplicates" else "row of its group"
        yield f"data/tensors: row {rows[torn][0]} has a {what} on another side of the split"


def _check_evaluation(
    evaluation: Evaluation, predictions: Predictions, params: Params
) -> Iterator[str]:
    sample = Sample.of(predictions.labels, predictions.probabilities, predictions.groups)
    confidence = params.evaluate.confidence
    recomputed: dict[str, Mapping[str, Any]] = {
        "test": scores_with_bounds(sample, confidence),
        "classes": class_table(sample, predictions.classes, confidence),
    }
    for section, scores in recomputed.items():
        found = getattr(evaluation, section)
        differing = [name for name in {*scores, *found} if found.get(name) != scores.get(name)]
        if differing:
            yield (
                f"metrics/details.json: {section}.{min(differing)} is not what "
                "metrics/predictions.csv gives; run `dvc repro`"
            )


def _check_required(evaluation: Evaluation, params: Params) -> Iterator[str]:
    """The gate: each score of `evaluate.require` must be as good as its bound."""
    for metric, bound in params.evaluate.require.items():
        value = evaluation.test[metric]
        if value is None:
            yield f"evaluate.require: {metric} is not defined for these test rows"
            continue
        missed = value - bound if METRICS[metric].lower_is_better else bound - value
        if missed > 0:
            yield (
                f"evaluate.require: {metric} is {value:.6f} and misses its bound {bound:.6g} "
                f"by {missed:.6f}"
            )
