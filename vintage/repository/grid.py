"""The settings that a search is asked for: every combination of some values of parameters."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

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

Values = Mapping[Key, Any]


def parse_grid(assignments: Sequence[str]) -> list[Values]:
    """Every combination of `KEY=VALUE,VALUE` and so on; values are read as in `params.yaml`.

    Raises:
        InputError: a parameter that settings cannot differ in, no values, or too many of them.
    """
    axes: dict[Key, list[Any]] = {}
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
        if (section, key) in axes:
            raise InputError(f"{name}: given twice; write all its values behind one =")
        try:
            values = parse_yaml(f"[{text}]".encode(), assignment)
        except InputError:
            values = []
        if not values:
            raise InputError(f"{assignment}: has no values; write {name}=VALUE,VALUE")
        axes[section, key] = list(
            {json.dumps(value, default=str): value for value in values}.values()
        )
    n_settings = math.prod(map(len, axes.values()))
    if n_settings > MOST:
        raise InputError(f"the grid has {n_settings} settings; {MOST} are the most")
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]


def said(values: Values) -> str:
    """As on the command line."""
    shown = {".".join(key): json.dumps(value).strip('"') for key, value in values.items()}
    return " ".join(f"{key}={value}" for key, value in shown.items())
