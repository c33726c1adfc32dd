"""The training loop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from vintage.base.console import InputError
from vintage.base.losses import LossRecord
from vintage.base.machine import keep_freed_memory
from vintage.base.recipe import Recipe
from vintage.network import exact, workers
from vintage.network.draws import Step
from vintage.network.ensemble import Ensemble
from vintage.training.adamw import AdamW
from vintage.training.blocks import Batches, Blocks
from vintage.training.resume import Resume
from vintage.training.rows import Batch, Part, row_weights

OF_REPLICAS = ("learning_rate", "weight_decay", "patience")  # of a recipe: replicas have their own
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
                row = None if losses is None else losses[index].tolist()
                values[name] = None if row is None else _nine_digits(fmean(row))
                if n_replicas > 1:
                    values[f"{name}_std"] = None if row is None else _nine_digits(stdev(row))
            records.append(LossRecord.model_validate({"epoch": index + 1, **values}))
        return records


class _Trainer:
    """An ensemble with its loss and its optimizers."""

    def __init__(
        self, ensemble: Ensemble, recipes: Sequence[Recipe], class_weights: Tensor | None
    ) -> None:
        self.ensemble = ensemble
        self.class_weights = class_weights
        scales = ensemble.layers.scales()
        others = [p for p in ensemble.parameters() if all(p is not scale for scale in scales)]
        fused = ensemble.arithmetic is not exact
        rates = [recipe.learning_rate for recipe in recipes]
        decays = [recipe.weight_decay for recipe in recipes]
        self.optimizers = [AdamW(others, rates, decays, fused)]
        if scales:
            faster = [rate * SCALE_LEARNS_FASTER for rate in rates]
            self.optimizers.append(AdamW(scales, faster, [0] * len(faster), fused))

    def train_epoch(self, parts: Sequence[Part] | Batches, first_step: int) -> Tensor:
        """A step for each part; returns each replica's mean loss in them, float32 `[n]`."""
        n_replicas = self.ensemble.n_replicas
        if len(parts) == 1:
            return self._step(next(iter(parts)), first_step)
        total = torch.zeros(n_replicas, device=self.ensemble.temperature.device)
        if isinstance(parts, Batches):
            counts = parts.n_own().to(total.device).double()
        else:
            counts = torch.stack([part.n_own() for part in parts]).double()
        folds = torch.arange(n_replicas, device=total.device) % counts.shape[1]
        shares = (counts / counts.sum(dim=0)).float()[:, folds]
        for index, (part, share) in enumerate(zip(parts, shares, strict=True)):
            total += self._step(part, first_step + index) * share
        return total

    def _step(self, part: Part, number: int) -> Tensor:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        rows = workers.share(part.n_rows)
        batch = part.batch(self.ensemble.n_replicas, rows)
        logits = self.ensemble(batch.inputs, Step(number, rows.start))
        losses = self._losses(logits, part, rows, batch)
        losses.sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def losses(self, part: Part | Blocks) -> Tensor:
        """The mean loss of each replica, float32 `[n]`, without training."""
        if isinstance(part, Part):
            return self._losses_without_training(part)
        total = torch.zeros(self.ensemble.n_replicas, dtype=torch.float64)
        weight = 0.0
        for chunk in part.chunks():
            of_chunk = float(chunk.n_rows)
            if self.class_weights is not None:
                of_chunk = float(exact.sum_of(self.class_weights[0].double()[chunk.labels], [0]))
            total += self._losses_without_training(chunk).double().cpu() * of_chunk
            weight += of_chunk
        return (total / weight).float()

    @torch.no_grad()
    def _losses_without_training(self, part: Part) -> Tensor:
        rows = workers.share(part.n_rows)
        batch = part.batch(self.ensemble.n_replicas, rows)
        return self._losses(self.ensemble.predict_logits(batch.inputs), part, rows, batch)

    def _losses(self, logits: Tensor, part: Part, rows: slice, batch: Batch) -> Tensor:
        """The mean cross entropy of each replica, over its members as well."""
        labels = part.labels[part.places]
        of_folds = row_weights(labels, part.is_own, self.class_weights)[:, rows]
        weights = part.by_replica(of_folds, self.ensemble.n_replicas)
        n_members = len(logits) // self.ensemble.n_replicas
        return self.ensemble.arithmetic.cross_entropy(
            logits.reshape(self.ensemble.n_replicas, -1, logits.shape[2]),
            batch.labels.repeat(1, n_members),
            weights.repeat(1, n_members) * (1 / n_members),
        )


class _State:
    """All that changes in training, as tensors, so that it can be saved and continued."""

    def __init__(self, ensemble: Ensemble, recipe: Recipe, optimizers: Sequence[AdamW]) -> None:
        n_replicas = ensemble.n_replicas
        self.epoch = torch.zeros((), dtype=torch.int64)
        self.train_losses = torch.zeros(recipe.epochs, n_replicas)
        self.val_losses = torch.zeros(recipe.epochs, n_replicas)
        self.best_losses = torch.full((n_replicas,), torch.inf, dtype=torch.float64)
        self.best_epochs = torch.zeros(n_replicas, dtype=torch.int64)
        self.stopped = torch.zeros(n_replicas, dtype=torch.bool)
        self.weights = {name: w.detach() for name, w in ensemble.named_parameters()}
        self.best_weights = {name: weight.clone() for name, weight in self.weights.items()}
        self.optimizers = optimizers
        self.batch_order = torch.Generator().manual_seed(recipe.seed)

    def keep_best(self, losses: Tensor, patience: Tensor) -> None:
        """Keep the weights of replicas with their lowest loss; stop those out of patience."""
        improved = (losses < self.best_losses) & ~self.stopped
        self.best_losses[improved] = losses[improved]
        self.best_epochs[improved] = self.epoch
        for name, weight in self.weights.items():
            chosen = improved.to(weight.device)
            self.best_weights[name][chosen] = weight[chosen]
        self.stopped |= (patience > 0) & (self.epoch - self.best_epochs >= patience)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name, not copied but for the generator's state."""
        state = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        state |= {f"weights.{name}": weight for name, weight in self.weights.items()}
        state |= {f"best_weights.{name}": weight for name, weight in self.best_weights.items()}
        for index, optimizer in enumerate(self.optimizers):
            for name, value in optimizer.state().items():
                state[f"optimizer.{index}.{name}"] = value
        return state | {"batch_order": self.batch_order.get_state()}

    def restore(self, saved: dict[str, Tensor]) -> None:
        for name, value in self.tensors().items():
            value.copy_(saved[name])
        self.batch_order.set_state(saved["batch_order"])


def fit(
    ensemble: Ensemble,
    train: Part | Blocks,
    val: Part | Blocks | None,
    recipe: Recipe | Sequence[Recipe],
    class_weights: Tensor | None,
    resume: Resume | None = None,
    report: Report = lambda *_: None,
) -> History:
    """Train every replica and leave it with the weights of its best validation epoch.

    Full-batch or mini-batch Adam on the mean cross entropy of each replica; the replicas share the
    order of batches and nothing else. A replica that is out of patience goes on until all are, but
    nothing of it is kept any more. Each worker has its share of the rows of every step, and all end
    with the same weights and losses.

    In folds, a replica has few validation rows, and all together have many. So the epoch to keep is
    that of the lowest mean loss, the same one for all replicas of one patience. Without validation
    rows it is the last.

    What changes the result has no default, so that `vintage.training.pack` cannot forget it.

    Args:
        ensemble: changed in place.
        recipe: of all replicas, or of each: these may differ in `OF_REPLICAS`.
        train, val: on one device; None: there are no rows to validate by.
        class_weights: of the mean losses, float32 `[n_folds, n_classes]`; None counts all rows
            alike.
        resume: where the state is kept now and then, and found again after a crash; of several
            workers, only the first one's counts.
        report: called after every epoch with the epoch and the mean train and validation loss.

    Raises:
        InputError: the loss is no longer finite.
    """
    keep_freed_memory()
    n_replicas = ensemble.n_replicas
    recipes = [recipe] * n_replicas if isinstance(recipe, Recipe) else recipe
    recipe = recipes[0]
    patience = torch.tensor([recipe.patience for recipe in recipes])
    trainer = _Trainer(ensemble, recipes, class_weights)
    state = _State(ensemble, recipe, trainer.optimizers)
    if resume and (saved := resume.load(state.tensors())):
        state.restore(saved)
    if workers.size() > 1:
        tensors = state.tensors()
        workers.copy_from_first(tensors)
        state.restore(tensors)
    for index in range(int(state.epoch), recipe.epochs):
        if train.is_over(state.stopped):
            break
        parts = train.batches(recipe.batch_size, state.batch_order)
        losses = trainer.train_epoch(parts, index * len(parts))
        train_loss = _record(state.train_losses, index, losses)
        state.epoch += 1
        val_loss = None
        if val is not None:
            val_loss = _record(state.val_losses, index, trainer.losses(val))
            state.keep_best(val.judged(state.val_losses[index]), patience)
        report(index + 1, train_loss, val_loss)
        if resume:
            resume.save_now_and_then(state.tensors)
    n_epochs = int(state.epoch)
    if val is None:
        return History(state.train_losses[:n_epochs], None, torch.full((n_replicas,), n_epochs))
    for name, weight in state.weights.items():
        weight.copy_(state.best_weights[name])
    return History(state.train_losses[:n_epochs], state.val_losses[:n_epochs], state.best_epochs)


def _nine_digits(value: float) -> float:
    """As many digits as tell every float32 apart."""
    return float(f"{value:.9g}")


def _record(curves: Tensor, index: int, losses: Tensor) -> float:
    """Write the replicas' losses in an epoch into its row of `curves`; their mean."""
    curves[index] = losses
    mean = fmean(curves[index].tolist())
    if not math.isfinite(mean):
        raise InputError(
            f"the loss is no longer finite at epoch {index + 1}; lower train.learning_rate, or set "
            "model.normalize to standard"
        )
    return mean
