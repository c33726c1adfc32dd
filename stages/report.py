"""Report: scores, baselines and figures -> one page.        python -m stages.report

Reads   metrics/evaluation.json, metrics/predictions.csv, metrics/baseline.json, data/baseline/,
        data/tensors/schema.json; params: all of them, to show them
Writes  metrics/report.md
"""

from pathlib import Path

from vintage import console, numerics

METRICS = Path("metrics")
BASELINES = Path("data/baseline")
SCHEMA = Path("data/tensors/schema.json")


def main() -> None:
    from vintage.params import load_params

    params = load_params()
    numerics.pin()
    from vintage.differences import Model, Settings, Spread, paired_differences
    from vintage.evaluation import Baselines, Evaluation
    from vintage.files import read_json, write_bytes
    from vintage.predictions import read_predictions
    from vintage.report import Results, report_lines
    from vintage.tensors import read_schema

    evaluation = read_json(METRICS / "evaluation.json", Evaluation)
    baselines = read_json(METRICS / "baseline.json", Baselines).models
    spread = None
    if evaluation.replicas:
        spread = Spread(evaluation.replica_stds(), params.train.replicas)
    network = Model(read_predictions(METRICS / "predictions.csv"), spread)
    settings = Settings(params.evaluate.confidence, params.evaluate.resamples, params.evaluate.seed)
    differences = {
        name: paired_differences(
            Model(read_predictions(BASELINES / f"{name}.csv")), network, settings
        )
        for name in baselines
    }
    results = Results(read_schema(SCHEMA), evaluation, baselines, differences)
    page = "\n".join(report_lines(results, params)) + "\n"
    write_bytes(METRICS / "report.md", page.encode("utf-8"))
    console.say(f"see {METRICS / 'report.md'}")


if __name__ == "__main__":
    console.run(main)
