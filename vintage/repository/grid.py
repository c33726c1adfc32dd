"""The settings that a search is asked for: values of parameters, or ranges of them."""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vintage.base.console import InputError
from vintage.base.files import parse_yaml
from vintage.base.params import allowed_values
from vintage.repository.params_file import Key

MOST = 100  # settings of a search
SECTIONS = ("model", "train")  # that the stage train depends on
NO_SETTINGS = {
    "train.seed": "the best of several seeds is chosen by luck; raise train.replicas instead",
    "train.device": "no score depends on it",
    "train.numerics": "it changes no more than last digits",
}

EMPTY = re.compile(r"(?:^|,)\s*,")
RANGE = re.compile(r"(.+?)\.\.(.+)")

Values = Mapping[Key, Any]


class Range(NamedTuple):
    """All numbers from `low` to `high`, or the whole ones."""

    low: float
    high: float
    is_whole: bool

    @property
    def is_log(self) -> bool:
        """Whether its ends are so far apart that their ratio counts: ten times or more."""
        return self.low > 0 and self.high >= 10 * self.low


def parse_grid(assignments: Sequence[str]) -> list[Values]:
    """Every combination of the values in `KEY=VALUE,VALUE` and so on, read as in `params.yaml`.

    Raises:
        InputError: a parameter that settings cannot differ in, no values, or too many of them.
    """
    axes = {}
    for key, text in _assigned(assignments).items():
        if RANGE.fullmatch(text):
            raise InputError(f"{'.'.join(key)}={text}: a range needs --trials; or list its values")
        axes[key] = _values(key, text)
    n_settings = math.prod(map(len, axes.values()))
    if n_settings > MOST:
        raise InputError(f"the grid has {n_settings} settings; {MOST} are the most")
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]


def parse_space(assignments: Sequence[str]) -> dict[Key, Range | list[Any]]:
    """By parameter its values, or the range in `KEY=LOW..HIGH`.

    Raises:
        InputError: as `parse_grid`; or a range without two numbers of which the first is less.
    """
    space: dict[Key, Range | list[Any]] = {}
    for key, text in _assigned(assignments).items():
        if match := RANGE.fullmatch(text):
            low, high = map(_number, match.groups())
            if low is None or high is None or not low < high:
                raise InputError(f"{'.'.join(key)}={text}: no range; write two numbers, LOW..HIGH")
            space[key] = Range(low, high, "whole number" in allowed_values()[key])
        else:
            space[key] = _values(key, text)
    return space


def _assigned(assignments: Sequence[str]) -> dict[Key, str]:
    """What stands behind the `=` of each parameter."""
    found: dict[Key, str] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        section, _, key = name.partition(".")
        if section not in SECTIONS or (section, key) not in allowed_values():
            known = [".".join(k) for k in allowed_values() if k[0] in SECTIONS and len(k) == 2]
            known = [each for each in known if each not in NO_SETTINGS]
            raise InputError(
                f"{name}: not a parameter of the stage train; it has {', '.join(known)}"
            )
        if name in NO_SETTINGS:
            raise InputError(f"{name}: nothing to search, because {NO_SETTINGS[name]}")
        if (section, key) in found:
            raise InputError(f"{name}: given twice; write all its values behind one =")
        found[section, key] = text
    return found


def _values(key: Key, text: str) -> list[Any]:
    """Those of a list with commas, each once."""
    name = ".".join(key)
    try:
        values = parse_yaml(f"[{text}]".encode(), name)
    except InputError:
        if EMPTY.search(text):
            raise InputError(f"{name}={text}: has an empty value before a comma") from None
        values = []
    if not values:
        raise InputError(f"{name}: has no values; write {name}=VALUE,VALUE")
    try:
        return list({json.dumps(each, allow_nan=False): each for each in values}.values())
    except (TypeError, ValueError):  # a date, a set, .nan, .inf
        raise InputError(
            f"{name}={text}: a value must be a number, text, list or mapping, as in JSON"
        ) from None


def _number(text: str) -> float | None:
    try:
        value = parse_yaml(text.encode(), text)
    except InputError:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def said(values: Values) -> str:
    """As on the command line."""
    shown = {".".join(key): json.dumps(value).strip('"') for key, value in values.items()}
    return " ".join(f"{key}={value}" for key, value in shown.items())
