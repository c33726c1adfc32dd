"""Train: tensors -> checkpoint and losses.        python -m stages.train

Reads   data/tensors/{train,val}.safetensors, data/tensors/schema.json; params: model, train
Writes  data/checkpoint/, metrics/losses.json
"""

from vintage.base.stage import Stage

STAGE = Stage("train")  # ahead of NumPy and PyTorch

import hashlib
import sys
from pathlib import Path

import torch

from vintage.base.files import write_json
from vintage.base.params import ModelParams, TrainParams, load_params
from vintage.base.tensors import read_examples, read_schema
from vintage.network.checkpoint import Manifest, write_checkpoint
from vintage.training.prepare import prepare
from vintage.training.progress import Progress
from vintage.training.resume import ResumeFile

TENSORS = Path("data/tensors")
CHECKPOINT = Path("data/checkpoint")
LOSSES = Path("metrics/losses.json")
RESUME = Path("data/resume/train.safetensors")  # not an output: DVC deletes those before a stage


def main() -> None:
    params = load_params()
    schema = read_schema(TENSORS / "schema.json")
    train, val = (
        read_examples(TENSORS / f"{name}.safetensors", schema) for name in ("train", "val")
    )

    training = prepare(
        params.model,
        params.train,
        schema,
        (train.features, train.labels),
        (val.features, val.labels),
        train.folds,
    )
    resume = ResumeFile(RESUME, key_of(params.model, params.train))
    with Progress(params.train.epochs) as progress:
        history = training.run(resume, progress.update)

    manifest = Manifest(
        model=training.architecture,
        recipe=training.recipe,
        seeds=training.seeds,
        best_epochs=history.best_epochs.tolist(),
        n_epochs=len(history.train_losses),
        numerics=params.train.numerics,
    )
    write_checkpoint(CHECKPOINT, training.ensemble, manifest, schema)
    write_json(LOSSES, [record.model_dump(exclude_unset=True) for record in history.records()])
    resume.remove()


def key_of(model: ModelParams, train: TrainParams) -> str:
    """A hash of all that a training depends on: inputs, parameters and code."""
    digest = hashlib.sha256(f"{torch.__version__}\n".encode())
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
