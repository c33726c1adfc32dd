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

from vintage.base import console
from vintage.base.params import ModelParams, TrainParams, load_params
from vintage.base.tensors import (
    Examples,
    PartFile,
    is_trained_in_blocks,
    read_examples,
    read_schema,
)
from vintage.base.waiting import waiting
from vintage.network import workers
from vintage.training.blocks import CALIBRATED_ROWS, FITTED_ROWS
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
    paths = [TENSORS / f"{name}.safetensors" for name in ("train", "val")]
    parts: list[PartFile] | list[Examples]
    if is_trained_in_blocks(schema):
        parts = files = [PartFile(path, schema) for path in paths]
        with waiting("preparing"):
            training = prepare(params.model, params.train, schema, files[0], files[1])
        console.say(
            f"{schema.rows.train} train rows are read in blocks; columns are normalized by up "
            f"to {FITTED_ROWS} of them, and the temperature is that of up to {CALIBRATED_ROWS} "
            "validation rows"
        )
    else:
        with waiting("preparing"):
            parts = examples = [read_examples(path, schema) for path in paths]
            train_rows, val_rows = ((part.features, part.labels) for part in examples)
            folds = examples[0].folds
            training = prepare(params.model, params.train, schema, train_rows, val_rows, folds)
    if workers.rank():
        training.run()
        return
    resume = ResumeFile(RESUME, hashlib.sha256(b"".join(digests.values())).hexdigest())
    with Progress(params.train.epochs) as progress:
        history = training.run(resume, progress.update)

    numerics = params.train.numerics
    write_results(CHECKPOINT, LOSSES, training, history, schema, parts, numerics)
    resume.remove()


def digests_of(model: ModelParams, train: TrainParams) -> dict[str, bytes]:
    """Hashes of all that a training depends on: inputs, parameters and code."""
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] == "vintage"]
    code = sorted(str(module.__file__) for module in modules)
    digests = {str(path): digest_of_file(path) for path in INPUTS}
    content = {
        "params.yaml": (model.model_dump_json() + train.model_dump_json()).encode(),
        "version of PyTorch": torch.__version__.encode(),
        "code": b"".join(path.read_bytes() for path in [Path(__file__), *map(Path, code)]),
    }
    return digests | {name: hashlib.sha256(each).digest() for name, each in content.items()}


def digest_of_file(path: Path) -> bytes:
    """Of its content; what is missing is told when it is read, after the workers' were compared."""
    if not path.is_file():
        return hashlib.sha256().digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


if __name__ == "__main__":
    STAGE.run(main)
