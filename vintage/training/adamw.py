"""AdamW, one plain operation after another, or by PyTorch's fused kernel."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from vintage.network.exact import sqrt

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """Adam with decoupled weight decay; with `weight_decay` 0 it is Adam.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019. It is not
    `torch.optim.AdamW`, whose kernels may or may not round between a multiplication and an
    addition, and whose first call imports `torch._dynamo`, which takes longer than training small
    networks does.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        fused: bool = False,
    ) -> None:
        """Args:
        params: each `[n_replicas, ...]`.
        learning_rates, weight_decays: of each replica.
        fused: by the kernel, whose bits depend on the processor, if all replicas have the same.
        """
        self.params = list(params)
        self.learning_rates = torch.tensor(learning_rates, dtype=torch.float64)
        self.weight_decays = torch.tensor(weight_decays, dtype=torch.float64)
        self.fused = fused and len(set(zip(learning_rates, weight_decays, strict=True))) == 1
        self.exp_avgs = [torch.zeros_like(param) for param in self.params]
        self.exp_avg_sqs = [torch.zeros_like(param) for param in self.params]
        self.steps = [torch.zeros((), device=param.device) for param in self.params]
        # of the betas, multiplied up: a power function is not the same everywhere
        self.powers = torch.ones(2, dtype=torch.float64)

    def zero_grad(self) -> None:
        for param in self.params:
            param.grad = None

    @torch.no_grad()
    def step(self) -> None:
        grads = [param.grad for param in self.params if param.grad is not None]
        if self.fused:
            self._step_by_kernel(grads)
            return
        self.powers *= torch.tensor([BETA_1, BETA_2], dtype=torch.float64)
        rest_1, rest_2 = (1 - self.powers).tolist()
        kept = (1 - self.learning_rates * self.weight_decays).float()
        rates = (self.learning_rates / rest_1).float()
        for param, grad, mean, square in zip(
            self.params, grads, self.exp_avgs, self.exp_avg_sqs, strict=True
        ):
            of_replica = (-1, *(1,) * (param.dim() - 1))
            param.mul_(kept.to(param.device).view(of_replica))
            mean.mul_(BETA_1).add_(grad * (1 - BETA_1))
            square.mul_(BETA_2).add_((grad * grad).mul_(1 - BETA_2))
            root = sqrt(square * (1 / rest_2)).add_(EPSILON)
            param.sub_((mean / root).mul_(rates.to(param.device).view(of_replica)))

    def _step_by_kernel(self, grads: list[Tensor]) -> None:
        adamw(
            list(self.params),
            grads,
            self.exp_avgs,
            self.exp_avg_sqs,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=float(self.learning_rates[0]),
            weight_decay=float(self.weight_decays[0]),
            eps=EPSILON,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """The tensors that a later `step` depends on, by name, and not copied."""
        named = {"exp_avg": self.exp_avgs, "exp_avg_sq": self.exp_avg_sqs, "step": self.steps}
        state = {
            f"{name}.{index}": tensor
            for name, tensors in named.items()
            for index, tensor in enumerate(tensors)
        }
        return state | {"powers": self.powers}
