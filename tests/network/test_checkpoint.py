"""A checkpoint is complete, is read by later releases, and is refused where it is damaged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vintage
from tests.conftest import WINE
from vintage.base.console import InputError
from vintage.base.files import write_json
from vintage.network.checkpoint import read_checkpoint

FIRST = Path(__file__).parent / "data" / "first"  # what the first commit of this project wrote


def test_a_checkpoint_of_the_first_release_predicts_as_it_did() -> None:
    expected = pd.read_csv(FIRST / "predictions.csv", index_col="row")
    rows = pd.read_csv(WINE).loc[expected.index]
    found = vintage.load(FIRST).predict_proba(rows)
    np.testing.assert_allclose(found, expected.to_numpy(), rtol=0, atol=1e-6)
    assert found.std(axis=0).min() > 1e-4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "cnn"}, "model.json: model.name: found 'cnn'; allowed is mlp or tabm"),
        ({"hidden": [5]}, "holds 156 weights, where model.json calls for 192"),
        ({"name": "tabm"}, "tensor 'layers.edges' is missing"),
        ({"name": "tabm", "hidden": []}, "model.json: model.hidden: found \\[\\]; a tabm has"),
        ({"depth": 3}, "model.depth: Extra inputs are not permitted"),
    ],
)
def test_another_network_than_its_weights_are_is_refused(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    for name in ("model.safetensors", "schema.json"):
        (tmp_path / name).write_bytes((FIRST / name).read_bytes())
    first = read_checkpoint(FIRST).manifest.model_dump(exclude_none=True)
    write_json(tmp_path / "model.json", first | {"model": first["model"] | change})
    with pytest.raises(InputError, match=problem):
        read_checkpoint(tmp_path)
