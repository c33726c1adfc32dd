"""A trained model with scikit-learn's interface, for data frames in other programs.

In exact numerics it gives the bits of `vintage predict`, whatever the program that calls has set.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin

from vintage.base.console import InputError, one_line
from vintage.network.checkpoint import read_checkpoint
from vintage.predict.locate import located
from vintage.predict.model import Predicted, check_columns, encode, predict
from vintage.table.formats import plain_table

FRAME = Path("the frame")


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that is trained already: `fit` does nothing but check the columns.

    A frame's columns are found by name, in any order; those that the model does not know are left
    out, so the target may be among them.

    Attributes:
        classes_: `[n_classes]`, text as in the schema: 3 or 3.0 is "3", and True is "true".
        feature_names_in_: `[n_features_in_]`, the columns that a frame must have.
        n_features_in_: how many these are.
    """

    def __init__(self, model: str | os.PathLike[str] = "data/checkpoint") -> None:
        self.model = model
        with located(os.fspath(model)) as path:
            self._network = read_checkpoint(path)
        schema = self._network.schema
        names = schema.feature_names
        self.classes_: npt.NDArray[np.str_] = np.array(schema.classes)
        self.feature_names_in_: npt.NDArray[np.object_] = np.array(names, dtype=object)
        self.n_features_in_ = len(names)

    def fit(self, X: pd.DataFrame, y: object = None) -> "Classifier":  # noqa: ARG002, N803
        """Check the columns; scikit-learn takes nothing for an estimator that has no `fit`."""
        self._check(X)
        return self

    def predict(self, X: pd.DataFrame) -> npt.NDArray[np.str_]:  # noqa: N803
        """The most probable class of each row, as text: `[n]`.

        Raises:
            InputError: a column is missing, or a cell is not what its column holds.
        """
        return self.classes_[self._predict(X).classes]

    def predict_proba(self, X: pd.DataFrame) -> npt.NDArray[np.float64]:  # noqa: N803
        """Each class's probability, the mean over the replicas: float64 `[n, n_classes]`."""
        return self._predict(X).probabilities

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _check(self, frame: pd.DataFrame) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise InputError(
                f"found {type(frame).__name__}, not a data frame: the columns are found by name"
            )
        check_columns(FRAME, [str(name) for name in frame.columns], self._network.schema)

    def _predict(self, frame: pd.DataFrame) -> Predicted:
        self._check(frame)
        table = plain_table(FRAME, _table(frame, list(self.feature_names_in_)))
        return predict(self._network, encode(FRAME, table, self._network.schema))


def _table(frame: pd.DataFrame, needed: Sequence[str]) -> pa.Table:
    names = [str(name) for name in frame.columns]
    columns = {}
    for name in needed:
        if names.count(name) > 1:
            raise InputError(f"{FRAME}: column {name!r} is there more than once")
        column: Any = frame.iloc[:, names.index(name)]
        dense = column.sparse.to_dense() if hasattr(column, "sparse") else column
        try:
            columns[name] = pa.Array.from_pandas(dense)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, RecursionError) as error:
            reason = one_line(str(error).partition("\n")[0])[:200]
            raise InputError(
                f"{FRAME}: column {name!r} of type {column.dtype} cannot be read: {reason}"
            ) from None
    return pa.table(columns)
