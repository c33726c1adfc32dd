"""Vintage and its peers: each trains on the same `Work`, in the way that its users would."""

import warnings
from collections.abc import Iterator
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.numeric import numeric_schema, plain_network
from benchmarks.peers.work import SEED, Floats, Predict, Work
from vintage.base.recipe import Recipe
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import build_ensemble
from vintage.training.fit import fit
from vintage.training.rows import Part


def vintage(work: Work) -> Predict:
    """`fit` of one replica, as the train stage calls it, without validation rows."""
    recipe = Recipe(
        seed=SEED,
        epochs=work.epochs,
        batch_size=work.batch_size,
        learning_rate=work.learning_rate,
        weight_decay=0.0,
        patience=0,
    )
    features, labels = tensors(work)
    schema = numeric_schema(work.widths[0], work.widths[-1])
    few = work.features[:2]  # the rows are normalised already: nothing is to be fitted on them
    network, arithmetic = plain_network(hidden=list(work.hidden)), ARITHMETIC[work.numerics]
    ensemble = build_ensemble(network, schema, [SEED], few, arithmetic)
    fit(ensemble, Part.of_all(features, labels), None, recipe, None)
    return lambda rows: ensemble.predict_proba(rows).mean(axis=0)


def bare_loop(work: Work) -> Predict:
    """The fewest lines of PyTorch: tensors, and a permutation where there are batches."""
    network, optimizer = network_and_optimizer(work)
    loss_function = nn.CrossEntropyLoss()
    losses = []
    for _ in range(work.epochs):
        for features, labels in batches_of(*tensors(work), work.batch_size):
            optimizer.zero_grad()
            loss = loss_function(network(features), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return predictor(network)


def batches_of(features: Tensor, labels: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    if size >= len(labels):
        yield features, labels
        return
    for rows in torch.randperm(len(labels)).split(size):
        yield features[rows], labels[rows]


def data_loader(work: Work) -> Predict:
    """The loop of PyTorch's tutorials: a DataLoader of a TensorDataset."""
    network, optimizer = network_and_optimizer(work)
    loss_function = nn.CrossEntropyLoss()
    loader = loader_of(work)
    for _ in range(work.epochs):
        for features, labels in loader:
            optimizer.zero_grad()
            loss = loss_function(network(features), labels)
            loss.backward()
            optimizer.step()
    return predictor(network)


def skorch(work: Work) -> Predict:
    classifier: Any = NeuralNetClassifier(
        work.network(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=work.learning_rate,
        max_epochs=work.epochs,
        batch_size=work.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    classifier.fit(work.features, work.labels)
    return classifier.predict_proba


class LightningNetwork(lightning.LightningModule):  # type: ignore[misc]
    def __init__(self, work: Work) -> None:
        super().__init__()
        self.network = work.network()
        self.learning_rate = work.learning_rate

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        features, labels = batch
        return F.cross_entropy(self.network(features), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, fused=True)


def lightning_trainer(work: Work) -> Predict:
    module = LightningNetwork(work)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=work.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader_of(work))
    return predictor(module.network)


def scikit_learn(work: Work) -> Predict:
    """It draws other initial weights, and always trains for the epochs that it is given."""
    classifier: Any = MLPClassifier(
        hidden_layer_sizes=work.hidden,
        alpha=0.0,
        learning_rate_init=work.learning_rate,
        batch_size=min(work.batch_size, len(work.labels)),
        max_iter=work.epochs,
        n_iter_no_change=work.epochs,
        random_state=SEED,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        classifier.fit(work.features, work.labels)
    return classifier.predict_proba


CONTESTANTS = {
    "Vintage": vintage,
    "bare PyTorch loop": bare_loop,
    "DataLoader loop": data_loader,
    "skorch": skorch,
    "lightning": lightning_trainer,
    "scikit-learn MLPClassifier": scikit_learn,
}


def tensors(work: Work) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(work.features), torch.from_numpy(work.labels)


def network_and_optimizer(work: Work) -> tuple[nn.Sequential, torch.optim.Optimizer]:
    network = work.network()
    return network, torch.optim.Adam(network.parameters(), lr=work.learning_rate, fused=True)


def loader_of(work: Work) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*tensors(work)), work.batch_size, shuffle=True)


def predictor(network: nn.Module) -> Predict:
    @torch.no_grad()
    def predict(rows: Floats) -> Any:
        return network(torch.from_numpy(rows)).double().softmax(dim=1).numpy()

    return predict
