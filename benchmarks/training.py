"""Train as the train stage does, without its files. Import it after `vintage.base.numerics.pin`."""

import torch

from vintage.base.params import Params
from vintage.base.tensors import Features, Schema
from vintage.network.ensemble import build_ensemble
from vintage.scores.rows import Floats, Labels
from vintage.training.auto import TrainRows, resolve_architecture, resolve_recipe
from vintage.training.fit import balanced_weights, fit, fit_temperature


def predict_network(
    params: Params,
    schema: Schema,
    rows: TrainRows,
    train: tuple[Features, Labels],
    val: tuple[Features, Labels],
    features: Features,
) -> Floats:
    """The mean probabilities of `features` by a network trained on `train`.

    Args:
        rows: what `auto` goes by, of the train rows.
        train, val: rows as the tensor files hold them, with their labels; `val` may be empty.
    """
    seeds = [params.train.seed + replica for replica in range(params.train.replicas)]
    architecture = resolve_architecture(params.model, rows)
    ensemble = build_ensemble(architecture, schema, seeds, train[0])
    train_tensors, val_tensors = (
        (ensemble.encode(torch.from_numpy(inputs)), torch.from_numpy(labels))
        for inputs, labels in (train, val)
    )
    class_weights = None
    if params.train.class_weight == "balanced":
        class_weights = balanced_weights(train_tensors[1], len(schema.classes))
    recipe = resolve_recipe(params.train, rows)
    fit(ensemble, train_tensors, val_tensors, recipe, class_weights)
    if params.train.calibration == "temperature" and len(val[1]):
        fit_temperature(ensemble, *val_tensors)
    return ensemble.predict_proba(torch.from_numpy(features)).mean(dim=0).numpy()
