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
from vintage.base.tensors import Feature
from vintage.network.checkpoint import Checkpoint
from vintage.network.encoding import FAR_OUT, Encoder
from vintage.table.cells import BOOLEANS, Place, with_nulls
from vintage.table.features import encode_features

# of early 2023, which every onnxruntime since 1.14 reads
IR_VERSION = 8
OPSETS = {"": 18, "ai.onnx.ml": 3}

INPUTS = {"numeric": "FLOAT", "datetime": "FLOAT", "categorical": "STRING"}  # by kind, see above
OUTPUTS = ("probabilities", "label", "replica_probabilities")


def export_onnx(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file: equal bytes for equal checkpoints.

    Raises:
        InputError: the package `onnx` is missing, or the network or a kind of column has no ONNX
            form.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError(
            f"ONNX needs a package that is optional here ({one_line(error)}): run "
            "`pip install onnx`"
        ) from None
    schema = checkpoint.schema
    graph = _Graph(onnx, schema.feature_names)
    inputs = [graph.value(feature.name, _type(feature), "n", 1) for feature in schema.features]
    outputs = _outputs(graph, checkpoint)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "vintage", inputs, outputs, graph.constants),
        producer_name="vintage",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid(*opset) for opset in OPSETS.items()],
    )
    manifest = checkpoint.manifest.model_dump()
    records = {"model": manifest, "schema": schema.model_dump(exclude_defaults=True)}
    for key, record in records.items():
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False)
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants in the making, with names that no column has."""

    def __init__(self, onnx: Any, columns: Collection[str]) -> None:
        self.onnx = onnx
        self.columns = columns
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._prefix = "_" * (1 + max(len(name) - len(name.lstrip("_")) for name in columns))

    def constant(self, value: Tensor | npt.NDArray[Any] | float) -> str:
        name = f"{self._prefix}constant_{len(self.constants)}"
        if isinstance(value, float):
            value = np.array(value, dtype=np.float32)
        array = value.detach().contiguous().numpy() if isinstance(value, Tensor) else value
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(
        self,
        kind: str,
        *inputs: str | Tensor | npt.NDArray[Any] | float,
        output: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node, of other nodes' outputs or of constants; returns the name of its output."""
        name = f"{self._prefix}{kind}_{len(self.nodes)}"
        output = output or name
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        self.nodes.append(
            self.onnx.helper.make_node(kind, names, [output], name, domain=domain, **attributes)
        )
        return output

    def as_type(self, name: str, kind: str, output: str = "") -> str:
        return self.node("Cast", name, output=output, to=getattr(self.onnx.TensorProto, kind))

    def value(self, name: str, kind: str, *shape: int | str) -> Any:
        """The declaration of an input or an output."""
        of_cells = getattr(self.onnx.TensorProto, kind)
        return self.onnx.helper.make_tensor_value_info(name, of_cells, shape)

    def free_name(self, name: str) -> str:
        return self.free_name(f"{name}_") if name in self.columns else name


def _type(feature: Feature) -> str:
    if feature.kind not in INPUTS:
        raise InputError(
            f"column {feature.name!r} is of kind {feature.kind}, which cannot be exported as ONNX; "
            "set another kind in data.kinds, or predict by `vintage predict` or `vintage.load`"
        )
    return "DOUBLE" if feature.offset else INPUTS[feature.kind]


def _outputs(graph: _Graph, checkpoint: Checkpoint) -> list[Any]:
    """Add the nodes from the columns to the outputs, and declare these."""
    ensemble, _, schema = checkpoint
    probabilities, label, by_replica = map(graph.free_name, OUTPUTS)
    cells = [_feature(graph, feature, schema.missing) for feature in schema.features]
    inputs = _encoded(graph, graph.node("Concat", *cells, axis=1), ensemble.encoder)
    logits = graph.as_type(ensemble.layers.export(graph, inputs), "DOUBLE")
    scaled = graph.node("Div", logits, ensemble.temperature.double())
    graph.node("Softmax", scaled, output=by_replica, axis=-1)
    mean = graph.node("ReduceMean", by_replica, np.array([0]), keepdims=0)
    graph.as_type(mean, "FLOAT", output=probabilities)
    likeliest = graph.node("ArgMax", mean, axis=-1, keepdims=0)
    graph.node("Gather", np.array(schema.classes, dtype=object), likeliest, output=label, axis=0)
    return [
        graph.value(probabilities, "FLOAT", "n", len(schema.classes)),
        graph.value(label, "STRING", "n"),
        graph.value(by_replica, "DOUBLE", ensemble.n_replicas, "n", len(schema.classes)),
    ]


def _feature(graph: _Graph, feature: Feature, missing: Collection[str]) -> str:
    """A column as it is stored: float32 `[n, 1]`."""
    if feature.categories is None:
        if not feature.offset:
            return feature.name
        return graph.as_type(graph.node("Sub", feature.name, np.array(feature.offset)), "FLOAT")
    names = feature.categories
    spellings = [*names, "", *missing, *BOOLEANS, *(f"{name}.0" for name in names)]
    texts = {feature.name: with_nulls(pa.chunked_array([spellings], pa.string()), missing)}
    codes = encode_features(texts, [feature], Place("", np.arange(len(spellings))))[:, 0]
    pairs = zip(spellings, codes.tolist(), strict=True)
    known = {text: code for text, code in pairs if code != feature.unknown_code}
    return graph.node(
        "LabelEncoder",
        feature.name,
        domain="ai.onnx.ml",
        keys_strings=list(known),
        values_floats=list(known.values()),
        default_float=float(feature.unknown_code),
    )


def _encoded(graph: _Graph, features: str, encoder: Encoder) -> str:
    """What `Encoder` puts out, float32 `[n, n_inputs]`."""
    parts: list[str] = []
    if encoder.n_numeric:
        cells = graph.node("Gather", features, encoder.numeric, axis=1)
        filled = graph.node("Where", graph.node("IsNaN", cells), encoder.median, cells)
        numbers = graph.node("Div", graph.node("Sub", filled, encoder.mean), encoder.scale)
        parts = [numbers]
        if encoder.edges is not None:
            parts = [_drawn_in(graph, numbers), _piecewise_linear(graph, numbers, encoder.edges)]
    if len(encoder.with_missing):
        cells = graph.node("Gather", features, encoder.with_missing, axis=1)
        parts.append(graph.as_type(graph.node("IsNaN", cells), "FLOAT"))
    if not encoder.all_numeric:
        cells = graph.node("Gather", features, encoder.categorical, axis=1)
        parts.append(graph.as_type(graph.node("Equal", cells, encoder.codes), "FLOAT"))
    return graph.node("Concat", *parts, axis=1)


def _drawn_in(graph: _Graph, numbers: str) -> str:
    numbers = graph.node("Clip", numbers, -FAR_OUT, FAR_OUT)
    third = graph.node("Div", numbers, 3.0)
    root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", third, third), 1.0))
    return graph.node("Div", numbers, root)


def _piecewise_linear(graph: _Graph, numbers: str, edges: Tensor) -> str:
    """`[n, n_numeric]` -> `[n, n_numeric * n_bins]`; a bin without width is 0."""
    left, width = edges[:, :-1], edges.diff(dim=1)
    is_bin = width > 0
    beyond = graph.node("Sub", graph.node("Unsqueeze", numbers, np.array([2])), left)
    through = graph.node("Div", beyond, torch.where(is_bin, width, 1.0))
    through = graph.node("Mul", graph.node("Clip", through, 0.0, 1.0), 2 * is_bin.float())
    return graph.node("Flatten", graph.node("Sub", through, is_bin.float()), axis=1)
