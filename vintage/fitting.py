"""The training loop, and what its curves say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vintage.adamw import FusedAdamW
from vintage.console import InputError
from vintage.losses import LossRecord
from vintage.network import Ensemble
from vintage.params import TrainParams
from vintage.resume import ResumeFile

FULL_BATCH_ROWS = 10_000
AUTO_BATCH_SIZE = 1_024
SETTLED_WITHIN = 0.02
TEMPERATURES = 201

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


class _Progress:
    """All that changes in training, as tensors, so that it can be saved and continued."""

    def __init__(self, ensemble: Ensemble, optimizer: FusedAdamW, params: TrainParams) -> None:
        n_replicas = ensemble.n_replicas
        self.epoch = torch.zeros((), dtype=torch.int64)
        self.train_losses = torch.zeros(params.epochs, n_replicas)
        self.val_losses = torch.zeros(params.epochs, n_replicas)
        self.best_losses = torch.full((n_replicas,), torch.inf)
        self.best_epochs = torch.zeros(n_replicas, dtype=torch.int64)
        self.stopped = torch.zeros(n_replicas, dtype=torch.bool)
        self.weights = dict(ensemble.named_parameters())
        self.best_weights = {name: w.detach().clone() for name, w in self.weights.items()}
        self.on_cuda = ensemble.mean.is_cuda
        self.optimizer = optimizer
        self.batch_order = torch.Generator().manual_seed(params.seed)
        torch.manual_seed(params.seed)  # of dropout

    def keep_best(self, losses: Tensor, patience: int) -> None:
        """Keep the weights of replicas with their lowest loss; stop those out of patience."""
        improved = (losses < self.best_losses) & ~self.stopped
        self.best_losses[improved] = losses[improved]
        self.best_epochs[improved] = self.epoch
        chosen = improved.to(next(iter(self.weights.values())).device)
        for name, weight in self.weights.items():
            self.best_weights[name][chosen] = weight.detach()[chosen]
        if patience:
            self.stopped |= self.epoch - self.best_epochs >= patience

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the state by name, the generators' included; a copy of the latter."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return {
            **own,
            **{f"weights.{name}": weight.detach() for name, weight in self.weights.items()},
            **{f"best_weights.{name}": weight for name, weight in self.best_weights.items()},
            **{f"optimizer.{name}": value for name, value in self.optimizer.state().items()},
            "generator.batch_order": self.batch_order.get_state(),
            "generator.dropout": torch.get_rng_state(),
            **({"generator.cuda": torch.cuda.get_rng_state()} if self.on_cuda else {}),
        }

    def restore(self, saved: dict[str, Tensor]) -> None:
        for name, value in self.state().items():
            value.copy_(saved[name])
        self.batch_order.set_state(saved["generator.batch_order"])
        torch.set_rng_state(saved["generator.dropout"])
        if self.on_cuda:
            torch.cuda.set_rng_state(saved["generator.cuda"])


def fit(
    ensemble: Ensemble,
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    params: TrainParams,
    resume: ResumeFile | None = None,
    report: Report = lambda *_: None,
) -> History:
    """Train every replica and leave it with the weights of its best validation epoch.

    Without validation rows the last epoch counts. Full-batch or mini-batch Adam on the mean cross
    entropy of each replica; the replicas share the order of batches and nothing else.

    Args:
        ensemble: changed in place.
        train, val: features float32 `[n, n_features]` and labels int64 `[n]`, on one device.
        resume: where the state is kept now and then, and found again after a crash.
        report: called after every epoch with the epoch and the mean train and validation loss.

    Raises:
        InputError: the loss is no longer finite.
    """
    features, labels = train
    size = batch_size(params, len(features))
    optimizer = FusedAdamW(ensemble.parameters(), params.learning_rate, params.weight_decay)
    progress = _Progress(ensemble, optimizer, params)
    if resume and (saved := resume.load(progress.state())):
        progress.restore(saved)
    while progress.epoch < params.epochs and not bool(progress.stopped.all()):
        index = int(progress.epoch)
        total = torch.zeros(ensemble.n_replicas, device=features.device)
        ensemble.train()
        for batch_features, batch_labels in _batches(features, labels, size, progress.batch_order):
            optimizer.zero_grad()
            losses = replica_losses(ensemble(batch_features), batch_labels)
            losses.sum().backward()
            optimizer.step()
            total += losses.detach() * len(batch_labels)
        progress.epoch += 1
        progress.train_losses[index] = total / len(labels)
        _check_finite(progress.train_losses[index], index + 1)
        if len(val[1]):
            val_losses = replica_losses(ensemble.predict_logits(val[0]), val[1])
            progress.val_losses[index] = val_losses
            progress.keep_best(progress.val_losses[index], params.patience)
        report(
            index + 1,
            float(progress.train_losses[index].mean()),
            float(progress.val_losses[index].mean()) if len(val[1]) else None,
        )
        if resume:
            resume.save_now_and_then(progress.state)
    n_epochs = int(progress.epoch)
    if not len(val[1]):
        best_epochs = torch.full((ensemble.n_replicas,), n_epochs)
        return History(progress.train_losses[:n_epochs], None, best_epochs)
    with torch.no_grad():
        for name, weight in ensemble.named_parameters():
            weight.copy_(progress.best_weights[name])
    return History(
        progress.train_losses[:n_epochs], progress.val_losses[:n_epochs], progress.best_epochs
    )


def replica_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of each replica: `[n_replicas, n, n_classes]`, `[n]` -> `[n_replicas]`."""
    loss = nn.CrossEntropyLoss(reduction="none")
    losses: Tensor = loss(logits.flatten(0, 1), labels.repeat(len(logits)))
    return losses.view(len(logits), -1).mean(dim=1)


def batch_size(params: TrainParams, n_rows: int) -> int:
    """Rows per step: `auto` takes all rows up to 10,000, and 1,024 beyond."""
    if params.batch_size != "auto":
        return min(params.batch_size, n_rows)
    return n_rows if n_rows <= FULL_BATCH_ROWS else AUTO_BATCH_SIZE


def settled_epoch(losses: Tensor) -> int | None:
    """The first epoch, from 1, from which a curve `[n_epochs]` stays within 2 % of its lowest.

    None if the last epoch is not: the loss has risen again.
    """
    outside = (losses > losses.min() * (1 + SETTLED_WITHIN)).nonzero()
    epoch = int(outside[-1]) + 2 if len(outside) else 1
    return epoch if epoch <= len(losses) else None


def loss_records(history: History) -> list[LossRecord]:
    """One record an epoch: the replicas' mean and, from two replicas on, their spread."""
    columns = {"train_loss": history.train_losses, "val_loss": history.val_losses}
    records = []
    for index in range(len(history.train_losses)):
        values: dict[str, float | None] = {}
        for name, losses in columns.items():
            row = None if losses is None else losses[index].double().numpy()
            values[name] = None if row is None else _nine_digits(row.mean())
            if history.train_losses.shape[1] > 1:
                values[f"{name}_std"] = None if row is None else _nine_digits(row.std(ddof=1))
        records.append(LossRecord.model_validate({"epoch": index + 1, **values}))
    return records


def fit_temperature(ensemble: Ensemble, features: Tensor, labels: Tensor) -> float:
    """Set the temperature with the lowest log loss of the mean prediction, from 1/4 to 4.

    It stays 1 where no other is better. Source: Guo, Pleiss, Sun and Weinberger, On Calibration
    of Modern Neural Networks, ICML 2017.

    Args:
        features, labels: the validation rows, float32 `[n, n_features]` and int64 `[n]`.
    """
    logits = ensemble.predict_logits(features).double()
    # powers of two at even distances; the middle one is exactly 1
    exponents = [4 * index / (TEMPERATURES - 1) - 2 for index in range(TEMPERATURES)]

    def log_loss(temperature: float) -> float:
        probabilities = (logits / temperature).softmax(dim=-1).mean(dim=0)
        actual = probabilities.gather(1, labels[:, None]).clamp_min(1e-300)
        return float(-actual.log().mean())

    best = min((log_loss(2.0**e), abs(e), 2.0**e) for e in exponents)[2]
    ensemble.temperature.fill_(best)
    return best


def _batches(
    features: Tensor, labels: Tensor, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    if size >= len(features):
        yield features, labels
        return
    order = torch.randperm(len(features), generator=generator).to(features.device)
    for rows in order.split(size):
        yield features[rows], labels[rows]


def _nine_digits(value: float) -> float:
    """As many digits as tell every float32 apart."""
    return float(f"{value:.9g}")


def _check_finite(losses: Tensor, epoch: int) -> None:
    if not bool(losses.isfinite().all()):
        raise InputError(
            f"the loss is no longer finite at epoch {epoch}; lower train.learning_rate, or set "
            "model.normalize to standard"
        )
