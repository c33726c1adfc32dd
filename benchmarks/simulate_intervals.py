"""How often the intervals of the scores hold the truth.

    python -m benchmarks.simulate_intervals [--tables 500]

A population is a share of rows for each class and, for each row, evidence (a number for each class,
normal, higher by `strength` for the actual one). The classifier is fixed: it turns evidence into
probabilities by Bayes's rule. The truth is its score on 20,000 rows of each class, weighted by the
shares. Then tables of rows are drawn, without regard to class, and scored; printed is the share of
tables, in percent, whose 95 % interval holds the truth. A mark stands by what is not from 92 to 99.
Tables without an interval do not count; with fewer than 50 that have one, `-` is printed.

Rows are single, or have twins (12 % repeat another row with its class), or come in groups of 1 to 9
rows which share half of the evidence's variance and, more often than not, the class.

The last column but one is the worst of the classes' recalls, over tables with at least 5 rows of
the class; rarer ones are named beside their interval. The last is the mean width of the accuracy's.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from vintage.base import console, numerics

if __name__ == "__main__":
    numerics.pin()  # before NumPy is loaded

import numpy as np

from vintage.report.markdown import table_lines
from vintage.scores.evaluation import RARE_ROWS, class_table, scores_with_bounds
from vintage.scores.metrics import METRICS, class_scores
from vintage.scores.rows import Floats, Labels, Sample

SHOWN = tuple(name for name, metric in METRICS.items() if metric.bounds)
SIZES = (60, 229, 1000, 5000)
KINDS = ("single rows", "twins", "groups")
CONFIDENCE = 0.95
N_TRUTH = 20_000
FEWEST = 50  # tables with an interval, to tell how often it holds the truth
ROUNDING = 1e-6  # of the printed bounds


@dataclass(frozen=True)
class Population:
    """Where rows come from and what classifies them.

    Attributes:
        strength: how far the evidence of the actual class stands out, in its standard deviations.
        knows_shares: whether the classifier favours frequent classes, as Bayes's rule does.
        sharpness: what the logits are multiplied by; above 1, the classifier is too sure.
    """

    name: str
    shares: tuple[float, ...]
    strength: float
    knows_shares: bool = True
    sharpness: float = 1.0

    def probabilities(self, evidence: Floats) -> Floats:
        logits = self.strength * evidence
        if self.knows_shares:
            logits = logits + np.log(self.shares)
        powers = np.exp(self.sharpness * (logits - logits.max(axis=1, keepdims=True)))
        return powers / powers.sum(axis=1, keepdims=True)

    def labels(self, n: int, generator: np.random.Generator) -> Labels:
        return np.searchsorted(np.cumsum(self.shares)[:-1], generator.random(n), side="right")


THIRDS = (1 / 3, 1 / 3, 1 / 3)
WINE = (0.005, 0.03, 0.415, 0.42, 0.115, 0.015)
POPULATIONS = (
    Population("balanced", THIRDS, 1.2),
    Population("balanced, too sure", THIRDS, 1.2, sharpness=3.0),
    Population("10 % in a class", (0.9, 0.1), 1.5),
    Population("wine-like", WINE, 1.2),
    Population("wine-like, class weights", WINE, 1.2, knows_shares=False),
)


@dataclass(frozen=True)
class Truth:
    scores: dict[str, float]
    recalls: Floats


def true_scores(population: Population) -> Truth:
    n_classes = len(population.shares)
    labels = np.repeat(np.arange(n_classes), N_TRUTH)
    actual = np.eye(n_classes)[labels]
    evidence = np.random.default_rng(0).normal(population.strength * actual, 1)
    probabilities = population.probabilities(evidence)
    weights = np.repeat(population.shares, N_TRUTH)[None]
    scores = {name: METRICS[name].function(labels, probabilities, weights)[0] for name in SHOWN}
    return Truth(scores, class_scores(labels, probabilities, weights).recall[0])


def draw_table(
    population: Population, n: int, kind: str, generator: np.random.Generator
) -> tuple[Labels, Floats, Labels]:
    """Labels, probabilities and groups of `n` rows."""
    n_classes = len(population.shares)
    rows = np.arange(n)
    if kind == "groups":
        groups = np.repeat(rows, generator.integers(1, 10, n))[:n]
        of_group = population.labels(n, generator)[groups]
        labels = np.where(generator.random(n) < 0.6, of_group, population.labels(n, generator))
        common = generator.normal(0, np.sqrt(0.5), (n, n_classes))[groups]
        own = generator.normal(0, np.sqrt(0.5), (n, n_classes))
        evidence = population.strength * np.eye(n_classes)[labels] + common + own
    else:
        repeats = generator.random(n) < (0.12 if kind == "twins" else 0)
        groups = np.where(repeats, generator.integers(0, n, n), rows)
        labels = population.labels(n, generator)[groups]
        own = generator.normal(0, 1, (n, n_classes))[groups]
        evidence = population.strength * np.eye(n_classes)[labels] + own
    return labels, population.probabilities(evidence), groups


def covered(
    population: Population, truth: Truth, n: int, kind: str, n_tables: int
) -> tuple[dict[str, float], list[float], float]:
    """By metric, and by class whose recall was scored often enough, the share of tables whose
    interval holds the truth, NaN if too few have one; and the mean width of the accuracy's.
    """
    generator = np.random.default_rng(42)
    held: dict[str, list[bool]] = {name: [] for name in SHOWN}
    recalls_held, n_recalls = np.zeros((2, len(population.shares)))
    classes = [str(label) for label in range(len(population.shares))]
    widths = []
    for _ in range(n_tables):
        labels, probabilities, groups = draw_table(population, n, kind, generator)
        sample = Sample.of(labels, probabilities, groups)
        found = scores_with_bounds(sample, CONFIDENCE)
        for name in SHOWN:
            low, high = found[f"{name}_low"], found[f"{name}_high"]
            if low is not None and high is not None:
                held[name].append(holds(low, high, truth.scores[name]))
        table = class_table(sample, classes, CONFIDENCE)
        for label, recall in enumerate(table.values()):
            if recall.support >= RARE_ROWS:
                bounds = recall.recall_low or 0.0, recall.recall_high or 0.0
                recalls_held[label] += holds(*bounds, truth.recalls[label])
                n_recalls[label] += 1
        widths.append((found["accuracy_high"] or 0.0) - (found["accuracy_low"] or 0.0))
    often = n_recalls >= n_tables / 2
    shares = {
        name: float(np.mean(values)) if len(values) >= FEWEST else float("nan")
        for name, values in held.items()
    }
    return shares, (recalls_held[often] / n_recalls[often]).tolist(), float(np.mean(widths))


def holds(low: float, high: float, truth: float) -> bool:
    return low - ROUNDING <= truth <= high + ROUNDING


def rows_of(population: Population, n_tables: int) -> Iterator[list[str]]:
    truth = true_scores(population)
    for kind, n in product(KINDS, SIZES):
        shares, recalls, width = covered(population, truth, n, kind, n_tables)
        worst = max(recalls, key=lambda share: abs(share - CONFIDENCE))
        cells = [percent(share) for share in [*shares.values(), worst]]
        yield [population.name, kind, str(n), *cells, f"{width:.3f}"]


def percent(share: float) -> str:
    if np.isnan(share):
        return "-"
    mark = "" if 0.92 <= share <= 0.99 else " !"
    return f"{100 * share:.1f}{mark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", type=int, default=500, help="of each kind and size; 500")
    n_tables = parser.parse_args().tables
    header = ["population", "rows are", "rows", *(name.replace("_", " ") for name in SHOWN)]
    rows = [row for population in POPULATIONS for row in rows_of(population, n_tables)]
    for line in table_lines([*header, "recalls", "± accuracy"], rows):
        console.say(line)


if __name__ == "__main__":
    main()
