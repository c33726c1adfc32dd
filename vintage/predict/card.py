"""A model to give away: a folder with the checkpoint and a model card for the Hugging Face Hub.

The format: https://huggingface.co/docs/hub/model-cards, YAML metadata ahead of Markdown.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vintage.base.console import InputError
from vintage.base.files import read_json, write_bytes
from vintage.base.tensors import Feature, Schema, read_schema
from vintage.report.markdown import escaped, table_lines
from vintage.report.rivals import Rivals
from vintage.report.tables import score_cells
from vintage.report.verdict import capitalized, few_rows, verdict
from vintage.repository.status import check_status
from vintage.scores.evaluation import Baselines, Evaluation, Scores
from vintage.scores.metrics import METRICS

FILES = ("model.json", "model.safetensors", "schema.json")
TASK = "tabular-classification"
LONGEST_LIST = 10  # categories that are named


def write_card(root: Path, checkpoint: Path, folder: Path, table: str) -> None:
    """Write a new folder: the checkpoint's files, and `README.md` with its scores.

    Args:
        root: the repository, with the results of `dvc repro`.
        checkpoint: the folder that these results are of.
        table: the path of the table, whose name stands in the card.

    Raises:
        InputError: the folder exists, or the scores are not those of the checkpoint.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; name a new folder")
    for problem in check_status(root):
        raise InputError(f"the scores may be of another model: {problem}")
    metrics = root / "metrics"
    text = "\n".join(
        card_lines(
            read_schema(checkpoint / "schema.json"),
            read_json(metrics / "details.json", Evaluation),
            read_json(metrics / "baseline.json", Baselines).models,
            read_json(metrics / "comparison.json", Rivals),
            Path(table).name,
        )
    )
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(checkpoint / name, partial / name)
    write_bytes(partial / "README.md", f"{text}\n".encode())
    partial.rename(folder)


def card_lines(
    schema: Schema,
    evaluation: Evaluation,
    baselines: Mapping[str, Scores],
    rivals: Rivals,
    table: str,
) -> Iterator[str]:
    """The card, line by line."""
    yield "---"
    about = metadata(schema, evaluation, table)
    yield yaml.safe_dump(about, sort_keys=False, allow_unicode=True).rstrip()
    yield "---"
    yield f"# {escaped(schema.target)}, predicted from {len(schema.features)} columns"
    yield ""
    yield (
        f"An ensemble of neural networks, trained on {schema.rows.train} rows of {escaped(table)} "
        f"to predict {escaped(schema.target)}, one of {len(schema.classes)} classes."
    )
    yield from ("", "## Use", "", "```python", "import vintage", "")
    yield from ('model = vintage.load("FOLDER")  # this one', "model.predict_proba(frame)", "```")
    yield ""
    yield from table_lines(["column", "kind", "values"], [_column(f) for f in schema.features])
    yield from ("", f"Classes: {', '.join(map(escaped, schema.classes))}.", "", "## Scores", "")
    yield f"On {evaluation.n_rows} test rows, which nothing was fitted to or chosen by:"
    yield ""
    rows = [score_cells(evaluation.test, name) for name in METRICS]
    yield from table_lines(["", "test", "interval"], rows)
    yield ""
    for sentence in verdict(evaluation, baselines, rivals):
        yield f"{escaped(capitalized(sentence))}."
    yield from ("", "## Limits", "")
    if few := few_rows(evaluation):
        yield f"- {escaped(capitalized(few))}."
    yield (
        "- The test rows come from the same table as the train rows. Nothing here tells how the "
        "model does on data from elsewhere."
    )


def metadata(schema: Schema, evaluation: Evaluation, table: str) -> dict[str, Any]:
    """What the Hub reads: the task, and each test score that is defined."""
    metrics = [
        {"type": name, "name": metric.title, "value": evaluation.test[name]}
        for name, metric in METRICS.items()
        if evaluation.test[name] is not None
    ]
    result = {
        "task": {"type": TASK},
        "dataset": {"type": "tabular", "name": table, "split": "test"},
        "metrics": metrics,
    }
    return {
        "pipeline_tag": TASK,
        "library_name": "vintage",
        "tags": ["tabular", "classification", "pytorch", "safetensors"],
        "model-index": [{"name": schema.target, "results": [result]}],
    }


def _column(feature: Feature) -> list[str]:
    values = list(feature.categories or [])
    more = f" and {len(values) - LONGEST_LIST} more" if len(values) > LONGEST_LIST else ""
    missing = ["missing"] if feature.missing else []
    return [feature.name, feature.kind, ", ".join([*values[:LONGEST_LIST], *missing]) + more]
