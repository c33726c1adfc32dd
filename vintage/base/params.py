"""`params.yaml`, strict and typed: an unknown, missing or impossible value is refused.

A parameter is one line of its section's class here. What an error says is allowed, and what the
reference lists, follows from its type; a `description` says it where the type cannot.
"""

import difflib
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from vintage.base.console import InputError, one_line
from vintage.base.files import Strict, parse_yaml, read_bytes
from vintage.base.numerics import Numerics

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PARAMS_PATH = Path("params.yaml")
MOST_SAID = 600  # characters on what is wrong
SUCCESSORS = {"train.numerics": {"portable": "exact"}}  # of values of earlier releases

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[list[Annotated[int, Field(ge=1, le=65536)]], Field(max_length=64)]
LearningRate = Annotated[float, Field(gt=0, le=1000)]
WeightDecay = Annotated[float, Field(ge=0, le=1000)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000_000)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
Device = Literal["auto", "cpu", "cuda"]
Column = Annotated[str, Field(min_length=1, description="the name of a column")]
ColumnOrNone = Annotated[str, Field(min_length=1, description="none or the name of a column")]


class DataParams(Strict):
    path: str = Field(min_length=1, description="the path of a CSV, Parquet or Arrow file")
    target: Column
    id: ColumnOrNone
    ignore: list[str] = Field(description="a list of column names, [] for none")
    kinds: dict[str, str] = Field(description="kinds by column, such as {year: categorical}, or {}")
    missing: list[str] = Field(
        description='a list of texts that mean a missing cell, such as ["NA", "-"], [] for none'
    )
    delimiter: Literal["auto", ",", ";", "\t", "|", ":", " "] = Field(
        description='auto, or one of "," ";" "\\t" "|" ":" and " "'
    )


class SplitParams(Strict):
    seed: Seed
    test_size: Literal["auto"] | Annotated[float, Field(gt=0, lt=1)]
    val_size: Share
    by: Literal["shuffle", "hash"]
    stratify: bool
    group_by: str = Field(min_length=1, description="duplicates, none or the name of a column")
    order_by: ColumnOrNone
    column: ColumnOrNone


class ModelParams(Strict):
    name: str = Field(description="the name of a network, see vintage/network/registry.py")
    hidden: Literal["auto"] | Widths
    dropout: Literal["auto"] | Share
    activation: Literal["auto", "relu", "silu"]
    normalize: Literal["auto", "standard", "piecewise", "none"]
    scaling_layer: Literal["auto"] | bool


class TrainParams(Strict):
    seed: Seed
    replicas: int = Field(ge=1, le=1024)
    epochs: int = Field(ge=1, le=1_000_000)
    learning_rate: Literal["auto"] | LearningRate
    weight_decay: Literal["auto"] | WeightDecay
    batch_size: Literal["auto", "all"] | BatchSize
    patience: Literal["auto"] | Epochs
    class_weight: Literal["none", "balanced"]
    calibration: Literal["temperature", "none"]
    device: Device
    numerics: Numerics


class IntervalParams(Strict):
    """How intervals and differences are computed."""

    confidence: float = Field(ge=0.5, le=0.9999)
    resamples: int = Field(ge=100, le=100_000)
    seed: Seed


class EvaluateParams(IntervalParams):
    require: dict[str, float] = Field(
        description="bounds by metric, such as {log_loss: 1.05}, or {}"
    )


class Params(Strict):
    """All of `params.yaml`, where each key has a comment."""

    data: DataParams
    split: SplitParams
    model: ModelParams
    train: TrainParams
    evaluate: EvaluateParams


def load_params(path: Path = PARAMS_PATH) -> Params:
    """Read and check all of `params.yaml`.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown, missing or out of range.
    """
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the repository's root") from None
    return parse_params(parse_yaml(content, str(path)), path)


def parse_params(content: Any, source: Path = PARAMS_PATH) -> Params:
    """Check parameters that are already read; `source` is named in the error."""
    if not isinstance(content, dict):
        raise InputError(f"{source}: found no sections; it needs {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{source}: {_describe(error)}") from None


def reference_lines(path: Path = PARAMS_PATH) -> Iterator[str]:
    """A Markdown table of all keys: what each may be, and its comment in the file at `path`."""
    yield "| key | allowed | meaning |"
    yield "|---|---|---|"
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\w+):$", line):
            section = match[1]
        elif match := re.match(r"  (\w+): .*?(?: # (.*))?$", line):
            cells = (f"`{section}.{match[1]}`", _allowed([section], match[1]), match[2] or "")
            yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _describe(error: ValidationError) -> str:
    """Every wrong key, what was found there and what is allowed, as far as it fits a line."""
    problems: dict[str, str] = {}
    meant = set()
    for problem in error.errors(include_url=False):
        # pydantic's location goes on into list items and branches of a union
        *sections, name = (str(part) for part in problem["loc"][:2])
        key = ".".join([*sections, name])
        if problem["type"] == "extra_forbidden" and (guess := _guess(sections, name)):
            meant.add(guess)
        problems.setdefault(key, _problem(sections, name, problem))
    said = [problem for key, problem in problems.items() if key not in meant]
    line = said[0]
    for index, other in enumerate(said[1:], start=1):
        if len(line) + len(other) > MOST_SAID:
            return f"{line}. And {len(said) - index} more"
        line += f"{'' if line.endswith('?') else '.'} {other}"
    return line


def _problem(sections: list[str], name: str, problem: "ErrorDetails") -> str:
    key = one_line(".".join([*sections, name]))[:100]
    fields = _model_of(sections).model_fields
    if name not in fields:
        guess = _guess(sections, name)
        if guess is None:
            return f"{key} is not a known key; known are {', '.join(fields)}"
        within = ".".join([*sections, ""])
        return f"{key} is not a known key; did you mean {guess.removeprefix(within)}?"
    if problem["type"] == "missing":
        return f"{key} is missing; it takes {_allowed(sections, name)}"
    found = _shown(problem["input"])
    for earlier, successor in SUCCESSORS.get(key, {}).items():
        if problem["input"] == earlier:
            found += f", whose successor is {successor}"
    return f"{key}: found {found}; allowed is {_allowed(sections, name)}"


def _shown(value: object) -> str:
    try:
        return one_line(reprlib.repr(value))[:100]
    except ValueError:  # Python prints no whole number of more than 4300 digits
        return "a number of too many digits"


def _allowed(sections: list[str], name: str) -> str:
    """What a key takes, in words."""
    return _in_words(_model_of(sections).model_json_schema()["properties"][name])


def _in_words(schema: dict[str, Any]) -> str:
    """What a JSON schema allows, such as `auto, or a whole number from 1 to 9`."""
    *others, last = _options(schema)
    if not others:
        return last
    return f"{', '.join(others)}{',' if last.startswith('a ') else ''} or {last}"


def _options(schema: dict[str, Any]) -> list[str]:
    """What stands between the commas and the `or` of `_in_words`."""
    values: list[str]
    match schema:
        case {"description": words}:
            values = [words]
        case {"anyOf": branches}:
            values = [words for branch in branches for words in _options(branch)]
        case {"enum": values}:
            pass
        case {"const": value}:
            values = [value]
        case {"type": "boolean"}:
            values = ["true", "false"]
        case {"type": "array", "items": items, "maxItems": most}:
            values = [f"a list of at most {most} whole numbers {_range(items)}"]
        case {"type": "integer"}:
            values = [f"a whole number {_range(schema)}"]
        case {"type": "number"}:
            values = [f"a number {_range(schema)}"]
        case _:
            values = ["a section"]
    return values


def _range(schema: dict[str, Any]) -> str:
    """The bounds in words; each number among the parameters has two."""
    lowest, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    highest, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if lowest is None:
        return f"above {above} and {'below' if highest is None else 'at most'} {highest or below}"
    return (
        f"from {lowest} {'up to, not including,' if highest is None else 'to'} {highest or below}"
    )


def _guess(sections: list[str], name: str) -> str | None:
    """The dotted key that was meant by an unknown one: one spelled alike, or of another section."""
    alike = difflib.get_close_matches(name[:100], _model_of(sections).model_fields, n=1, cutoff=0.7)
    if alike:
        return ".".join([*sections, *alike])
    elsewhere = (s for s in Params.model_fields if sections and name in _model_of([s]).model_fields)
    return next((f"{section}.{name}" for section in elsewhere), None)


def _model_of(sections: list[str]) -> type[BaseModel]:
    """The model of a section; of the whole file, if there is none."""
    if not sections:
        return Params
    annotation = Params.model_fields[sections[0]].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, BaseModel)
    return annotation
