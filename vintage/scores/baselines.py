"""The models that the network is compared with: scikit-learn's, with plain settings.

Each one's probabilities are equal on every processor: it is trained until only the last digits can
differ, and these are rounded away.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from vintage.base.tensors import Feature, Features
from vintage.scores.rows import Floats, Labels

SEED = 42
MAX_SVC_ROWS = 20_000  # training time grows with the square of the rows
MAX_SVC_WORK = 4_000_000_000  # rows by steps: under a minute; numbers in few columns may take hours
MAX_HESSIAN = 500  # rows of the matrix that Newton's method solves at each step
KEPT_BITS = 20  # of a probability, about six digits: processors differ in the last of float64's 53
MAX_BINS = 255  # categories that HistGradientBoostingClassifier accepts in a column
N_TREES, TREES_AT_ONCE = 500, 10
MAGNIFIED = 100  # bits of the largest number that a forest is given; 32-bit numbers have up to 127
BINNED_ROWS = 200_000  # of more rows, it takes as many to make the bins of


class UnaffordableError(Exception):
    """A baseline would take too long on these rows; says why."""


class _AffordableSVC(SVC):  # type: ignore[misc]
    def fit(self, X: Floats, y: Labels) -> "_AffordableSVC":  # noqa: N803
        """As SVC does; UnaffordableError if the last digits do not settle in reasonable time."""
        if len(X) > MAX_SVC_ROWS:
            raise UnaffordableError(f"it takes too long for {len(X):,} rows")
        # a sixth of the fits that probabilities take
        trial = SVC(C=self.C, tol=self.tol, max_iter=MAX_SVC_WORK // len(X))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            if trial.fit(X, y).fit_status_:
                raise UnaffordableError("its last digits do not settle on these rows")
        super().fit(X, y)
        return self


class _HistGradientBoosting(HistGradientBoostingClassifier):  # type: ignore[misc]
    def fit(self, X: Floats, y: Labels) -> "_HistGradientBoosting":  # noqa: N803
        """Without early stopping if a class has a single row: it validates by rows of each.

        And without columns of fewer numbers than a leaf has rows: no split is made by these, and
        none of the numbers may be among the rows that it makes bins of.
        """
        if np.unique(y, return_counts=True)[1].min() < 2:
            self.set_params(early_stopping=False)
        least = self.min_samples_leaf * max(1, len(X) / BINNED_ROWS)
        is_sparse = np.isfinite(X).sum(axis=0) < least
        super().fit(np.where(is_sparse, 0, X) if is_sparse.any() else X, y)
        return self


class _Magnifier(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Multiplies each column by a power of two that makes its largest number about 2 ** 100.

    A forest takes numbers for equal that differ by less than 1e-7, such as all of 1e-9 meters.
    """

    def fit(self, X: Floats, y: object = None) -> "_Magnifier":  # noqa: ARG002, N803
        largest = np.maximum(X.max(axis=0), -X.min(axis=0))
        self.exponents_ = MAGNIFIED - np.frexp(largest)[1]
        return self

    def transform(self, X: Floats) -> Features:  # noqa: N803
        """Cut off, so that numbers beyond those of the train rows stay finite in 32 bits."""
        limit, magnified = 2.0 ** (MAGNIFIED + 1), np.empty(X.shape, dtype=np.float32)
        for index, exponent in enumerate(self.exponents_):
            magnified[:, index] = np.ldexp(X[:, index], exponent).clip(-limit, limit)
        return magnified


class _Forest(RandomForestClassifier):  # type: ignore[misc]
    """Grows some trees at a time and keeps none: all may take more than the memory.

    A node of a tree has a number for each class, and noisy rows make about as many nodes.
    """

    estimators_: list[Any]

    def fit(self, X: Features, y: Labels) -> "_Forest":  # noqa: N803
        self.rows_ = X, y
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Features) -> Floats:  # noqa: N803
        """The mean of the trees, summed up in their order, as scikit-learn does."""
        total = np.zeros((len(X), len(self.classes_)))
        for n_trees in range(TREES_AT_ONCE, N_TREES + 1, TREES_AT_ONCE):
            self.set_params(n_estimators=n_trees, warm_start=n_trees > TREES_AT_ONCE)
            super().fit(*self.rows_)
            for tree in self.estimators_[-TREES_AT_ONCE:]:
                total += tree.predict_proba(X)
            self.estimators_ = [tree] * n_trees  # of which only the number counts
        return total / N_TREES


BASELINES: dict[str, Callable[[Sequence[Feature], int], Any]] = {
    "majority_class": lambda *_: DummyClassifier(strategy="prior"),
    "logistic_regression": lambda features, n_classes: make_pipeline(
        _dense(features),
        StandardScaler(),
        LogisticRegression(max_iter=1000, **_solver(features, n_classes)),
    ),
    "svc": lambda features, _: make_pipeline(
        _dense(features),
        StandardScaler(),
        _AffordableSVC(C=2, probability=True, random_state=SEED, tol=1e-12),
    ),
    "random_forest": lambda features, _: make_pipeline(
        _dense(features),
        _Magnifier(),
        _Forest(random_state=SEED),
    ),
    "hist_gradient_boosting": lambda features, _: _HistGradientBoosting(
        random_state=SEED,
        categorical_features=[
            feature.categories is not None and feature.unknown_code < MAX_BINS
            for feature in features
        ],
    ),
}


def predict_baseline(
    name: str,
    features: Sequence[Feature],
    train: Features,
    labels: Labels,
    test: Features,
    n_classes: int,
) -> Floats:
    """Train a baseline and predict the test rows.

    Args:
        features: the columns of `train` and `test`.
        train, test: float32 `[n, n_features]` and `[m, n_features]`.
        labels: int64 `[n]`, the classes of the train rows.

    Returns:
        Probabilities, float64 `[m, n_classes]`, of `KEPT_BITS` and summing to one; 0 for a class
        without train rows.

    Raises:
        UnaffordableError: it would take too long.
    """
    model = BASELINES[name](features, n_classes)
    # on one thread, because OpenMP shares out sums to as many as there are
    with warnings.catch_warnings(), threadpool_limits(1):
        # scikit-learn 1.11 will remove it; the replacement that it suggests scores worse here
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*`probability`")
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than")
        predicted = model.fit(train.astype(np.float64), labels).predict_proba(
            test.astype(np.float64)
        )
    probabilities = np.zeros((len(test), n_classes))
    probabilities[:, model.classes_] = predicted
    mantissas, exponents = np.frexp(probabilities)
    kept = np.ldexp(np.rint(np.ldexp(mantissas, KEPT_BITS)), exponents - KEPT_BITS)
    total: Floats = sum(kept.T)  # class after class, in this order on every processor
    return kept / total[:, None]


def _solver(features: Sequence[Feature], n_classes: int) -> dict[str, Any]:
    """Newton's method, which ends at the same digits on every processor, unless it takes long."""
    n_inputs = sum(len(feature.categories or [feature.name]) for feature in features)
    if n_inputs * n_classes > MAX_HESSIAN:
        return {"solver": "lbfgs"}
    return {"solver": "newton-cholesky", "tol": 1e-8}


def _dense(features: Sequence[Feature]) -> Any:
    """Encode as the network does: medians and indicators for missing numbers, one-hot codes."""
    numeric = [index for index, feature in enumerate(features) if feature.categories is None]
    categorical = [index for index in range(len(features)) if index not in numeric]
    return make_column_transformer(
        (
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            numeric,
        ),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), categorical),
    )
