"""Train as the train stage does, without its files. Import it after `vintage.base.numerics.pin`."""

from vintage.base.params import Params
from vintage.base.tensors import Features, Integers, Schema
from vintage.scores.rows import Floats
from vintage.training.prepare import Rows, prepare


def predict_network(
    params: Params,
    schema: Schema,
    train: Rows,
    val: Rows,
    folds: Integers | None,
    features: Features,
) -> Floats:
    """The mean probabilities of `features` by a network trained on `train`; see `prepare`."""
    training = prepare(params.model, params.train, schema, train, val, folds)
    training.run()
    return training.ensemble.predict_proba(features).mean(axis=0)
