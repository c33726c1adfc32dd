"""Whether the outputs were made with the table and the parameters that `dvc.lock` names.

DVC notes a stage's parameters and inputs after its command has run, and `dvc commit` notes them
without running it. What was edited meanwhile is then recorded as what was run. The tensors can be
made again from the table, and the checkpoint holds what it was trained with, so both are compared.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vintage.base.console import InputError
from vintage.base.files import read_json
from vintage.base.params import Params
from vintage.base.tensors import read_examples, read_schema
from vintage.network.checkpoint import Manifest
from vintage.repository.stored import LOCK_FILE, locked_params, read_lock_file
from vintage.table.dataset import load_dataset
from vintage.table.sharing import share_out
from vintage.training.auto import resolve_architecture, resolve_recipe
from vintage.training.neighbors import measure_rows

TENSORS = Path("data/tensors")
MODEL = Path("data/checkpoint/model.json")
PARTS = ("train", "val", "test")


def check_provenance(params: Params) -> Iterator[str]:
    """Check the outputs in this folder; yields one line for each thing that is wrong.

    Where `dvc.lock` itself names another table or other parameters, `dvc status` tells of it, and
    nothing is compared here. What is missing or damaged is told of by the other checks.
    """
    try:
        lock = read_lock_file(Path(LOCK_FILE))
        asked = params.model_dump()
        if locked_params(lock, "split") == {key: asked[key] for key in ("data", "split")}:
            yield from _check_tensors(params)
        if locked_params(lock, "train") == {key: asked[key] for key in ("model", "train")}:
            yield from _check_training(params)
    except InputError:
        return


def _check_tensors(params: Params) -> Iterator[str]:
    """Split the table once more and compare."""
    schema = read_schema(TENSORS / "schema.json")
    stored = [read_examples(TENSORS / f"{name}.safetensors", schema) for name in PARTS]
    data = load_dataset(params.data, params.split)
    shared = share_out(data, params.data.kinds, params.split)
    split = (shared.split.train, shared.split.val, shared.split.test)
    for name, places, examples in zip(PARTS, split, stored, strict=True):
        same = (
            shared.features == schema.features
            and np.array_equal(data.ids[places], examples.ids)
            and np.array_equal(data.labels[places], examples.labels)
            and np.array_equal(shared.values[places], examples.features, equal_nan=True)
        )
        if not same:
            yield (
                f"{TENSORS / name}.safetensors: is not what {params.data.path} and params.yaml "
                f"give, though {LOCK_FILE} says so; run `dvc repro --force split`"
            )
            return


def _check_training(params: Params) -> Iterator[str]:
    """Compare what the checkpoint was trained with and the parameters."""
    schema = read_schema(TENSORS / "schema.json")
    train = read_examples(TENSORS / "train.safetensors", schema)
    manifest = read_json(MODEL, Manifest)
    rows = measure_rows(schema.features, train.features, train.labels)
    first = params.train.seed
    expected = {
        "model": resolve_architecture(params.model, rows).model_dump(),
        "train": resolve_recipe(params.train, rows).model_dump(),
        "replicas": {"seeds": list(range(first, first + params.train.replicas))},
    }
    found = {
        "model": manifest.model.model_dump(),
        "train": manifest.recipe.model_dump() if manifest.recipe else {},
        "replicas": {"seeds": manifest.seeds},
    }
    for section, values in expected.items():
        for key, value in values.items():
            if (was := found[section].get(key)) != value:
                yield (
                    f"{MODEL.parent}: was trained with {section}.{key} {was}, and "
                    f"params.yaml and {LOCK_FILE} give {value}; run `dvc repro --force train`"
                )
