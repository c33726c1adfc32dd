"""The one module that knows the format of tensor files and their schema.

A tensor file is safetensors with the fields of `Examples`. It never holds code: a file from a
stranger can be wrong, but cannot run.
"""

import contextlib
import hashlib
import json
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import Field, model_validator

from vintage.base.console import InputError, one_line, say
from vintage.base.files import Strict, check_regular, read_json, write_bytes, write_json
from vintage.base.waiting import waiting

MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL")  # unless data.missing lists others

LARGE = 2**25  # numbers of a part's features, 128 MB
SAMPLED_ROWS = 200_000
READ_ROWS = 2**16  # at a time,
READ_NUMBERS = 2**22  # or fewer, if these are more numbers

_Count = Annotated[int, Field(ge=0)]


class Feature(Strict):
    """A column of the table, and how its cells are stored as float32.

    Without `categories`, a cell is stored as a number less `offset`, and NaN where it is missing.
    With them, it is stored as its place among them; behind them come a code for missing, if a train
    row's cell is, and one for every category that no train row has.

    Attributes:
        kind: a name in `vintage.table.kinds`.
        missing: whether a cell is missing in a train row.
        offset: of numbers so far from 0 that float32 does not tell them apart as they are; it is
            subtracted in float64.
    """

    name: str
    kind: str
    missing: bool = False
    categories: Annotated[list[str], Field(min_length=1)] | None = None
    offset: float = 0.0

    @property
    def unknown_code(self) -> int:
        return len(self.categories or []) + self.missing

    @model_validator(mode="after")
    def _the_categories_fit(self) -> Self:
        if self.categories is not None and self.offset:
            raise ValueError(f"feature {self.name!r} is categorical and has an offset")
        if len(set(self.categories or [])) < len(self.categories or []):
            raise ValueError(f"feature {self.name!r} has a category twice")
        return self


class RowCounts(Strict):
    """How many rows of the table went where.

    Attributes:
        repeated: repeat the features of an earlier row.
        folds: how many folds the train rows are in; 0 for none.
    """

    train: Annotated[int, Field(ge=1)]
    val: _Count
    test: Annotated[int, Field(ge=1)]
    repeated: _Count
    folds: _Count = 0


class Schema(Strict):
    """What the numbers in the tensor files mean: the columns of the table and the classes.

    Attributes:
        dropped: columns that are constant or empty in the train rows.
        missing: the texts that mean a missing cell, besides a blank one.
        missing_cells: how many cells of a feature are missing, over all rows; without zeros.
    """

    target: str
    classes: Annotated[list[str], Field(min_length=2)]
    features: Annotated[list[Feature], Field(min_length=1)]
    dropped: list[str] = Field(default=[])
    missing: list[str] = Field(default=list(MISSING))
    missing_cells: dict[str, _Count] = Field(default={})
    rows: RowCounts

    @property
    def feature_names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @model_validator(mode="after")
    def _every_name_is_another(self) -> Self:
        for kind, values in (("class", self.classes), ("feature", self.feature_names)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {kind} has the name of another one")
        return self


Features = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Tensors = dict[str, npt.NDArray[Any]]


class Examples(NamedTuple):
    """Rows of the table as numbers.

    Attributes:
        features: float32 `[n, d]`, see `Feature`.
        labels: int64 `[n]`, places in the schema's classes.
        rows: int64 `[n]`, the rows' numbers in the table, from 0.
        groups: int64 `[n]`: rows of equal value depend on each other. They share a group of
            `split.group_by` or all features, directly or through other rows of the part; the value
            is the number of the first such row in the table.
        ids: int64 `[n]`, what identifies a row in whatever order the table stands.
        seen: bool `[n]`, of test rows: whether a train or validation row has the same features.
        folds: int64 `[n]`, of train rows in folds, see `split.val_size`: which fold a row is in,
            from 0 without gaps, or -1 if it is in none.
    """

    features: Features
    labels: Integers
    rows: Integers
    groups: Integers
    ids: Integers
    seen: npt.NDArray[np.bool_] | None = None
    folds: Integers | None = None

    def take(self, places: Integers) -> "Examples":
        """The rows at these places, in their order."""
        return Examples(**{k: v[places] for k, v in self._asdict().items() if v is not None})


def digest_of(*parts: "Examples | PartFile") -> str:
    """Equal for the same features and classes in the same order."""
    digest = hashlib.sha256()
    for part in parts:
        for tensor in ("features", "labels"):
            for rows in [part] if isinstance(part, Examples) else part.blocks():
                digest.update(np.ascontiguousarray(getattr(rows, tensor)).data)
    return digest.hexdigest()[:16]


def unknown_counts(features: Features, columns: Sequence[Feature]) -> dict[str, int]:
    """By column, how many cells hold a category that no train row has; without zeros."""
    counts = ((name, int(cells.sum())) for name, cells in _unknown_cells(features, columns))
    return {name: count for name, count in counts if count}


def is_known(features: Features, columns: Sequence[Feature]) -> npt.NDArray[np.bool_]:
    """Which rows have no unknown category, and so equal features only if their cells are equal."""
    known = np.ones(len(features), dtype=np.bool_)
    for _, cells in _unknown_cells(features, columns):
        known &= ~cells
    return known


def _unknown_cells(
    features: Features, columns: Sequence[Feature]
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    for column, feature in zip(features.T, columns, strict=True):
        if feature.categories is not None:
            yield feature.name, column == feature.unknown_code


def write_schema(path: Path, schema: Schema) -> None:
    write_json(path, schema.model_dump(exclude_defaults=True))


def read_schema(path: Path) -> Schema:
    """Read a schema; InputError if the file is missing or no schema."""
    return read_json(path, Schema)


def write_examples(path: Path, examples: Examples) -> None:
    # not by save_file, which writes a temporary file of its own that a kill would leave behind
    write_bytes(path, examples_as_bytes(examples))


def examples_as_bytes(examples: Examples) -> bytes:
    """The content of a tensor file."""
    return safetensors.numpy.save({k: v for k, v in examples._asdict().items() if v is not None})


class ExamplesFile:
    """A tensor file that is written in parts, to the bytes that `write_examples` gives it at once.

    The length of each tensor is known from the start, so each has its place in the file.
    """

    def __init__(self, file: IO[bytes], n_rows: int, n_features: int, is_test: bool) -> None:
        """Args:
        file: empty, open to write; it is left open.
        is_test: whether there is `seen`.
        """
        self.file = file
        shapes = {"groups": [n_rows], "ids": [n_rows], "labels": [n_rows], "rows": [n_rows]}
        # as safetensors orders them: by the size of a number, then by name
        layout = [(name, "I64", 8, shape) for name, shape in shapes.items()]
        layout.append(("features", "F32", 4, [n_rows, n_features]))
        layout += [("seen", "BOOL", 1, [n_rows])] if is_test else []
        header: dict[str, dict[str, Any]] = {}
        starts, end = {}, 0
        for name, dtype, n_bytes, shape in layout:
            starts[name], end = end, end + n_bytes * math.prod(shape)
            start = starts[name]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        file.write(struct.pack("<Q", len(text)) + text)
        first = file.tell()
        self._places = {name: first + start for name, start in starts.items()}
        file.truncate(first + end)

    def append(self, name: str, values: npt.NDArray[Any]) -> None:
        """The next numbers of a tensor, in the dtype that it has in `Examples`."""
        content = np.ascontiguousarray(values).data
        self.file.seek(self._places[name])
        self.file.write(content)
        self._places[name] += content.nbytes


def read_examples(path: Path, schema: Schema) -> Examples:
    """Read a tensor file and check it against the schema.

    A file that has the name of a part must have as many rows as the schema says of the part.

    Raises:
        InputError: the file is missing, cut, of another format, or does not fit the schema.
    """
    tensors = read_safetensors(path)
    n_rows = getattr(schema.rows, path.stem, None)
    if problem := next(_problems(tensors, schema, n_rows, path.stem == "train"), None):
        raise InputError(f"{path}: {problem}; delete it and run `dvc repro`")
    return Examples(**tensors)


class PartFile:
    """The tensor file of a part, of which some rows are read at a time, and checked then."""

    def __init__(self, path: Path, schema: Schema) -> None:
        """Raises InputError: as `read_examples`, as far as no number is read."""
        self.path, self.schema = path, schema
        self.n_rows = int(getattr(schema.rows, path.stem))
        self.n_features = len(schema.features)
        with _refusals(path), safetensors.safe_open(path, "numpy") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        for name in filter(shapes.__contains__, Examples._fields):
            expected = [self.n_rows, self.n_features][: 2 if name == "features" else 1]
            if shapes[name] != expected:
                raise InputError(
                    f"{path}: {name} are of shape {tuple(shapes[name])}, and the schema says "
                    f"{tuple(expected)}; delete it and run `dvc repro`"
                )

    def rows(self, start: int, n_rows: int) -> Examples:
        """At most `n_rows` rows, from the place `start` on."""
        # opened anew, because all that was read of a file stays in memory until it is closed
        stop = min(start + n_rows, self.n_rows)
        with _refusals(self.path), safetensors.safe_open(self.path, "numpy") as file:
            tensors = {name: file.get_slice(name)[start:stop] for name in file.keys()}  # noqa: SIM118
        is_train = self.path.stem == "train"
        if problem := next(_problems(tensors, self.schema, None, is_train), None):
            raise InputError(f"{self.path}: {problem}; delete it and run `dvc repro`")
        return Examples(**tensors)

    def blocks(self) -> Iterator[Examples]:
        """All rows in their order."""
        n_rows = max(1, min(READ_ROWS, READ_NUMBERS // self.n_features))
        for start in range(0, self.n_rows, n_rows):
            yield self.rows(start, n_rows)

    def sample(self, n_rows: int) -> Examples:
        """About `n_rows` rows, or fewer if these are more than `LARGE` numbers: those whose ids
        come first.

        Ids are hashes, so that these are like the others; and they are mostly the same ones if rows
        are added to the table, or removed.
        """
        chosen = [block.take(self._sampled(block, n_rows)) for block in self.blocks()]
        columns = zip(*(rows._asdict().values() for rows in chosen), strict=True)
        named = zip(Examples._fields, columns, strict=True)
        return Examples(**{n: np.concatenate(v) for n, v in named if v[0] is not None})

    def features_to_fit(self, n_rows: int) -> Features:
        """The features of a sample; unless that is of all rows, with two more rows, which have the
        least and the largest number of each column, so that none looks empty or constant that is
        not."""
        chosen, bounds = [], np.full((2, self.n_features), np.nan, dtype=np.float32)
        for block in self.blocks():
            chosen.append(block.features[self._sampled(block, n_rows)])
            for bound, of_two in zip(bounds, (np.fmin, np.fmax), strict=True):
                of_two(bound, of_two.reduce(block.features, axis=0), out=bound)
        is_whole = sum(map(len, chosen)) == self.n_rows
        return np.concatenate(chosen if is_whole else [*chosen, bounds])

    def _sampled(self, block: Examples, n_rows: int) -> Integers:
        """The places of a block's rows that are of a sample of all."""
        share = min(n_rows, LARGE // self.n_features) / self.n_rows
        place = (block.ids.view(np.uint64) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return np.flatnonzero(place < share)


def is_large(n_rows: int, schema: Schema) -> bool:
    """Whether so many rows are more than a stage takes into memory; in folds, none are."""
    return n_rows * len(schema.features) > LARGE and not schema.rows.folds


def is_trained_in_blocks(schema: Schema) -> bool:
    """Whether train or validation rows are more than a stage takes into memory."""
    return any(is_large(n_rows, schema) for n_rows in (schema.rows.train, schema.rows.val))


def read_or_sample(path: Path, schema: Schema) -> Examples:
    """As `read_examples`; of a part with more than `SAMPLED_ROWS` about so many, see
    `PartFile.sample`, unless the table is in folds."""
    n_rows = int(getattr(schema.rows, path.stem))
    has_many = n_rows > SAMPLED_ROWS and not schema.rows.folds
    if has_many or is_large(n_rows, schema):
        return PartFile(path, schema).sample(SAMPLED_ROWS)
    return read_examples(path, schema)


def read_parts(folder: Path, schema: Schema) -> tuple[dict[str, Examples], dict[str, int]]:
    """Train, validation and test rows; and of each part that is a sample, see `read_or_sample`, the
    number of all its rows, which is said, too."""
    parts, sampled = {}, {}
    for name in ("train", "val", "test"):
        with waiting(f"reading {name} rows"):
            parts[name] = read_or_sample(folder / f"{name}.safetensors", schema)
        n_read, n_rows = len(parts[name].rows), int(getattr(schema.rows, name))
        if n_read != n_rows:
            sampled[name] = n_rows
            say(f"of {n_rows} {name} rows, {n_read} are used, by their ids")
    return parts, sampled


def read_safetensors(path: Path) -> Tensors:
    """All tensors of a safetensors file; InputError if it is missing, cut or of another format."""
    with _refusals(path):
        return safetensors.numpy.load_file(path)


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Turn what safetensors and the system raise into an InputError."""
    check_regular(path)
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` to make it") from None
    except PermissionError:
        raise
    except Exception as error:  # safetensors raises its own, OSError, KeyError and TypeError
        raise InputError(
            f"{path}: cut or not in safetensors format ({one_line(error)[:100]}); delete it and "
            "run `dvc repro`"
        ) from None


def _problems(
    tensors: Tensors, schema: Schema, n_rows: int | None, is_train: bool
) -> Iterator[str]:
    """What is wrong with a tensor file, or, without `n_rows`, with some of its rows; each check
    relies on those before it."""
    required = [name for name in Examples._fields if name not in Examples._field_defaults]
    if not set(required) <= set(tensors) <= set(Examples._fields):
        yield f"holds {', '.join(sorted(tensors)) or 'nothing'}, not {', '.join(Examples._fields)}"
    for name, tensor in tensors.items():
        expected = {"features": "float32", "seen": "bool"}.get(name, "int64")
        if tensor.dtype != expected:
            yield f"{name} is {tensor.dtype}, not {expected}"
    features, labels = tensors["features"], tensors["labels"]
    n_features, n_classes = len(schema.features), len(schema.classes)
    if features.ndim != 2 or features.shape[1] != n_features:
        yield f"features have shape {features.shape}, and the schema names {n_features} columns"
    for name, column in tensors.items():
        if name != "features" and column.shape != (len(features),):
            yield f"{len(features)} feature rows, but {name} {column.shape}"
    if len(labels) and not 0 <= labels.min() <= labels.max() < n_classes:
        yield f"labels reach from {labels.min()} to {labels.max()}, of {n_classes} classes"
    if np.isinf(features).any():
        yield "features are not all finite"
    for column, feature in zip(features.T, schema.features, strict=True):
        codes = np.arange(feature.unknown_code + 1)
        if feature.categories is not None and not np.isin(column, codes).all():
            yield f"column {feature.name!r} holds a code of no category"
    if n_rows not in (None, len(features)):
        yield f"holds {len(features)} rows, and the schema says {n_rows}"
    folds = np.setdiff1d(tensors.get("folds", []), [-1]).tolist()
    # some of the rows may lack some of the folds
    wanted = [n for n in range(schema.rows.folds) if n_rows is not None or n in folds]
    if is_train and folds != wanted:
        yield f"holds the folds {folds}, and the schema says {schema.rows.folds}"[:200]
