"""Models of other packages, as they come, for `benchmarks.tables`.

    build/tables/rivals/bin/python benchmarks/rivals.py MODEL GIVEN.npz FOUND.npy

Run in an environment that has them. GIVEN holds `train` and `test`, float32 `[n, n_features]` with
NaN for a missing number and codes for categories, `labels`, `is_category` and `n_classes`; FOUND
gets the probabilities of the test rows.
"""

import sys
from collections.abc import Callable
from typing import Any

# a resolver does not find its way through all that pytabkit names; torch's version is the project's
PACKAGES = [
    *("torch==2.13.0", "scikit-learn==1.9.1", "pandas==3.1.1", "catboost==1.2.10"),
    *("lightgbm==4.7.0", "pytorch-lightning==2.6.6", "torchmetrics==1.9.0", "psutil==7.2.2"),
    *("dill==0.4.1", "msgpack==1.2.4", "numba==0.68.1", "tqdm==4.70.1", "pyyaml==6.0.4"),
]
PACKAGES_WITHOUT_DEPENDENCIES = ["pytabkit==1.7.3", "probmetrics==1.3.0", "skorch==1.4.0"]
SEED = 42


def _catboost() -> Any:
    from catboost import CatBoostClassifier

    return CatBoostClassifier(random_seed=SEED, verbose=False, allow_writing_files=False)


def _lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=SEED, verbose=-1)


def _realmlp() -> Any:
    from pytabkit import RealMLP_TD_Classifier

    return RealMLP_TD_Classifier(device="cpu", random_state=SEED)


def _tabm() -> Any:
    from pytabkit import TabM_D_Classifier

    return TabM_D_Classifier(device="cpu", random_state=SEED)


RIVALS: dict[str, Callable[[], Any]] = {
    "catboost": _catboost,
    "lightgbm": _lightgbm,
    "realmlp": _realmlp,
    "tabm": _tabm,
}
NEURAL = ("realmlp", "tabm")
CATEGORIES_BY = {"catboost": "cat_features", "lightgbm": "categorical_feature"}


def main(name: str, given: str, found: str) -> None:
    import numpy as np

    rows = np.load(given)
    train, test = frames(rows["train"], rows["test"], rows["is_category"], name)
    if name in NEURAL:
        train, test = filled(train, test)
    settings = {}
    if name in CATEGORIES_BY:
        names = [f"x{index}" for index in np.flatnonzero(rows["is_category"])]
        settings = {CATEGORIES_BY[name]: names} if names else {}
    model = RIVALS[name]()
    model.fit(train, rows["labels"], **settings)
    probabilities = np.zeros((len(test), int(rows["n_classes"])))
    probabilities[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(test)
    np.save(found, probabilities / probabilities.sum(axis=1, keepdims=True))


def frames(train: Any, test: Any, is_category: Any, name: str) -> Any:
    """The columns, of which categories are text to CatBoost, and categories to the others."""
    import numpy as np
    import pandas as pd

    columns = {}
    for index, categorical in enumerate(is_category):
        column = pd.Series(np.concatenate([train[:, index], test[:, index]]))
        if categorical:
            column = column.astype(int)
            column = column.astype(str) if name == "catboost" else column.astype("category")
        columns[f"x{index}"] = column
    both = pd.DataFrame(columns)
    return both[: len(train)].copy(), both[len(train) :].copy()


def filled(train: Any, test: Any) -> Any:
    """Medians and indicators for missing numbers, which these networks do not take."""
    for column in [name for name in train if train[name].dtype.kind == "f"]:
        if not (train[column].isna().any() or test[column].isna().any()):
            continue
        median = train[column].median()
        for part in (train, test):
            part[f"{column} missing"] = part[column].isna().astype("float32")
            part[column] = part[column].fillna(median)
    return train, test


if __name__ == "__main__":
    main(*sys.argv[1:])
