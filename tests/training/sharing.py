"""Train every kind of network, as one worker or several.

    torchrun --standalone --nproc-per-node 4 -m tests.training.sharing

Prints of each case the losses of the last epoch, and a hash of all losses and weights.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.network.small_table import SCHEMA, labels_of, rows
from vintage.base.console import InputError
from vintage.base.params import load_params, parse_params
from vintage.network import workers
from vintage.training.prepare import Training, prepare

N_ROWS = 203
MLP: dict[str, object] = {
    "model.hidden": [8, 6],
    "model.dropout": 0.2,
    "model.activation": "silu",
    "model.normalize": "piecewise",
    "model.scaling_layer": True,
    "train.replicas": 3,
    "train.epochs": 3,
    "train.learning_rate": 0.02,
    "train.batch_size": 50,  # the last batch has three rows, so that of four workers one has none
}
TABM = {
    "model.name": "tabm",
    "model.hidden": [8],
    "model.dropout": 0.1,
    "train.replicas": 2,
    "train.epochs": 2,
}
FULL = {"train.batch_size": "all"}
FAST = {"train.numerics": "fast"}
BALANCED = {"train.class_weight": "balanced"}
# by name: parameters, the number of folds
CASES: dict[str, tuple[dict[str, object], int]] = {
    "mlp": (MLP, 0),
    "mlp, full batch, class weights": (MLP | FULL | BALANCED, 0),
    "mlp, folds": (MLP, 3),
    "mlp, folds, full batch, class weights": (MLP | FULL | BALANCED, 3),
    "tabm": (TABM | {"train.batch_size": 50}, 0),
    "tabm, folds, full batch, class weights": (TABM | FULL | BALANCED, 3),
    "fast": (MLP | FAST, 0),
    "fast tabm, folds": (TABM | FAST, 3),
}


def prepared(changes: dict[str, object], n_folds: int, n_rows: int = N_ROWS) -> Training:
    content = load_params(Path("tests/project/params.yaml")).model_dump()
    for key, value in changes.items():
        section, name = key.split(".")
        content[section][name] = value
    params = parse_params(content)
    features, val = rows(n_rows), rows(0 if n_folds else 3, seed=2)
    labelled = [(each, labels_of(each).numpy()) for each in (features, val)]
    folds = np.arange(n_rows) % (n_folds + 1) - 1 if n_folds else None
    return prepare(params.model, params.train, SCHEMA, labelled[0], labelled[1], folds)


def printed_lines() -> Iterator[str]:
    """Of each case the losses and a hash of these and of all weights."""
    for name, (changes, n_folds) in CASES.items():
        training = prepared(changes, n_folds)
        history = training.run()
        assert history.val_losses is not None
        tensors = [*training.ensemble.state_dict().values(), history.train_losses]
        content = b"".join(t.numpy().tobytes() for t in [*tensors, history.val_losses])
        losses = [float(each[-1].mean()) for each in (history.train_losses, history.val_losses)]
        yield f"{name}: {losses[0]:.6f} {losses[1]:.6f} {hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    with workers.joined():
        for line in printed_lines():
            print(line)
        try:
            prepared(MLP, 0, n_rows=3)
        except InputError as error:
            print(error)
