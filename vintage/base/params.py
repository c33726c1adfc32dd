"""`params.yaml`, strict and typed: an unknown, missing or impossible value is refused.

A parameter is one line of its section's class here. What an error says is allowed, and what
docs/params.md lists, follows from its type; a `description` says it where the type cannot.
"""

import difflib
import reprlib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from vintage.base.console import InputError, one_line
from vintage.base.files import Strict, parse_yaml, read_bytes
from vintage.base.numerics import Numerics

PARAMS_PATH = Path("params.yaml")
MOST_SAID = 600  # characters on what is wrong
SUCCESSORS = {("train.numerics", "'portable'"): "exact"}  # of values of earlier releases

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

NO_RESULT = ("compute",)  # depends on these sections

Key = tuple[str, ...]  # a section, or a section and a name


class DataParams(Strict):
    path: str = Field(
        min_length=1, description="the path of a CSV, Parquet or Arrow file, or a folder"
    )
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
    val_size: Literal["auto", "folds"] | Share
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
    splits: int = Field(ge=0, le=1000)
    margin: float = Field(ge=0, le=1)
    looks: int = Field(ge=3, le=1_000_000)
    require: dict[str, float] = Field(
        description="bounds by metric, such as {log_loss: 1.05}, or {}"
    )


class ComputeParams(Strict):
    """What no result depends on, so that no stage declares it, and a change reruns nothing."""

    workers: int = Field(ge=1, le=1024)
    launcher: Literal["torchrun", "ray"]
    streaming: Literal["auto"] | bool


class Params(Strict):
    """All of `params.yaml`, where each key has a comment."""

    data: DataParams
    split: SplitParams
    model: ModelParams
    train: TrainParams
    evaluate: EvaluateParams
    compute: ComputeParams


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


def _describe(error: ValidationError) -> str:
    """Every wrong key, what was found there and what is allowed, as far as it fits a line."""
    problems: dict[Key, str] = {}
    meant = set()
    for problem in error.errors(include_url=False):
        # pydantic's location goes on into list items and branches of a union
        key = tuple(map(str, problem["loc"][:2]))
        name = ".".join(key)
        if key not in allowed_values():
            guess = _guess(key)
            meant.add(guess)
            said = f"{one_line(name)[:100]} is not a known key; "
            if guess is None:
                said += f"known are {', '.join(_names_beside(key))}"
            else:
                said += f"did you mean {'.'.join(guess).removeprefix('.'.join([*key[:-1], '']))}?"
        elif problem["type"] == "missing":
            said = f"{name} is missing; it takes {allowed_values()[key]}"
        else:
            found = _shown(problem["input"])
            if (name, found) in SUCCESSORS:
                found += f", whose successor is {SUCCESSORS[name, found]}"
            said = f"{name}: found {found}; allowed is {allowed_values()[key]}"
        problems.setdefault(key, said)
    line, *others = [said for key, said in problems.items() if key not in meant]
    for index, other in enumerate(others):
        if len(line) + len(other) > MOST_SAID:
            return f"{line}. And {len(others) - index} more"
        line += f"{'' if line.endswith('?') else '.'} {other}"
    return line


def _guess(key: Key) -> Key | None:
    """The key that was meant by an unknown one: one spelled alike, or of another section."""
    alike = difflib.get_close_matches(key[-1][:100], _names_beside(key), n=1, cutoff=0.7)
    if alike:
        return (*key[:-1], *alike)
    return next((known for known in allowed_values() if known[1:] == key[1:] != ()), None)


def _names_beside(key: Key) -> list[str]:
    """The known names in the section of `key`, or the sections."""
    return [known[-1] for known in allowed_values() if known[:-1] == key[:-1]]


def _shown(value: object) -> str:
    try:
        return one_line(reprlib.repr(value))[:100]
    except ValueError:  # Python prints no whole number of more than 4300 digits
        return "a number of too many digits"


@cache
def allowed_values() -> dict[Key, str]:
    """What each section and parameter takes, in words."""
    allowed: dict[Key, str] = {}
    schema = Params.model_json_schema(ref_template="{model}")
    for section, reference in schema["properties"].items():
        allowed[section,] = "a section"
        fields = schema["$defs"][reference["$ref"]]["properties"]
        allowed |= {(section, name): _in_words(field) for name, field in fields.items()}
    return allowed


def _in_words(schema: dict[str, Any]) -> str:
    """What a JSON schema allows, such as `auto, or a whole number from 1 to 9`."""
    *others, last = _options(schema)
    if not others:
        return last
    return f"{', '.join(others)}{',' if last.startswith('a ') else ''} or {last}"


def _options(schema: dict[str, Any]) -> list[str]:
    """What stands between the commas and the `or` of `_in_words`."""
    match schema:
        case {"description": words}:
            return [words]
        case {"anyOf": branches}:
            return [words for branch in branches for words in _options(branch)]
        case {"enum": values}:
            return list(values)
        case {"const": value}:
            return [value]
        case {"type": "boolean"}:
            return ["true", "false"]
        case {"type": "array", "items": items, "maxItems": most}:
            noun, schema = f"list of at most {most} whole numbers", items
        case {"type": kind}:
            noun = {"integer": "whole number", "number": "number"}[kind]
    return [f"a {noun} {_range(schema)}"]


def _range(schema: dict[str, Any]) -> str:
    """The bounds in words; each number among the parameters has two."""
    lowest, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    highest, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if lowest is None:
        return f"above {above} and {'below' if highest is None else 'at most'} {highest or below}"
    to = "up to, not including," if highest is None else "to"
    return f"from {lowest} {to} {highest or below}"
