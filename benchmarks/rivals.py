"""Models of other packages, as they come, for `benchmarks.tables`.

    build/tables/rivals/bin/python benchmarks/rivals.py MODEL GIVEN FOUND

Run in an environment that has them, see rivals.txt. Both files are of safetensors: GIVEN holds
`train` and `test`, float32 `[n, n_features]` with NaN for a missing number and codes for
categories, `labels`, `is_category` and `n_classes`; FOUND gets the `probabilities` of the test
rows.
"""

import sys
from collections.abc import Callable
from typing import Any

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
    from safetensors.numpy import load_file, save_file

    rows = load_file(given)
    train, test = frames(rows["train"], rows["test"], rows["is_category"], name)
    if name in NEURAL:
        train, test = filled(train, test)
    settings = {}
    if name in CATEGORIES_BY:
        names = [f"x{index}" for index in np.flatnonzero(rows["is_category"])]
        settings = {CATEGORIES_BY[name]: names} if names else {}
    model = RIVALS[name]()
    model.fit(train, rows["labels"], **settings)
    probabilities = np.zeros((len(test), rows["n_classes"].item()))
    probabilities[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(test)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    save_file({"probabilities": probabilities}, found)


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
