"""Evaluate: checkpoint -> scores, predictions, figures.        python -m stages.evaluate

Reads   data/tensors/{train,val,test}.safetensors, data/checkpoint/, metrics/losses.json;
        params: evaluate.confidence, train.device
Writes  metrics/evaluation.json, metrics/details.json, metrics/predictions.csv, metrics/figures/
"""

from vintage.base.stage import Stage

STAGE = Stage("evaluate")  # ahead of NumPy and PyTorch

from pathlib import Path

from vintage.base import console
from vintage.base.files import read_json, write_json
from vintage.base.losses import LossRecord
from vintage.base.machine import keep_freed_memory
from vintage.base.params import load_params
from vintage.base.recipe import resolved_values
from vintage.base.tensors import read_parts, unknown_counts
from vintage.base.waiting import waiting
from vintage.network.checkpoint import read_checkpoint
from vintage.report.figures import Drawn, write_figures
from vintage.scores.evaluation import (
    Epochs,
    Evaluation,
    best_epoch,
    class_table,
    is_still_falling,
    out_of_fold,
    plain_scores,
    replica_scores,
    scores_with_bounds,
)
from vintage.scores.predictions import Predictions, write_predictions
from vintage.scores.rows import Sample

TENSORS = Path("data/tensors")
CHECKPOINT = Path("data/checkpoint")
METRICS = Path("metrics")


def main() -> None:
    params = load_params()
    keep_freed_memory()

    checkpoint = read_checkpoint(CHECKPOINT, params.train.device)
    ensemble, manifest, schema = checkpoint
    parts, sampled = read_parts(TENSORS, schema)
    losses = read_json(METRICS / "losses.json", list[LossRecord])
    if len(losses) != manifest.n_epochs:
        raise console.InputError(
            f"{METRICS / 'losses.json'}: counts {len(losses)} epochs, and the checkpoint "
            f"{manifest.n_epochs}; run `dvc repro`"
        )
    with waiting("predicting"):
        by_replica = {name: checkpoint.predict_proba(part.features) for name, part in parts.items()}
    mean = {name: probabilities.mean(axis=0) for name, probabilities in by_replica.items()}
    val_labels, train = parts["val"].labels, parts["train"]
    if train.folds is not None:
        places, mean["val"] = out_of_fold(by_replica["train"], train.folds)
        val_labels = train.labels[places]
    n_allowed = manifest.recipe.epochs if manifest.recipe else None
    test = parts["test"]
    sample = Sample.of(test.labels, mean["test"], test.groups)
    confidence = params.evaluate.confidence
    with waiting("scoring"):
        test_scores = scores_with_bounds(sample, confidence)
        classes = class_table(sample, schema.classes, confidence)

    several = len(by_replica["test"]) > 1
    evaluation = Evaluation(
        test=test_scores,
        train=plain_scores(train.labels, mean["train"]),
        val=plain_scores(val_labels, mean["val"]),
        classes=classes,
        epochs=Epochs(
            trained=manifest.n_epochs,
            best=best_epoch(losses),
            still_falling=len(losses) == n_allowed and is_still_falling(losses),
        ),
        resolved=resolved_values(manifest.model, manifest.recipe),
        temperature=round(float(ensemble.temperature), 6),
        numerics=manifest.numerics,
        replicas=replica_scores(test.labels, by_replica["test"]) if several else None,
        unknown_categories=unknown_counts(test.features, schema.features),
        sampled=sampled,
    )

    predictions = Predictions.of(test, schema.classes, mean["test"])
    write_predictions(METRICS / "predictions.csv", predictions)
    with waiting("drawing"):
        write_figures(METRICS / "figures", Drawn(losses, predictions, schema.target))
    write_json(METRICS / "details.json", evaluation.model_dump(exclude_defaults=True))
    write_json(METRICS / "evaluation.json", evaluation.headline())
    console.say(f"scored {len(test.rows)} test rows; see {METRICS / 'evaluation.json'}")


if __name__ == "__main__":
    STAGE.run(main)
