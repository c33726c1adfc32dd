"""The arithmetic: how near it is to the truth, and that nothing but its inputs counts."""

import math
from collections.abc import Callable
from itertools import product as every

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vintage.network import exact, fast
from vintage.network.draws import Step, dropout_mask, uniform

U = 2.0**-24
EXTREMES = [0.0, -0.0, 1e-45, -1e-38, 1.5, -1e38, 2.0**100]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator)


def truth(function: Callable[[mpmath.mpf], mpmath.mpf], numbers: Tensor) -> Tensor:
    """A function to 60 digits, rounded to float64."""
    with mpmath.workdps(60):
        values = [float(function(mpmath.mpf(x))) for x in numbers.double().flatten().tolist()]
    return torch.tensor(values, dtype=torch.float64).view(numbers.shape)


def whole(numbers: Tensor) -> list[int]:
    """float32 or float64 as whole multiples of 2^-1074, exactly."""
    return [int(mpmath.mpf(x) * mpmath.mpf(2) ** 1074) for x in numbers.double().flatten().tolist()]


@pytest.mark.parametrize(
    ("function", "name", "numbers"),
    [
        (exact.exp, "exp", torch.linspace(-700, 700, 4001, dtype=torch.float64)),
        (exact.exp, "exp", torch.linspace(-1e-9, 1e-9, 11, dtype=torch.float64)),
        (exact.log, "log", torch.logspace(-307, 308, 4001, dtype=torch.float64)),
        (exact.log, "log", 1 + torch.linspace(-1e-3, 1e-3, 400, dtype=torch.float64)),
    ],
)
def test_exp_and_log_keep_their_bounds(
    function: Callable[[Tensor], Tensor], name: str, numbers: Tensor
) -> None:
    expected = truth(getattr(mpmath, name), numbers)
    error = (function(numbers) - expected).abs() / expected.abs().clamp_min(2.0**-1022)
    assert error.max() <= 2.0**-50


def test_the_sigmoid_keeps_its_bound() -> None:
    numbers = torch.linspace(-87, 90, 4001)
    expected = truth(lambda x: 1 / (1 + mpmath.exp(-x)), numbers)
    assert ((exact.sigmoid(numbers) - expected).abs() / expected).max() <= 8 * U


def test_silu_and_its_slope_keep_their_bounds() -> None:
    numbers = torch.linspace(-20, 20, 4001, requires_grad=True)
    found = exact.silu(numbers)
    found.sum().backward()
    expected = truth(lambda x: x / (1 + mpmath.exp(-x)), numbers.detach())
    bound = 10 * U * expected.abs()
    assert ((found - expected).abs() <= bound).all()
    slope = truth(
        lambda x: (1 + x * (1 - 1 / (1 + mpmath.exp(-x)))) / (1 + mpmath.exp(-x)), numbers.detach()
    )
    assert numbers.grad is not None
    assert ((numbers.grad - slope).abs() <= (numbers.detach().abs() + 10) * U).all()


@pytest.mark.parametrize("root", [287290262230320.94, 2.0, 1e-45, 3.4e38])
def test_roots_are_correctly_rounded(root: float) -> None:
    number = torch.tensor([root], dtype=torch.float32)
    assert (
        exact.sqrt(number).tolist()
        == torch.tensor([math.sqrt(float(number))], dtype=torch.float64).float().tolist()
    )


def test_numbers_on_a_grid_are_near_and_whole() -> None:
    numbers = torch.tensor([EXTREMES, [0.0] * 7, [1e-45] * 7, [1.0, -0.3, 2, 3, 1e-9, -4, 0.1]])
    for bits in (16, 23, 40):
        largest = numbers.abs().amax(1, keepdim=True)
        found = exact.to_grid(numbers, bits, largest)
        assert ((found - numbers).abs() <= largest.double() * 2.0**-bits).all()
        step = exact.power_of_two(largest.double()) * 2.0 ** (1 - bits)
        steps = found / step.clamp_min(1e-300)
        assert torch.equal(steps, steps.round())
        assert (steps.abs() <= 2**bits).all()
        assert not found[found == 0].signbit().any()


@pytest.mark.parametrize("n_terms", [1, 2, 3, 128, 129, 2048, 2049, 2**17])
def test_sums_of_products_are_exact(n_terms: int, generator: torch.Generator) -> None:
    """In any order: forwards, backwards, and as whole numbers."""
    bits = exact.bits_for(n_terms)
    assert sum(bits) + math.ceil(math.log2(n_terms)) <= 53
    operands = [normal(generator, n_terms), normal(generator, n_terms)]
    operands[0][0], operands[1][0] = 8.0, -8.0  # on the edge of a binade
    grids = [exact.to_grid(x, b, x.abs().max()) for x, b in zip(operands, bits, strict=True)]
    steps = [
        exact.power_of_two(x.abs().max().double()) * 2.0 ** (1 - b)
        for x, b in zip(operands, bits, strict=True)
    ]
    whole = [(g / s).to(torch.int64) for g, s in zip(grids, steps, strict=True)]
    expected = int((whole[0] * whole[1]).sum())
    for order in (slice(None), torch.randperm(n_terms, generator=generator)):
        found = grids[0][order] @ grids[1][order]
        assert float(found / (steps[0] * steps[1])) == expected


@pytest.mark.parametrize("n_terms", [1, 11, 64, 500])
def test_products_are_as_near_as_those_of_float32(n_terms: int, generator: torch.Generator) -> None:
    left, right = normal(generator, 3, 50, n_terms), normal(generator, 3, n_terms, 20)
    expected = left.double() @ right.double()
    ours = (exact.product(left, right) - expected).abs().max()
    assert ours <= 4 * (torch.bmm(left, right) - expected).abs().max() + U


@pytest.mark.parametrize("scale", [1e-8, 1e4, 1e8])
def test_a_large_column_leaves_the_others_their_digits(
    scale: float, generator: torch.Generator
) -> None:
    left, right = normal(generator, 2, 200, 12), normal(generator, 2, 12, 8)
    left[..., 3] *= scale
    right[:, 3] /= scale
    expected = left.double() @ right.double()
    ours = (exact.product(left, right) - expected).abs().max()
    assert ours <= 4 * (torch.bmm(left, right) - expected).abs().max()


def test_the_bounds_of_a_product_hold_at_the_limits() -> None:
    """Subnormal and huge numbers, zeros of either sign, slices of zeros."""
    left = torch.tensor(list(every(EXTREMES, repeat=2)))[None]
    right = torch.tensor([[1e-30, 2.0, 0.0], [1e-8, -1e-38, 0.0]])[None]
    expected = left.double() @ right.double()
    found = exact.product(left, right)
    balanced = left.double().abs() * exact.power_of_two(right.abs().amax(2))[:, None].double()
    largest = (right.double().abs() / exact.power_of_two(right.abs().amax(2))[..., None]).amax(1)
    bound = (
        2.0**-22 * 2 * balanced.amax(2, keepdim=True) * largest[:, None] + 2 * U * expected.abs()
    )
    assert ((found - expected).abs() <= bound + 2.0**-149).all()


def test_sums_of_tiny_gradients_keep_their_digits(generator: torch.Generator) -> None:
    """A unit that is open in a few rows alone, where the gradients by the logits are tiny."""
    left, right = torch.zeros(1, 400, 3), normal(generator, 1, 400, 6)
    left[:, :10] = normal(generator, 1, 10, 3)
    right[:, :10] *= 1e-7
    expected = left.double().transpose(1, 2) @ right.double()
    found, _ = exact.product_over_rows(left, right)
    assert ((found - expected).abs() <= 1e-5 * expected.abs().amax()).all()


@pytest.mark.parametrize("n_rows", [1, 800, 5000])
def test_gradients_are_those_of_plain_pytorch(n_rows: int, generator: torch.Generator) -> None:
    inputs, weight = normal(generator, 3, n_rows, 11), normal(generator, 3, 11, 5)
    bias, target = normal(generator, 3, 1, 5), normal(generator, 3, n_rows, 5)
    found = []
    for linear in (exact.linear, fast.linear):
        leaves = [x.clone().requires_grad_() for x in (inputs, weight, bias)]
        (linear(*leaves) * target).sum().backward()
        found.append([leaf.grad for leaf in leaves])
    for ours, plain in zip(*found, strict=True):
        assert ours is not None
        assert plain is not None
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-4 * math.sqrt(n_rows))


def test_broadcast_gradients_are_those_of_plain_pytorch(generator: torch.Generator) -> None:
    left, right = normal(generator, 2, 30, 1, 5), normal(generator, 2, 1, 4, 5)
    for ours, plain in ((exact.multiply, torch.mul), (exact.add, torch.add)):
        found = []
        for function in (ours, plain):
            leaves = [x.clone().requires_grad_() for x in (left, right)]
            (function(leaves[0], leaves[1]) ** 2).sum().backward()
            found += [leaf.grad for leaf in leaves]
        torch.testing.assert_close(found[:2], found[2:])


@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 1.0]])
def test_the_cross_entropy_and_its_gradient(
    weights: list[float] | None, generator: torch.Generator
) -> None:
    logits = normal(generator, 4, 700, 3) * 5
    labels = torch.randint(0, 3, (700,), generator=generator)
    of_rows = torch.ones(700) if weights is None else torch.tensor(weights)[labels]
    of_rows = of_rows.double() / of_rows.double().sum()
    ours, plain = (logits.clone().double().float().requires_grad_() for _ in range(2))
    found = exact.cross_entropy(ours, labels, of_rows)
    found.sum().backward()
    losses = F.cross_entropy(plain.double().transpose(1, 2), labels.expand(4, -1), reduction="none")
    expected = (losses * of_rows).sum(1)
    expected.sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=U * 2, atol=0)
    torch.testing.assert_close(ours.grad, plain.grad, rtol=U * 4, atol=1e-12)


def test_the_softmax_of_far_apart_logits() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4], [3.0, 3.0, 3.0], [-1e38, 1e38, 0.0]])
    found = exact.softmax(logits)
    torch.testing.assert_close(found, logits.double().softmax(-1), rtol=1e-13, atol=1e-300)
    with_many = normal(torch.Generator().manual_seed(1), 5, 1000)
    torch.testing.assert_close(
        exact.softmax(with_many), with_many.double().softmax(-1), rtol=1e-13, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_keep_their_bounds(dtype: torch.dtype, generator: torch.Generator) -> None:
    numbers = normal(generator, 10_000).to(dtype)
    numbers[5] = 1e6
    expected = math.fsum(numbers.double().tolist())
    bound = 1e8 * 2.0**-52 * 1e6 if dtype == torch.float32 else 2.0**-52 * expected
    found = [float(exact.sum_of(x, [0])) for x in (numbers, numbers.flip(0))]
    assert found[0] == found[1] == pytest.approx(expected, abs=bound)
    assert float(exact.mean_of(torch.full((7,), 0.1, dtype=dtype), [0])) == pytest.approx(0.1)


def test_what_is_not_finite_stays_so() -> None:
    """No activation hides it, so that a loss tells of it."""
    numbers = torch.tensor([[[1.0, torch.inf], [torch.nan, 1.0], [1.0, 2.0]]])
    outputs = exact.product(numbers, torch.ones(1, 2, 2))
    assert outputs.isfinite().all(2).tolist() == [[False, False, True]]
    for activation in (exact.relu, exact.silu):
        assert activation(torch.tensor([torch.nan])).isnan().all()
    loss = exact.cross_entropy(
        outputs, torch.tensor([0, 1, 0]), torch.full((3,), 1 / 3, dtype=torch.float64)
    )
    assert loss.isnan().all()


def test_a_row_and_a_replica_count_for_themselves(generator: torch.Generator) -> None:
    left, right = normal(generator, 5, 300, 40), normal(generator, 5, 40, 7)
    together = exact.product(left, right)
    assert torch.equal(exact.product(left[2:3], right[2:3]), together[2:3])
    assert torch.equal(exact.product(left[:, 17:18], right), together[:, 17:18])
    products, sums = exact.product_over_rows(left, together)
    alone = exact.product_over_rows(left[3:4].contiguous(), together[3:4])
    assert torch.equal(alone[0], products[3:4])
    assert torch.equal(alone[1], sums[3:4])
    order = torch.randperm(300, generator=generator)
    shuffled = exact.product_over_rows(left[:, order], together[:, order])
    assert torch.equal(shuffled[0], products)


def test_the_size_of_a_block_makes_no_difference(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = normal(generator, 3, 100, 20), normal(generator, 3, 20, 6)
    shared = normal(generator, 100, 20).expand(3, -1, -1)
    labels = torch.randint(0, 6, (100,), generator=generator)
    weights = torch.full((100,), 0.01, dtype=torch.float64)
    seeds = torch.arange(3)

    def everything() -> list[Tensor]:
        logits = exact.linear(left, right).requires_grad_()
        losses = exact.cross_entropy(logits, labels, weights)
        losses.sum().backward()
        assert logits.grad is not None
        return [
            logits,
            losses,
            logits.grad,
            *exact.product_over_rows(shared, logits.detach()),
            exact.silu(left),
            dropout_mask((3, 100, 20), [0.3] * 3, seeds, layer=1, step=Step(9)),
        ]

    expected = everything()
    monkeypatch.setattr(exact, "CACHED", 64)
    for found, wanted in zip(everything(), expected, strict=True):
        assert torch.equal(found, wanted)


def test_a_mask_drops_its_share_and_depends_on_nothing_else() -> None:
    seeds = torch.tensor([7, 8, 9])
    mask = dropout_mask((3, 500, 30), [0.3] * 3, seeds, layer=0, step=Step(5))
    kept = mask > 0
    assert (mask[kept] == mask[kept][0]).all()
    assert float(mask[kept][0]) == pytest.approx(1 / 0.7, rel=1e-4)
    for dims in ((1, 2), (0, 2), (0, 1)):
        # within five standard deviations
        share = kept.double().mean(dims)
        n = kept.numel() / len(share)
        assert ((share - 0.7).abs() < 5 * math.sqrt(0.21 / n)).all()
    alone = dropout_mask((1, 40, 30), [0.3], seeds[1:2], layer=0, step=Step(5))
    assert torch.equal(alone[0], mask[1, :40])
    others = [
        dropout_mask((3, 500, 30), [0.3] * 3, seeds, layer=layer, step=Step(step))
        for layer, step in ((0, 6), (1, 5))
    ]
    for other in others:
        agreement = ((other > 0) == kept).double().mean()
        assert float(agreement) == pytest.approx(0.58, abs=0.02)
    correlation = np.corrcoef(kept.double().reshape(3, -1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.05


def test_initial_weights_are_those_of_a_linear_layer() -> None:
    """Where PyTorch scales the same random bits by fused operations, which AVX2 and ARM64 have."""
    for n_in, n_out in ((11, 64), (64, 32), (7, 1)):
        torch.manual_seed(3)
        layer = torch.nn.Linear(n_in, n_out)
        generator = torch.Generator().manual_seed(3)
        gain = math.sqrt(2.0 / 6)
        bound = math.sqrt(3.0) * (gain / math.sqrt(n_in))
        weight = uniform(generator, bound, n_out, n_in)
        bias = uniform(generator, 1 / math.sqrt(n_in), n_out)
        torch.testing.assert_close(weight, layer.weight.detach(), rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(bias, layer.bias.detach(), rtol=1e-6, atol=1e-8)
