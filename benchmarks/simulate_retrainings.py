"""How often `vintage compare` calls one of two trainings better that differ in `train.seed` alone.

    python -m benchmarks.simulate_retrainings [--pairs 32] [--replicas 1 4 16]

Each pair has splits of its own of a real table: one on which its two models are compared, and
`evaluate.splits` others, over which their recipes are. The networks are those of params.yaml,
trained by the functions of the stages and compared by those of the command, so every *better* or
*worse* is an error. They are trained with `numerics: fast`, whose last digits alone differ from
those of `exact`. Ctrl-C ends it, and shows what was found so far.
"""

import argparse
import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from vintage.base import console, numerics

if __name__ == "__main__":
    numerics.pin()  # before NumPy is loaded

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn import datasets

from stages.splits import prepared
from vintage.base.params import DataParams, Params, load_params
from vintage.report.differences import Candidate, paired_differences
from vintage.report.pairing import pair_rows
from vintage.report.recipes import Settings, common_splits, differences_of_recipes
from vintage.scores.evaluation import replica_scores, replica_stds
from vintage.scores.metrics import compared_metrics
from vintage.scores.predictions import Predictions
from vintage.scores.splits import Splits, SplitScores
from vintage.table.dataset import Dataset, load_dataset
from vintage.table.resplit import OtherSplit, splits_of_seed
from vintage.training.pack import train_all
from vintage.training.prepare import Training

COMPARED = compared_metrics()
WAYS = ("one test set", "splits")
BUNDLED = {"cultivars": datasets.load_wine, "tumours": datasets.load_breast_cancer}
TARGETS = {"wine": "quality", "penguins": "species", "cultivars": "target", "tumours": "target"}
PACKED = 16  # replicas of one side that are trained together


class Found(NamedTuple):
    """Of a pair, the metrics in which a side is called better: by the models and the recipes."""

    table: str
    replicas: int
    wrong: tuple[list[str], list[str]]


class Side(NamedTuple):
    """What one training of the recipe leaves."""

    model: Candidate
    splits: Splits


def load(table: str, params: Params) -> tuple[Dataset, DataParams]:
    """A table of `data/`, or one that scikit-learn brings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path("data", f"{table}.csv")
        if table in BUNDLED:
            path = Path(folder, path.name)
            BUNDLED[table](as_frame=True).frame.to_csv(path, index=False)
        source = {"path": str(path), "target": TARGETS[table]}
        data = params.data.model_copy(update=source)
        return load_dataset(data, params.split), data


def splits_of(
    dataset: Dataset, data: DataParams, params: Params, pair: int
) -> Iterator[OtherSplit]:
    """One, and `evaluate.splits` others, of seeds that no other pair has."""
    n_splits = params.evaluate.splits
    seeds = range(pair * (n_splits + 1), (pair + 1) * (n_splits + 1))
    of_seeds = (
        splits_of_seed(dataset, data, params.split.model_copy(update={"seed": seed}))
        for seed in seeds
    )
    yield next(next(of_seeds))
    yield from itertools.islice(itertools.chain.from_iterable(of_seeds), n_splits)


def trainings_of(splits: list[OtherSplit], params: Params, seed: int) -> list[Training]:
    train = params.train.model_copy(update={"seed": seed})
    return [prepared(params.model, train, split) for split in splits]


def side_of(splits: list[OtherSplit], trainings: list[Training]) -> Side:
    """The model of the first split, and the recipe's scores on the others."""
    by_seed: dict[str, dict[str, SplitScores]] = {}
    for split, training in zip(splits[1:], trainings[1:], strict=True):
        predicted = training.ensemble.predict_proba(split.parts["test"].features).mean(axis=0)
        scores = SplitScores.of(split.parts, split.schema.classes, predicted)
        by_seed.setdefault(str(split.seed), {})[str(split.turn)] = scores
    test = splits[0].parts["test"]
    by_replica = trainings[0].ensemble.predict_proba(test.features)
    stds = replica_stds(replica_scores(test.labels, by_replica)) if len(by_replica) > 1 else {}
    predictions = Predictions.of(test, splits[0].schema.classes, by_replica.mean(axis=0))
    return Side(Candidate(predictions, len(by_replica), stds), Splits(splits=by_seed))


def wrong_metrics(a: Side, b: Side, params: Params) -> tuple[list[str], list[str]]:
    """The metrics with a verdict: by the models, and by the recipes."""
    settings = params.evaluate
    pairing = pair_rows(a.model.predictions, b.model.predictions).without_seen()
    models = paired_differences(
        Candidate(pairing.a, a.model.replicas, a.model.stds),
        Candidate(pairing.b, b.model.replicas, b.model.stds),
        settings,
    )
    both = common_splits(a.splits, b.splits)
    (recipes,) = differences_of_recipes([both], Settings(settings.confidence, settings.margin))
    of_models, of_recipes = (
        [name for name, each in found.items() if each.verdict != "no difference"]
        for found in (models, recipes)
    )
    return of_models, of_recipes


def retrain(params: Params, table: str, pairs: Sequence[int]) -> list[Found]:
    """Train two sides of each pair, with seeds of their own, on the same splits."""
    torch.set_num_threads(1)
    dataset, data = load(table, params)
    splits = [list(splits_of(dataset, data, params, pair)) for pair in pairs]
    n_replicas = params.train.replicas
    sides = [
        [
            trainings_of(of_pair, params, seed)
            for seed in np.random.default_rng([n_replicas, pair]).integers(2**31, size=2).tolist()
        ]
        for pair, of_pair in zip(pairs, splits, strict=True)
    ]
    train_all([training for of_pair in sides for side in of_pair for training in side])
    found = []
    for of_pair, (of_a, of_b) in zip(splits, sides, strict=True):
        a, b = side_of(of_pair, of_a), side_of(of_pair, of_b)
        found.append(Found(table, n_replicas, wrong_metrics(a, b, params)))
    return found


def show(found: list[Found]) -> None:
    """By number of replicas and way: of how many pairs one was called better."""
    tables = [table for table in TARGETS if any(each.table == table for each in found)]
    console.say("retrainings that differ in the seed alone: share of pairs with a verdict")
    header = "".join(f"{name:>20}" for name in (*COMPARED, *tables))
    console.say(f"{'':26}{'pairs':>7}{'any metric':>12}{'95 % interval':>18}{header}")
    for replicas, way in product(sorted({each.replicas for each in found}), range(len(WAYS))):
        of_pairs = [each for each in found if each.replicas == replicas]
        wrong = [each.wrong[way] for each in of_pairs]
        n_wrong = sum(map(bool, wrong))
        low, high = binomtest(n_wrong, len(wrong)).proportion_ci(method="wilson")
        cells = [f"{np.mean([name in each for each in wrong]):.1%}" for name in COMPARED]
        for table in tables:
            of_table = [bool(each.wrong[way]) for each in of_pairs if each.table == table]
            cells.append(f"{sum(of_table)} of {len(of_table)}")
        named = f"{replicas} replica{'s' * (replicas > 1)}"
        console.say(
            f"{named:12}{WAYS[way]:14}{len(wrong):>7}{n_wrong / len(wrong):>12.1%}"
            f"{f'{low:.1%} to {high:.1%}':>18}{''.join(f'{cell:>20}' for cell in cells)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=32, help="of each table")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tables", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers share the cores
    with ProcessPoolExecutor(
        arguments.workers,
        get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as pool:
        jobs = [pool.submit(retrain, *job) for job in jobs_of(arguments)]
        found: list[Found] = []
        with contextlib.suppress(KeyboardInterrupt):
            for job in as_completed(jobs):
                found += job.result()
        show(found)
        pool.shutdown(cancel_futures=True)


def jobs_of(arguments: argparse.Namespace) -> list[tuple[Params, str, range]]:
    """What `retrain` does at once; ordered so that all tables and replicas get on alike."""
    jobs = []
    for replicas, table in product(arguments.replicas, arguments.tables):
        params = load_params()
        changes = {"replicas": replicas, "numerics": "fast", "device": "cpu"}
        train = params.train.model_copy(update=changes)
        size = max(1, PACKED // replicas)
        for start in range(0, arguments.pairs, size):
            pairs = range(start, min(start + size, arguments.pairs))
            jobs.append((params.model_copy(update={"train": train}), table, pairs))
    return sorted(jobs, key=lambda job: job[2].start)


if __name__ == "__main__":
    console.run(main)
