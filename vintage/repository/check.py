"""Check what the pipeline put out: every file by itself, and all of them against each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.losses import LossRecord, read_losses
from vintage.base.params import Params
from vintage.base.tensors import Examples, Schema, is_known, read_examples
from vintage.network.checkpoint import Manifest, read_checkpoint
from vintage.repository.dvc_command import run_dvc
from vintage.repository.stored import check_kinds_of_files
from vintage.scores.evaluation import Evaluation, Headline, class_table, scores_with_bounds
from vintage.scores.metrics import METRICS
from vintage.scores.predictions import Predictions, read_predictions
from vintage.table.twins import equal_rows, torn_rows

PARTS = ("train", "val", "test")


def check_outputs(root: Path, params: Params) -> Iterator[str]:
    """Check the outputs under `root`; yields one line for each thing that is wrong.

    A file that is missing, cut or foreign is wrong, too, and never raises.
    """
    try:
        _, manifest, schema = read_checkpoint(root / "data/checkpoint")
        parts = {
            name: read_examples(root / f"data/tensors/{name}.safetensors", schema) for name in PARTS
        }
        predictions = read_predictions(root / "metrics/predictions.csv")
        evaluation = read_json(root / "metrics/details.json", Evaluation)
        headline = read_json(root / "metrics/evaluation.json", Headline)
        losses = read_losses(root / "metrics/losses.json")
    except InputError as error:
        yield str(error)
        return
    if params.split.column == "none":
        yield from _check_together(parts, schema, params.split.group_by)
    yield from _check_rows(parts, schema)
    yield from _check_losses(losses, manifest)
    yield from _check_predictions(predictions, parts["test"], schema)
    yield from _check_evaluation(evaluation, predictions, params)
    if headline != evaluation.headline():
        yield "metrics/evaluation.json: is not what metrics/details.json says; run `dvc repro`"
    yield from _check_required(evaluation, params)


def check_dvc_status(root: Path) -> Iterator[str]:
    """Yields one line for each stage that is not up to date, as `dvc status` sees it."""
    try:
        stages = _dvc_status(root)
    except InputError as error:
        yield str(error)
        return
    for stage in stages:
        yield f"stage {stage} is not up to date; run `dvc repro`"


def stale_stages(root: Path) -> list[str]:
    """The stages whose inputs, as far as they are there, are not those in `dvc.lock`.

    In a fresh clone the tensors and the checkpoint are missing, which makes no stage stale.
    """
    stale = []
    for stage, changes in _dvc_status(root).items():
        for change in changes:
            if change == "changed command" or (
                isinstance(change, dict)
                and set(_states(change.get("changed deps", {}))) & {"modified", "new"}
            ):
                stale.append(stage)
                break
    return stale


def _states(changes: dict[str, Any]) -> Iterator[str]:
    """The states in what `dvc status` says of dependencies; those of parameters are one deeper."""
    for state in changes.values():
        if isinstance(state, dict):
            yield from state.values()
        else:
            yield state


def _dvc_status(root: Path) -> dict[str, list[Any]]:
    """By stage, what `dvc status` says; its file is named only if it is not this project's."""
    check_kinds_of_files(root)
    status: dict[str, list[Any]] = json.loads(run_dvc(root, "status", "--json"))
    return {re.sub(r"^(\.\./)*dvc\.yaml:", "", stage): said for stage, said in status.items()}


def _check_rows(parts: dict[str, Examples], schema: Schema) -> Iterator[str]:
    for name, examples in parts.items():
        path = f"data/tensors/{name}.safetensors"
        expected = getattr(schema.rows, name)
        if len(examples.rows) != expected:
            yield f"{path}: holds {len(examples.rows)} rows, but the schema counts {expected}"
    rows, counts = np.unique(
        np.concatenate([examples.rows for examples in parts.values()]), return_counts=True
    )
    if (counts > 1).any():
        yield f"data/tensors: row {rows[counts > 1][0]} stands in the split more than once"


def _check_together(parts: dict[str, Examples], schema: Schema, group_by: str) -> Iterator[str]:
    """Groups, and twins where they are to stay together, must be on one side of the split."""
    rows, groups, features = (
        np.concatenate([getattr(examples, name) for examples in parts.values()])
        for name in ("rows", "groups", "features")
    )
    part = np.repeat(np.arange(len(parts)), [len(examples.rows) for examples in parts.values()])
    torn = torn_rows(groups, part)
    if group_by == "duplicates":
        # of an unknown category it is not known which one it is
        known = is_known(features, schema.features)
        torn[known] |= torn_rows(equal_rows(features[known]), part[known])
    if torn.any():
        what = "a twin" if group_by == "duplicates" else "a row of its group"
        yield f"data/tensors: row {rows[torn][0]} has {what} on the other side of the split"


def _check_losses(losses: list[LossRecord], manifest: Manifest) -> Iterator[str]:
    if [record.epoch for record in losses] != list(range(1, manifest.n_epochs + 1)):
        yield (
            f"metrics/losses.json: its epochs are not 1 to {manifest.n_epochs}, one record for each"
        )


def _check_predictions(predictions: Predictions, test: Examples, schema: Schema) -> Iterator[str]:
    path = "metrics/predictions.csv"
    if predictions.classes != schema.classes:
        yield f"{path}: its classes are not those of data/checkpoint/schema.json"
    elif not np.array_equal(predictions.rows, test.rows):
        yield f"{path}: its rows are not the test rows"
    elif not np.array_equal(predictions.labels, test.labels):
        yield f"{path}: its actual classes are not those of the test rows"
    elif not np.array_equal(predictions.groups, test.groups):
        yield f"{path}: its groups are not those of the test rows"
    wrong = np.flatnonzero(np.abs(predictions.probabilities.sum(axis=1) - 1) >= 1e-9)
    if len(wrong):
        yield f"{path}: the probabilities of row {predictions.rows[wrong[0]]} do not sum to one"


def _check_evaluation(
    evaluation: Evaluation, predictions: Predictions, params: Params
) -> Iterator[str]:
    path = "metrics/details.json"
    labels, probabilities, groups = (
        predictions.labels,
        predictions.probabilities,
        predictions.groups,
    )
    recomputed: dict[str, dict[str, Any]] = {
        "test": scores_with_bounds(labels, probabilities, groups, params.evaluate.confidence),
        "classes": class_table(
            labels, probabilities, groups, predictions.classes, params.evaluate.confidence
        ),
    }
    for section, scores in recomputed.items():
        found = getattr(evaluation, section)
        differing = sorted(
            name for name in {*scores, *found} if found.get(name) != scores.get(name)
        )
        if differing:
            yield (
                f"{path}: {section}.{differing[0]} is not what metrics/predictions.csv gives; "
                "run `dvc repro`"
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
