"""The arithmetic that the machine does best: PyTorch's own functions, under the names of `exact`.

Its bits depend on the processor, the number of threads, the batch and the version of PyTorch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

add, multiply, log = torch.add, torch.mul, torch.log


def relu(x: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.relu(x) if mask is None else F.relu(x) * mask


def silu(x: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.silu(x) if mask is None else F.silu(x) * mask


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`inputs @ weight + bias`, see `vintage.network.exact.linear`."""
    return torch.bmm(inputs, weight) if bias is None else torch.baddbmm(bias, inputs, weight)


def mean_of(numbers: Tensor, dims: Sequence[int]) -> Tensor:
    """The means over some dimensions, which are kept: float64."""
    return numbers.mean(tuple(dims), keepdim=True, dtype=torch.float64)


def softmax(logits: Tensor) -> Tensor:
    """`[..., n_classes]` -> float64 probabilities."""
    # with the classes first, since PyTorch's softmax over a few numbers in a row is slow
    return logits.double().movedim(-1, 0).contiguous().softmax(0).movedim(0, -1)


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of each replica, see `vintage.network.exact.cross_entropy`."""
    # with the classes before the rows, it takes a kernel that works on many rows at once
    by_class, targets = logits.transpose(1, 2), labels.expand(len(logits), -1)
    losses = F.cross_entropy(by_class, targets, reduction="none")
    return (losses * weights.float()).sum(dim=1)
