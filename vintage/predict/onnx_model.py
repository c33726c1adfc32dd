"""A model file that `vintage export` wrote, applied by onnxruntime instead of PyTorch."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from vintage.base.console import InputError, one_line
from vintage.base.files import read_bytes
from vintage.base.tensors import Feature, Features, Schema

BLOCK_ROWS = 1024


class OnnxModel:
    """The network of an ONNX file, and the schema that it carries."""

    def __init__(self, path: Path, session: Any, schema: Schema) -> None:
        self.path = path
        self.schema = schema
        self._session = session

    def predict_proba(self, features: Features) -> npt.NDArray[np.float64]:
        """float32 `[n, n_features]` as in the tensor files -> `[n_replicas, n, n_classes]`.

        Raises:
            InputError: features or weights so large that the network's output is not finite.
        """
        blocks = [
            self._predict_block(features[start : start + BLOCK_ROWS])
            for start in range(0, max(len(features), 1), BLOCK_ROWS)
        ]
        probabilities = np.concatenate(blocks, axis=1)
        n_wrong = int((~np.isfinite(probabilities)).any(axis=(0, 2)).sum())
        if n_wrong:
            raise InputError(
                f"{self.path}: the network's output for {n_wrong} of {len(features)} rows is not "
                "finite; look for extreme values in the table"
            )
        return probabilities

    def _predict_block(self, features: Features) -> npt.NDArray[np.float64]:
        cells: dict[str, npt.NDArray[Any]] = {
            feature.name: _cells(column, feature)[:, None]
            for column, feature in zip(features.T, self.schema.features, strict=True)
        }
        name = self._session.get_outputs()[2].name
        probabilities: npt.NDArray[np.float64] = self._session.run([name], cells)[0]
        return probabilities


def read_onnx(path: Path) -> OnnxModel:
    """Read what `vintage.predict.export` wrote.

    Raises:
        InputError: onnxruntime or the file is missing, or the file is cut or another model.
    """
    runtime = import_optional("onnxruntime")
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `vintage export {path}` to make it") from None
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what is wrong with a file is said below
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class of its own for every reason
        reason = one_line(error)[:150]
        raise InputError(f"{path}: onnxruntime cannot read it as ONNX ({reason})") from None
    text = session.get_modelmeta().custom_metadata_map.get("schema")
    foreign = f"{path}: is no model of `vintage export`"
    if text is None:
        raise InputError(f"{foreign}: its metadata have no schema")
    try:
        schema = Schema.model_validate_json(text)
    except ValidationError as error:
        reason = one_line(error.errors(include_url=False)[0]["msg"])[:150]
        raise InputError(f"{foreign}: the schema in its metadata is wrong ({reason})") from None
    wanted = [
        (feature.name, f"tensor({input_type(feature).lower()})") for feature in schema.features
    ]
    inputs = [(each.name, each.type) for each in session.get_inputs()]
    outputs = [each.type for each in session.get_outputs()]
    if inputs != wanted or outputs != ["tensor(float)", "tensor(string)", "tensor(double)"]:
        raise InputError(f"{foreign}: its inputs and outputs are not those of its schema")
    return OnnxModel(path, session, schema)


def import_optional(name: str) -> Any:
    """A package of the extra `onnx`; InputError if it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"ONNX needs packages that are optional here ({one_line(error)}): run "
            "`pip install onnx onnxruntime`"
        ) from None


def input_type(feature: Feature) -> str:
    """ONNX's name for the type of a column's cells."""
    if feature.categories is not None:
        return "STRING"
    return "DOUBLE" if feature.offset else "FLOAT"


def _cells(column: npt.NDArray[np.float32], feature: Feature) -> npt.NDArray[Any]:
    """What the model takes for these stored numbers `[n]`."""
    if feature.categories is None:
        return column.astype(np.float64) + feature.offset if feature.offset else column
    unknown = "?" * (1 + max(map(len, feature.categories)))  # longer than each of them
    texts = [*feature.categories, *([""] if feature.missing else []), unknown]
    return np.array(texts, dtype=object)[column.astype(np.int64)]
