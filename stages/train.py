"""Train: tensors -> checkpoint and losses.        python -m stages.train

Reads   data/tensors/{train,val}.safetensors, data/tensors/schema.json; params: model, train,
        compute
Writes  data/checkpoint/, metrics/losses.json

As several workers:        torchrun --standalone --nproc-per-node 4 -m stages.train
"""

from vintage.base.stage import Stage

STAGE = Stage("train")  # ahead of NumPy and PyTorch

import hashlib
import os
import sys
from pathlib import Path

import torch

from vintage.base.params import ModelParams, TrainParams, load_params
from vintage.base.tensors import read_examples, read_schema
from vintage.network import workers
from vintage.training.prepare import prepare
from vintage.training.progress import Progress
from vintage.training.results import write_results
from vintage.training.resume import ResumeFile

TENSORS = Path("data/tensors")
CHECKPOINT = Path("data/checkpoint")
LOSSES = Path("metrics/losses.json")
INPUTS = [TENSORS / name for name in ("train.safetensors", "val.safetensors", "schema.json")]
RESUME = Path("data/resume/train.safetensors")  # not an output: DVC deletes those before a stage


def main() -> None:
    params = load_params()
    if params.compute.workers > 1 and "RANK" not in os.environ:
        from vintage.training.launch import launch

        launch(params.compute, "stages.train")
        return
    with workers.joined():
        train_as_one()


def train_as_one() -> None:
    """What each worker does, which is the only one if there are no others."""
    params = load_params()
    digests = digests_of(params.model, params.train)
    workers.check_same(digests)
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
    if workers.rank():
        training.run()
        return
    resume = ResumeFile(RESUME, hashlib.sha256(b"".join(digests.values())).hexdigest())
    with Progress(params.train.epochs) as progress:
        history = training.run(resume, progress.update)

    numerics = params.train.numerics
    write_results(CHECKPOINT, LOSSES, training, history, schema, (train, val), numerics)
    resume.remove()


def digests_of(model: ModelParams, train: TrainParams) -> dict[str, bytes]:
    """Hashes of all that a training depends on: inputs, parameters and code."""
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] == "vintage"]
    code = sorted(str(module.__file__) for module in modules)
    # what is missing is told when it is read, after what the workers have was compared
    content = {str(path): path.read_bytes() if path.is_file() else b"" for path in INPUTS}
    content["params.yaml"] = (model.model_dump_json() + train.model_dump_json()).encode()
    content["version of PyTorch"] = torch.__version__.encode()
    content["code"] = b"".join(path.read_bytes() for path in [Path(__file__), *map(Path, code)])
    return {name: hashlib.sha256(each).digest() for name, each in content.items()}


if __name__ == "__main__":
    STAGE.run(main)
