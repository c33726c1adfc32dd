"""Trainings that share their steps: each ends with the bits that it has alone."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.numeric import numeric_schema
from tests.conftest import PARAMS
from vintage.base.params import load_params
from vintage.base.recipe import Recipe
from vintage.base.tensors import Integers
from vintage.training import pack
from vintage.training.fit import History, fit
from vintage.training.pack import train_all
from vintage.training.prepare import Training, prepare

N_CLASSES, N_INPUTS = 3, 5


def training(seed: int, n_rows: int, val: str, **changes: Any) -> Training:
    """Of rows, folds and initial weights of its own."""
    params = load_params(PARAMS)
    draw = np.random.default_rng(seed)
    features = draw.normal(seed, 1 + seed, (n_rows, N_INPUTS)).astype(np.float32)
    labels = draw.integers(0, N_CLASSES, n_rows)
    n_val = 40 if val == "part" else 0
    folds: Integers | None = draw.integers(-1, 4, n_rows) if val == "folds" else None
    recipe = {"epochs": 15, "patience": 1, "replicas": 5, "seed": 100 * seed, **changes}
    model = {"hidden": [8, 4], "dropout": recipe.pop("dropout", "auto")}
    return prepare(
        params.model.model_copy(update=model),
        params.train.model_copy(update=recipe),
        numeric_schema(N_INPUTS, N_CLASSES),
        (features[n_val:], labels[n_val:]),
        (features[:n_val], labels[:n_val]),
        folds,
    )


@pytest.mark.parametrize(
    ("val", "changes"),
    [
        ("folds", {}),
        ("folds", {"class_weight": "balanced"}),
        ("part", {}),
        ("none", {"epochs": 3}),
        ("part", {"batch_size": "all", "epochs": 4, "patience": 0}),
    ],
)
def test_each_has_the_bits_that_it_has_alone(
    val: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they end at different epochs, and have other numbers of rows and of steps."""
    numbers = [(0, 200), (1, 200), (2, 200), (3, 260)]
    packs = []
    together = pack._train_together

    def noted(trainings: Sequence[Training]) -> list[History]:
        packs.append(len(trainings))
        return together(trainings)

    monkeypatch.setattr(pack, "_train_together", noted)
    trainings = [training(*number, val, **changes) for number in numbers]
    histories = train_all(trainings)
    assert max(packs) >= 3
    alone = [training(*number, val, **changes) for number in numbers]
    n_epochs = {same_as_alone(*each) for each in zip(trainings, histories, alone, strict=True)}
    assert len(n_epochs) > 1 or "epochs" in changes


RECIPES: list[dict[str, Any]] = [
    {},
    {"learning_rate": 0.05, "class_weight": "balanced"},
    {"weight_decay": 0.5, "patience": 0},
    {"dropout": 0.1, "patience": 3, "calibration": "none"},
    {"dropout": 0.3, "learning_rate": 0.001},
]


@pytest.mark.parametrize("val", ["folds", "part"])
def test_each_has_a_recipe_of_its_own(val: str) -> None:
    def one(**changes: Any) -> Training:
        return training(1, 120, val, **{"epochs": 8, **changes})

    trainings = [one(**changes) for changes in RECIPES]
    assert len({pack._kind_of(each) for each in trainings}) == 1
    histories = train_all(trainings)
    alone = [one(**changes) for changes in RECIPES]
    n_epochs = {same_as_alone(*each) for each in zip(trainings, histories, alone, strict=True)}
    assert len(n_epochs) > 1


class Smoothed(Recipe):
    """With a setting that all replicas of a step have in common, as one that is added has."""

    label_smoothing: float


def test_what_all_replicas_share_keeps_trainings_apart() -> None:
    def kind_of(label_smoothing: float, **changes: Any) -> object:
        one = training(1, 120, "part", **changes)
        recipe = Smoothed(**one.recipe.model_dump(), label_smoothing=label_smoothing)
        return pack._kind_of(replace(one, recipe=recipe))

    assert kind_of(0.1) == kind_of(0.1, learning_rate=0.05, patience=3)
    assert kind_of(0.1) != kind_of(0.2)


def test_a_setting_of_the_loop_cannot_be_forgotten() -> None:
    """A training alone and a pack hand them to `fit`: without a default, both have to."""
    given = inspect.signature(fit).parameters.values()
    with_default = {each.name for each in given if each.default is not inspect.Parameter.empty}
    assert with_default == {"resume", "report"}


def same_as_alone(packed: Training, history: History, alone: Training) -> int:
    """How many epochs both have; runs `alone`."""
    expected = alone.run()
    assert history.records() == expected.records()
    assert torch.equal(history.best_epochs, expected.best_epochs)
    for name, tensor in alone.ensemble.state_dict().items():
        assert torch.equal(packed.ensemble.state_dict()[name], tensor), name
    return len(expected.train_losses)


def test_what_cannot_be_packed_is_trained_alone() -> None:
    """Bins of a tabm are fitted to its train rows, for all its replicas."""
    params = load_params(PARAMS)
    model = params.model.model_copy(
        update={"name": "tabm", "hidden": [8], "normalize": "piecewise"}
    )
    train = params.train.model_copy(update={"epochs": 1, "replicas": 1})
    draw = np.random.default_rng(0)

    def one(seed: int) -> Training:
        rows = draw.normal(size=(60, N_INPUTS)).astype(np.float32), draw.integers(0, 3, 60)
        return prepare(
            model,
            train.model_copy(update={"seed": seed}),
            numeric_schema(N_INPUTS, N_CLASSES),
            rows,
            (rows[0][:0], rows[1][:0]),
        )

    trainings = [one(1), one(2)]
    before = [each.ensemble.layers.state_dict() for each in trainings]
    before = [{name: tensor.clone() for name, tensor in each.items()} for each in before]
    train_all(trainings)
    for was, each in zip(before, trainings, strict=True):
        found = each.ensemble.layers.state_dict()
        assert any(not torch.equal(was[name], found[name]) for name in was)
