"""`report.md`: what was done, how good it is, and what the numbers cannot tell."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vintage.base.params import Params
from vintage.base.recipe import auto_values
from vintage.base.tensors import Schema
from vintage.report.figures import FIGURES
from vintage.report.markdown import escaped, table_lines
from vintage.report.rivals import Paired, Rivals
from vintage.report.tables import interval, number, score_rows
from vintage.report.verdict import curve_in_words, few_rows, listed, verdict
from vintage.scores.evaluation import Evaluation, Scores
from vintage.scores.metrics import METRICS

SHOWN_COLUMNS = 20
RARE = 30  # test rows of a class, below which a recall says little
SHOWN_BASELINE_METRICS = ("log_loss", "accuracy")
OUTCOMES = {"better": "wins", "worse": "loses", "no difference": "ties"}


@dataclass(frozen=True)
class Results:
    """What the other stages put out.

    Attributes:
        evaluation: `details.json`.
        baselines: `baseline.json`, scores by model.
        rivals: `comparison.json`.
    """

    schema: Schema
    evaluation: Evaluation
    baselines: Mapping[str, Scores]
    rivals: Rivals


def report_lines(results: Results, params: Params) -> Iterator[str]:
    """The report as Markdown; figures are linked relative to `metrics/`."""
    yield f"# {escaped(params.data.target)}, predicted from {escaped(params.data.path)}"
    yield ""
    yield from _summary(results, params)
    evaluation, epochs = results.evaluation, results.evaluation.epochs
    curve = curve_in_words(epochs)
    sections: dict[str, Iterable[str]] = {
        "Scores": _scores(results, params),
        "Beside other models": _beside_baselines(results),
        "By class": _by_class(results, params),
        "Training": [f"{curve[0].upper()}{curve[1:]}."],
        "Calibration": [
            f"Expected calibration error {_with_interval(evaluation.test, 'calibration_error')}; "
            f"the logits are divided by {evaluation.temperature:.3f}."
        ],
        "What these numbers cannot tell": _limits(results),
        "Parameters": _parameters(results, params),
    }
    for title in dict.fromkeys([*sections, *(figure.section for figure in FIGURES.values())]):
        yield from ("", f"## {title}")
        if title in sections:
            yield ""
            yield from sections[title]
        for name, figure in FIGURES.items():
            if figure.section == title:
                yield from ("", f"![{figure.caption}](figures/{name})")


def _summary(results: Results, params: Params) -> Iterator[str]:
    for sentence in verdict(results.evaluation, results.baselines, results.rivals):
        yield f"**{escaped(sentence[0].upper() + sentence[1:])}.**"
    yield ""
    schema, counts = results.schema, results.schema.rows
    yield (
        f"{counts.train + counts.val + counts.test} rows, {len(schema.features)} features, "
        f"{len(schema.classes)} classes: {counts.train} rows to train, {counts.val} to validate, "
        f"{counts.test} to test."
    )
    if schema.dropped:
        dropped = ", ".join(map(escaped, schema.dropped))
        yield f"Left out, because they are constant or empty in the train rows: {dropped}."
    if schema.missing_cells:
        missing = sorted(schema.missing_cells.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{escaped(name)} {count}" for name, count in missing]
        yield f"Cells that are missing, by column: {listed(shown, SHOWN_COLUMNS)}."
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
    evaluation, replicas = results.evaluation, results.evaluation.replicas
    header = ["", "test", _interval_title(params), "train", "validation"]
    rows = list(score_rows(evaluation))
    if replicas:
        header.append("one replica, mean ± std")
        for name, row in zip(METRICS, rows, strict=True):
            mean, std = replicas[f"{name}_mean"], replicas[f"{name}_std"]
            row.append(f"{number(mean)} ± {number(std)}")
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
    header, network = ["model"], ["network"]
    for metric in SHOWN_BASELINE_METRICS:
        header += [METRICS[metric].title, "network minus it", "network"]
        network += [_with_interval(results.evaluation.test, metric), "", ""]
    rows = [network]
    for model, scores in sorted(
        results.baselines.items(), key=lambda item: item[1]["log_loss"] or 0
    ):
        row = [model.replace("_", " ")]
        for metric in SHOWN_BASELINE_METRICS:
            paired = results.rivals.models[model][metric]
            row += [_with_interval(scores, metric), _signed(paired), OUTCOMES[paired.verdict]]
        rows.append(row)
    yield from table_lines(header, rows)
    yield ""
    yield (
        "Every model saw the same train and validation rows; the network chose its epochs by the "
        f"latter. The differences are paired on the {results.schema.rows.test} test rows and "
        "corrected for looking at several metrics."
    )


def _by_class(results: Results, params: Params) -> Iterator[str]:
    header = ["class", "test rows", "precision", "recall", _interval_title(params), "F1"]
    rows = []
    for name in results.schema.classes:
        each = results.evaluation.classes[name]
        bounds = interval(each.model_dump(), "recall")
        recall = [number(each.precision), number(each.recall), bounds, number(each.f1)]
        rows.append([name, str(each.support), *recall])
    yield from table_lines(header, rows)


def _limits(results: Results) -> Iterator[str]:
    n_test = results.schema.rows.test
    low, high = (results.evaluation.test[f"accuracy_{bound}"] for bound in ("low", "high"))
    if low is not None and high is not None:
        yield (
            f"- {n_test} test rows give the accuracy to about ±{(high - low) / 2:.3f}: by chance "
            "alone, another draw of as many rows would move it so far."
        )
    rare = [
        f"{escaped(name)} ({each.support})"
        for name, each in results.evaluation.classes.items()
        if each.support < RARE
    ]
    if rare:
        yield (
            f"- Classes with fewer than {RARE} test rows: {', '.join(rare)}. Their recall is "
            "little more than a guess, and the balanced and macro scores depend on it."
        )
    for name, count in results.evaluation.unknown_categories.items():
        yield (
            f"- In {count} test rows, {escaped(name)} is a category that no train row has; the "
            "network knows only that it is another one."
        )
    yield (
        "- The test rows come from the same table as the train rows. Nothing here tells how the "
        "model does on data from elsewhere."
    )
    yield (
        "- The more often you look at these scores while you choose parameters, the more they "
        "flatter; choose by the validation scores."
    )
    if results.evaluation.numerics != "exact":
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
