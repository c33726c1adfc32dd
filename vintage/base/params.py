"""`params.yaml`, strict and typed: an unknown, missing or impossible value is refused."""

import difflib
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from vintage.base.console import InputError, one_line
from vintage.base.files import Strict, read_bytes

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PARAMS_PATH = Path("params.yaml")
LONGEST = 100_000  # characters; a file of parameters has a few thousand
DEEPEST = 100  # brackets and sections in each other
MOST_SAID = 600  # characters on what is wrong

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Widths = Annotated[list[Annotated[int, Field(ge=1, le=65536)]], Field(max_length=64)]
Share = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=1000)]
WeightDecay = Annotated[float, Field(ge=0, le=1000)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000_000)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]

A_SEED = "a whole number from 0 to 4294967295"
A_FRACTION = "a number above 0 and below 1"


Kind = Literal["numeric", "categorical", "datetime"]


class DataParams(Strict):
    path: str = Field(min_length=1, description="the path of a CSV, Parquet or Arrow file")
    target: str = Field(min_length=1, description="the name of a column")
    id: str = Field(min_length=1, description="none or the name of a column")
    ignore: list[str] = Field(description="a list of column names, [] for none")
    kinds: dict[str, Kind] = Field(
        description="numeric, categorical or datetime by column, such as {year: categorical}, or {}"
    )
    missing: list[str] = Field(
        description='a list of texts that mean a missing cell, such as ["NA", "-"], [] for none'
    )
    delimiter: Literal["auto", ",", ";", "\t", "|", ":", " "] = Field(
        description='auto, or one of "," ";" "\\t" "|" ":" and " "'
    )


class SplitParams(Strict):
    seed: Seed = Field(description=A_SEED)
    test_size: Literal["auto"] | Fraction = Field(description=f"auto, or {A_FRACTION}")
    val_size: float = Field(ge=0, lt=1, description="a number from 0 up to, not including, 1")
    by: Literal["shuffle", "hash"] = Field(description="shuffle or hash")
    stratify: bool = Field(description="true or false")
    group_by: str = Field(min_length=1, description="duplicates, none or the name of a column")
    order_by: str = Field(min_length=1, description="none or the name of a column")
    column: str = Field(min_length=1, description="none or the name of a column")


class ModelParams(Strict):
    name: str = Field(description="the name of a network, see vintage/network/registry.py")
    hidden: Literal["auto"] | Widths = Field(
        description="auto, or a list of at most 64 whole numbers from 1 to 65536"
    )
    dropout: Literal["auto"] | Share = Field(
        description="auto, or a number from 0 up to, not including, 1"
    )
    activation: Literal["auto", "relu", "silu"] = Field(description="auto, relu or silu")
    normalize: Literal["auto", "standard", "piecewise", "none"] = Field(
        description="auto, standard, piecewise or none"
    )
    scaling_layer: Literal["auto"] | bool = Field(description="auto, true or false")


class TrainParams(Strict):
    seed: Seed = Field(description=A_SEED)
    replicas: int = Field(ge=1, le=1024, description="a whole number from 1 to 1024")
    epochs: int = Field(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")
    learning_rate: Literal["auto"] | LearningRate = Field(
        description="auto, or a number above 0, at most 1000"
    )
    weight_decay: Literal["auto"] | WeightDecay = Field(
        description="auto, or a number from 0 to 1000"
    )
    batch_size: Literal["auto", "all"] | BatchSize = Field(
        description="auto, all, or a whole number from 1"
    )
    patience: Literal["auto"] | Epochs = Field(
        description="auto, or a whole number from 0 to 1000000"
    )
    class_weight: Literal["none", "balanced"] = Field(description="none or balanced")
    calibration: Literal["temperature", "none"] = Field(description="temperature or none")
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto, cpu or cuda")
    numerics: Literal["portable", "fast"] = Field(description="portable or fast")


Metric = Literal[
    "accuracy", "balanced_accuracy", "f1_macro", "log_loss", "roc_auc_ovr", "calibration_error"
]


class IntervalParams(Strict):
    """How intervals and differences are computed."""

    confidence: float = Field(ge=0.5, le=0.9999, description="a number from 0.5 to 0.9999")
    resamples: int = Field(ge=100, le=100_000, description="a whole number from 100 to 100000")
    seed: Seed = Field(description=A_SEED)


class EvaluateParams(IntervalParams):
    require: dict[Metric, float] = Field(
        description="bounds by metric, such as {log_loss: 1.05}, or {}; the metrics are "
        + ", ".join(get_args(Metric))
    )


class Params(Strict):
    """All of `params.yaml`; its keys are documented there."""

    data: DataParams = Field(description="a section")
    split: SplitParams = Field(description="a section")
    model: ModelParams = Field(description="a section")
    train: TrainParams = Field(description="a section")
    evaluate: EvaluateParams = Field(description="a section")


def load_params(path: Path = PARAMS_PATH) -> Params:
    """Read and check all of `params.yaml`.

    Raises:
        InputError: no such file, no YAML, or a key that is unknown, missing or out of range.
    """
    return parse_params(_load_yaml(path), path)


def parse_params(content: Any, source: Path = PARAMS_PATH) -> Params:
    """Check parameters that are already read; `source` is named in the error."""
    if not isinstance(content, dict):
        raise InputError(f"{source}: found no sections; it needs {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{source}: {_describe(error)}") from None


def parse_yaml(text: str, source: Path = PARAMS_PATH) -> Any:
    """What `text` says as YAML; `source` is named in the InputError if it is none."""
    if len(text) > LONGEST:
        raise InputError(f"{source}: has more than {LONGEST} characters; are these parameters?")
    try:
        _check_structure(text)
        # as DVC reads it, whose parser of another kind survives no deep nesting
        return YAML(typ="safe").load(text)
    except Exception as error:  # beside YAMLError whatever int(), dict() and the like raise
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InputError(
            f"{source}{where}: not valid YAML: {one_line(problem or 'a wrong value')[:200]}"
        ) from None


def _check_structure(text: str) -> None:
    """Refuse deep nesting, and an alias of what is no single value.

    Of lists and sections, a few lines of aliases make more than any memory holds.

    Raises:
        MarkedYAMLError: as well as whatever ruamel.yaml raises.
    """
    depth = 0
    named = set()
    for event in YAML(typ="safe", pure=True).parse(text):
        problem = None
        if isinstance(event, AliasEvent) and event.anchor in named:
            problem = "an alias stands for a list or section; write it out"
        elif isinstance(event, CollectionStartEvent):
            depth += 1
            named.add(event.anchor)
            if depth > DEEPEST:
                problem = "the brackets or sections are nested too deep"
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if problem:
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _load_yaml(path: Path) -> Any:
    try:
        text = read_bytes(path).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the repository's root") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    return parse_yaml(text, path)


def _describe(error: ValidationError) -> str:
    """Every wrong key, what was found there and what may stand there, as far as it fits a line."""
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
        return f"{key} is missing; it takes {fields[name].description}"
    return f"{key}: found {_shown(problem['input'])}; allowed is {fields[name].description}"


def _guess(sections: list[str], name: str) -> str | None:
    """The dotted key that was meant by an unknown one: one spelled alike, or of another section."""
    alike = difflib.get_close_matches(name[:100], _model_of(sections).model_fields, n=1, cutoff=0.7)
    if alike:
        return ".".join([*sections, *alike])
    elsewhere = (s for s in Params.model_fields if sections and name in _model_of([s]).model_fields)
    return next((f"{section}.{name}" for section in elsewhere), None)


def _shown(value: Any) -> str:
    try:
        return one_line(reprlib.repr(value))[:100]
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        return "a number of thousands of digits"


def _model_of(sections: list[str]) -> type[BaseModel]:
    """The model of a section; of the whole file, if there is none."""
    if not sections:
        return Params
    annotation = Params.model_fields[sections[0]].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, BaseModel)
    return annotation
