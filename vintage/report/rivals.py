"""`comparison.json`: the network beside each baseline, on the same test rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from vintage.base.console import InputError
from vintage.base.files import Strict
from vintage.base.params import IntervalParams
from vintage.report.differences import Candidate, paired_differences
from vintage.report.pairing import pair_rows
from vintage.scores.evaluation import ModelName, Number, Scores, of_each, rounded
from vintage.scores.metrics import compared_metrics
from vintage.scores.predictions import Predictions


class Paired(Strict):
    """The network minus a baseline in one metric, and the verdict on the network.

    Attributes:
        error: the standard error of the difference, of rows and seeds.
    """

    difference: Number
    low: Number
    high: Number
    error: Number = None
    verdict: Literal["better", "worse", "no difference"]


class Rivals(Strict):
    """The network's test scores by metric, and by baseline and metric how it compares."""

    network: Annotated[Scores, of_each(compared_metrics)]
    models: dict[ModelName, Annotated[dict[str, Paired], of_each(compared_metrics)]]


def compare_with_baselines(
    network: Candidate,
    scores: Scores,
    baselines: Mapping[str, Predictions],
    settings: IntervalParams,
) -> Rivals:
    """Compare the network, which has these test scores, with each baseline.

    Raises:
        InputError: a baseline predicts other rows or classes.
    """
    numbers = [name for name in Paired.model_fields if name != "verdict"]
    models = {}
    for name, predictions in baselines.items():
        pairing = pair_rows(predictions, network.predictions)
        if predictions.classes != network.predictions.classes or any(pairing.left_out.values()):
            raise InputError(
                f"data/baseline/{name}.csv: does not fit metrics/predictions.csv: its rows or "
                "classes differ; run `dvc repro`"
            )
        beside = replace(network, predictions=pairing.b)
        models[name] = {
            metric: {
                "verdict": each.verdict,
                **{key: rounded(getattr(each, key)) for key in numbers},
            }
            for metric, each in paired_differences(Candidate(pairing.a), beside, settings).items()
        }
    compared = {name: scores[name] for name in compared_metrics()}
    return Rivals.model_validate({"network": compared, "models": models})
