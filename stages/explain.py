"""Explain: checkpoint -> why it predicts so, where it fails.        python -m stages.explain

Reads   data/tensors/{train,val,test}.safetensors, data/checkpoint/;
        params: evaluate.confidence, evaluate.seed, train
Writes  metrics/explanation.json

Only the report reads it, so `dvc repro evaluate` does without. It prints what each part costs.
"""

from vintage.base.stage import Stage

STAGE = Stage("explain")  # ahead of NumPy and PyTorch

import time
from pathlib import Path

from vintage.base import console
from vintage.base.files import write_json
from vintage.base.machine import keep_freed_memory
from vintage.base.params import load_params
from vintage.base.tensors import read_parts
from vintage.base.waiting import waiting
from vintage.explain.drift import drifted_columns
from vintage.explain.explanation import Explanation
from vintage.explain.importance import permutation_importances
from vintage.explain.learning_curve import learning_curve
from vintage.explain.mistakes import worst_mistakes
from vintage.explain.slices import worse_slices
from vintage.network.checkpoint import read_checkpoint
from vintage.training.progress import Progress

TENSORS = Path("data/tensors")
CHECKPOINT = Path("data/checkpoint")
EXPLANATION = Path("metrics/explanation.json")


def main() -> None:
    params = load_params()
    keep_freed_memory()
    confidence, seed = params.evaluate.confidence, params.evaluate.seed

    checkpoint = read_checkpoint(CHECKPOINT, params.train.device)
    schema = checkpoint.schema
    parts, sampled = read_parts(TENSORS, schema)
    train, val, test = parts.values()
    started = time.monotonic()
    with waiting("importance, mistakes, slices, drift"):
        probabilities = checkpoint.predict_proba(test.features).mean(axis=0)
        importance, n_rows, n_repeats = permutation_importances(
            checkpoint, schema.features, test, confidence, seed
        )
        columns = [each.column for each in importance]
        mistakes = worst_mistakes(test, probabilities, schema.classes, schema.features, columns)
        slices, n_slices = worse_slices(
            test, probabilities, schema.features, columns, confidence, seed
        )
        drift = drifted_columns(train, test, schema.features)
    console.say(f"importance, mistakes, slices, drift: {time.monotonic() - started:.1f} s")

    started = time.monotonic()
    with Progress(params.train.epochs) as progress:
        curve = learning_curve(
            checkpoint, (train, val, test), params.train, confidence, progress.update
        )
    console.say(f"learning curve: {time.monotonic() - started:.1f} s")

    explanation = Explanation(
        columns=len(schema.features),
        importance=importance,
        importance_rows=n_rows,
        repeats=n_repeats,
        mistakes=mistakes,
        slices=slices,
        slices_tested=n_slices,
        drift=drift,
        curve=curve,
        sampled=sampled or None,
    )
    write_json(EXPLANATION, explanation.model_dump(exclude_defaults=True))
    console.say(f"see {EXPLANATION}")


if __name__ == "__main__":
    STAGE.run(main)
