"""`losses.json`: the losses of every epoch."""

from typing import Annotated

from pydantic import Field

from vintage.base.files import Strict

Loss = Annotated[float, Field(ge=0, le=1e39)]  # the largest float32 is below 1e39


class LossRecord(Strict):
    """Mean loss of the replicas in an epoch, counted from 1, and its standard deviation.

    The train loss is that of the steps, with dropout and before each of them; the validation loss
    is measured after the last step, without dropout. It is None without validation rows, and a
    standard deviation is None with one replica.
    """

    epoch: Annotated[int, Field(ge=1, le=1_000_000)]
    train_loss: Loss
    val_loss: Loss | None
    train_loss_std: Loss | None = None
    val_loss_std: Loss | None = None
