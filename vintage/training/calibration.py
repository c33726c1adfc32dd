"""The temperature that makes probabilities as sure as they are right."""

import math

import torch
from torch import Tensor

from vintage.network.ensemble import Ensemble
from vintage.network.exact import exp

TEMPERATURES = 201
LOG_2 = math.log(2)


def fit_temperature(ensemble: Ensemble, inputs: Tensor, labels: Tensor) -> None:
    """Set the temperature with the lowest log loss of the mean prediction, from 1/4 to 4.

    It stays 1 where no other is better. Source: Guo, Pleiss, Sun and Weinberger, On Calibration
    of Modern Neural Networks, ICML 2017.

    Args:
        inputs, labels: the encoded validation rows, float32 `[n, n_inputs]` and int64 `[n]`.
    """
    ops = ensemble.arithmetic
    logits = ensemble.predict_logits(inputs).double()
    # powers of two at even distances; the middle one is exactly 1
    exponents = [4 * index / (TEMPERATURES - 1) - 2 for index in range(TEMPERATURES)]

    def log_loss(temperature: float) -> float:
        probabilities = ops.mean_of(ops.softmax(logits * (1 / temperature)), [0])[0]
        actual = probabilities.gather(1, labels[:, None]).clamp_min(1e-300)
        return -float(ops.mean_of(ops.log(actual), [0]))

    # not by `**`, which is not the same everywhere
    temperatures = exp(torch.tensor(exponents, dtype=torch.float64) * LOG_2).tolist()
    best = min((log_loss(t), abs(e), t) for t, e in zip(temperatures, exponents, strict=True))[2]
    ensemble.temperature.fill_(best)
