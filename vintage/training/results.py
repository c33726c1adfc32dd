"""What a training leaves: the checkpoint, and the losses of every epoch."""

from collections.abc import Sequence
from pathlib import Path

from vintage.base.files import write_json
from vintage.base.numerics import Numerics
from vintage.base.tensors import Examples, PartFile, Schema, digest_of
from vintage.network.checkpoint import Manifest, write_checkpoint
from vintage.training.fit import History
from vintage.training.prepare import Training


def write_results(
    checkpoint: Path,
    losses: Path,
    training: Training,
    history: History,
    schema: Schema,
    rows: Sequence[Examples] | Sequence[PartFile],
    numerics: Numerics,
) -> None:
    """Write the folder `checkpoint` and the file `losses` of a training that has ended.

    Args:
        rows: that it was trained and validated on.
    """
    layers = training.ensemble.layers
    manifest = Manifest(
        model=layers.architecture,
        recipe=training.recipe,
        seeds=layers.seeds.tolist(),
        best_epochs=history.best_epochs.tolist(),
        n_epochs=len(history.train_losses),
        numerics=numerics,
        learned_rows=digest_of(*rows),
    )
    write_checkpoint(checkpoint, training.ensemble, manifest, schema)
    write_json(losses, [record.model_dump(exclude_unset=True) for record in history.records()])
