"""Where two versions of an output differ first, in words."""

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from vintage.base.console import InputError, one_line

Item = TypeVar("Item")

MOST_SHOWN = 60  # characters of a line
MISSING = "missing"  # itself, not an equal text


def first_difference(was: Path, now: Path) -> str:
    """The first tensor, number (in `losses.json`, by its epoch) or line that differs.

    The two files must not be equal.
    """
    try:
        if was.suffix == ".safetensors":
            return _in_tensors(was, now)
        if was.suffix == ".json":
            found = _in_json(json.loads(was.read_bytes()), json.loads(now.read_bytes()), "")
            return found or "the same content, written in another way"
    except (InputError, ValueError, RecursionError):  # one of them is cut or of another format
        pass
    return _in_lines(was.read_bytes(), now.read_bytes())


def _in_tensors(was: Path, now: Path) -> str:
    import numpy as np

    from vintage.base.tensors import read_safetensors

    tensors = read_safetensors(was), read_safetensors(now)
    for name in sorted({*tensors[0], *tensors[1]}):
        if not all(name in side for side in tensors):
            return f"tensor {one_line(name)} is {'new' if name in tensors[1] else 'missing'}"
        a, b = (side[name] for side in tensors)
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"tensor {one_line(name)} was {a.dtype} {a.shape}, is {b.dtype} {b.shape}"
        # by their bytes: NaN is not equal to itself, and 0.0 is to -0.0
        pair = (np.frombuffer(tensor.tobytes(), np.uint8) for tensor in (a, b))
        if len(found := np.flatnonzero(np.not_equal(*pair))):
            place = found[0] // a.itemsize
            return (
                f"tensor {one_line(name)}, element {place} was {a.flat[place]}, is {b.flat[place]}"
            )
    return "the same tensors, written in another way"


def _in_json(was: Any, now: Any, where: str) -> str | None:
    """The first value that differs, by its dotted key; an object of an epoch is named by it."""
    if type(was) is type(now) and isinstance(was, list | dict):
        if isinstance(was, list):
            pairs: Iterable[Any] = enumerate(zip_longest(was, now, fillvalue=MISSING))
        else:
            keys = sorted({*was, *now})
            pairs = ((key, (was.get(key, MISSING), now.get(key, MISSING))) for key in keys)
        for key, (a, b) in pairs:
            epoch = next((side["epoch"] for side in (a, b) if _is_record(side)), None)
            name = key if epoch is None else f"epoch {epoch}"
            between = ", " if where.startswith("epoch ") else "." if where else ""
            if found := _in_json(a, b, f"{where}{between}{name}"):
                return found
        return None
    a, b = (MISSING if side is MISSING else json.dumps(side) for side in (was, now))
    return None if a == b else f"{where or 'it'} was {a[:MOST_SHOWN]}, is {b[:MOST_SHOWN]}"


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and "epoch" in value


def _in_lines(was: bytes, now: bytes) -> str:
    number, lines = _first_pair(was.split(b"\n"), now.split(b"\n"))
    try:
        shown = ["missing" if x is None else one_line(x.decode())[:MOST_SHOWN] for x in lines]
    except UnicodeDecodeError:
        return f"byte {_first_pair(was, now)[0]}"
    return f"line {number + 1} was {shown[0]!r}, is {shown[1]!r}"


def _first_pair(was: Iterable[Item], now: Iterable[Item]) -> tuple[int, tuple[Item | None, ...]]:
    """The first place at which they differ, and both items there, None beyond an end."""
    pairs = enumerate(zip_longest(was, now))
    return next((place, pair) for place, pair in pairs if pair[0] != pair[1])
