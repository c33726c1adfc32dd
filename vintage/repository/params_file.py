"""`params.yaml` with other values, all else on its lines as it was."""

import json
import re
from collections.abc import Mapping
from typing import Any

from vintage.base.console import InputError
from vintage.base.files import parse_yaml
from vintage.base.params import PARAMS_PATH, parse_params

Key = tuple[str, str]
PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
LINE = re.compile(r"""(  (\w+): +)("(?:[^"\\]|\\.)*"|[^#\n]*?)((?: +#.*)?)""")


def with_values(text: str, values: Mapping[Key, Any]) -> str:
    """`params.yaml` with other values, and with its comments.

    Raises:
        InputError: a key does not stand on a line of its own.
    """
    section, lines = "", []
    for line in text.splitlines():
        if match := re.match(r"(\w+):", line):
            section = match[1]
        elif (match := LINE.fullmatch(line)) and (section, match[2]) in values:
            lines.append(f"{match[1]}{_yaml(values[section, match[2]])}{match[4]}")
            continue
        lines.append(line)
    changed = "\n".join(lines) + "\n"
    found = parse_yaml(changed.encode(), str(PARAMS_PATH))
    for (name, key), value in values.items():
        if found[name].get(key) != value:
            raise InputError(f"{PARAMS_PATH}: {name}.{key}: write it on one line, then try again")
    parse_params(found)
    return changed


def _yaml(value: Any) -> str:
    """A text, a list of texts or `{}` as YAML on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in RESERVED:
        return value
    return json.dumps(value, ensure_ascii=False)
