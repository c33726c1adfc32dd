"""The arithmetic that the machine does best: PyTorch's own functions, under the names of `exact`.

Its bits depend on the processor, the number of threads and workers, the batch and the version of
PyTorch.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vintage.network import workers

log = torch.log


class _ForRows(torch.autograd.Function):
    """What the rows of all workers share: the gradient is the sum of those of all."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        return tuple(workers.sums_of_all(grads))


class _OverRows(torch.autograd.Function):
    """The sum of what each worker has of its own rows; the gradient goes to each."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:  # noqa: ARG004
        return workers.sums_of_all([sums])[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        return grads[0]


def _for_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    if workers.size() == 1:
        return tensors
    shared: tuple[Tensor, ...] = _ForRows.apply(*tensors)  # type: ignore[no-untyped-call]
    return shared


def add(left: Tensor, right: Tensor, to_rows: bool = False) -> Tensor:
    return left + (_for_rows(right)[0] if to_rows else right)


def multiply(left: Tensor, right: Tensor, to_rows: bool = False) -> Tensor:
    return left * (_for_rows(right)[0] if to_rows else right)


def relu(x: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.relu(x) if mask is None else F.relu(x) * mask


def silu(x: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.silu(x) if mask is None else F.silu(x) * mask


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`inputs @ weight + bias`, see `vintage.network.exact.linear`."""
    if bias is None:
        return torch.bmm(inputs, *_for_rows(weight))
    weight, bias = _for_rows(weight, bias)
    return torch.baddbmm(bias, inputs, weight)


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
    own = (losses * weights.float()).sum(dim=1)
    of_all: Tensor = _OverRows.apply(own)  # type: ignore[no-untyped-call]
    return of_all
