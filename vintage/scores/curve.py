"""What the losses by epoch tell of a training."""

import math
from collections.abc import Sequence

from vintage.base.losses import LossRecord

LAST_PART = 0.1  # of the epochs
LOWERED = 0.02  # of the lowest loss


def best_epoch(records: Sequence[LossRecord]) -> int | None:
    """The epoch with the lowest validation loss, mean over the replicas; the first of equal ones.

    None without validation rows. Each replica keeps the weights of its own lowest, which may be
    another epoch.
    """
    losses = [(r.val_loss, r.epoch) for r in records if r.val_loss is not None]
    return min(losses)[1] if losses else None


def is_still_falling(records: Sequence[LossRecord]) -> bool:
    """Whether the last tenth of the epochs lowered the lowest validation loss by more than 2 %."""
    losses = [record.val_loss for record in records if record.val_loss is not None]
    n_before = len(losses) - math.ceil(LAST_PART * len(losses))
    return n_before > 0 and min(losses[:n_before]) > min(losses) * (1 + LOWERED)
