"""Tables as the split stage reads them, with every row a train row where nothing else is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import MISSING, Feature, Features
from vintage.table.dataset import Dataset, load_dataset
from vintage.table.features import encode_features, fit_features

DATA = {
    "target": "kind",
    "id": "none",
    "ignore": [],
    "kinds": {},
    "missing": list(MISSING),
    "delimiter": "auto",
}
SPLIT = {
    "seed": 42,
    "test_size": 0.2,
    "val_size": 0.2,
    "by": "shuffle",
    "stratify": True,
    "group_by": "duplicates",
    "order_by": "none",
    "column": "none",
}


def data_params(path: Path, **changes: object) -> DataParams:
    return DataParams.model_validate({"path": str(path), **DATA, **changes})


def split_params(**changes: object) -> SplitParams:
    return SplitParams.model_validate({**SPLIT, **changes})


@dataclass(frozen=True)
class Encoded:
    """A table with its features fitted on the train rows and all its rows encoded."""

    data: Dataset
    features: list[Feature]
    dropped: dict[str, str]
    values: Features

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def kinds(self) -> dict[str, str]:
        return {feature.name: feature.kind for feature in self.features}

    @property
    def targets(self) -> list[str]:
        return [self.data.classes[label] for label in self.data.labels]

    def column(self, name: str) -> npt.NDArray[np.float32]:
        return self.values[:, self.names.index(name)]


def encode(
    path: Path,
    train: Sequence[int] | None = None,
    split: SplitParams | None = None,
    **changes: object,
) -> Encoded:
    params = data_params(path, **changes)
    data = load_dataset(params, split or split_params())
    rows = np.arange(len(data.labels)) if train is None else np.array(train, dtype=np.int64)
    features, dropped = fit_features(data.columns, rows, params.kinds, data.place)
    return Encoded(data, features, dropped, encode_features(data.columns, features, data.place))


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path
