"""`report.md`: what was done, how good it is, and what the numbers cannot tell."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vintage.base.params import Params
from vintage.base.recipe import auto_values
from vintage.base.tensors import Schema
from vintage.report.markdown import escaped, table_lines
from vintage.report.show import NAMES, interval, number
from vintage.report.verdict import curve_in_words, few_rows, verdict
from vintage.scores.evaluation import Comparison, Evaluation, Paired, Scores

SHOWN_COLUMNS = 20
RARE = 30  # test rows of a class, below which a recall says little
SHOWN_BASELINE_METRICS = ("log_loss", "accuracy")


@dataclass(frozen=True)
class Results:
    """What the other stages put out.

    Attributes:
        evaluation: `details.json`.
        baselines: `baseline.json`, scores by model.
        comparison: `comparison.json`.
    """

    schema: Schema
    evaluation: Evaluation
    baselines: Mapping[str, Scores]
    comparison: Comparison


def report_lines(results: Results, params: Params) -> Iterator[str]:
    """The report as Markdown; figures are linked relative to `metrics/`."""
    yield f"# {escaped(params.data.target)}, predicted from {escaped(params.data.path)}"
    yield ""
    yield from _summary(results, params)
    yield from _section("Scores", _scores(results, params))
    yield from _section("Beside other models", _beside_baselines(results))
    yield from _section("By class", _by_class(results, params))
    yield from _section("Training", _training(results))
    yield from _section("Calibration", _calibration(results))
    yield from _section("What these numbers cannot tell", _limits(results))
    yield from _section("Parameters", _parameters(results, params))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield from lines


def _summary(results: Results, params: Params) -> Iterator[str]:
    for sentence in verdict(results.evaluation, results.baselines, results.comparison):
        yield f"**{escaped(sentence[0].upper() + sentence[1:])}.**"
    yield ""
    schema = results.schema
    counts = schema.rows
    n_rows = counts.train + counts.val + counts.test
    yield (
        f"{n_rows} rows, {len(schema.features)} features, {len(schema.classes)} classes: "
        f"{counts.train} rows to train, {counts.val} to validate, {counts.test} to test."
    )
    if schema.dropped:
        yield (
            "Left out, because they are constant or empty in the train rows: "
            f"{', '.join(map(escaped, schema.dropped))}."
        )
    if schema.missing_cells:
        missing = sorted(schema.missing_cells.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{escaped(name)} {count}" for name, count in missing[:SHOWN_COLUMNS]]
        if len(missing) > SHOWN_COLUMNS:
            shown.append(f"and {len(missing) - SHOWN_COLUMNS} columns more")
        yield f"Cells that are missing, by column: {', '.join(shown)}."
    if params.split.group_by == "duplicates" and params.split.column == "none":
        yield (
            f"{counts.repeated} rows repeat the features of an earlier row; each is on the same "
            "side of the split as its twin."
        )
    elif counts.repeated:
        yield (
            f"**{counts.repeated} rows repeat the features of an earlier row, and the split does "
            "not keep them together: test rows may have a twin in train, and the scores may be "
            "too good.**"
        )


def _scores(results: Results, params: Params) -> Iterator[str]:
    evaluation = results.evaluation
    replicas = evaluation.replicas
    header = ["", "test", _interval_title(params), "train", "validation"]
    if replicas:
        header += ["one replica, mean ± std"]
    rows = []
    for key, name in NAMES.items():
        row = [
            name,
            number(evaluation.test[key]),
            interval(evaluation.test, key),
            number(evaluation.train[key]),
            number(evaluation.val[key]),
        ]
        if replicas:
            mean, std = replicas[f"{key}_mean"], replicas[f"{key}_std"]
            row += [f"{number(mean)} ± {number(std)}"]
        rows.append(row)
    yield from table_lines(header, rows)
    if few := few_rows(evaluation):
        yield ""
        yield escaped(f"{few[0].upper()}{few[1:]}.")
    if replicas:
        yield ""
        yield (
            f"The prediction is the mean of {params.train.replicas} replicas; the last column is "
            "what a single one reaches and how much that varies with the seed."
        )


def _beside_baselines(results: Results) -> Iterator[str]:
    names = [NAMES[metric] for metric in SHOWN_BASELINE_METRICS]
    header = ["model", *(cell for name in names for cell in (name, "network minus it", "so it is"))]
    network = ["network"]
    for metric in SHOWN_BASELINE_METRICS:
        network += [_with_interval(results.evaluation.test, metric), "", ""]
    rows = [network]
    by_log_loss = sorted(results.baselines.items(), key=lambda item: item[1]["log_loss"] or 0)
    for model, scores in by_log_loss:
        row = [model.replace("_", " ")]
        for metric in SHOWN_BASELINE_METRICS:
            paired = results.comparison.models[model][metric]
            row += [_with_interval(scores, metric), _signed(paired), _verdict(paired)]
        rows.append(row)
    yield from table_lines(header, rows)
    yield ""
    yield (
        "Every model saw the same train and validation rows; the network chose its epochs by the "
        "latter. The differences are paired "
        f"on the {results.schema.rows.test} test rows and corrected for looking at several metrics."
    )


def _by_class(results: Results, params: Params) -> Iterator[str]:
    header = ["class", "test rows", "precision", "recall"]
    header += [_interval_title(params), "F1"]
    rows = [
        [
            name,
            f"{scores['support']:.0f}",
            number(scores["precision"]),
            number(scores["recall"]),
            interval(scores, "recall"),
            number(scores["f1"]),
        ]
        for name, scores in (
            (name, results.evaluation.classes[name]) for name in results.schema.classes
        )
    ]
    yield from table_lines(header, rows)
    yield ""
    yield "![Confusion matrix](figures/confusion.png)"


def _training(results: Results) -> Iterator[str]:
    words = curve_in_words(results.evaluation.epochs)
    yield f"{words[0].upper()}{words[1:]}."
    yield ""
    yield "![Loss by epoch](figures/losses.png)"


def _calibration(results: Results) -> Iterator[str]:
    temperature = results.evaluation.temperature
    error = _with_interval(results.evaluation.test, "calibration_error")
    yield f"Expected calibration error {error}; the logits are divided by {temperature:.3f}."
    yield ""
    yield "![Accuracy by confidence](figures/calibration.png)"


def _limits(results: Results) -> Iterator[str]:
    n_test = results.schema.rows.test
    low, high = (results.evaluation.test[f"accuracy_{bound}"] for bound in ("low", "high"))
    if low is not None and high is not None:
        width = (high - low) / 2
        yield (
            f"- {n_test} test rows place the accuracy within about ±{width:.3f}: another draw of "
            "as many rows would move it so far by chance alone."
        )
    rare = [
        f"{escaped(name)} ({scores['support']:.0f})"
        for name, scores in results.evaluation.classes.items()
        if (scores["support"] or 0) < RARE
    ]
    if rare:
        yield (
            f"- Classes with fewer than {RARE} test rows: {', '.join(rare)}. Their recall is "
            "little more than a guess, and the balanced and macro scores lean on it."
        )
    for name, count in results.evaluation.unknown_categories.items():
        yield (
            f"- {count} test rows hold a {escaped(name)} that no train row has; the network knows "
            "only that it is another one."
        )
    yield (
        "- The test rows come from the same table as the train rows. Nothing here tells how the "
        "model does on data from elsewhere."
    )
    yield (
        "- The more often one looks at these scores while choosing parameters, the more they "
        "flatter; the validation scores are there to choose by."
    )
    if results.evaluation.numerics != "portable":
        yield (
            f"- The numerics were `{results.evaluation.numerics}`: another machine may give "
            "other digits."
        )


def _parameters(results: Results, params: Params) -> Iterator[str]:
    resolved = auto_values(params.model, params.train, results.evaluation.resolved)
    rows = []
    for section, values in params.model_dump().items():
        for key, value in values.items():
            name, shown = f"{section}.{key}", json.dumps(value, ensure_ascii=False)
            rows.append([name, f"auto: {resolved[name]}" if name in resolved else shown])
    yield from table_lines(["parameter", "value"], rows)


def _interval_title(params: Params) -> str:
    return f"{100 * params.evaluate.confidence:.6g} % interval"


def _with_interval(scores: Scores, metric: str) -> str:
    bounds = interval(scores, metric)
    return number(scores[metric]) if bounds == "-" else f"{number(scores[metric])} ({bounds})"


def _signed(paired: Paired) -> str:
    if paired.difference is None or paired.low is None or paired.high is None:
        return "-"
    return f"{paired.difference:+.3f} ({paired.low:+.3f} to {paired.high:+.3f})"


def _verdict(paired: Paired) -> str:
    return {"better": "wins", "worse": "loses"}.get(paired.verdict, "ties")
