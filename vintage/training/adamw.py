"""AdamW through PyTorch's own fused kernel.

`torch.optim.AdamW` would do the same to the bit, but its first call imports `torch._dynamo`, which
takes longer than training small networks does. The functional form does not.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


class FusedAdamW:
    """Adam with decoupled weight decay; with `weight_decay` 0 it is Adam.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019. The fused
    kernel is also the one that gives equal bits on every CPU.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
    ) -> None:
        self.params = list(params)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.exp_avgs = [torch.zeros_like(param) for param in self.params]
        self.exp_avg_sqs = [torch.zeros_like(param) for param in self.params]
        self.steps = [torch.zeros((), device=param.device) for param in self.params]

    def zero_grad(self) -> None:
        for param in self.params:
            param.grad = None

    @torch.no_grad()
    def step(self) -> None:
        grads = [param.grad for param in self.params if param.grad is not None]
        adamw(
            list(self.params),
            grads,
            self.exp_avgs,
            self.exp_avg_sqs,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """The tensors that a later `step` depends on, by name, and not copied."""
        named = {"exp_avg": self.exp_avgs, "exp_avg_sq": self.exp_avg_sqs, "step": self.steps}
        return {
            f"{name}.{index}": tensor
            for name, tensors in named.items()
            for index, tensor in enumerate(tensors)
        }
