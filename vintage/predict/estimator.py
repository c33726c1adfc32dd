"""A trained model with scikit-learn's interface, for data frames in other programs.

In exact numerics it gives the bits of `vintage predict`, whatever the program that calls has set.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin

from vintage.base.console import InputError, one_line
from vintage.predict.locate import located
from vintage.predict.model import Predicted, check_columns, encode, predict, read_network

if TYPE_CHECKING:
    import pandas as pd

FRAME = Path("the frame")


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that is trained already: `fit` does nothing but check the columns.

    A frame is pandas' or a `pyarrow.Table`. Its columns are found by name, in any order; those that
    the model does not know are left out, so the target may be among them.

    Attributes:
        classes_: `[n_classes]`, text as in the schema: 3 or 3.0 is "3", and True is "true".
        feature_names_in_: `[n_features_in_]`, the columns that a frame must have.
        n_features_in_: how many these are.
    """

    def __init__(self, model: str | os.PathLike[str] = "data/checkpoint") -> None:
        self.model = model
        with located(os.fspath(model)) as path:
            self._network = read_network(path)
        schema = self._network.schema
        names = [feature.name for feature in schema.features]
        self.classes_: npt.NDArray[np.str_] = np.array(schema.classes)
        self.feature_names_in_: npt.NDArray[np.object_] = np.array(names, dtype=object)
        self.n_features_in_ = len(names)

    def fit(self, X: "pd.DataFrame | pa.Table", y: object = None) -> "Classifier":  # noqa: ARG002, N803
        """Check the columns; scikit-learn takes nothing for an estimator that has no `fit`."""
        check_columns(FRAME, _names(X), self._network.schema)
        return self

    def predict(self, X: "pd.DataFrame | pa.Table") -> npt.NDArray[np.str_]:  # noqa: N803
        """The most probable class of each row, as text: `[n]`.

        Raises:
            InputError: a column is missing, or a cell is not what its column holds.
        """
        return self.classes_[self._predict(X).classes]

    def predict_proba(self, X: "pd.DataFrame | pa.Table") -> npt.NDArray[np.float64]:  # noqa: N803
        """Each class's probability, the mean over the replicas: float64 `[n, n_classes]`."""
        return self._predict(X).probabilities

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _predict(self, frame: "pd.DataFrame | pa.Table") -> Predicted:
        schema = self._network.schema
        check_columns(FRAME, _names(frame), schema)
        names = list(self.feature_names_in_)
        table = pa.table([_column(frame, name) for name in names], names=names)
        return predict(self._network, encode(FRAME, table, schema))


def _names(frame: Any) -> list[str]:
    if isinstance(frame, pa.Table):
        return list(frame.column_names)
    if not (hasattr(frame, "columns") and hasattr(frame, "iloc")):
        raise InputError(
            f"found {type(frame).__name__}, not a data frame of pandas or a table of pyarrow: the "
            "columns are found by name"
        )
    return [str(name) for name in frame.columns]


def _column(frame: Any, name: str) -> pa.ChunkedArray:
    names = _names(frame)
    if names.count(name) > 1:
        raise InputError(f"{FRAME}: column {name!r} is there more than once")
    if isinstance(frame, pa.Table):
        return frame[name]
    column = frame.iloc[:, names.index(name)]
    kind = column.dtype
    if hasattr(column, "sparse"):
        column = column.sparse.to_dense()
    try:
        return pa.chunked_array(pa.Table.from_pandas(column.to_frame(), preserve_index=False)[0])
    except (pa.ArrowException, TypeError, ValueError, OverflowError, RecursionError) as error:
        said = error.args[0] if isinstance(error, pa.ArrowException) else error
        reason = one_line(str(said).partition("\n")[0])[:200]
        raise InputError(
            f"{FRAME}: column {name!r} of type {kind} cannot be read: {reason}"
        ) from None
