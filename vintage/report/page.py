"""`report.md`: what was done, how good it is, and what the numbers cannot tell."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vintage.base.params import NO_RESULT, Params
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


def report_lines(
    schema: Schema,
    evaluation: Evaluation,
    baselines: Mapping[str, Scores],
    rivals: Rivals,
    params: Params,
) -> Iterator[str]:
    """The report as Markdown; figures are linked relative to `metrics/`.

    Args:
        baselines: `baseline.json`, scores by model.
        rivals: `comparison.json`.
    """
    yield f"# {escaped(params.data.target)}, predicted from {escaped(params.data.path)}"
    yield ""
    for sentence in verdict(evaluation, baselines, rivals):
        yield f"**{_capitalized(escaped(sentence))}.**"
    yield ""
    yield from _data(schema, params)
    bounds = f"{100 * params.evaluate.confidence:.6g} % interval"
    sections: dict[str, Iterable[str]] = {
        "Scores": _scores(evaluation, bounds, params.train.replicas),
        "Beside other models": _beside_baselines(evaluation, baselines, rivals),
        "By class": _by_class(evaluation, schema.classes, bounds),
        "Training": [f"{_capitalized(curve_in_words(evaluation.epochs))}."],
        "Calibration": [
            f"Expected calibration error {_with_interval(evaluation.test, 'calibration_error')}; "
            f"the logits are divided by {evaluation.temperature:.3f}."
        ],
        "What these numbers cannot tell": _limits(evaluation),
        "Parameters": _parameters(evaluation, params),
    }
    for title in dict.fromkeys([*sections, *(figure.section for figure in FIGURES.values())]):
        yield from ("", f"## {title}")
        if title in sections:
            yield ""
            yield from sections[title]
        for name, figure in FIGURES.items():
            if figure.section == title:
                yield from ("", f"![{figure.caption}](figures/{name})")


def _data(schema: Schema, params: Params) -> Iterator[str]:
    counts = schema.rows
    validating = f"{counts.val} to validate, "
    if counts.folds:
        validating = f"in {counts.folds} folds, each of which validates networks that left it out; "
    yield (
        f"{counts.train + counts.val + counts.test} rows, {len(schema.features)} features, "
        f"{len(schema.classes)} classes: {counts.train} rows to train, {validating}"
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


def _scores(evaluation: Evaluation, bounds: str, n_replicas: int) -> Iterator[str]:
    header, rows = ["", "test", bounds, "train", "validation"], list(score_rows(evaluation))
    if replicas := evaluation.replicas:
        header.append("one replica, mean ± std")
        for name, row in zip(METRICS, rows, strict=True):
            row.append(f"{number(replicas[f'{name}_mean'])} ± {number(replicas[f'{name}_std'])}")
    yield from table_lines(header, rows)
    if few := few_rows(evaluation):
        yield from ("", escaped(f"{_capitalized(few)}."))
    if replicas:
        yield ""
        yield (
            f"The prediction is the mean of {n_replicas} replicas; the last column is what a "
            "single one reaches and how much that varies with the seed."
        )


def _beside_baselines(
    evaluation: Evaluation, baselines: Mapping[str, Scores], rivals: Rivals
) -> Iterator[str]:
    header, network = ["model"], ["network"]
    for metric in SHOWN_BASELINE_METRICS:
        header += [METRICS[metric].title, "network minus it", "network"]
        network += [_with_interval(evaluation.test, metric), "", ""]
    rows = [network]
    for model, scores in sorted(baselines.items(), key=lambda item: item[1]["log_loss"] or 0):
        row = [model.replace("_", " ")]
        for metric in SHOWN_BASELINE_METRICS:
            paired = rivals.models[model][metric]
            row += [_with_interval(scores, metric), _signed(paired), OUTCOMES[paired.verdict]]
        rows.append(row)
    yield from table_lines(header, rows)
    yield ""
    yield (
        "Every model saw the same train and validation rows; the network chose its epochs by the "
        f"validation loss. The differences are paired on the {evaluation.n_rows} test rows and "
        "corrected for looking at several metrics."
    )


def _by_class(evaluation: Evaluation, classes: Sequence[str], bounds: str) -> Iterator[str]:
    rows = []
    for name in classes:
        each = evaluation.classes[name]
        recall = [number(each.recall), interval(each.model_dump(), "recall")]
        rows.append([name, str(each.support), number(each.precision), *recall, number(each.f1)])
    yield from table_lines(["class", "test rows", "precision", "recall", bounds, "F1"], rows)


def _limits(evaluation: Evaluation) -> Iterator[str]:
    low, high = evaluation.test["accuracy_low"], evaluation.test["accuracy_high"]
    if low is not None and high is not None:
        yield (
            f"- {evaluation.n_rows} test rows give the accuracy to about ±{(high - low) / 2:.3f}: "
            "by chance alone, another draw of as many rows would move it so far."
        )
    rare = [
        f"{escaped(name)} ({each.support})"
        for name, each in evaluation.classes.items()
        if each.support < RARE
    ]
    if rare:
        yield (
            f"- Classes with fewer than {RARE} test rows: {', '.join(rare)}. Their recall is "
            "little more than a guess, and the balanced and macro scores depend on it."
        )
    for name, count in evaluation.unknown_categories.items():
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
    if evaluation.numerics != "exact":
        yield (
            f"- The numerics were `{evaluation.numerics}`: another machine may give other digits."
        )


def _parameters(evaluation: Evaluation, params: Params) -> Iterator[str]:
    resolved = auto_values(params.model, params.train, evaluation.resolved)
    rows = []
    for section, values in params.model_dump(exclude=set(NO_RESULT)).items():
        for key, value in values.items():
            name, shown = f"{section}.{key}", json.dumps(value, ensure_ascii=False)
            rows.append([name, f"auto: {resolved[name]}" if name in resolved else shown])
    yield from table_lines(["parameter", "value"], rows)


def _capitalized(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _with_interval(scores: Scores, metric: str) -> str:
    bounds = interval(scores, metric)
    return number(scores[metric]) if bounds == "-" else f"{number(scores[metric])} ({bounds})"


def _signed(paired: Paired) -> str:
    if paired.difference is None or paired.low is None or paired.high is None:
        return "-"
    return f"{paired.difference:+.3f} ({paired.low:+.3f} to {paired.high:+.3f})"
