"""Evaluate: checkpoint -> scores, predictions, figures.        python -m stages.evaluate

Reads   data/tensors/{train,val,test}.safetensors, data/checkpoint/, metrics/losses.json;
        params: evaluate.confidence, train.numerics, train.device
Writes  metrics/evaluation.json, metrics/details.json, metrics/predictions.csv, metrics/figures/
"""

from vintage.base.stage import Stage

STAGE = Stage("evaluate", follow_params=True)  # ahead of NumPy and PyTorch

from pathlib import Path

from vintage.base import console
from vintage.base.files import write_bytes, write_json
from vintage.base.losses import read_losses
from vintage.base.memory import keep_freed_memory
from vintage.base.params import load_params
from vintage.base.recipe import resolved_values
from vintage.base.tensors import read_examples, unknown_counts
from vintage.network.checkpoint import read_checkpoint
from vintage.network.ensemble import choose_device
from vintage.report import figures
from vintage.scores.curve import best_epoch, is_still_falling
from vintage.scores.evaluation import (
    Evaluation,
    class_table,
    plain_scores,
    replica_scores,
    scores_with_bounds,
)
from vintage.scores.predictions import Predictions, write_predictions
from vintage.table.twins import dependent_rows, seen_rows

TENSORS = Path("data/tensors")
CHECKPOINT = Path("data/checkpoint")
METRICS = Path("metrics")


def main() -> None:
    params = load_params()
    keep_freed_memory()

    device = choose_device(params.train.device, params.train.numerics)
    checkpoint = read_checkpoint(CHECKPOINT, device)
    ensemble, manifest, schema = checkpoint
    parts = {
        name: read_examples(TENSORS / f"{name}.safetensors", schema)
        for name in ("train", "val", "test")
    }
    losses = read_losses(METRICS / "losses.json")
    if len(losses) != manifest.n_epochs:
        raise console.InputError(
            f"{METRICS / 'losses.json'}: counts {len(losses)} epochs, and the checkpoint "
            f"{manifest.n_epochs}; run `dvc repro`"
        )
    by_replica = {name: checkpoint.predict_proba(part.features) for name, part in parts.items()}
    n_allowed = manifest.recipe.epochs if manifest.recipe else None
    test = parts["test"]
    groups = dependent_rows(test.features, test.groups, test.rows)
    seen = seen_rows(test.features, parts["train"].features, parts["val"].features)
    probabilities = by_replica["test"].mean(axis=0)

    details = {
        "test": scores_with_bounds(test.labels, probabilities, groups, params.evaluate.confidence),
        "train": plain_scores(parts["train"].labels, by_replica["train"].mean(axis=0)),
        "val": plain_scores(parts["val"].labels, by_replica["val"].mean(axis=0)),
        "classes": class_table(
            test.labels, probabilities, groups, schema.classes, params.evaluate.confidence
        ),
        "epochs": {
            "trained": manifest.n_epochs,
            "best": best_epoch(losses),
            "still_falling": len(losses) == n_allowed and is_still_falling(losses),
        },
        "resolved": resolved_values(manifest.model, manifest.recipe),
        "temperature": round(float(ensemble.temperature), 6),
        "numerics": STAGE.numerics,
    }
    if unknown := unknown_counts(test.features, schema.features):
        details["unknown_categories"] = unknown
    if len(by_replica["test"]) > 1:
        details["replicas"] = replica_scores(test.labels, by_replica["test"])

    predicted = probabilities.argmax(axis=1)
    drawn = {
        "losses.png": figures.training_curves(losses),
        "confusion.png": figures.confusion_matrix(
            test.labels, predicted, schema.classes, schema.target
        ),
        "calibration.png": figures.reliability_diagram(test.labels, probabilities),
    }
    write_predictions(
        METRICS / "predictions.csv",
        Predictions(schema.classes, test.rows, test.labels, probabilities, groups, test.ids, seen),
    )
    for name, figure in drawn.items():
        write_bytes(METRICS / "figures" / name, figures.png(figure))
    write_json(METRICS / "details.json", details)
    headline = Evaluation.model_validate(details).headline()
    write_json(METRICS / "evaluation.json", headline.model_dump())
    console.say(f"scored {len(test.rows)} test rows; see {METRICS / 'evaluation.json'}")


if __name__ == "__main__":
    STAGE.run(main)
