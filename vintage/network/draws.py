"""Random numbers that are the same on every machine: initial weights, and the masks of dropout."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vintage.network.exact import blocks

_GAMMA = 0x9E3779B97F4A7C15 - 2**64  # 2^64 divided by the golden ratio, as an int64
_ROUNDS = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))


class Step(NamedTuple):
    """A step of the training, which dropout follows from.

    Attributes:
        number: from 0.
        first_row: of those at hand, among the rows that all workers have in this step.
    """

    number: int
    first_row: int = 0


def uniform(generator: torch.Generator, bound: float, *shape: int) -> Tensor:
    """Uniform from -bound up to it, float32: the numbers of `uniform_`, on any processor."""
    bound = float(torch.tensor(bound, dtype=torch.float32))
    return torch.rand(shape, generator=generator).double().mul_(2 * bound).sub_(bound).float()


def signs(generator: torch.Generator, *shape: int) -> Tensor:
    """-1 and 1, each as often, float32."""
    return torch.randint(0, 2, shape, generator=generator).float().mul_(2).sub_(1)


def dropout_mask(
    shape: tuple[int, ...], shares: Sequence[float], seeds: Tensor, layer: int, step: Step
) -> Tensor:
    """0 for a share of the units, and for the others the reciprocal of the share that is kept.

    Whether a unit is dropped follows from the replica's seed, the layer, the step, the row and the
    unit: not from what was drawn before, or stands beside it. It is a hash of these, 16 bits a
    unit, so that the share is a multiple of 1 / 65,536. In memory it has the rows last, as the
    arithmetic has them.

    Args:
        shape: `[n_replicas, n, n_units]`.
        shares: of each replica.
        seeds: of the replicas, int64 `[n_replicas]`.
    """
    n_replicas, n_rows, n_units = shape
    n_dropped = torch.tensor([min(round(share * 2**16), 2**16 - 1) for share in shares])
    n_dropped = n_dropped.to(seeds.device)[:, None, None]
    keys = hash64(hash64(hash64(seeds) + layer) + step.number)[:, None, None]
    first_word, n_skipped = divmod(step.first_row, 4)
    n_words = (n_skipped + n_rows + 3) // 4
    units = torch.arange(n_units, device=seeds.device)[:, None] << 32
    bits = torch.empty(n_replicas, n_units, n_words, dtype=torch.int64, device=seeds.device)
    for part, words in blocks(n_replicas, n_words, n_units):
        places = torch.arange(words.start, words.stop, device=seeds.device)
        places = places.add_(first_word) + units
        bits[part, :, words] = hash64(places.mul_(_GAMMA) + keys[part])
    drawn = bits.view(torch.int16)[..., n_skipped : n_skipped + n_rows]
    is_kept = drawn.ge_((n_dropped - 2**15).short())
    return is_kept.float().mul_((2**16 / (2**16 - n_dropped).double()).float()).transpose(1, 2)


def hash64(words: Tensor) -> Tensor:
    """int64 -> int64, each bit of which depends on all.

    Source: the output function of SplitMix64; Steele, Lea and Flood, Fast Splittable Pseudorandom
    Number Generators, OOPSLA 2014.
    """
    for shift, factor in _ROUNDS:
        words = _xor_shift(words, shift).mul_(factor)
    return _xor_shift(words, 31)


def _xor_shift(words: Tensor, shift: int) -> Tensor:
    # the sign, which `>>` repeats, is cut off
    high = (words >> shift).bitwise_and_(2 ** (64 - shift) - 1)
    return high.bitwise_xor_(words)
