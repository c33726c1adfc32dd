"""On a machine with a GPU, `numerics: fast` trains on it and comes out close to the CPU."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Project
from vintage.scores.predictions import read_predictions

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

PLAIN = {"train.numerics": "fast", "train.epochs": 20, "train.replicas": 2, "model.dropout": 0.0}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "bins and batches": {"model.normalize": "piecewise", "train.batch_size": 256},
    "folds": {"split.val_size": "folds", "train.batch_size": 64},
    "a scaling layer": {"model.scaling_layer": True, "model.activation": "silu"},
    "tabm": {"model.name": "tabm", "train.replicas": 1, "train.epochs": 5},
    "weights": {"train.class_weight": "balanced", "train.calibration": "temperature"},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_it_agrees_with_the_cpu(fresh: Project, case: str) -> None:
    fresh.set_params(**PLAIN | CASES[case])
    fresh.stage("split", check=True)
    losses, probabilities = {}, {}
    for device in ("cpu", "auto"):
        fresh.set_params(**{"train.device": device})
        fresh.stage("train", check=True)
        fresh.stage("evaluate", check=True)
        records = json.loads((fresh.root / "metrics/losses.json").read_text())
        losses[device] = [record["train_loss"] for record in records]
        probabilities[device] = read_predictions(
            fresh.root / "metrics/predictions.csv"
        ).probabilities
    assert losses["auto"] == pytest.approx(losses["cpu"], rel=0.01)
    np.testing.assert_allclose(probabilities["auto"], probabilities["cpu"], atol=0.02)


def test_auto_takes_the_gpu_with_fast_numerics_only() -> None:
    from vintage.network.ensemble import choose_device

    assert choose_device("auto", "exact").type == "cpu"
    assert choose_device("auto", "fast").type == "cuda"
