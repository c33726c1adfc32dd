"""How often `vintage compare` is wrong, and how often it finds what it says it can find.

    python -m benchmarks.simulate_comparisons [--pairs 1000]
    python -m benchmarks.simulate_comparisons --recipes [--pairs 300]

Two models see the same evidence for each row, each with noise of its own, as two training seeds
do. In the first table neither is better, and every *better* or *worse* is an error. In the second,
B's evidence points to the actual class by as much as makes the true difference (the mean over
pairs) the one that the comparisons of the first table say, on the average, that they can detect.

The wine-like test set has the labels and twins of metrics/predictions.csv: 228 rows, and classes of
1, 3 and 7 rows among its six. The balanced one has 600 rows of three classes.

With `--recipes`, each pair gets a fresh table of 1,000 rows, on which both recipes are run: on the
split that the models are compared on, and on `n_splits` others. A recipe is a mean of linear
discriminants, each trained on a bootstrap sample of the train rows that follows from a seed. Two of
them differ in their seeds alone, or each has three columns of its own besides three that both have.
By symmetry, these are equally good on the average, though not on any one table; then B's own
columns are made to tell more, until both ways to compare have found a difference in 80 % of pairs.
Another 1,000 rows a time are drawn from the 19,020 of `magic`, a public table, which is downloaded;
there, A is made to see the columns with noise.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from vintage.base import console, numerics

if __name__ == "__main__":
    numerics.pin()  # before NumPy is loaded

import numpy as np
import pandas as pd

from benchmarks.public_tables import DEVELOPMENT
from benchmarks.tables import csv_path, write_csv
from vintage.base.params import IntervalParams
from vintage.report.differences import (
    Candidate,
    Difference,
    paired_differences,
)
from vintage.report.recipes import Pair, RecipeDifference, Settings, differences_of_recipes
from vintage.scores.evaluation import plain_scores, replica_scores
from vintage.scores.metrics import compared_metrics
from vintage.scores.predictions import Predictions, read_predictions
from vintage.scores.rows import Floats, Labels
from vintage.scores.splits import SplitScores

COMPARED = compared_metrics()
SETTINGS = IntervalParams(confidence=0.95, resamples=200, seed=42)
GAINS = np.linspace(0, 2, 21)
GAP_PAIRS = 200
N_ROWS = 1000
N_TURNS = 5  # test parts of a fifth of the rows that fit into a table side by side


@dataclass(frozen=True)
class Scenario:
    """A test set, and how the models that are scored on it come about.

    Attributes:
        strength: how far the evidence of the actual class stands out, in its standard deviations.
        noise: standard deviation of a network's own noise, by group of twins.
        tilt: standard deviation of a network's liking for a class, in logits. It moves a score
            for all rows at once, so that no number of test rows averages it out.
        replicas: networks whose mean is the model; 1: their spread is not known.
    """

    name: str
    labels: Labels
    groups: Labels
    strength: float
    noise: float
    tilt: float = 0.0
    replicas: int = 1


def scenarios() -> list[Scenario]:
    wine = read_predictions(Path("metrics/predictions.csv"))
    balanced = np.repeat(np.arange(3), 200)
    single_rows = np.arange(len(balanced))
    return [
        Scenario("wine-like, 1 network", wine.labels, wine.groups, 1.2, 0.5),
        Scenario("wine-like, 4 replicas", wine.labels, wine.groups, 1.2, 0.5, 0.3, 4),
        Scenario("balanced, 1 network", balanced, single_rows, 1.2, 0.5),
        Scenario("balanced, 4 replicas", balanced, single_rows, 1.2, 0.5, 0.3, 4),
    ]


def simulate_pair(
    scenario: Scenario, gain: float, generator: np.random.Generator
) -> tuple[Candidate, Candidate]:
    """Candidates A and B; `gain` is added to B's evidence for the actual class."""
    unique, first, members = np.unique(scenario.groups, return_index=True, return_inverse=True)
    n_classes = int(scenario.labels.max()) + 1
    actual = np.eye(n_classes)[scenario.labels[first]]
    evidence = generator.normal(scenario.strength * actual, 1)
    shares = np.bincount(scenario.labels, minlength=n_classes) / len(scenario.labels)
    classes = [str(index) for index in range(n_classes)]
    rows = np.arange(len(scenario.labels))

    def model(extra: float) -> Candidate:
        shape = (scenario.replicas, len(unique), n_classes)
        seen = evidence + extra * actual + generator.normal(0, scenario.noise, shape)
        tilts = generator.normal(0, scenario.tilt, (scenario.replicas, 1, n_classes))
        networks = softmax(np.log(shares) + scenario.strength * seen + tilts)[:, members]
        predictions = Predictions(
            classes, rows, scenario.labels, networks.mean(axis=0), scenario.groups, rows, rows < 0
        )
        return Candidate(predictions, len(networks), stds_of(scenario.labels, networks))

    return model(0.0), model(gain)


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def stds_of(labels: Labels, networks: Floats) -> dict[str, float]:
    if len(networks) == 1:
        return {}
    scores = replica_scores(labels, networks)
    stds = {name: scores[f"{name}_std"] for name in COMPARED}
    return {name: std for name, std in stds.items() if std is not None}


def compared(scenario: Scenario, gain: float, n_pairs: int) -> Iterator[dict[str, Difference]]:
    generator = np.random.default_rng(42)
    for _ in range(n_pairs):
        yield paired_differences(*simulate_pair(scenario, gain, generator), SETTINGS)


def true_differences(scenario: Scenario) -> Floats:
    """How much better B is on the average, by gain and metric: float64 `[n_gains, n_metrics]`."""
    means = []
    for gain in GAINS:
        generator = np.random.default_rng(7)
        gaps = []
        for _ in range(GAP_PAIRS):
            a, b = (side.scores() for side in simulate_pair(scenario, gain, generator))
            gaps.append([b[name] - a[name] for name in COMPARED])
        means.append(np.abs(np.mean(gaps, axis=0)))
    return np.array(means)


def mean_claim(name: str, results: list[dict[str, Difference]]) -> float:
    return mean(found for result in results if (found := result[name].detectable) is not None)


def show_false_verdicts(scenario: Scenario, results: list[dict[str, Difference]]) -> None:
    verdicts = [{name: r[name].verdict != "no difference" for name in COMPARED} for r in results]
    cells = [f"{mean(verdict[name] for verdict in verdicts):>20.1%}" for name in COMPARED]
    any_metric = mean(any(verdict.values()) for verdict in verdicts)
    console.say(f"{scenario.name:22}{any_metric:>12.1%}{''.join(cells)}")


def show_power(scenario: Scenario, equal: list[dict[str, Difference]]) -> None:
    """`equal`: the comparisons of equally good models, whose claims are put to the test."""
    differences = true_differences(scenario)
    cells = []
    for index, name in enumerate(COMPARED):
        claim = mean_claim(name, equal)
        gain = float(np.interp(claim, differences[:, index], GAINS))
        results = list(compared(scenario, gain, len(equal)))
        found = mean(result[name].verdict == "better" for result in results)
        true = abs(mean(result[name].difference or 0.0 for result in results))
        cells.append(f"{f'{found:.1%} of {true:.3f}':>20}")
    console.say(f"{scenario.name:22}{'':12}{''.join(cells)}")


@dataclass(frozen=True)
class Recipe:
    """A way to make a model of a table; see above.

    Attributes:
        columns: that it uses, of the nine.
    """

    columns: tuple[int, ...]
    replicas: int
    seed: int

    def networks(self, table: "Table", train: Labels, test: Labels, split: int) -> Floats:
        """The probabilities of the test rows, float64 `[n_replicas, n, n_classes]`."""
        draw = np.random.default_rng([self.seed, split])
        shape = (self.replicas, len(train))
        counts = draw.multinomial(len(train), np.full(len(train), 1 / len(train)), self.replicas)
        inputs = table.inputs[:, self.columns]
        actual = np.eye(table.n_classes)[table.labels[train]]
        sizes = counts.reshape(shape) @ actual + 0.5
        center = inputs[train].mean(axis=0)
        sums = np.einsum("rn,nc,nd->rcd", counts, actual, inputs[train] - center, optimize=True)
        means = sums / sizes[..., None]
        rest = inputs[train] - center - means[:, table.labels[train]]
        spread = np.einsum("rn,rnd,rne->rde", counts, rest, rest, optimize=True) / len(train)
        inverse = np.linalg.inv(spread + 0.05 * np.eye(len(self.columns)))
        slopes = np.einsum("rde,rce->rdc", inverse, means)
        offsets = np.log(sizes / len(train)) - (means.transpose(0, 2, 1) * slopes).sum(axis=1) / 2
        return softmax((inputs[test] - center) @ slopes + offsets[:, None])


@dataclass(frozen=True)
class Table:
    """Rows of one population: float64 `[n, 9]`, and their classes."""

    inputs: Floats
    labels: Labels
    n_classes: int


ANOTHER_SEED, ANOTHER_RECIPE = "another seed", "another recipe"
Columns = tuple[int, ...]


class Made:
    """Tables of a population that is made up."""

    name = "made up"
    gains = np.linspace(0.1, 1.0, 7)

    def drawn(self, gain: float, draw: np.random.Generator) -> Table:
        """Four classes, one of them rare; columns 6 to 8 tell more than 3 to 5, by `gain`."""
        labels = draw.choice(4, N_ROWS, p=[0.4, 0.35, 0.2, 0.05])
        centers = np.random.default_rng(3).normal(0, 0.7, (4, 3))
        strength = np.repeat([1.0, 1.0, 1.0 + gain], 3)
        return Table(draw.normal(np.tile(centers, 3)[labels] * strength, 1), labels, 4)

    def columns(self, kind: str) -> tuple[Columns, Columns]:
        """Those that A and B use."""
        common, own, other = (0, 1, 2), (3, 4, 5), (6, 7, 8)
        return (*common, *own), (*common, *(own if kind == ANOTHER_SEED else other))


class Public:
    """Tables that are drawn from a large one."""

    name = "magic"
    gains = np.linspace(0.1, 2.2, 7)

    def __init__(self) -> None:
        tables = [table for table in DEVELOPMENT if table.name == self.name]
        write_csv(tables)
        frame = pd.read_csv(csv_path(tables[0]))
        inputs = frame.drop(columns="class").to_numpy(np.float64)
        self.inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
        self.labels = np.array(frame["class"] == "h", dtype=np.int64)

    def drawn(self, gain: float, draw: np.random.Generator) -> Table:
        """The first half of the columns has noise, with a standard deviation of `gain`."""
        rows = draw.choice(len(self.labels), N_ROWS, replace=False)
        noise = draw.normal(0, gain, (N_ROWS, self.inputs.shape[1]))
        both = np.hstack([self.inputs[rows] + noise, self.inputs[rows]])
        return Table(both, self.labels[rows], 2)

    def columns(self, kind: str) -> tuple[Columns, Columns]:
        n_columns = self.inputs.shape[1]
        noisy, clear = tuple(range(n_columns)), tuple(range(n_columns, 2 * n_columns))
        return noisy, noisy if kind == ANOTHER_SEED else clear


def compared_recipes(
    a: Recipe, b: Recipe, table: Table, n_splits: int, draw: np.random.Generator
) -> tuple[dict[str, Difference], dict[str, RecipeDifference]]:
    """The models of one split compared, and the recipes over others, which `N_TURNS` times in a row
    test rows that those before do not."""
    rows = np.arange(len(table.labels))
    classes = [str(label) for label in range(table.n_classes)]
    pairs: list[list[Pair]] = []
    models: list[Candidate] = []
    for split in range(n_splits + 1):
        turn = (split - 1) % N_TURNS if split else 0
        if not turn:
            order = draw.permutation(rows)
        test = np.array_split(order, N_TURNS)[turn]
        train = np.setdiff1d(order, test, assume_unique=True)
        labels = table.labels[test]
        both = [side.networks(table, train, test, split) for side in (a, b)]
        if split == 0:
            for networks in both:
                mean_of = networks.mean(axis=0)
                known = Predictions(classes, test, labels, mean_of, test, test, rows[test] < 0)
                models.append(Candidate(known, len(networks), stds_of(labels, networks)))
            continue
        of_a, of_b = (
            SplitScores(
                test_rows=len(test),
                train_rows=len(train),
                test_digest="",
                scores=plain_scores(labels, networks.mean(axis=0)),
            )
            for networks in both
        )
        pairs += [] if turn else [[]]
        pairs[-1].append((of_a, of_b))
    (of_recipes,) = differences_of_recipes([pairs], Settings(SETTINGS.confidence, 0.01))
    return paired_differences(models[0], models[1], SETTINGS), of_recipes


def recipe_pairs(
    source: Made | Public, kind: str, replicas: int, gain: float, n_splits: int, n_pairs: int
) -> Iterator[tuple[dict[str, Difference], dict[str, RecipeDifference]]]:
    """Comparisons of two recipes, each pair on a fresh table."""
    draw = np.random.default_rng(11)
    of_a, of_b = source.columns(kind)
    for pair in range(n_pairs):
        a = Recipe(of_a, replicas, 2 * pair)
        b = Recipe(of_b, replicas, 2 * pair + 1)
        yield compared_recipes(a, b, source.drawn(gain, draw), n_splits, draw)


def show_false_recipes(
    source: Made | Public, kind: str, replicas: int, n_splits: int, n_pairs: int
) -> None:
    results = list(recipe_pairs(source, kind, replicas, 0.0, n_splits, n_pairs))
    ways = ("one test set", f"{n_splits} splits")
    for way, verdicts in zip(ways, zip(*results, strict=True), strict=True):
        wrong = [[each[name].verdict != "no difference" for name in COMPARED] for each in verdicts]
        cells = "".join(f"{share:>20.1%}" for share in np.mean(wrong, axis=0))
        named = f"{kind}, {replicas} replica{'s' * (replicas > 1)}"
        console.say(f"{named:28}{way:14}{np.mean(np.any(wrong, axis=1)):>11.1%}{cells}")


def show_found(source: Made | Public, n_splits: int, n_pairs: int) -> None:
    """The difference that 80 % of pairs show, by both ways; the truth is the mean over pairs."""
    true, found = [], []
    for gain in source.gains:
        pairs = recipe_pairs(source, ANOTHER_RECIPE, 4, float(gain), n_splits, n_pairs)
        results = list(pairs)
        true.append([abs(mean(r[name].difference or 0.0 for _, r in results)) for name in COMPARED])
        ways = zip(*results, strict=True)
        found.append(
            [[mean(r[name].verdict == "better" for r in way) for name in COMPARED] for way in ways]
        )
    cells = []
    for index in range(len(COMPARED)):
        shares = np.maximum.accumulate(np.array(found)[:, :, index], axis=0)
        one, many = (
            float(np.interp(0.8, shares[:, way], np.array(true)[:, index])) for way in range(2)
        )
        cells.append(f"{f'{one:.3f} {many:.3f} {many / one:.2f}':>20}")
    console.say(f"{f'{n_splits} splits':28}{'':25}{''.join(cells)}")


def show_recipes(source: Made | Public, n_pairs: int) -> None:
    header = f"{'any metric':>25}{''.join(f'{name:>20}' for name in COMPARED)}"
    console.say(
        f"tables {source.name}; equally good recipes: share of {n_pairs} pairs with a verdict "
        "(at most 6 %)"
    )
    console.say(f"{'':28}{header}")
    kinds = [(ANOTHER_SEED, n_replicas) for n_replicas in (1, 4, 16)]
    kinds += [(ANOTHER_RECIPE, 4)] if isinstance(source, Made) else []
    for kind, replicas in kinds:
        show_false_recipes(source, kind, replicas, 10, n_pairs)
    for n_splits in (5, 20):
        show_false_recipes(source, *kinds[-1], n_splits, n_pairs)
    console.say()
    console.say("the difference that 80 % of pairs show: by one test set, by splits, and the ratio")
    for n_splits in (5, 10, 20):
        show_found(source, n_splits, n_pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--recipes", action="store_true")
    arguments = parser.parse_args()
    n_pairs = arguments.pairs
    if arguments.recipes:
        show_recipes(Made(), n_pairs)
        console.say()
        show_recipes(Public(), n_pairs)
        return
    header = f"{'any metric':>12}{''.join(f'{name:>20}' for name in COMPARED)}"
    equal = {}
    console.say(f"equally good models: share of {n_pairs} pairs with a verdict (at most 6 %)")
    console.say(f"{'':22}{header}")
    for scenario in scenarios():
        equal[scenario.name] = list(compared(scenario, 0.0, n_pairs))
        show_false_verdicts(scenario, equal[scenario.name])
    console.say()
    console.say("B better by what the pairs above claim to detect: share found (at least 78 %)")
    for scenario in scenarios():
        show_power(scenario, equal[scenario.name])


if __name__ == "__main__":
    main()
