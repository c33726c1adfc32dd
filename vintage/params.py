"""`params.yaml`, strict and typed: an unknown, missing or impossible value is refused."""

import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from vintage.console import InputError, one_line
from vintage.files import Strict, read_bytes

PARAMS_PATH = Path("params.yaml")
LONGEST = 100_000  # characters; a file of parameters has a few thousand

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
    ignore: list[str] = Field(description="a list of column names, [] for none")
    kinds: dict[str, Kind] = Field(
        description="numeric, categorical or datetime by column, such as {year: categorical}, or {}"
    )
    delimiter: Literal["auto", ",", ";", "\t", "|", ":", " "] = Field(
        description='auto, or one of "," ";" "\\t" "|" ":" and " "'
    )


class SplitParams(Strict):
    seed: Seed = Field(description=A_SEED)
    test_size: Literal["auto"] | Fraction = Field(description=f"auto, or {A_FRACTION}")
    val_size: float = Field(ge=0, lt=1, description="a number from 0 up to, not including, 1")
    stratify: bool = Field(description="true or false")
    group_by: str = Field(min_length=1, description="duplicates, none or the name of a column")
    order_by: str = Field(min_length=1, description="none or the name of a column")
    column: str = Field(min_length=1, description="none or the name of a column")


class ModelParams(Strict):
    name: Literal["mlp", "tabm"] = Field(description="mlp or tabm")
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
    batch_size: Literal["auto"] | BatchSize = Field(description="auto, or a whole number from 1")
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

    confidence: float = Field(gt=0, le=0.9999, description="a number above 0, at most 0.9999")
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


class _Loader(yaml.SafeLoader):
    """YAML with floats such as `1e-3`, which YAML 1.1 takes for text, and no repeated key.

    An alias stands for a single value only: of lists and sections, a few lines of aliases make
    more than any memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node and is_alias and not isinstance(node, yaml.ScalarNode):
            raise yaml.composer.ComposerError(
                None, None, "an alias stands for a list or section; write it out", node.start_mark
            )
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands here twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


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
        return yaml.load(text, Loader=_Loader)
    except Exception as error:  # beside YAMLError whatever int(), dict() and the like raise
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        if isinstance(error, RecursionError):
            problem = "the brackets or sections are nested too deep"
        raise InputError(
            f"{source}{where}: not valid YAML: {one_line(problem or 'a wrong value')[:200]}"
        ) from None


def _load_yaml(path: Path) -> Any:
    try:
        text = read_bytes(path).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the repository's root") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    return parse_yaml(text, path)


def _describe(error: ValidationError) -> str:
    """The first wrong key, what was found there and what may stand there."""
    problem = error.errors(include_url=False)[0]
    # pydantic's location goes on into list items and branches of a union
    *sections, name = (str(part) for part in problem["loc"][:2])
    model = _model_of(sections[0]) if sections else Params
    key = one_line(".".join([*sections, name]))[:100]
    field = model.model_fields.get(name)
    if field is None:
        return f"{key} is not a known key; known are {', '.join(model.model_fields)}"
    if problem["type"] == "missing":
        return f"{key} is missing; it takes {field.description}"
    return f"{key}: found {_shown(problem['input'])}; allowed is {field.description}"


def _shown(value: Any) -> str:
    try:
        return one_line(reprlib.repr(value))[:100]
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        return "a number of thousands of digits"


def _model_of(section: str) -> type[BaseModel]:
    annotation = Params.model_fields[section].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, BaseModel)
    return annotation
