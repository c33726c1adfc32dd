"""`losses.json`: the loss of every epoch, and in words where its curve led."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from vintage.files import Strict, read_json, write_json

Loss = Annotated[float, Field(ge=0, le=1e39)]  # the largest float32 is below 1e39


class LossRecord(Strict):
    """Mean loss of the replicas in an epoch, counted from 1, and its standard deviation.

    The train loss is that of the steps, with dropout and before each of them; the validation loss
    is measured after the last step, without dropout.

    The validation loss is None without validation rows, a standard deviation of one replica, too.
    """

    epoch: Annotated[int, Field(ge=1, le=1_000_000)]
    train_loss: Loss
    val_loss: Loss | None
    train_loss_std: Loss | None = None
    val_loss_std: Loss | None = None


def write_losses(path: Path, records: list[LossRecord]) -> None:
    write_json(path, [record.model_dump(exclude_unset=True) for record in records])


def read_losses(path: Path) -> list[LossRecord]:
    """Read what `write_losses` wrote; InputError if it is missing or anything else."""
    return read_json(path, list[LossRecord])


def curve_in_words(
    has_val: bool, n_epochs: int, settled: int | None, still_falling: bool, last_kept: int
) -> str:
    """Where the loss that decides led, and what to do where the training ended too early.

    Args:
        has_val: whether there are validation rows; without them the train loss decides.
        n_epochs, settled, still_falling: see `vintage.checkpoint.Manifest`.
        last_kept: the latest of the replicas' best epochs.
    """
    if still_falling:
        return (
            f"the validation loss was still falling at the last of {n_epochs} epochs; more of "
            "them, or less model.dropout or train.weight_decay, may gain"
        )
    loss = "the validation loss" if has_val else "the train loss"
    if settled is None:
        went = f"{loss} had settled, but rose again before the last of {n_epochs} epochs"
    else:
        went = f"{loss} settled at epoch {settled} of {n_epochs}"
    return f"{went}; the latest weights that a replica kept are of epoch {last_kept}"
