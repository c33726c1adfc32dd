"""Train: tensors -> checkpoint and losses.        python -m stages.train

Reads   data/tensors/{train,val}.safetensors, data/tensors/schema.json; params: model, train
Writes  data/checkpoint/, metrics/losses.json
"""

from vintage.base.stage import Stage

STAGE = Stage("train", follow_params=True)  # ahead of NumPy and PyTorch

import hashlib
import sys
from pathlib import Path

import torch

from vintage.base import console
from vintage.base.losses import best_epoch, curve_in_words, write_losses
from vintage.base.params import ModelParams, TrainParams, load_params
from vintage.base.recipe import auto_values, resolved_values
from vintage.base.tensors import read_examples, read_schema
from vintage.network.checkpoint import Manifest, write_checkpoint
from vintage.network.ensemble import build_ensemble, choose_device
from vintage.training.auto import resolve_architecture, resolve_recipe
from vintage.training.fit import (
    balanced_weights,
    fit,
    fit_temperature,
    is_still_falling,
    loss_records,
)
from vintage.training.neighbors import measure_rows
from vintage.training.progress import Progress
from vintage.training.resume import ResumeFile

TENSORS = Path("data/tensors")
CHECKPOINT = Path("data/checkpoint")
LOSSES = Path("metrics/losses.json")
RESUME = Path("data/resume/train.safetensors")  # no output: DVC deletes those before a stage runs


def main() -> None:
    params = load_params()
    schema = read_schema(TENSORS / "schema.json")
    train = read_examples(TENSORS / "train.safetensors", schema)
    val = read_examples(TENSORS / "val.safetensors", schema)
    device = choose_device(params.train.device, params.train.numerics)
    seeds = [params.train.seed + replica for replica in range(params.train.replicas)]

    rows = measure_rows(schema.features, train.features, train.labels)
    architecture = resolve_architecture(params.model, rows)
    recipe = resolve_recipe(params.train, rows)
    resolved = resolved_values(architecture, recipe)
    if auto := auto_values(params.model, params.train, resolved):
        console.say(f"auto, for {rows.in_words()}:")
        for key, value in auto.items():
            console.say(f"  {key} {value}")
    ensemble = build_ensemble(architecture, schema, seeds, train.features).to(device)
    train_tensors, val_tensors = (
        (
            ensemble.encode(torch.from_numpy(part.features).to(device)),
            torch.from_numpy(part.labels).to(device),
        )
        for part in (train, val)
    )
    class_weights = None
    if params.train.class_weight == "balanced":
        class_weights = balanced_weights(train_tensors[1], len(schema.classes))
    resume = ResumeFile(RESUME, key_of(params.model, params.train))
    with Progress(params.train.epochs) as progress:
        history = fit(
            ensemble,
            train_tensors,
            val_tensors,
            recipe,
            class_weights,
            resume,
            report=progress.update,
        )
    if params.train.calibration == "temperature" and len(val.rows):
        temperature = fit_temperature(ensemble, *val_tensors)
        console.say(f"temperature {temperature:.3f} suits the validation rows best")

    has_val = history.val_losses is not None
    curve = (history.train_losses if history.val_losses is None else history.val_losses).mean(dim=1)
    manifest = Manifest(
        model=architecture,
        recipe=recipe,
        seeds=seeds,
        best_epochs=history.best_epochs.tolist(),
        n_epochs=len(curve),
        still_falling=has_val and len(curve) == recipe.epochs and is_still_falling(curve),
        numerics=STAGE.numerics,
    )
    write_checkpoint(CHECKPOINT, ensemble, manifest, schema)
    losses = loss_records(history)
    write_losses(LOSSES, losses)
    resume.remove()
    console.say(curve_in_words(manifest.n_epochs, best_epoch(losses), manifest.still_falling))


def key_of(model: ModelParams, train: TrainParams) -> str:
    """A hash of all that a training depends on: inputs, parameters, code and numerics."""
    digest = hashlib.sha256(f"{torch.__version__} {STAGE.numerics}\n".encode())
    digest.update(model.model_dump_json().encode())
    digest.update(train.model_dump_json().encode())
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] == "vintage"]
    code = sorted(str(module.__file__) for module in modules)
    inputs = [TENSORS / name for name in ("train.safetensors", "val.safetensors", "schema.json")]
    for path in [*inputs, Path(__file__), *map(Path, code)]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


if __name__ == "__main__":
    STAGE.run(main)
