"""Let all contestants do one work, in turns, in this process; print what was measured as JSON.

python -m benchmarks.peers.race wine|large ROUNDS       by benchmarks.peers
"""

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vintage.base import numerics

if TYPE_CHECKING:
    from benchmarks.peers.work import Work

MATRIX = 2048
SECONDS_A_TURN = 2
LIGHTGBM_ROUNDS = 20

Result = TypeVar("Result")


def main() -> None:
    name, n_rounds = sys.argv[1:]
    numerics.pin()
    warnings.simplefilter("ignore")
    from benchmarks.peers.contestants import CONTESTANTS
    from benchmarks.peers.work import WORKS

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # it would tell of each fit
    work = WORKS[name]()
    for train in CONTESTANTS.values():
        train(work.short())
    seconds = dict.fromkeys(CONTESTANTS, float("inf"))
    losses: dict[str, float] = {}
    matmul_flops = lightgbm_rate = 0.0
    for _ in range(int(n_rounds)):
        matmul_flops = max(matmul_flops, matmul_rate())
        lightgbm_rate = max(lightgbm_rate, rows_times_trees_per_second(work))
        for contestant, train in CONTESTANTS.items():
            fastest, predict = turn(lambda: train(work))  # noqa: B023
            seconds[contestant] = min(seconds[contestant], fastest)
            losses[contestant] = work.final_loss(predict)
    n_rows, n_features = work.features.shape
    result = {
        "work": f"epochs: {work.epochs}, rows: {n_rows:,}, features: {n_features}, "
        f"batches of {work.batch_size:,}, numerics {work.numerics}",
        "rows": work.epochs * n_rows,
        "seconds": seconds,
        "losses": losses,
        "matmul_rows_per_second": matmul_flops / work.flops_per_row(),
        "lightgbm_rows_times_trees_per_second": lightgbm_rate,
    }
    print(json.dumps(result))


def turn(action: Callable[[], Result]) -> tuple[float, Result]:
    """Do it once, and again while there is time left; the fewest seconds, and what came out."""
    ends = time.perf_counter() + SECONDS_A_TURN
    fastest = float("inf")
    while True:
        started = time.perf_counter()
        result = action()
        fastest = min(fastest, time.perf_counter() - started)
        if time.perf_counter() >= ends:
            return fastest, result


def rows_times_trees_per_second(work: "Work") -> float:
    """Of LightGBM with its defaults, the binning of the rows included."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=LIGHTGBM_ROUNDS, verbose=-1)
    started = time.perf_counter()
    model.fit(work.features, work.labels)
    seconds = time.perf_counter() - started
    n_classes = work.widths[-1]
    n_trees = LIGHTGBM_ROUNDS * (n_classes if n_classes > 2 else 1)
    return len(work.labels) * n_trees / seconds


def matmul_rate() -> float:
    """Floating-point operations a second in a product of two large square matrices: the best of 5.

    That is as fast as this machine multiplies float32 matrices under these numerics and threads.
    """
    import torch

    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    fastest = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(a, b)
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * MATRIX**3 / fastest


if __name__ == "__main__":
    main()
