"""What every network must keep, whatever is inside: those of the registry, and the smallest one."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from tests.conftest import PARAMS, ROOT, environment
from tests.network.small_table import SCHEMA, labels_of, rows
from vintage.base.console import InputError
from vintage.base.numerics import Numerics
from vintage.base.params import load_params
from vintage.base.recipe import Architecture, Recipe
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.checkpoint import Checkpoint, Manifest, read_checkpoint, write_checkpoint
from vintage.network.draws import Step, uniform
from vintage.network.ensemble import Ensemble, build_ensemble
from vintage.network.registry import NETWORKS
from vintage.network.replicas import Replicas, Shape
from vintage.predict.export import export_onnx
from vintage.training import resume
from vintage.training.auto import resolve_architecture
from vintage.training.fit import History, fit
from vintage.training.resume import ResumeFile
from vintage.training.rows import Part

RECIPE = Recipe(seed=42, epochs=20, batch_size=50, learning_rate=0.02, weight_decay=0.0, patience=0)
SETTINGS: list[dict[str, str]] = [
    {"OMP_NUM_THREADS": "2"},
    {"OMP_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"},
    {"OMP_NUM_THREADS": "5", "ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
]
SCRIPT = """
import hashlib
from tests.network.test_compliance import *
NETWORKS["linear"] = Linear
for name in NETWORKS:
    for batch_size in (50, 200):
        ensemble = build(name, 7, 8, 9)
        train(ensemble, recipe=RECIPE.model_copy(update={"batch_size": batch_size, "epochs": 2}))
        in_folds = build(name, 7, 8, 9)
        train(in_folds, recipe=RECIPE.model_copy(update={"epochs": 1}), n_folds=2)
        predicted = torch.from_numpy(ensemble.predict_proba(rows(300)))
        tensors = [*ensemble.state_dict().values(), *in_folds.state_dict().values(), predicted]
        content = b"".join(t.contiguous().numpy().tobytes() for t in tensors)
        print(name, batch_size, hashlib.sha256(content).hexdigest())
"""
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Linear(Replicas):
    """As little as a network can say of itself."""

    def build(self, shape: Shape) -> None:
        self.weight = nn.Parameter(torch.empty(self.n_replicas, shape.n_inputs, shape.n_classes))

    def draw_replica(self, replica: int, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.weight[replica] = uniform(generator, 0.1, *self.weight.shape[1:])

    def forward(self, inputs: Tensor, step: Step | None = None) -> Tensor:  # noqa: ARG002
        return self.arithmetic.linear(inputs.expand(self.n_replicas, -1, -1), self.weight)


@pytest.fixture(params=[*NETWORKS, "linear"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(NETWORKS, "linear", Linear)
    return request.param


def build(name: str, *seeds: int, numerics: Numerics = "exact") -> Ensemble:
    model = Architecture(name=name, hidden=[8, 6], dropout=0.1, normalize="standard")
    return build_ensemble(model, SCHEMA, seeds, rows(200), ARITHMETIC[numerics])


def train(
    ensemble: Ensemble,
    device: str = "cpu",
    recipe: Recipe | list[Recipe] = RECIPE,
    n_folds: int = 0,
    **options: Any,
) -> History:
    features = rows(200)
    ensemble.to(device)
    inputs = ensemble.encode(torch.from_numpy(features).to(device))
    rows_of = inputs, labels_of(features).to(device)
    learned = val = Part.of_all(*rows_of)
    if n_folds:
        folds = torch.arange(len(inputs), device=device) % n_folds
        learned, val = (Part.of_folds(*rows_of, folds, held_out) for held_out in (False, True))
    return fit(ensemble, learned, val, recipe, None, **options)


def checkpoint_of(name: str, ensemble: Ensemble) -> Checkpoint:
    n_replicas = ensemble.n_replicas
    manifest = Manifest(
        model=Architecture(name=name, hidden=[8, 6], dropout=0.1, normalize="standard"),
        recipe=RECIPE,
        seeds=list(range(n_replicas)),
        best_epochs=[1] * n_replicas,
        n_epochs=1,
        numerics="exact",
    )
    return Checkpoint(ensemble, manifest, SCHEMA)


def assert_equal(a: Ensemble, b: Ensemble) -> None:
    expected = b.state_dict()
    assert set(a.state_dict()) == set(expected)
    for key, value in a.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_shapes(name: str) -> None:
    ensemble = build(name, 0, 1, 2)
    inputs = ensemble.encode(torch.from_numpy(rows(40)))
    assert ensemble(inputs).shape == (3 * ensemble.layers.n_members, 40, 2)
    assert ensemble.predict_logits(inputs).shape == (3, 40, 2)
    assert {len(weight) for weight in ensemble.parameters()} == {3}
    probabilities = ensemble.predict_proba(rows(40))
    assert probabilities.shape == (3, 40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=-1), np.ones((3, 40)))
    assert ensemble.predict_proba(rows(0)).shape == (3, 0, 2)


def test_seeds(name: str) -> None:
    ensemble = build(name, 7, 8)
    train(ensemble)
    again = build(name, 7, 8)
    train(again)
    assert_equal(ensemble, again)
    other = ensemble.predict_proba(rows(9))
    assert (other[0] != other[1]).any()


def test_the_bytes_of_a_replica_are_its_own(name: str) -> None:
    """Alone, among few and among many, and with whatever threads: the same weights and losses."""
    together = build(name, *range(7, 16))
    recipe = RECIPE.model_copy(update={"epochs": 4})
    history = train(together, recipe=recipe)
    for seeds in ([9], [8, 9, 10]):
        some = build(name, *seeds)
        losses = train(some, recipe=recipe)
        for replica, seed in enumerate(seeds):
            for key in ("train_losses", "val_losses", "best_epochs"):
                found, expected = getattr(losses, key), getattr(history, key)
                assert torch.equal(found[..., replica], expected[..., seed - 7]), key
            weights = dict(some.named_parameters())
            for key, weight in together.named_parameters():
                assert torch.equal(weights[key][replica], weight[seed - 7]), key


def test_replicas_of_other_settings_make_no_difference(name: str) -> None:
    """Beside another learning rate, weight decay, patience and dropout."""
    settings = [(0.02, 0.0, 0, 0.1), (0.1, 0.5, 3, 0.0), (0.005, 2.0, 0, 0.5)]
    recipes = [
        RECIPE.model_copy(
            update={"epochs": 8, "learning_rate": rate, "weight_decay": decay, "patience": patience}
        )
        for rate, decay, patience, _ in settings
    ]
    together = build(name, 7, 8, 9)
    together.layers.dropout = [dropout for *_, dropout in settings]
    history = train(together, recipe=recipes)
    for replica, recipe in enumerate(recipes):
        alone = build(name, 7 + replica)
        alone.layers.dropout = [settings[replica][-1]]
        found = train(alone, recipe=recipe).train_losses[:, 0]
        assert torch.equal(found, history.train_losses[: len(found), replica])
        weights = dict(alone.named_parameters())
        for key, weight in together.named_parameters():
            assert torch.equal(weights[key][0], weight[replica]), key


def test_threads_and_instruction_sets_make_no_difference() -> None:
    found = set()
    for settings in SETTINGS:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env=environment() | settings,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    (printed,) = found
    assert len(printed.splitlines()) == 2 * (len(NETWORKS) + 1)


def test_fast_arithmetic_comes_out_close(name: str) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 3})
    exact, fast = (train(build(name, 7, 8, numerics=n), recipe=recipe) for n in ("exact", "fast"))
    torch.testing.assert_close(exact.train_losses, fast.train_losses, rtol=1e-4, atol=1e-5)


def test_a_resumed_training_ends_as_an_undisturbed_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = build(name, 7, 8)
    expected = train(undisturbed)
    # save after every epoch
    monkeypatch.setattr(resume, "SHORTEST_PAUSE", 0)
    monkeypatch.setattr(resume, "LONGEST_SHARE", math.inf)

    def disturb(epoch: int, *_: float | None) -> None:
        if epoch == 12:
            raise KeyboardInterrupt

    path = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(build(name, 7, 8), resume=ResumeFile(path, "key"), report=disturb)
    resumed, epochs = build(name, 7, 8), []
    history = train(
        resumed, resume=ResumeFile(path, "key"), report=lambda epoch, *_: epochs.append(epoch)
    )
    assert epochs == list(range(12, 21))
    assert_equal(resumed, undisturbed)
    assert torch.equal(history.train_losses, expected.train_losses)


def test_the_checkpoint_is_complete(name: str, tmp_path: Path) -> None:
    ensemble = build(name, 7, 8)
    train(ensemble)
    ensemble.temperature.fill_(1.7)
    written = checkpoint_of(name, ensemble)
    write_checkpoint(tmp_path / "a", *written)
    found = read_checkpoint(tmp_path / "a")
    features = rows(50, seed=3)
    assert (found.predict_proba(features) == written.predict_proba(features)).all()
    write_checkpoint(tmp_path / "b", *found)
    for file in ("model.safetensors", "model.json", "schema.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_it_learns_alike_on_every_device(name: str) -> None:
    test = rows(500, seed=2)
    found = []
    for device in DEVICES:
        ensemble = build(name, 0, 1)
        train(ensemble, device)
        found.append(checkpoint_of(name, ensemble).predict_proba(test).mean(axis=0))
        assert (found[-1].argmax(axis=1) == labels_of(test).numpy()).mean() > 0.9
        assert (found[-1] == found[0]).all()


def test_a_row_has_the_same_prediction_in_any_company(name: str) -> None:
    ensemble, features = build(name, 0, 1), rows(1500)
    together = ensemble.predict_proba(features)
    for place in (0, 3, 1023, 1024, 1499):
        alone = ensemble.predict_proba(features[place : place + 1])
        assert (alone[:, 0] == together[:, place]).all()


def test_an_export_predicts_the_same_or_is_refused(name: str, tmp_path: Path) -> None:
    ensemble = build(name, 0, 1)
    train(ensemble)
    checkpoint, file = checkpoint_of(name, ensemble), tmp_path / "model.onnx"
    if "export" not in vars(NETWORKS[name]):
        with pytest.raises(InputError, match=f"a {name} cannot be exported as ONNX; "):
            export_onnx(file, checkpoint)
        assert not file.exists()
        return
    export_onnx(file, checkpoint)
    features = rows(50, seed=3)
    cells = {"n": features[:, :1], "t": features[:, 2:]}
    cells["c"] = np.array(["p", "q"], dtype=object)[features[:, 1:2].astype(int)]
    (found,) = onnxruntime.InferenceSession(file).run(["replica_probabilities"], cells)
    np.testing.assert_allclose(found, checkpoint.predict_proba(features), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_rows", [100, 5000])
def test_it_can_be_what_auto_makes_of_it(name: str, n_rows: int) -> None:
    params = load_params(PARAMS).model.model_copy(update={"name": name})
    architecture = resolve_architecture(params, n_rows, 3)
    assert build_ensemble(architecture, SCHEMA, [0], rows(20)).n_replicas == 1
    for key, value in NETWORKS[name].auto.items():
        assert getattr(architecture, key) == value


@pytest.mark.parametrize(
    "auto",
    [
        {"hidden": [3], "dropout": 0.25, "activation": "relu", "normalize": "none"},
        {"scaling_layer": False},
    ],
)
def test_all_that_a_network_says_of_auto_counts(
    auto: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "own", type("Own", (Linear,), {"auto": auto}))
    params = load_params(PARAMS).model.model_copy(update={"name": "own"})
    test_it_can_be_what_auto_makes_of_it("own", 100)
    with_typo = type("Own", (Linear,), {"auto": {**auto, "widths": [3]}})
    monkeypatch.setitem(NETWORKS, "own", with_typo)
    with pytest.raises(ValueError, match="the network own says what 'widths' is by auto; keys th"):
        resolve_architecture(params, 100, 3)
