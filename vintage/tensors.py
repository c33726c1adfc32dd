"""The one module that knows the format of tensor files and their schema.

A tensor file is safetensors with `features` float32 `[n, d]`, `labels` int64 `[n]` and `rows`
int64 `[n]`. It never holds code: a file from a stranger can be wrong, but not run.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import Field, model_validator

from vintage.console import InputError, one_line
from vintage.files import Strict, read_json, write_bytes, write_json

_Count = Annotated[int, Field(ge=0)]


class Feature(Strict):
    name: str
    kind: Literal["numeric"]


class RowCounts(Strict):
    """How many rows of the table went where; `repeated` repeat the features of an earlier row."""

    train: Annotated[int, Field(ge=1)]
    val: _Count
    test: Annotated[int, Field(ge=1)]
    repeated: _Count


class Schema(Strict):
    """What the numbers in the tensor files mean: the columns of the table and the classes."""

    target: str
    classes: Annotated[list[str], Field(min_length=2)]
    features: Annotated[list[Feature], Field(min_length=1)]
    rows: RowCounts

    @model_validator(mode="after")
    def _every_name_is_another(self) -> Self:
        names = [feature.name for feature in self.features]
        for kind, values in (("class", self.classes), ("feature", names)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {kind} has the name of another one")
        return self


Features = npt.NDArray[np.float32]


class Examples(NamedTuple):
    """Rows of the table as numbers: features float32 `[n, d]`, labels and rows int64 `[n]`."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def write_schema(path: Path, schema: Schema) -> None:
    write_json(path, schema.model_dump())


def read_schema(path: Path) -> Schema:
    """Read a schema; InputError if the file is missing or no schema."""
    return read_json(path, Schema)


def write_examples(path: Path, examples: Examples) -> None:
    write_bytes(path, safetensors.numpy.save(examples._asdict()))


def read_examples(path: Path, schema: Schema) -> Examples:
    """Read a tensor file and check it against the schema.

    Raises:
        InputError: the file is missing, cut, of another format, or does not fit the schema.
    """
    tensors = read_safetensors(path)
    if set(tensors) != set(Examples._fields):
        raise InputError(
            f"{path}: holds {', '.join(sorted(tensors)) or 'nothing'}, not features, labels and "
            "rows; delete it and run `dvc repro`"
        )
    examples = Examples(**tensors)
    problem = _problem(examples, schema)
    if problem:
        raise InputError(f"{path}: {problem}; delete it and run `dvc repro`")
    return examples


def read_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All tensors of a safetensors file; InputError if it is missing, cut or of another format."""
    try:
        return safetensors.numpy.load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` to make it") from None
    except PermissionError:
        raise
    except Exception as error:  # safetensors raises its own, OSError, KeyError and TypeError
        raise InputError(
            f"{path}: cut or not in safetensors format ({one_line(error)[:100]}); delete it and "
            "run `dvc repro`"
        ) from None


def _problem(examples: Examples, schema: Schema) -> str | None:
    features, labels, rows = examples
    n_features, n_classes = len(schema.features), len(schema.classes)
    kinds = [str(tensor.dtype) for tensor in examples]
    if kinds != ["float32", "int64", "int64"]:
        return f"features, labels and rows are {', '.join(kinds)}"
    if features.ndim != 2 or features.shape[1] != n_features:
        return f"features have shape {features.shape}, and the schema names {n_features} columns"
    if labels.shape != (len(features),) or rows.shape != (len(features),):
        return f"{len(features)} feature rows, but labels {labels.shape} and rows {rows.shape}"
    if not np.isfinite(features).all():
        return "features are not all finite"
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        return f"labels reach from {labels.min()} to {labels.max()}, of {n_classes} classes"
    return None
