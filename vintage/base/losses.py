"""`losses.json`: the loss of every epoch, and in words where its curve led."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vintage.base.files import Strict, read_json, write_json

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


def best_epoch(records: Sequence[LossRecord]) -> int | None:
    """The epoch with the lowest validation loss, mean over the replicas; the first of equal ones.

    None without validation rows. Each replica keeps the weights of its own lowest, which may be
    another epoch.
    """
    losses = [(r.val_loss, r.epoch) for r in records if r.val_loss is not None]
    return min(losses)[1] if losses else None


def curve_in_words(n_epochs: int, best: int | None, still_falling: bool) -> str:
    """Where the training led, and what to do where it ended too early.

    Args:
        n_epochs, still_falling: see `vintage.network.checkpoint.Manifest`.
        best: see `best_epoch`.
    """
    if best is None:
        return f"no validation rows; the weights are those of the last epoch, {n_epochs}"
    if still_falling:
        return (
            f"the validation loss was still falling at the last of {n_epochs} epochs; more of "
            "them, or less model.dropout or train.weight_decay, may gain"
        )
    return f"best epoch {best} of {n_epochs}, where the mean validation loss is lowest"
