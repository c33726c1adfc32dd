"""What the property tests share: how many cases, from which seed, and damage to bytes.

FUZZ_EXAMPLES is the number of cases of all property tests together (3,000 if it is not set), of
which some thirty each start a process; FUZZ_SEED draws them, and is printed when a test fails. A
long run:

    FUZZ_EXAMPLES=50000 python -m pytest tests/test_{fuzz,artifacts,hostile}.py
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3000"))
Test = TypeVar("Test", bound=Callable[..., Any])


def cases(share: float, in_processes: bool = False) -> Callable[[Test], Test]:
    """Run a property test on this share of all cases.

    Cases that run in processes have a time limit there, and would take minutes to be made smaller.
    """

    def decorate(test: Test) -> Test:
        limits = settings(
            max_examples=max(1, round(share * EXAMPLES)),
            # milliseconds; a case takes a few, so this is a hang
            deadline=None if in_processes else 20_000,
            database=None,
            phases=[Phase.explicit, Phase.generate, *([] if in_processes else [Phase.shrink])],
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        seeded: Test = seed(int(os.environ["FUZZ_SEED"]))(limits(test))
        return seeded

    return decorate


@st.composite
def damaged(draw: st.DrawFn, original: bytes, tokens: list[bytes]) -> bytes:
    """`original` after a few changes: bytes and lines flipped, cut, doubled, put in, exchanged."""
    content = original
    for _ in range(draw(st.integers(1, 4))):
        content = draw(_change(content, tokens))
    return content


@st.composite
def _change(draw: st.DrawFn, content: bytes, tokens: list[bytes]) -> bytes:
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 40)))
    token = draw(st.one_of(st.sampled_from(tokens), st.binary(min_size=1, max_size=8)))
    flipped = bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in content[start : start + 1])
    lines = content.splitlines(keepends=True) or [b""]
    one, other = draw(st.tuples(*[st.integers(0, len(lines) - 1)] * 2))
    exchanged = list(lines)
    exchanged[one], exchanged[other] = lines[other], lines[one]
    changes = [
        content[:start] + token + content[start:],
        content[:start] + token + content[end:],
        content[:start] + content[end:],
        content[:end] + content[start:],
        content[:start] + flipped + content[start + 1 :],
        content[:start],
        b"".join(lines[:one] + lines[one + 1 :]),
        b"".join(exchanged),
    ]
    return draw(st.sampled_from(changes))
