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

The nodes follow `vintage.network.encoding`, `.layers` and `.tabm` one by one, so that the same
checkpoint gives the same bytes, whatever the version of PyTorch is.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from vintage.base.files import write_bytes
from vintage.base.tensors import Feature, Schema
from vintage.network.checkpoint import Manifest
from vintage.network.encoding import Encoder
from vintage.network.ensemble import Ensemble
from vintage.network.layers import (
    CheapDropout,
    ReplicatedLinear,
    ReplicatedModule,
    ReplicatedSequential,
)
from vintage.predict.onnx_model import import_optional, input_type
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


def export_onnx(path: Path, ensemble: Ensemble, manifest: Manifest, schema: Schema) -> None:
    """Write the ensemble; InputError if the package `onnx` is missing."""
    write_bytes(path, onnx_bytes(ensemble, manifest, schema))


def onnx_bytes(ensemble: Ensemble, manifest: Manifest, schema: Schema) -> bytes:
    """The content of the file: equal bytes for equal checkpoints."""
    onnx = import_optional("onnx")
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
                    getattr(kinds, input_type(feature)),
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
    encoded = graph.node("Concat", *cells, axis=1)
    numbers, others = _inputs(graph, encoded, ensemble.encoder)
    if isinstance(ensemble.layers, ReplicatedModule):
        return _tabm(graph, numbers, others, ensemble.layers)
    inputs = graph.node("Concat", *numbers, *others, axis=1)
    return graph.as_kind(_mlp(graph, inputs, ensemble.layers), "DOUBLE")


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


def _inputs(graph: _Graph, features: str, encoder: Encoder) -> tuple[list[str], list[str]]:
    """What `Encoder` puts out, `[n, ...]` each: the numbers, if there are any, and the others."""
    numbers: list[str] = []
    others = []
    if encoder.n_numeric:
        cells = graph.node("Gather", features, graph.constant(encoder.numeric), axis=1)
        missing = graph.node("IsNaN", cells)
        filled = graph.node("Where", missing, graph.constant(encoder.median), cells)
        centred = graph.node("Sub", filled, graph.constant(encoder.mean))
        normalized = graph.node("Div", centred, graph.constant(encoder.scale))
        numbers = [normalized]
        if encoder.edges is not None:
            numbers = [
                _drawn_in(graph, normalized),
                _piecewise_linear(graph, normalized, encoder.edges),
            ]
    if len(encoder.with_missing):
        cells = graph.node("Gather", features, graph.constant(encoder.with_missing), axis=1)
        others.append(graph.as_kind(graph.node("IsNaN", cells), "FLOAT"))
    if not encoder.all_numeric:
        cells = graph.node("Gather", features, graph.constant(encoder.categorical), axis=1)
        equal = graph.node("Equal", cells, graph.constant(encoder.codes))
        others.append(graph.as_kind(equal, "FLOAT"))
    return numbers, others


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


def _mlp(graph: _Graph, inputs: str, layers: ReplicatedSequential) -> str:
    """`[n, n_in]` -> `[n_replicas, n, n_classes]`."""
    for layer in layers:
        if isinstance(layer, ReplicatedLinear):
            product = graph.node("MatMul", inputs, graph.constant(layer.scaled_weight()))
            inputs = graph.node("Add", product, graph.constant(layer.bias))
        elif not isinstance(layer, CheapDropout):
            inputs = _activation(graph, inputs, layer)
    return inputs


def _activation(graph: _Graph, inputs: str, layer: nn.Module) -> str:
    if isinstance(layer, nn.ReLU):
        return graph.node("Relu", inputs)
    if isinstance(layer, nn.SiLU):
        return graph.node("Mul", inputs, graph.node("Sigmoid", inputs))
    raise TypeError(f"no ONNX nodes are known for {layer}")


def _tabm(graph: _Graph, numbers: list[str], others: list[str], layers: ReplicatedModule) -> str:
    """The logarithm of the members' mean probability, double `[n_replicas, n, n_classes]`."""
    from tabm import EnsembleView, LinearBatchEnsemble, LinearEnsemble

    weights = {name: getattr(layers, name.replace(".", "_")) for name in layers.names}
    embedded = [_embeddings(graph, name, layers.module, weights) for name in numbers]
    size = graph.constant(np.array([layers.n_replicas, 1, 1]))
    embedded += [graph.node("Expand", name, size) for name in others]
    # [n_replicas, 1, n, n_in], then with the members for the 1
    inputs = graph.node(
        "Unsqueeze", graph.node("Concat", *embedded, axis=2), graph.constant(np.array([1]))
    )
    for index, layer in enumerate(layers.module.layers.children()):  # type: ignore[union-attr]
        own = {
            name.rpartition(".")[2]: weight
            for name, weight in weights.items()
            if name.startswith(f"layers.{index}.")
        }
        if isinstance(layer, LinearBatchEnsemble):
            scaled = graph.node("Mul", inputs, graph.constant(own["r"][:, :, None]))
            shared = own["weight"].transpose(1, 2)[:, None]
            product = graph.node("MatMul", scaled, graph.constant(shared))
            scaled = graph.node("Mul", product, graph.constant(own["s"][:, :, None]))
            inputs = graph.node("Add", scaled, graph.constant(own["bias"][:, :, None]))
        elif isinstance(layer, LinearEnsemble):
            product = graph.node("MatMul", inputs, graph.constant(own["weight"]))
            inputs = graph.node("Add", product, graph.constant(own["bias"][:, :, None]))
        elif not isinstance(layer, CheapDropout | EnsembleView):
            inputs = _activation(graph, inputs, layer)
    by_member = graph.node("Softmax", graph.as_kind(inputs, "DOUBLE"), axis=-1)
    mean = graph.node("ReduceMean", by_member, graph.constant(np.array([1])), keepdims=0)
    least = graph.constant(np.array(1e-38))
    return graph.node("Log", graph.node("Max", mean, least))


def _embeddings(graph: _Graph, numbers: str, module: nn.Module, weights: dict[str, Tensor]) -> str:
    """`[n, n_numeric]` -> `[n_replicas, n, n_numeric * size]`."""
    linear = {
        name: graph.constant(weights[f"embeddings.linear0.{name}"][:, :, None])
        for name in ("weight", "bias")
    }
    bins: Any = module.embeddings.impl  # type: ignore[union-attr]
    by_column = graph.node(
        "Unsqueeze", graph.node("Transpose", numbers, perm=[1, 0]), graph.constant(np.array([2]))
    )
    # [n_numeric, n, n_bins]: how much of each bin lies below the number
    product = graph.node("Mul", by_column, graph.constant(bins.weight[:, None]))
    shares = graph.node("Add", product, graph.constant(bins.bias[:, None]))
    n_numeric, n_bins = bins.weight.shape
    if n_bins > 1:
        low = np.zeros((n_numeric, 1, n_bins), dtype=np.float32)
        high = np.ones_like(low)
        low[:, :, 0], high[:, :, -1] = -np.inf, np.inf
        if bins.single_bin_mask is not None:
            low[bins.single_bin_mask.numpy(), :, -1] = -np.inf
        shares = graph.node("Min", shares, graph.constant(high))
        shares = graph.node("Max", shares, graph.constant(low))
    piecewise = graph.node("MatMul", shares, graph.constant(weights["embeddings.linear.weight"]))
    straight = graph.node("Mul", by_column, linear["weight"])
    straight = graph.node("Add", straight, linear["bias"])
    both = graph.node("Transpose", graph.node("Add", straight, piecewise), perm=[0, 2, 1, 3])
    size = n_numeric * weights["embeddings.linear.weight"].shape[-1]
    return graph.node("Reshape", both, graph.constant(np.array([0, 0, size])))
