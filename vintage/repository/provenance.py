"""Whether the outputs were made with the table and the parameters that `dvc.lock` names.

DVC records a stage's parameters and inputs after its command has run, and `dvc commit` records them
without running it, so that `dvc.lock` may name what was never run. The tensors are made again from
the table, and the checkpoint says what it was trained with.
"""

import filecmp
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vintage.base.files import read_json
from vintage.base.params import Params
from vintage.base.recipe import resolved_values
from vintage.base.tensors import read_examples, read_schema
from vintage.network.checkpoint import Manifest
from vintage.repository.lock_file import LOCK_FILE, read_lock_file
from vintage.table.store import store_split
from vintage.training.auto import resolve_architecture, resolve_recipe

TENSORS = Path("data/tensors")
MODEL = Path("data/checkpoint/model.json")


def check_provenance(params: Params) -> Iterator[str]:
    """Check the outputs in this folder; yields one line for each thing that is wrong.

    Where `dvc.lock` itself names another table or other parameters, `dvc status` says so, and
    nothing is compared here.

    Raises:
        InputError: a file is missing, cut or foreign.
    """
    lock = read_lock_file(Path())
    asked = params.model_dump()
    try:
        if lock.params_of("split") == {key: asked[key] for key in ("data", "split")}:
            yield from _check_tensors(params)
        if lock.params_of("train") == {key: asked[key] for key in ("model", "train")}:
            yield from _check_training(params)
    except FileNotFoundError:  # a tensor file, of which `dvc status` says so
        return


def _check_tensors(params: Params) -> Iterator[str]:
    """Split the table once more and compare."""
    # beside the tensors, where there is room for as much, unless nothing can be written there
    parent = TENSORS.parent if os.access(TENSORS.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, suffix=".tmp") as name:
        folder = Path(name)
        streaming = params.compute.streaming
        store_split(params.data, params.split, streaming, folder, folder / "scratch")
        for made in sorted(folder.iterdir()):
            if not filecmp.cmp(made, TENSORS / made.name, shallow=False):
                yield (
                    f"{TENSORS / made.name}: is not what {params.data.path} and params.yaml give, "
                    f"though {LOCK_FILE} says so; run `dvc repro --force split`"
                )


def _check_training(params: Params) -> Iterator[str]:
    """Compare what the checkpoint was trained with and the parameters."""
    schema = read_schema(TENSORS / "schema.json")
    manifest = read_json(MODEL, Manifest)
    n_rows, n_left_out = schema.rows.train, 0
    path = TENSORS / "train.safetensors"
    folds = read_examples(path, schema).folds if schema.rows.folds else None
    if folds is not None:
        n_left_out = int(np.bincount(folds[folds >= 0]).max())
    first = params.train.seed
    expected = resolved_values(
        resolve_architecture(params.model, n_rows, len(schema.features)),
        resolve_recipe(params.train, n_rows, n_rows - n_left_out),
    ) | {"replicas.seeds": str([*range(first, first + params.train.replicas)])}
    found = resolved_values(manifest.model, manifest.recipe)
    found["replicas.seeds"] = str(manifest.seeds)
    for key, value in expected.items():
        if found.get(key) != value:
            yield (
                f"{MODEL.parent}: was trained with {key} {found.get(key)}, and params.yaml and "
                f"{LOCK_FILE} give {value}; run `dvc repro --force train`"
            )
