"""What the network makes of a row's features, beside scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vintage.base.console import InputError
from vintage.base.tensors import Feature, Features
from vintage.network.encoding import Encoder

FEATURES = [
    Feature(name="n", kind="numeric", missing=True),
    Feature(name="c", kind="categorical", categories=["a", "b", "c"]),
    Feature(name="m", kind="numeric"),
    Feature(name="t", kind="datetime", missing=True),
    Feature(name="d", kind="categorical", missing=True, categories=["x", "y"]),
]


def rows(n_rows: int, seed: int) -> Features:
    draw = np.random.default_rng(seed)
    columns = [
        draw.normal(5, 3, n_rows),
        draw.integers(0, 3, n_rows),
        draw.lognormal(3, 1, n_rows),
        draw.integers(-9000, 9000, n_rows),
        draw.integers(0, 3, n_rows),
    ]
    features = np.stack(columns, axis=1).astype(np.float32)
    features[:5, 1], features[:5, 4] = [0, 1, 2, 0, 1], [0, 1, 2, 0, 1]
    features[draw.random(n_rows) < 0.3, 0] = np.nan
    features[draw.random(n_rows) < 0.3, 3] = np.nan
    return features


def encoder_of(train: Features, normalize: bool = True) -> Encoder:
    encoder = Encoder(FEATURES)
    encoder.fit(train, normalize)
    return encoder


def test_it_is_what_scikit_learn_does() -> None:
    train, test = rows(200, 1), rows(100, 2)
    test[::7, 1], test[::5, 4] = 3, 3  # unknown categories
    imputer = SimpleImputer(strategy="median", add_indicator=True)
    numbers = ColumnTransformer([("scaled", StandardScaler(), [0, 1, 2])], remainder="passthrough")
    sklearn = ColumnTransformer(
        [
            ("numeric", make_pipeline(imputer, numbers), [0, 2, 3]),
            ("categorical", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [1, 4]),
        ]
    )
    expected = sklearn.fit(train.astype(np.float64))
    encoder = encoder_of(train)
    for part in (train, test):
        found = encoder(torch.from_numpy(part)).numpy()
        assert found.shape[1] == encoder.n_outputs
        assert found == pytest.approx(expected.transform(part.astype(np.float64)), abs=1e-5)


def test_missing_numbers_are_medians_and_marked_and_a_missing_category_is_a_class() -> None:
    train = np.array([[1, 0, 5, 0, 2], [2, 1, 6, 2, 0], [9, 2, 7, 4, 1]], dtype=np.float32)
    row = np.array([[np.nan, 3, np.nan, 4, 2]], dtype=np.float32)
    found = encoder_of(train, normalize=False)(torch.from_numpy(row))
    # numbers; missing or not, of those with missing cells in train; a, b, c; x, y, missing
    assert found.tolist() == [[2, 6, 4, *(1, 0), *(0, 0, 0), *(0, 0, 1)]]


def test_an_unknown_category_is_zero_everywhere() -> None:
    row = np.array([[1, 3, 1, 1, 3]], dtype=np.float32)
    assert encoder_of(rows(50, 1))(torch.from_numpy(row))[0, -6:].tolist() == [0] * 6


def test_categories_alone_and_numbers_alone() -> None:
    only = Encoder([FEATURES[1]])
    only.fit(np.array([[0], [1]], dtype=np.float32), normalize=True)
    assert only(torch.tensor([[2.0], [3.0]])).tolist() == [[0, 0, 1], [0, 0, 0]]
    numbers = Encoder([FEATURES[2]])
    numbers.fit(np.array([[1], [3]], dtype=np.float32), normalize=True)
    assert numbers(torch.tensor([[1.0], [5.0]])).tolist() == [[-1], [3]]
    assert [tensor.shape for tensor in only.state_dict().values()] == [(0,)] * 3


@pytest.mark.parametrize("number", [1e6, 1e20, 3e38])
def test_a_number_far_out_is_drawn_in_to_3_as_its_bins_are_full(number: float) -> None:
    """Such as 1e20, which says in files of climate models that there is none."""
    encoder = Encoder([FEATURES[2]], n_bins=4)
    encoder.fit(np.linspace(-1, 1, 50, dtype=np.float32)[:, None], normalize=True)
    found = encoder(torch.tensor([[number], [-number]]))
    assert found[0].tolist() == pytest.approx([3, 1, 1, 1, 1])
    assert found[1].tolist() == pytest.approx([-3, -1, -1, -1, -1])


@pytest.mark.filterwarnings("error")
def test_the_median_of_the_largest_numbers_is_finite() -> None:
    encoder = Encoder([FEATURES[0]])
    encoder.fit(np.array([[3.4e38], [3.4e38], [np.nan]], dtype=np.float32), normalize=False)
    assert encoder.median.tolist() == [np.float32(3.4e38)]


def test_a_column_without_any_number_is_refused() -> None:
    """Which the split stage drops, so that it comes from a damaged file only."""
    train = rows(20, 1)
    train[:, 3] = np.nan
    with pytest.raises(InputError, match="no train row holds a number in column 't'"):
        encoder_of(train)
