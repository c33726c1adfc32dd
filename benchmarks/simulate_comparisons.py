"""How often `vintage compare` is wrong, and how often it finds what it says it can find.

    python -m benchmarks.simulate_comparisons [--pairs 1000]

Two models see the same evidence for each row, each with noise of its own, as two training seeds
do. In the first table neither is better, and every *better* or *worse* is an error. In the second,
B's evidence points to the actual class by as much as makes the true difference (the mean over
pairs) the one that the comparisons of the first table say, on the average, that they can detect.

The wine-like test set has the labels and twins of metrics/predictions.csv: 228 rows, and classes of
1, 3 and 7 rows among its six. The balanced one has 600 rows of three classes.
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

from vintage.base.params import IntervalParams
from vintage.report.differences import (
    Candidate,
    Difference,
    paired_differences,
)
from vintage.scores.evaluation import replica_scores
from vintage.scores.metrics import compared_metrics
from vintage.scores.predictions import Predictions, read_predictions
from vintage.scores.rows import Floats, Labels

COMPARED = compared_metrics()
SETTINGS = IntervalParams(confidence=0.95, resamples=200, seed=42)
GAINS = np.linspace(0, 2, 21)
GAP_PAIRS = 200


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    n_pairs = parser.parse_args().pairs
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
