"""Report: scores, baselines, explanation and figures -> one page.        python -m stages.report

Reads   metrics/details.json, metrics/predictions.csv, metrics/baseline.json, data/baseline/,
        metrics/explanation.json, metrics/figures/, data/tensors/schema.json; params: all of
        them, to show them
Writes  metrics/comparison.json (the network beside each baseline), metrics/report.md,
        metrics/report.html
"""

from vintage.base.stage import Stage

STAGE = Stage("report")  # ahead of NumPy and PyTorch

from pathlib import Path

from vintage.base import console
from vintage.base.files import read_bytes, read_json, write_bytes, write_json
from vintage.base.params import load_params
from vintage.base.tensors import read_schema
from vintage.base.waiting import waiting
from vintage.explain.explanation import Explanation
from vintage.report.differences import Candidate
from vintage.report.figures import FIGURES
from vintage.report.html import page_html
from vintage.report.markdown import page_lines
from vintage.report.page import Facts, report_page
from vintage.report.rivals import compare_with_baselines
from vintage.scores.evaluation import Baselines, Evaluation, check_required, replica_stds
from vintage.scores.predictions import read_predictions

METRICS = Path("metrics")
BASELINES = Path("data/baseline")
SCHEMA = Path("data/tensors/schema.json")


def main() -> None:
    params = load_params()
    check_required(params.evaluate.require)
    schema = read_schema(SCHEMA)
    evaluation = read_json(METRICS / "details.json", Evaluation)
    predictions = read_predictions(METRICS / "predictions.csv")
    found = {"details.json": list(evaluation.classes), "predictions.csv": predictions.classes}
    for name, classes in found.items():
        if sorted(classes) != sorted(schema.classes):
            raise console.InputError(
                f"metrics/{name}: its classes are not those of {SCHEMA}; run `dvc repro`"
            )
    scores = read_json(METRICS / "baseline.json", Baselines).models
    baselines = {name: read_predictions(BASELINES / f"{name}.csv") for name in scores}
    explanation = read_json(METRICS / "explanation.json", Explanation)
    figures = {name: read_bytes(METRICS / "figures" / name) for name in FIGURES}

    network = Candidate(predictions, params.train.replicas, replica_stds(evaluation.replicas))
    with waiting("comparing"):
        rivals = compare_with_baselines(network, evaluation.test, baselines, params.evaluate)
    page = report_page(Facts(params, schema, evaluation, predictions, scores, rivals, explanation))

    write_json(METRICS / "comparison.json", rivals.model_dump())
    write_bytes(METRICS / "report.md", ("\n".join(page_lines(page)) + "\n").encode("utf-8"))
    write_bytes(METRICS / "report.html", page_html(page, figures).encode("utf-8"))
    console.say(f"see {METRICS / 'report.html'}")


if __name__ == "__main__":
    STAGE.run(main)
