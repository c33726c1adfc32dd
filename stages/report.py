"""Report: scores, baselines and figures -> one page.        python -m stages.report

Reads   metrics/details.json, metrics/predictions.csv, metrics/baseline.json, data/baseline/,
        data/tensors/schema.json; params: all of them, to show them
Writes  metrics/comparison.json (the network beside each baseline), metrics/report.md
"""

from vintage.base.stage import Stage

STAGE = Stage("report")  # ahead of NumPy and PyTorch

from pathlib import Path

from vintage.base import console
from vintage.base.files import read_json, write_bytes, write_json
from vintage.base.params import load_params
from vintage.base.tensors import read_schema
from vintage.report.differences import Model, Spread, paired_differences
from vintage.report.page import Results, report_lines
from vintage.report.pairing import pair_rows
from vintage.scores.evaluation import COMPARED, Baselines, Comparison, Evaluation, rounded
from vintage.scores.predictions import read_predictions

METRICS = Path("metrics")
BASELINES = Path("data/baseline")
SCHEMA = Path("data/tensors/schema.json")


def main() -> None:
    params = load_params()
    evaluation = read_json(METRICS / "details.json", Evaluation)
    baselines = read_json(METRICS / "baseline.json", Baselines).models
    spread = None
    if evaluation.replicas:
        spread = Spread(evaluation.replica_stds(), params.train.replicas)
    predictions = read_predictions(METRICS / "predictions.csv")
    schema = read_schema(SCHEMA)
    _check_classes("predictions.csv", predictions.classes, schema.classes)
    _check_classes("details.json", list(evaluation.classes), schema.classes)
    models = {}
    for name in baselines:
        path = BASELINES / f"{name}.csv"
        baseline = read_predictions(path)
        if (
            baseline.classes != predictions.classes
            or not (pairing := pair_rows(baseline, predictions)).is_complete
        ):
            raise console.InputError(
                f"{path}: does not fit {METRICS / 'predictions.csv'}: its rows or classes differ; "
                "run `dvc repro`"
            )
        paired = paired_differences(Model(pairing.a), Model(pairing.b, spread), params.evaluate)
        models[name] = {
            metric: {
                "difference": rounded(each.difference),
                "low": rounded(each.low),
                "high": rounded(each.high),
                "verdict": each.verdict,
            }
            for metric, each in paired.items()
        }
    comparison = Comparison.model_validate(
        {"network": {name: evaluation.test[name] for name in COMPARED}, "models": models}
    )
    write_json(METRICS / "comparison.json", comparison.model_dump())
    results = Results(schema, evaluation, baselines, comparison)
    page = "\n".join(report_lines(results, params)) + "\n"
    write_bytes(METRICS / "report.md", page.encode("utf-8"))
    console.say(f"see {METRICS / 'report.md'}")


def _check_classes(name: str, found: list[str], expected: list[str]) -> None:
    if sorted(found) != sorted(expected):
        raise console.InputError(
            f"{METRICS / name}: its classes are not those of {SCHEMA}; run `dvc repro`"
        )


if __name__ == "__main__":
    STAGE.run(main)
