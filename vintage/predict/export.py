"""Write a checkpoint as one ONNX file, which needs nothing else to predict from a table's cells.

Inputs, each `[n, 1]` and named as its column:

- numeric: float32, NaN where the cell is missing;
- date-time: float32, days since 2000-01-01 in UTC, NaN where it is missing;
- either of these with an `offset` in the schema: double, because float32 would not tell its numbers
  apart; the graph subtracts the offset;
- categorical: string, spelled as in the schema's `categories`, "" where it is missing. `True` and
  `1.0` stand for `true` and `1`, as the schema's `missing`, by default `NA`, `N/A` and `null`, do
  for missing; any other text is an unknown category. White space counts.

Outputs, in this order: `probabilities`, float32 `[n, n_classes]`, the mean over the replicas;
`label`, string `[n]`, the likeliest class; `replica_probabilities`, double
`[n_replicas, n, n_classes]`. An output that has the name of a column gets a `_` at its end.

Metadata: `schema` and `model`, the JSON of the checkpoint's schema.json and model.json.

The nodes follow `vintage.network.encoding` and the network's own `export` one by one, so that the
same checkpoint gives the same bytes with every version of PyTorch.
"""

import importlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from vintage.base.console import InputError, one_line
from vintage.base.files import write_bytes
from vintage.base.tensors import Feature, Schema
from vintage.network.checkpoint import Checkpoint
from vintage.network.encoding import Encoder
from vintage.network.ensemble import Ensemble
from vintage.table.cells import BOOLEANS, Place, with_nulls
from vintage.table.features import encode_features

# of early 2023, which every onnxruntime since 1.14 reads
IR_VERSION = 8
OPSETS = {"": 18, "ai.onnx.ml": 3}

OUTPUTS = ("probabilities", "label", "replica_probabilities")
CELLS = {
    "numeric": "NaN where it is missing",
    "datetime": "days since 2000-01-01 in UTC, NaN where it is missing",
    "categorical": "one of the schema's categories, '' where it is missing",
}


def export_onnx(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file: equal bytes for equal checkpoints.

    Raises:
        InputError: the package `onnx` is missing, or the network has no ONNX form.
    """
    write_bytes(path, _model(_import_onnx(), checkpoint))


def _import_onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise InputError(
            f"ONNX needs a package that is optional here ({one_line(error)}): run "
            "`pip install onnx`"
        ) from None


def _model(onnx: Any, checkpoint: Checkpoint) -> bytes:
    ensemble, manifest, schema = checkpoint
    helper, kinds = onnx.helper, onnx.TensorProto
    columns = [feature.name for feature in schema.features]
    graph = _Graph(onnx, columns)
    probabilities, label, by_replica = (_free_name(name, columns) for name in OUTPUTS)

    logits = _logits(graph, ensemble, schema)
    logits = graph.node("Div", logits, graph.constant(ensemble.temperature.double()))
    graph.node("Softmax", logits, output=by_replica, axis=-1)
    first = graph.constant(np.array([0]))
    mean = graph.node("ReduceMean", by_replica, first, keepdims=0)
    graph.node("Cast", mean, output=probabilities, to=kinds.FLOAT)
    likeliest = graph.node("ArgMax", mean, axis=-1, keepdims=0)
    classes = graph.constant(np.array(schema.classes, dtype=object))
    graph.node("Gather", classes, likeliest, output=label, axis=0)

    size = (ensemble.n_replicas, "n", len(schema.classes))
    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "vintage",
            [
                value(
                    feature.name,
                    getattr(kinds, _input_type(feature)),
                    ["n", 1],
                    CELLS[feature.kind],
                )
                for feature in schema.features
            ],
            [
                value(probabilities, kinds.FLOAT, size[1:]),
                value(label, kinds.STRING, size[1:2]),
                value(by_replica, kinds.DOUBLE, size),
            ],
            graph.constants,
        ),
        producer_name="vintage",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS.items()],
    )
    for key, record in (
        ("model", manifest.model_dump()),
        ("schema", schema.model_dump(exclude_defaults=True)),
    ):
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False)
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Nodes and constants in the making, with names that no column has."""

    def __init__(self, onnx: Any, columns: Collection[str]) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._prefix = "_"
        while any(column.startswith(self._prefix) for column in columns):
            self._prefix += "_"

    def constant(self, value: Tensor | npt.NDArray[Any]) -> str:
        name = f"{self._prefix}constant_{len(self.constants)}"
        array = value.detach().contiguous().numpy() if isinstance(value, Tensor) else value
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(
        self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Add a node; returns the name of its output."""
        name = f"{self._prefix}{kind}_{len(self.nodes)}"
        output = output or name
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, [output], name, domain=domain, **attributes)
        )
        return output

    def as_kind(self, name: str, kind: str) -> str:
        return self.node("Cast", name, to=getattr(self.onnx.TensorProto, kind))


def _free_name(name: str, columns: Collection[str]) -> str:
    while name in columns:
        name += "_"
    return name


def _logits(graph: _Graph, ensemble: Ensemble, schema: Schema) -> str:
    """double `[n_replicas, n, n_classes]`."""
    cells = [
        _number(graph, feature)
        if feature.categories is None
        else _code(graph, feature, schema.missing)
        for feature in schema.features
    ]
    inputs = _inputs(graph, graph.node("Concat", *cells, axis=1), ensemble.encoder)
    return graph.as_kind(ensemble.layers.export(graph, inputs), "DOUBLE")


def _input_type(feature: Feature) -> str:
    if feature.categories is not None:
        return "STRING"
    return "DOUBLE" if feature.offset else "FLOAT"


def _number(graph: _Graph, feature: Feature) -> str:
    """float32 `[n, 1]`, as stored."""
    if not feature.offset:
        return feature.name
    offset = graph.constant(np.array(feature.offset))
    return graph.as_kind(graph.node("Sub", feature.name, offset), "FLOAT")


def _code(graph: _Graph, feature: Feature, missing: Collection[str]) -> str:
    """Text as the code that `vintage.table.features` gives it: float32 `[n, 1]`."""
    categories = feature.categories or []
    spellings = [*categories, "", *missing, *BOOLEANS, *(f"{name}.0" for name in categories)]
    texts = {feature.name: with_nulls(pa.chunked_array([spellings], pa.string()), missing)}
    codes = encode_features(texts, [feature], Place("", np.arange(len(spellings))))[:, 0]
    known = {
        text: float(code)
        for text, code in zip(spellings, codes, strict=True)
        if code != feature.unknown_code
    }
    return graph.node(
        "LabelEncoder",
        feature.name,
        domain="ai.onnx.ml",
        keys_strings=list(known),
        values_floats=list(known.values()),
        default_float=float(feature.unknown_code),
    )


def _inputs(graph: _Graph, features: str, encoder: Encoder) -> str:
    """What `Encoder` puts out, float32 `[n, n_inputs]`."""
    parts: list[str] = []
    if encoder.n_numeric:
        cells = graph.node("Gather", features, graph.constant(encoder.numeric), axis=1)
        missing = graph.node("IsNaN", cells)
        filled = graph.node("Where", missing, graph.constant(encoder.median), cells)
        centred = graph.node("Sub", filled, graph.constant(encoder.mean))
        normalized = graph.node("Div", centred, graph.constant(encoder.scale))
        parts = [normalized]
        if encoder.edges is not None:
            parts = [
                _drawn_in(graph, normalized),
                _piecewise_linear(graph, normalized, encoder.edges),
            ]
    if len(encoder.with_missing):
        cells = graph.node("Gather", features, graph.constant(encoder.with_missing), axis=1)
        parts.append(graph.as_kind(graph.node("IsNaN", cells), "FLOAT"))
    if not encoder.all_numeric:
        cells = graph.node("Gather", features, graph.constant(encoder.categorical), axis=1)
        equal = graph.node("Equal", cells, graph.constant(encoder.codes))
        parts.append(graph.as_kind(equal, "FLOAT"))
    return graph.node("Concat", *parts, axis=1)


def _drawn_in(graph: _Graph, numbers: str) -> str:
    third = graph.node("Div", numbers, _scalar(graph, 3))
    square = graph.node("Mul", third, third)
    root = graph.node("Sqrt", graph.node("Add", square, _scalar(graph, 1)))
    return graph.node("Div", numbers, root)


def _piecewise_linear(graph: _Graph, numbers: str, edges: Tensor) -> str:
    """`[n, n_numeric]` -> `[n, n_numeric * n_bins]`; a bin without width is 0."""
    left, width = edges[:, :-1], edges.diff(dim=1)
    is_bin = width > 0
    by_column = graph.node("Unsqueeze", numbers, graph.constant(np.array([2])))
    beyond = graph.node("Sub", by_column, graph.constant(left))
    through = graph.node("Div", beyond, graph.constant(torch.where(is_bin, width, 1.0)))
    through = graph.node("Clip", through, _scalar(graph, 0), _scalar(graph, 1))
    doubled = graph.node("Mul", through, graph.constant(2 * is_bin.float()))
    centred = graph.node("Sub", doubled, graph.constant(is_bin.float()))
    return graph.node("Reshape", centred, graph.constant(np.array([0, edges.numel() - len(edges)])))


def _scalar(graph: _Graph, value: float) -> str:
    return graph.constant(np.array(value, dtype=np.float32))
