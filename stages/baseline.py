"""Baseline: tensors -> scores of scikit-learn's models.        python -m stages.baseline

Reads   data/tensors/{train,val,test}.safetensors, data/tensors/schema.json;
        params: evaluate.confidence
Writes  metrics/baseline.json, data/baseline/<model>.csv (predictions)

Each model learns from the train and the validation rows, which is all that the network sees.
"""

from vintage.base.stage import Stage

STAGE = Stage("baseline")  # ahead of NumPy and PyTorch

from pathlib import Path

import numpy as np

from vintage.base import console
from vintage.base.files import write_json
from vintage.base.params import load_params
from vintage.base.tensors import read_parts, read_schema
from vintage.base.waiting import waiting
from vintage.scores.baselines import BASELINES, UnaffordableError, predict_baseline
from vintage.scores.evaluation import Baselines, scores_with_bounds
from vintage.scores.predictions import Predictions, write_predictions
from vintage.scores.rows import Sample

TENSORS = Path("data/tensors")
PREDICTIONS = Path("data/baseline")
SCORES = Path("metrics/baseline.json")


def main() -> None:
    params = load_params()
    schema = read_schema(TENSORS / "schema.json")
    parts, sampled = read_parts(TENSORS, schema)
    train, val, test = parts.values()
    # in the order of the table, so that the size of the validation part makes no difference
    order = np.argsort(np.concatenate([train.rows, val.rows]))
    features = np.concatenate([train.features, val.features])[order]
    labels = np.concatenate([train.labels, val.labels])[order]
    names = list(BASELINES)
    if len(np.unique(labels)) < 2:
        if not sampled:
            raise console.InputError(
                f"{TENSORS / 'train.safetensors'}: its rows are all of one class; delete it and "
                "run `dvc repro`"
            )
        names = ["majority_class"]
        console.say("the rows that are used are all of one class, so no other model is fitted")

    scores = {}
    for name in names:
        try:
            with waiting(f"fitting {name}"):
                probabilities = predict_baseline(
                    name, schema.features, features, labels, test.features, len(schema.classes)
                )
        except UnaffordableError as error:
            console.say(f"{name}: left out, {error}")
            continue
        with waiting(f"scoring {name}"):
            sample = Sample.of(test.labels, probabilities, test.groups)
            scores[name] = scores_with_bounds(sample, params.evaluate.confidence)
        predictions = Predictions.of(test, schema.classes, probabilities)
        write_predictions(PREDICTIONS / f"{name}.csv", predictions)
        console.say(f"{name}: log loss {scores[name]['log_loss']:.4f}")
    found = Baselines(models=scores, sampled=sampled)
    write_json(SCORES, found.model_dump(exclude_defaults=True))


if __name__ == "__main__":
    STAGE.run(main)
