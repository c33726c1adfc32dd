"""The plain recipe by exact arithmetic, and by a plain loop in float32, seed by seed.

    python -m benchmarks.plain_loop                 20 seeds, in a minute on two cores
    python -m benchmarks.plain_loop --seeds 160

A rounding error can grow: where a gradient is as small as Adam's epsilon, its last digits decide
how far a weight moves. So no arithmetic keeps to the plain loop for every seed, not even the same
loop with its rows in another order. Prints, for each size of the network, the largest relative
difference of the train loss from the plain loop within 50 epochs: its median over the seeds, and
how many seeds have one above 1e-5; and the largest difference at epoch 100.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from benchmarks.numeric import numeric_schema, plain_network
from tests.conftest import WINE
from vintage.base.recipe import Recipe
from vintage.network.ensemble import build_ensemble
from vintage.training.fit import fit
from vintage.training.rows import Part

Losses = npt.NDArray[np.float64]

SIZES = ([64, 32], [16])
N_EPOCHS, N_EARLY = 100, 50
LEARNING_RATE = 0.01
LIMIT = 1e-5
N_ORDERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="from 1 on")
    seeds = range(1, parser.parse_args().seeds + 1)
    inputs, labels, _ = wine()
    print("| hidden | beside the plain loop | median | above 1e-5 | epoch 100 |")
    print("|---|---|---|---|---|")
    for hidden in SIZES:
        expected = [plain_loop(inputs, labels, hidden, seed) for seed in seeds]
        found = {"exact arithmetic": exact_loops(inputs, labels, hidden, seeds)}
        for index in range(N_ORDERS):
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(index))
            found[f"the rows in order {index + 1}"] = [
                plain_loop(inputs[order], labels[order], hidden, seed) for seed in seeds
            ]
        found["float64"] = [plain_loop(inputs.double(), labels, hidden, seed) for seed in seeds]
        for name, losses in found.items():
            early, late = differences(losses, expected)
            n_above = int((early > LIMIT).sum())
            cells = f"{np.median(early):.1e} | {n_above} of {len(early)} | {late.max():.1e}"
            print(f"| {hidden} | {name} | {cells} |", flush=True)


def wine() -> tuple[Tensor, Tensor, list[int]]:
    """The train rows: features float32 `[n, 11]`, labels int64 `[n]`, places in the table."""
    table = pd.read_csv(WINE)
    features, labels = table.drop(columns="quality"), table["quality"].astype("category").cat.codes
    features, _, labels, _ = train_test_split(features, labels, test_size=0.2, random_state=42)
    rows = sorted(features.index.tolist())
    inputs = torch.tensor(features.to_numpy(), dtype=torch.float32)
    return inputs, torch.tensor(labels.to_numpy()).long(), rows


def plain_loop(inputs: Tensor, labels: Tensor, hidden: Sequence[int], seed: int) -> Losses:
    """The losses of each epoch, with nothing of this project."""
    widths = [inputs.shape[1], *hidden]
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], int(labels.max()) + 1))
    torch.manual_seed(seed)
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    model.to(inputs.dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(N_EPOCHS):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def exact_loops(
    inputs: Tensor, labels: Tensor, hidden: Sequence[int], seeds: Sequence[int]
) -> list[Losses]:
    """The losses of each seed and epoch by this project, all seeds at once."""
    schema = numeric_schema(inputs.shape[1], int(labels.max()) + 1)
    recipe = Recipe(
        seed=0,
        epochs=N_EPOCHS,
        batch_size=len(labels),
        learning_rate=LEARNING_RATE,
        weight_decay=0,
        patience=0,
    )
    ensemble = build_ensemble(plain_network(hidden=list(hidden)), schema, seeds, inputs.numpy())
    rows = ensemble.encode(inputs), labels
    history = fit(ensemble, Part.of_all(*rows), None, recipe, None)
    return list(history.train_losses.T.double().numpy())


def differences(losses: Sequence[Losses], expected: Sequence[Losses]) -> tuple[Losses, Losses]:
    """Of each seed the largest relative difference within 50 epochs, and that of epoch 100."""
    ratios = np.abs(np.array(losses) / np.array(expected) - 1)
    return ratios[:, :N_EARLY].max(axis=1), ratios[:, -1]


if __name__ == "__main__":
    main()
