"""The training loop."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vintage.base.console import InputError
from vintage.base.losses import LossRecord
from vintage.base.machine import available_cores, keep_freed_memory
from vintage.base.recipe import Recipe
from vintage.network.dropout import CheapDropout
from vintage.network.ensemble import Ensemble
from vintage.training.adamw import FusedAdamW
from vintage.training.resume import ResumeFile

PART_REPLICAS = 8
SCALE_LEARNS_FASTER = 6  # as in pytabkit, the code of the source that `ReplicatedLinear` names

Report = Callable[[int, float, float | None], None]


@dataclass(frozen=True)
class History:
    """Losses per epoch and replica, float32 `[n_epochs, n_replicas]`.

    Attributes:
        val_losses: None without validation rows.
        best_epochs: int64 `[n_replicas]`, from 1: the epoch whose weights each replica kept.
    """

    train_losses: Tensor
    val_losses: Tensor | None
    best_epochs: Tensor

    def records(self) -> list[LossRecord]:
        """One record an epoch: the replicas' mean and, from two replicas on, their spread."""
        columns = {"train_loss": self.train_losses, "val_loss": self.val_losses}
        n_epochs, n_replicas = self.train_losses.shape
        records = []
        for index in range(n_epochs):
            values: dict[str, float | None] = {}
            for name, losses in columns.items():
                row = None if losses is None else losses[index].double().numpy()
                values[name] = None if row is None else _nine_digits(row.mean())
                if n_replicas > 1:
                    values[f"{name}_std"] = None if row is None else _nine_digits(row.std(ddof=1))
            records.append(LossRecord.model_validate({"epoch": index + 1, **values}))
        return records


class _Part:
    """Some of the replicas with their optimizer; shares its weights' memory with the ensemble."""

    def __init__(
        self,
        network: Ensemble,
        recipe: Recipe,
        class_weights: Tensor | None,
        first_seed: int,
    ) -> None:
        self.network = network
        self.class_weights = class_weights
        self.ended = False
        scales = network.layers.scales()
        others = [p for p in network.parameters() if all(p is not scale for scale in scales)]
        self.optimizers = [FusedAdamW(others, recipe.learning_rate, recipe.weight_decay)]
        if scales:
            rate = recipe.learning_rate * SCALE_LEARNS_FASTER
            self.optimizers.append(FusedAdamW(scales, rate, weight_decay=0))
        self.dropouts = [m for m in network.modules() if isinstance(m, CheapDropout)]
        for index, dropout in enumerate(self.dropouts):
            dropout.generator.manual_seed(first_seed * 64 + index)

    def train_epoch(self, inputs: Tensor, labels: Tensor, batches: Sequence[Tensor]) -> Tensor:
        """One pass over the batches, or one step on all rows if there are none.

        Returns:
            The mean loss of each replica in the steps, float32 `[n]`.
        """
        if not self.network.training:  # to ask costs less than to set it in every module
            self.network.train()
        if not batches:
            return self._step(inputs, labels)
        total = torch.zeros(self.network.n_replicas, device=inputs.device)
        for rows in batches:
            if self.ended:
                break
            # a quarter of the time that inputs[rows] takes
            batch = inputs.index_select(0, rows), labels.index_select(0, rows)
            total += self._step(*batch) * len(rows)
        return total / len(labels)

    def _step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        members = replica_losses(self.network(inputs), labels, self.class_weights)
        losses = members.view(self.network.n_replicas, -1).mean(dim=1)
        losses.sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of each replica, float32 `[n]`, without training."""
        return replica_losses(self.network.predict_logits(inputs), labels, self.class_weights)


class _Progress:
    """All that changes in training, as tensors, so that it can be saved and continued."""

    def __init__(
        self,
        ensemble: Ensemble,
        recipe: Recipe,
        class_weights: Tensor | None,
    ) -> None:
        n_replicas = ensemble.n_replicas
        self.epoch = torch.zeros((), dtype=torch.int64)
        self.train_losses = torch.zeros(recipe.epochs, n_replicas)
        self.val_losses = torch.zeros(recipe.epochs, n_replicas)
        self.best_losses = torch.full((n_replicas,), torch.inf)
        self.best_epochs = torch.zeros(n_replicas, dtype=torch.int64)
        self.stopped = torch.zeros(n_replicas, dtype=torch.bool)
        self.weights = {name: w.detach() for name, w in ensemble.named_parameters()}
        self.best_weights = {name: weight.clone() for name, weight in self.weights.items()}
        self.parts = [
            _Part(part, recipe, class_weights, recipe.seed + index * PART_REPLICAS)
            for index, part in enumerate(ensemble.parts(PART_REPLICAS))
        ]
        self.batch_order = torch.Generator().manual_seed(recipe.seed)

    def keep_best(self, losses: Tensor, patience: int) -> None:
        """Keep the weights of replicas with their lowest loss; stop those out of patience."""
        improved = (losses < self.best_losses) & ~self.stopped
        self.best_losses[improved] = losses[improved]
        self.best_epochs[improved] = self.epoch
        for name, weight in self.weights.items():
            chosen = improved.to(weight.device)
            self.best_weights[name][chosen] = weight[chosen]
        if patience:
            self.stopped |= self.epoch - self.best_epochs >= patience

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the state by name, not copied but for the generators' states."""
        state = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        state |= {f"weights.{name}": weight for name, weight in self.weights.items()}
        state |= {f"best_weights.{name}": weight for name, weight in self.best_weights.items()}
        for index, part in enumerate(self.parts):
            for which, optimizer in enumerate(part.optimizers):
                for name, value in optimizer.state().items():
                    state[f"part.{index}.{which}.{name}"] = value
        return state | {name: g.get_state() for name, g in self._generators().items()}

    def restore(self, saved: dict[str, Tensor]) -> None:
        for name, value in self.state().items():
            value.copy_(saved[name])
        for name, generator in self._generators().items():
            generator.set_state(saved[name])

    def _generators(self) -> dict[str, torch.Generator]:
        dropouts = (dropout for part in self.parts for dropout in part.dropouts)
        named = {f"generator.dropout.{i}": d.generator for i, d in enumerate(dropouts)}
        return {"generator.batch_order": self.batch_order, **named}


def fit(
    ensemble: Ensemble,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    recipe: Recipe,
    class_weights: Tensor | None = None,
    resume: ResumeFile | None = None,
    report: Report = lambda *_: None,
) -> History:
    """Train every replica and leave it with the weights of its best validation epoch.

    Without validation rows the last epoch counts. Full-batch or mini-batch Adam on the mean cross
    entropy of each replica; the replicas share the order of batches and nothing else. They are
    trained in parts of a fixed size, so that a part fits a core's cache, and a thread takes a part
    at a time: how many threads there are makes no difference to the result. A replica that is out
    of patience goes on with its part until all are, but nothing of it is kept any more.

    Args:
        ensemble: changed in place.
        train, val: encoded rows float32 `[n, n_inputs]` and labels int64 `[n]`, on one device.
        class_weights: of the mean losses, float32 `[n_classes]`; None counts all rows alike.
        resume: where the state is kept now and then, and found again after a crash.
        report: called after every epoch with the epoch and the mean train and validation loss.

    Raises:
        InputError: the loss is no longer finite.
    """
    keep_freed_memory()
    progress = _Progress(ensemble, recipe, class_weights)
    if resume and (saved := resume.load(progress.state())):
        progress.restore(saved)
    has_val = len(val[1]) > 0
    with _threads(progress.parts) as run:
        for index in range(int(progress.epoch), recipe.epochs):
            if bool(progress.stopped.all()):
                break
            batches = _batches(train[1], recipe.batch_size, progress.batch_order)
            losses = run(lambda part: part.train_epoch(*train, batches), progress.parts)  # noqa: B023
            train_loss = _record(progress.train_losses, index, losses)
            progress.epoch += 1
            val_loss = None
            if has_val:
                losses = run(lambda part: part.losses(*val), progress.parts)
                val_loss = _record(progress.val_losses, index, losses)
                progress.keep_best(progress.val_losses[index], recipe.patience)
            report(index + 1, train_loss, val_loss)
            if resume:
                resume.save_now_and_then(progress.state)
    n_epochs = int(progress.epoch)
    if not has_val:
        best_epochs = torch.full((ensemble.n_replicas,), n_epochs)
        return History(progress.train_losses[:n_epochs], None, best_epochs)
    for name, weight in progress.weights.items():
        weight.copy_(progress.best_weights[name])
    return History(
        progress.train_losses[:n_epochs], progress.val_losses[:n_epochs], progress.best_epochs
    )


@contextlib.contextmanager
def _threads(parts: Sequence[_Part]) -> Iterator[Any]:
    """A `map` with threads. A signal ends them after their batch: an epoch can take minutes."""
    with ThreadPoolExecutor(_n_threads(len(parts))) as threads:
        try:
            yield map if len(parts) == 1 else threads.map
        except BaseException:
            for part in parts:
                part.ended = True
            raise


def replica_losses(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy of each replica, float32 `[n_replicas]`.

    Args:
        logits: `[n_replicas, n, n_classes]`.
        labels: `[n]`.
        class_weights: `[n_classes]`, for a weighted mean.
    """
    # with the classes before the rows, it takes a kernel that works on many rows at once
    by_class, targets = logits.transpose(1, 2), labels.expand(len(logits), -1)
    losses = F.cross_entropy(by_class, targets, reduction="none")
    if class_weights is None:
        return losses.mean(dim=1)
    weights = class_weights[labels]
    return (losses * (weights / weights.sum())).sum(dim=1)


def balanced_weights(labels: Tensor, n_classes: int) -> Tensor:
    """Weights that give every class the same share: float32 `[n_classes]`, 1 in the mean row.

    Args:
        labels: of the train rows, int64 `[n]`; every class is there.
    """
    counts = labels.bincount(minlength=n_classes)
    return (len(labels) / (n_classes * counts)).float()


def _batches(labels: Tensor, size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """The rows of each step of an epoch, in a random order; none if a step takes all rows."""
    if size >= len(labels):
        return ()
    return torch.randperm(len(labels), generator=generator).to(labels.device).split(size)


def _n_threads(n_parts: int) -> int:
    """A thread for each part and core; one where PyTorch uses the cores by itself."""
    if torch.get_num_threads() > 1:
        return 1
    return min(n_parts, available_cores())


def _nine_digits(value: float) -> float:
    """As many digits as tell every float32 apart."""
    return float(f"{value:.9g}")


def _record(curves: Tensor, index: int, losses: Iterable[Tensor]) -> float:
    """Write the parts' losses in an epoch into its row of `curves`; their mean."""
    curves[index] = torch.cat(list(losses))
    mean = float(curves[index].mean())
    if not math.isfinite(mean):
        raise InputError(
            f"the loss is no longer finite at epoch {index + 1}; lower train.learning_rate, or set "
            "model.normalize to standard"
        )
    return mean
