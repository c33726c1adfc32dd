"""The report as blocks, for `report.md` and `report.html`: what is known of one trained model.

Its sections answer in this order: how good, how sure, against what, where it fails, why, what next.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from vintage.base.params import NO_RESULT, Params
from vintage.base.recipe import auto_values
from vintage.base.tensors import Schema
from vintage.explain.explanation import Explanation, LearningCurve
from vintage.report.blocks import (
    Bar,
    Block,
    Checks,
    Items,
    Number,
    Numbers,
    Page,
    Paragraph,
    Picture,
    Section,
    Table,
)
from vintage.report.checks import RARE, by_urgency, checks
from vintage.report.differences import lead_by_chance
from vintage.report.figures import FIGURES
from vintage.report.rivals import Paired, Rivals
from vintage.report.tables import between, interval, number, score_cells, score_rows
from vintage.report.verdict import (
    best_rival,
    capitalized,
    curve_in_words,
    few_rows,
    listed,
    model_in_words,
    verdict,
)
from vintage.scores.evaluation import Evaluation, Scores
from vintage.scores.metrics import METRICS
from vintage.scores.predictions import Predictions

SHOWN_COLUMNS = 20
SHOWN_IMPORTANCES = 15
SHOWN_SLICES = 10
SHOWN_CONFUSIONS = 5
SHOWN_BASELINE_METRICS = ("log_loss", "accuracy")
FIRST_NUMBERS = ("accuracy", "balanced_accuracy", "log_loss", "roc_auc_ovr")
FROM_0_TO_1 = {name for name, metric in METRICS.items() if metric.max_difference == 1}
OUTCOMES = {"better": "wins", "worse": "loses", "no difference": "ties"}


class Facts(NamedTuple):
    """All that the report tells, as the pipeline's files hold it.

    Attributes:
        baselines: `baseline.json`, scores by model.
        rivals: `comparison.json`.
    """

    params: Params
    schema: Schema
    evaluation: Evaluation
    predictions: Predictions
    baselines: Mapping[str, Scores]
    rivals: Rivals
    explanation: Explanation

    @property
    def bounds(self) -> str:
        return f"{100 * self.params.evaluate.confidence:.6g} % interval"


def report_page(facts: Facts) -> Page:
    """The page; a figure stands in the section that its entry names."""
    sections = {
        "How good": _scores,
        "How sure": _sureness,
        "Against what": _beside_baselines,
        "Where it fails": _failures,
        "The worst mistakes": _mistakes_and_slices,
        "Why": _reasons,
        "What to do next": _next_steps,
        "The data": _data,
        "Parameters": _parameters,
    }
    made = {
        title: Section(title, [*blocks(facts), *_pictures(title)], is_folded=blocks is _parameters)
        for title, blocks in sections.items()
    }
    more = dict.fromkeys(figure.section for figure in FIGURES.values())
    made |= {title: Section(title, [*_pictures(title)]) for title in more if title not in made}
    said = verdict(facts.evaluation, facts.baselines, facts.rivals)
    return Page(
        target=facts.params.data.target,
        table=facts.params.data.path,
        verdict=[capitalized(sentence) for sentence in said],
        sections=list(made.values()),
    )


def _pictures(title: str) -> Iterator[Picture]:
    for name, figure in FIGURES.items():
        if figure.section == title:
            yield Picture(name, figure.caption)


def _scores(facts: Facts) -> Iterator[Block]:
    evaluation = facts.evaluation
    yield Numbers([Number(*score_cells(evaluation.test, name)) for name in FIRST_NUMBERS])
    header = ["", "test", facts.bounds, "train", "validation"]
    rows = list(score_rows(evaluation))
    if replicas := evaluation.replicas:
        header.append("one replica, mean ± std")
        for name, row in zip(METRICS, rows, strict=True):
            row.append(f"{number(replicas[f'{name}_mean'])} ± {number(replicas[f'{name}_std'])}")
    bars = [_bar(evaluation.test, name) if name in FROM_0_TO_1 else None for name in METRICS]
    yield Table("Scores", header, rows, bars, bar_after=2, scale=(0, 1))
    if replicas:
        yield Paragraph(
            f"The prediction is the mean of {facts.params.train.replicas} replicas; the last "
            "column is what a single one reaches and how much that varies with the seed."
        )


def _sureness(facts: Facts) -> Iterator[Block]:
    evaluation = facts.evaluation
    if few := few_rows(evaluation):
        yield Paragraph(f"{capitalized(few)}.")
    yield Items(list(_limits(facts)))
    calibration = _with_interval(evaluation.test, "calibration_error")
    yield Paragraph(
        f"Expected calibration error {calibration}; the logits are divided by "
        f"{evaluation.temperature:.3f}."
    )


def _limits(facts: Facts) -> Iterator[str]:
    evaluation = facts.evaluation
    low, high = evaluation.test["accuracy_low"], evaluation.test["accuracy_high"]
    if low is not None and high is not None:
        yield (
            f"{evaluation.n_rows} test rows give the accuracy to about ±{(high - low) / 2:.3f}: "
            "another sample of as many rows could differ by that much by chance alone."
        )
    for name, n_rows in evaluation.sampled.items():
        yield (
            f"Of the {n_rows} {name} rows, a sample is scored, chosen by a hash of each: the same "
            "ones as of the baselines, and everywhere on this page."
        )
    supports = {name: each.support for name, each in evaluation.classes.items()}
    if rare := [f"{name} ({n})" for name, n in supports.items() if n < RARE]:
        yield (
            f"Classes with fewer than {RARE} test rows: {', '.join(rare)}. Their recall is "
            "little more than a guess, and the balanced and macro scores depend on it."
        )
    for name, count in evaluation.unknown_categories.items():
        yield (
            f"In {count} test rows, {name} is a category that no train row has; the network knows "
            "only that it is another one."
        )
    yield (
        "The test rows come from the same table as the train rows. Nothing here tells how the "
        "model does on data from elsewhere."
    )
    yield _looks_in_words(facts)
    if evaluation.numerics != "exact":
        yield f"The numerics were {evaluation.numerics}: another machine may give other digits."


def _looks_in_words(facts: Facts) -> str:
    """What choosing by these scores does to them. How often it was done, only Git knows, and the
    page must not depend on the clone that made it."""
    said = (
        "The more often you look at these scores while you choose parameters, the more they "
        "flatter; choose by the validation scores. The commands vintage show and vintage compare "
        "count the models that were scored on these rows."
    )
    rival = best_rival(facts.baselines)
    error = facts.rivals.models[rival]["log_loss"].error if rival else None
    if not rival or not error:
        return said
    n_models = facts.params.evaluate.looks
    return (
        f"{said} Of {n_models} equally good ones, as unlike each other as the network and "
        f"{model_in_words(rival)}, the best would lead their mean by about "
        f"{lead_by_chance(n_models, error):.3f} in log loss."
    )


def _beside_baselines(facts: Facts) -> Iterator[Block]:
    for metric in SHOWN_BASELINE_METRICS:
        yield _beside_baselines_in(metric, facts)
    learned = "Every model saw the same train and validation rows"
    if n_rows := facts.evaluation.sampled.get("train"):
        learned = f"The baselines saw a sample of the {n_rows} train rows, and the network all"
    yield Paragraph(
        f"{learned}; the network chose its epochs by the validation loss. The differences are "
        f"paired on the {facts.evaluation.n_rows} test rows and corrected for looking at several "
        "metrics."
    )


def _beside_baselines_in(metric: str, facts: Facts) -> Table:
    """The models in one metric, the best one first."""
    entry, test = METRICS[metric], facts.evaluation.test
    rows: list[list[str]] = []
    bars: list[Bar | None] = []
    sign = 1 if entry.lower_is_better else -1
    for model, scores in sorted(
        facts.baselines.items(), key=lambda item: sign * (item[1][metric] or 0)
    ):
        paired = facts.rivals.models[model][metric]
        rows.append(
            [
                model.replace("_", " "),
                number(scores[metric]),
                interval(scores, metric),
                _signed(paired),
                OUTCOMES[paired.verdict],
            ]
        )
        bars.append(_interval_bar(paired.low, paired.difference, paired.high))
    network = ["network", number(test[metric]), interval(test, metric), "", ""]
    side = "below" if entry.lower_is_better else "above"
    return Table(
        f"{capitalized(entry.title)}; a difference {side} 0 is in favour of the network",
        ["model", entry.title, facts.bounds, "network minus it", "the network"],
        [network, *rows],
        [None, *bars],
        bar_after=3,
        mark=0.0,
    )


def _failures(facts: Facts) -> Iterator[Block]:
    header = ["class", "test rows", "precision", "recall", facts.bounds, "F1"]
    rows: list[list[str]] = []
    bars: list[Bar | None] = []
    for name in facts.schema.classes:
        each = facts.evaluation.classes[name]
        recall = each.model_dump()
        bounded = [number(each.recall), interval(recall, "recall")]
        rows.append([name, str(each.support), number(each.precision), *bounded, number(each.f1)])
        bars.append(_bar(recall, "recall"))
    yield Table("By class", header, rows, bars, bar_after=4, scale=(0, 1))
    if confused := list(_confusions(facts.predictions)):
        yield Items(confused)


def _confusions(predictions: Predictions) -> Iterator[str]:
    """The classes that are taken for each other most often."""
    counts = predictions.confusion()
    of_class = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    for place in np.argsort(-counts, axis=None, kind="stable")[:SHOWN_CONFUSIONS].tolist():
        actual, predicted = divmod(place, len(counts))
        if counts[actual, predicted]:
            yield (
                f"{predictions.classes[actual]}, predicted as {predictions.classes[predicted]}: "
                f"{counts[actual, predicted]} of {of_class[actual]} rows"
            )


def _mistakes_and_slices(facts: Facts) -> Iterator[Block]:
    yield from _mistakes(facts)
    yield from _slices(facts)


def _mistakes(facts: Facts) -> Iterator[Block]:
    mistakes = facts.explanation.mistakes
    if not mistakes:
        yield Paragraph("No test row was predicted wrong.")
        return
    names = [each.column for each in facts.explanation.importance]
    columns = [name for name in names if name in mistakes[0].cells]
    yield Table(
        "Rows whose actual class got the least probability; the first row of the table is 0",
        ["row", "actual", "p", "predicted", "p", *columns],
        [
            [
                str(each.row),
                each.actual,
                f"{each.probability_of_actual:.3f}",
                each.predicted,
                f"{each.probability_of_predicted:.3f}",
                *(each.cells[column] for column in columns),
            ]
            for each in mistakes
        ],
    )


def _slices(facts: Facts) -> Iterator[Block]:
    explanation, test = facts.explanation, facts.evaluation.test
    n_tested = explanation.slices_tested
    if not explanation.slices:
        yield Paragraph(
            f"Of {n_tested} groups of test rows, by the values of single columns, none does worse "
            "than overall beyond chance."
            if n_tested
            else "There are too few independent test rows to look for groups of them that do worse."
        )
        return
    overall = ["all test rows", "", str(facts.evaluation.n_rows)]
    overall += [number(test["log_loss"]), number(test["accuracy"]), ""]
    rows = [
        [
            each.column,
            each.values,
            str(each.rows),
            number(each.log_loss),
            number(each.accuracy),
            f"{each.p_value:.4f}",
        ]
        for each in explanation.slices[:SHOWN_SLICES]
    ]
    header = ["column", "values", "test rows", "log loss", "accuracy", "p"]
    yield Table("Groups of rows that do worse than overall", header, [*rows, overall])
    yield Paragraph(
        f"{n_tested} groups were tested by their log loss, by the values of single columns; p is "
        "corrected for all of them."
    )


def _reasons(facts: Facts) -> Iterator[Block]:
    explanation = facts.explanation
    rows, bars = [], []
    for each in explanation.importance[:SHOWN_IMPORTANCES]:
        bars.append(Bar(each.low, each.increase, each.high))
        bounds = between(each.low, each.high, "+.3f")
        rows.append([each.column, f"{each.increase:+.3f}", bounds])
    yield Table(
        "Permutation importance: how much the log loss rises without a column",
        ["column", "rise", facts.bounds],
        rows,
        bars,
        bar_after=2,
        mark=0.0,
    )
    n_more = len(explanation.importance) - len(rows)
    more = f" {n_more} columns matter less and are left out here." if n_more else ""
    times = "once" if explanation.repeats == 1 else f"{explanation.repeats} times"
    how = "those of a group together. Where the interval holds 0, the model may do as well without "
    how += "the column"
    if all(each.low is None for each in explanation.importance):
        how = "each by itself, since all are of one group, and there is no interval of that"
    yield Paragraph(
        f"Each column was permuted {times} over {explanation.importance_rows} test rows, {how}. "
        f"Correlated columns share the importance.{more}"
    )
    yield Paragraph(f"{capitalized(curve_in_words(facts.evaluation.epochs))}.")


def _next_steps(facts: Facts) -> Iterator[Block]:
    found = checks(facts.evaluation, facts.predictions, facts.rivals, facts.explanation)
    yield Checks(by_urgency(found))
    if (curve := facts.explanation.curve) is None:
        yield Paragraph(
            "There are too few independent rows to tell whether more train rows would help."
        )
        return
    yield Paragraph(_curve_in_words(curve))
    yield Table(
        "Would more rows help? The log loss after training on a part of them",
        ["train rows", "log loss", facts.bounds],
        [[str(p.rows), number(p.log_loss), between(p.low, p.high)] for p in curve.points],
        [Bar(p.low, p.log_loss, p.high) for p in curve.points],
        bar_after=2,
    )
    ended = ""
    if curve.points[-1].rows < curve.of_rows // 2:
        ended = f" To bound the cost, it ends long before all {curve.of_rows} train rows."
    yield Paragraph(
        f"Each point is the mean of {curve.draws} networks by the recipe of the model, each with "
        f"rows of its own, and without its temperature.{ended}"
    )


def _curve_in_words(curve: LearningCurve) -> str:
    half, whole = (point.rows for point in curve.points[-2:])
    change, low, high = -curve.gain, -curve.gain_high, -curve.gain_low
    if high < 0:
        end = "so more rows would probably help"
    elif low > 0:
        end = "so more rows of the same kind will hardly help"
    else:
        end = "which may be chance: these test rows cannot tell whether more train rows would help"
    return (
        f"From {half} to {whole} train rows, the log loss changes by {change:+.3f} "
        f"({low:+.3f} to {high:+.3f}), {end}."
    )


def _data(facts: Facts) -> Iterator[Block]:
    schema, split = facts.schema, facts.params.split
    counts = schema.rows
    validating = f"{counts.val} to validate, "
    if counts.folds:
        validating = f"in {counts.folds} folds, each of which validates networks that left it out; "
    yield Paragraph(
        f"{counts.train + counts.val + counts.test} rows, {len(schema.features)} features, "
        f"{len(schema.classes)} classes: {counts.train} rows to train, {validating}"
        f"{counts.test} to test."
    )
    if schema.dropped:
        dropped = ", ".join(schema.dropped)
        yield Paragraph(
            f"Left out, because they are constant or empty in the train rows: {dropped}."
        )
    if schema.missing_cells:
        missing = sorted(schema.missing_cells.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{name} {count}" for name, count in missing]
        yield Paragraph(f"Cells that are missing, by column: {listed(shown, SHOWN_COLUMNS)}.")
    if split.group_by == "duplicates" and split.column == "none":
        yield Paragraph(
            f"{counts.repeated} rows repeat the features of an earlier row; each is on the same "
            "side of the split as its twin."
        )
    elif counts.repeated:
        yield Paragraph(
            f"{counts.repeated} rows repeat the features of an earlier row, and the split does "
            "not keep them together: test rows may have a twin in train, and the scores may be "
            "too good.",
            is_warning=True,
        )


def _parameters(facts: Facts) -> Iterator[Block]:
    params = facts.params
    resolved = auto_values(params.model, params.train, facts.evaluation.resolved)
    rows = []
    for section, values in params.model_dump(exclude=set(NO_RESULT)).items():
        for key, value in values.items():
            name, shown = f"{section}.{key}", json.dumps(value, ensure_ascii=False)
            rows.append([name, f"auto: {resolved[name]}" if name in resolved else shown])
    yield Table("What params.yaml says", ["parameter", "value"], rows)


def _with_interval(scores: Scores, metric: str) -> str:
    bounds = interval(scores, metric)
    return number(scores[metric]) if bounds == "-" else f"{number(scores[metric])} ({bounds})"


def _signed(paired: Paired) -> str:
    bounds = between(paired.low, paired.high, "+.3f")
    if paired.difference is None or bounds == "-":
        return "-"
    return f"{paired.difference:+.3f} ({bounds})"


def _bar(scores: Scores, metric: str) -> Bar | None:
    return _interval_bar(scores[f"{metric}_low"], scores[metric], scores[f"{metric}_high"])


def _interval_bar(low: float | None, value: float | None, high: float | None) -> Bar | None:
    return None if value is None else Bar(low, value, high)
