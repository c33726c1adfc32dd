"""How a training shows itself: a bar on a terminal, a line now and then elsewhere."""

import sys
from typing import Self

from tqdm import tqdm

from vintage.base.console import say

LINES = 10


class Progress:
    """Shows the losses of each epoch; use it as a context manager."""

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs
        self.bar = tqdm(total=n_epochs, unit="epoch", disable=not sys.stderr.isatty())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, epoch: int, train_loss: float, val_loss: float | None) -> None:
        losses = {"train_loss": f"{train_loss:.4f}"}
        if val_loss is not None:
            losses["val_loss"] = f"{val_loss:.4f}"
        self.bar.set_postfix(losses, refresh=False)
        self.bar.update(epoch - self.bar.n)
        if self.bar.disable and (epoch % max(1, self.n_epochs // LINES) == 0 or epoch == 1):
            shown = "  ".join(f"{name} {value}" for name, value in losses.items())
            say(f"epoch {epoch:>{len(str(self.n_epochs))}}/{self.n_epochs}  {shown}")
