"""Folds of the train rows: each replica leaves one out, and what it never saw validates it."""

import json

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import Tensor

from benchmarks.numeric import numeric_schema, plain_network
from tests.conftest import Project, Run, only_error
from vintage.base.console import InputError
from vintage.base.recipe import Recipe
from vintage.base.tensors import Features, Integers, read_examples, read_schema
from vintage.network.ensemble import Ensemble, build_ensemble
from vintage.scores.evaluation import out_of_fold, plain_scores
from vintage.training.fit import History, fit
from vintage.training.rows import Part, balanced_weights

N_ROWS, N_INPUTS, N_CLASSES, N_FOLDS = 90, 4, 3, 4
DRAW = np.random.default_rng(3)
FEATURES = DRAW.normal(size=(N_ROWS, N_INPUTS)).astype(np.float32)
LABELS = (FEATURES[:, 0] > 0).astype(np.int64) + (FEATURES[:, 1] > 0.5)
FOLDS: Integers = DRAW.integers(-1, N_FOLDS, N_ROWS)
RECIPE = Recipe(seed=1, epochs=6, batch_size=16, learning_rate=0.02, weight_decay=0.1, patience=0)


def parts(features: Features, labels: Integers, held_out: bool) -> Part:
    inputs, classes, folds = (torch.from_numpy(each) for each in (features, labels, FOLDS))
    return Part.of_folds(inputs, classes, folds, held_out)


def train(
    features: Features,
    *seeds: int,
    labels: Integers = LABELS,
    recipe: Recipe = RECIPE,
    is_balanced: bool = False,
) -> tuple[Ensemble, History, Tensor]:
    """Trained in folds; the third is what they predict for all rows."""
    model = plain_network(hidden=[8], activation="silu", dropout=0.2)
    ensemble = build_ensemble(model, numeric_schema(N_INPUTS, N_CLASSES), seeds, FEATURES)
    learned, val = (parts(features, labels, held_out) for held_out in (False, True))
    weights = balanced_weights(learned.class_counts(N_CLASSES)) if is_balanced else None
    history = fit(ensemble, learned, val, recipe, weights)
    return ensemble, history, torch.from_numpy(ensemble.predict_proba(features))


def val_losses(history: History) -> Tensor:
    assert history.val_losses is not None
    return history.val_losses


@pytest.mark.parametrize("is_balanced", [False, True])
@pytest.mark.parametrize("batch_size", [16, N_ROWS])
def test_a_replica_never_sees_the_fold_that_it_leaves_out(
    batch_size: int, is_balanced: bool
) -> None:
    """Other numbers and classes there change the other replicas, and not a bit of its own."""
    recipe = RECIPE.model_copy(update={"batch_size": batch_size})
    features, labels = FEATURES.copy(), LABELS.copy()
    features[FOLDS == 1] *= 1000
    labels[FOLDS == 1] = 0
    found, expected = (
        train(rows, *range(8), labels=classes, recipe=recipe, is_balanced=is_balanced)[1]
        for rows, classes in ((features, labels), (FEATURES, LABELS))
    )
    for replica in range(8):
        same = torch.equal(found.train_losses[:, replica], expected.train_losses[:, replica])
        assert same == (replica % N_FOLDS == 1)
    assert not torch.equal(val_losses(found)[:, 1], val_losses(expected)[:, 1])


def test_it_is_validated_by_that_fold_alone() -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1})
    _, history, predicted = train(FEATURES, *range(8), recipe=recipe)
    for replica in range(8):
        own = replica % N_FOLDS == FOLDS
        actual = predicted[replica, torch.from_numpy(own)].gather(
            1, torch.from_numpy(LABELS[own])[:, None]
        )
        assert float(val_losses(history)[0, replica]) == pytest.approx(-float(actual.log().mean()))


def test_the_best_epoch_is_that_of_the_mean_loss_and_the_same_for_all() -> None:
    recipe = RECIPE.model_copy(update={"epochs": 60, "learning_rate": 0.2, "patience": 5})
    _, history, _ = train(FEATURES, *range(8), recipe=recipe)
    means = val_losses(history).double().mean(dim=1)
    best = int(means.argmin()) + 1
    assert history.best_epochs.tolist() == [best] * 8
    assert len(means) == min(60, best + 5)


def test_a_replica_has_the_same_losses_alone_and_in_a_pack() -> None:
    _, together, _ = train(FEATURES, *range(8))
    _, alone, _ = train(FEATURES, 0)
    assert torch.equal(alone.train_losses[:, 0], together.train_losses[:, 0])
    assert torch.equal(val_losses(alone)[:, 0], val_losses(together)[:, 0])


def test_batches_take_each_row_of_the_other_folds_once_an_epoch() -> None:
    learned = parts(np.arange(N_ROWS, dtype=np.float32)[:, None], LABELS, held_out=False)
    generator = torch.Generator().manual_seed(0)
    batches = [part.batch(N_FOLDS) for part in learned.batches(16, generator)]
    sizes = [np.count_nonzero(fold != FOLDS) for fold in range(N_FOLDS)]
    for fold, size in enumerate(sizes):
        taken = [inputs[fold, own[fold], 0] for inputs, _, own in batches]
        assert all(len(each) == 16 for each in taken[:-1])
        seen = torch.cat(taken).long().tolist()
        assert len(seen) == len(set(seen))
        assert all(FOLDS[place] != fold for place in seen)
        assert min(sizes) <= len(seen) <= size


def test_what_was_predicted_out_of_fold() -> None:
    by_replica = DRAW.random((6, N_ROWS, N_CLASSES))
    places, mean = out_of_fold(by_replica, FOLDS)
    assert places.tolist() == np.flatnonzero(FOLDS >= 0).tolist()
    for place, found in zip(places, mean, strict=True):
        replicas = [r for r in range(6) if r % N_FOLDS == FOLDS[place]]
        assert found == pytest.approx(by_replica[replicas, place].mean(axis=0))
    places, _ = out_of_fold(by_replica[:2], FOLDS)
    assert places.tolist() == np.flatnonzero((FOLDS == 0) | (FOLDS == 1)).tolist()


def test_the_pipeline_in_folds(reproduced: Project) -> None:
    tensors = reproduced.root / "data/tensors"
    schema = read_schema(tensors / "schema.json")
    train, val, test = (
        read_examples(tensors / f"{name}.safetensors", schema) for name in ("train", "val", "test")
    )
    assert train.folds is not None
    assert len(val.rows) == 0
    assert np.unique(train.folds).tolist() == list(range(8))
    assert schema.rows.folds == 8
    for group in np.unique(train.groups):
        assert len(np.unique(train.folds[train.groups == group])) == 1

    details = json.loads((reproduced.root / "metrics/details.json").read_text())
    losses = json.loads((reproduced.root / "metrics/losses.json").read_text())
    assert details["epochs"]["best"] == min((r["val_loss"], r["epoch"]) for r in losses)[1]
    assert details["val"]["log_loss"] == pytest.approx(min(r["val_loss"] for r in losses), abs=0.1)
    assert details["val"].keys() == plain_scores(test.labels, np.eye(6)[test.labels]).keys()
    report = (reproduced.root / "metrics/report.md").read_text()
    assert (
        "915 rows to train, in 8 folds, each of which validates networks that left it out; "
        in report
    )
    assert reproduced.run("python", "-m", "vintage", "check").stdout.endswith(
        "\nthe outputs are valid\n"
    )


def test_a_table_too_small_for_folds_is_learned_without_validation(run: Run) -> None:
    folder = run("a,kind\n1,x\n2,x\n3,y\n", "split", "train", **{"train.epochs": 2})
    schema = read_schema(folder / "data/tensors/schema.json")
    assert (schema.rows.train, schema.rows.val, schema.rows.test, schema.rows.folds) == (2, 0, 1, 0)
    losses = json.loads((folder / "metrics/losses.json").read_text())
    assert [record["val_loss"] for record in losses] == [None, None]


def test_many_twins_and_classes_are_learned(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """500 rows, of which 25 differ, two of most classes: the test part cannot hold each class."""
    table = "a,kind\n" + "".join(f"{i % 25}.5,{min(i % 25, 19) // 2}\n" for i in range(500))
    folder = run(table, "split", "train", "evaluate")
    details = json.loads((folder / "metrics/details.json").read_text())
    supports = {name: each["support"] for name, each in details["classes"].items()}
    assert sum(supports.values()) == 100
    shown = capsys.readouterr().out
    for name, support in supports.items():
        assert (f"class {name} has no test row" in shown) == (support == 0)


def test_folds_do_not_go_with_an_order(fresh: Project) -> None:
    fresh.set_params(**{"split.val_size": "folds", "split.order_by": "alcohol"})
    error = only_error(fresh.stage("split"))
    assert error.startswith("error: params.yaml: split.val_size: found folds, which does not go ")


def test_other_folds_than_the_schema_says_are_refused(run: Run) -> None:
    table = "a,kind\n" + "".join(f"{index}.5,{'xy'[index % 2]}\n" for index in range(90))
    folder = run(table, "split", **{"split.val_size": "folds"})
    path = folder / "data/tensors/train.safetensors"
    tensors = safetensors.numpy.load_file(path)
    schema = read_schema(folder / "data/tensors/schema.json")
    for folds in (np.zeros_like(tensors["folds"]), tensors["folds"] * 2):
        safetensors.numpy.save_file(tensors | {"folds": folds}, path)
        with pytest.raises(InputError, match=r"holds the folds .*, and the schema says 8"):
            read_examples(path, schema)
    del tensors["folds"]
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(InputError, match=r"holds the folds \[\], and the schema says 8"):
        read_examples(path, schema)
