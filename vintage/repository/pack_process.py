"""A pack that is trained in a process of its own.      python -m vintage.repository.pack_process

Reads a request from standard input, and writes what each setting leaves to standard output; both
are JSON. It says what is wrong on standard error.
"""

import base64
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vintage.base import console, numerics
from vintage.base.console import InputError
from vintage.base.files import parse_yaml
from vintage.base.params import PARAMS_PATH, parse_params

if TYPE_CHECKING:
    from vintage.repository.pack import Files


def request(texts: Sequence[str], digests: Mapping[str, str]) -> bytes:
    """For one such process.

    Args:
        texts: the `params.yaml` of each setting.
        digests: see `vintage.repository.pack.digests_of`.
    """
    return json.dumps({"settings": texts, "digests": digests}).encode()


def response(printed: bytes) -> "list[Files | str]":
    """What the process has printed; see `vintage.repository.pack.train_pack`."""
    return [
        each
        if isinstance(each, str)
        else {path: base64.b64decode(content) for path, content in each.items()}
        for each in json.loads(printed)
    ]


def main() -> None:
    asked = json.load(sys.stdin)
    numerics.pin()
    from vintage.repository.pack import digests_of, train_pack
    from vintage.repository.validation import read_tensors

    own = digests_of(Path())
    for name, digest in asked["digests"].items():
        if digest != own.get(name):
            raise InputError(
                f"{platform.node()} has another {name} than the machine that searches; give all "
                "nodes the same files and packages, such as a folder that all share"
            )
    settings = [parse_params(parse_yaml(t.encode(), str(PARAMS_PATH))) for t in asked["settings"]]
    results = [
        each
        if isinstance(each, str)
        else {path: base64.b64encode(content).decode() for path, content in each.items()}
        for each in train_pack(settings, read_tensors(Path()))
    ]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    console.run(main)
