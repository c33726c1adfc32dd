"""The temperature that makes probabilities as sure as they are right."""

import math

import torch
from torch import Tensor

from vintage.network import exact, workers
from vintage.network.ensemble import Ensemble
from vintage.training.rows import Part

TEMPERATURES = 201
NUMBERS_AT_ONCE = 2**20  # several workers send one message for as many
LOG_2 = math.log(2)


def fit_temperature(ensemble: Ensemble, val: Part) -> None:
    """Set the temperature with the lowest log loss of the mean prediction, from 1/4 to 4.

    It stays 1 where no other is better. Source: Guo, Pleiss, Sun and Weinberger, On Calibration
    of Modern Neural Networks, ICML 2017.

    Args:
        val: the validation rows. In folds, the mean is over the replicas that a row was left out
            for. They are fewer, so it is surer than the mean of all, and the temperature somewhat
            too high.
    """
    ops = ensemble.arithmetic
    inputs, labels, is_own = val.batch(ensemble.n_replicas, workers.share(val.n_rows))
    logits = ensemble.predict_logits(inputs).double()
    n_folds = min(val.n_folds, ensemble.n_replicas)
    weights = is_own[:n_folds].double() / val.is_own[:n_folds].sum()
    # powers of two at even distances; the middle one is exactly 1
    exponents = [4 * index / (TEMPERATURES - 1) - 2 for index in range(TEMPERATURES)]

    def log_losses(temperature: float) -> Tensor:
        probabilities = ops.softmax(logits * (1 / temperature))
        means = [ops.mean_of(probabilities[fold::n_folds], [0]) for fold in range(n_folds)]
        actual = torch.cat(means).gather(2, labels[:n_folds, :, None])[..., 0].clamp_min(1e-300)
        return ops.log(actual).mul_(weights).neg_()

    # not by `**`, which is not the same everywhere
    temperatures = exact.exp(torch.tensor(exponents, dtype=torch.float64) * LOG_2).tolist()
    means: list[float] = []
    at_once = max(1, NUMBERS_AT_ONCE // (n_folds * val.n_rows))
    for start in range(0, TEMPERATURES, at_once):
        losses = torch.stack([log_losses(t) for t in temperatures[start : start + at_once]])
        means += exact.sum_of(losses, [1, 2], over_rows=True).flatten().tolist()
    sizes = map(abs, exponents)
    best = min(zip(means, sizes, temperatures, strict=True))[2]
    ensemble.temperature.fill_(best)
