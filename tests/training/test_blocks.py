"""Rows that are read in blocks are trained on as those in memory, and a sample is of the rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import PARAMS, Project
from vintage.base import tensors
from vintage.base.console import InputError
from vintage.base.params import load_params
from vintage.base.tensors import (
    Examples,
    Feature,
    PartFile,
    RowCounts,
    Schema,
    digest_of,
    is_trained_in_blocks,
    read_or_sample,
    read_schema,
    write_examples,
)
from vintage.training import blocks
from vintage.training import prepare as prepare_module
from vintage.training.blocks import Blocks
from vintage.training.prepare import Training, prepare

N_ROWS, N_VAL = 500, 90
STAGES = ("train", "evaluate", "baseline", "explain", "report")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 32)
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 32 * 3 * 4)
    monkeypatch.setattr(tensors, "READ_ROWS", 64)


def written(folder: Path) -> tuple[Schema, dict[str, Examples]]:
    random = np.random.default_rng(1)
    schema = Schema(
        target="kind",
        classes=["x", "y"],
        features=[
            Feature(name="a", kind="numeric", missing=True),
            Feature(name="b", kind="numeric"),
            Feature(name="c", kind="categorical", categories=["p", "q"]),
        ],
        rows=RowCounts(train=N_ROWS, val=N_VAL, test=1, repeated=0),
    )
    parts = {}
    for name, n_rows in (("train", N_ROWS), ("val", N_VAL)):
        features = random.normal(size=(n_rows, 3)).astype(np.float32)
        features[:, 2] = random.integers(0, 2, n_rows)
        labels = (features[:, 0] + features[:, 2] > 0.5).astype(np.int64)
        features[random.random(n_rows) < 0.1, 0] = np.nan
        rows = np.arange(n_rows)
        ids = random.integers(-(2**63), 2**63, n_rows)
        parts[name] = Examples(features, labels, rows, groups=rows, ids=ids)
        write_examples(folder / f"{name}.safetensors", parts[name])
    return schema, parts


def trained(schema: Schema, *rows: Any, **changes: Any) -> Training:
    params = load_params(PARAMS)
    train = {"epochs": 4, "replicas": 2, "batch_size": "all", "learning_rate": 0.05, **changes}
    training = prepare(
        params.model.model_copy(update={"dropout": 0.0, "hidden": [8]}),
        params.train.model_copy(update=train),
        schema,
        *rows,
    )
    training.run()
    return training


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_steps_on_all_rows_are_those_in_memory(tmp_path: Path, class_weight: str) -> None:
    """To the last bit, in whatever order the rows come."""
    schema, parts = written(tmp_path)
    files = [PartFile(tmp_path / f"{name}.safetensors", schema) for name in parts]
    in_memory = trained(
        schema, *((p.features, p.labels) for p in parts.values()), class_weight=class_weight
    )
    in_blocks = trained(schema, *files, class_weight=class_weight)
    assert isinstance(in_blocks.train, Blocks)
    expected, found = (each.ensemble.state_dict() for each in (in_memory, in_blocks))
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert digest_of(*files) == digest_of(*parts.values())


def test_small_batches_learn_and_repeat(tmp_path: Path) -> None:
    schema, parts = written(tmp_path)
    files = [PartFile(tmp_path / f"{name}.safetensors", schema) for name in parts]
    first, second = (trained(schema, *files, batch_size=50).ensemble for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    probabilities = first.predict_proba(parts["val"].features).mean(axis=0)
    accuracy = (probabilities.argmax(axis=1) == parts["val"].labels).mean()
    assert accuracy > 0.8


@pytest.mark.parametrize("size", [1, 50, 64, 499, 500, 1000])
def test_an_epoch_has_each_row_once(tmp_path: Path, size: int) -> None:
    schema, parts = written(tmp_path)
    part = Blocks(PartFile(tmp_path / "train.safetensors", schema), lambda features: features)
    orders = []
    for seed in (1, 1, 2):
        batches = part.batches(size, torch.Generator().manual_seed(seed))
        found = list(batches)
        assert len(found) == len(batches)
        assert [batch.n_rows for batch in found] == batches.n_own().flatten().tolist()
        assert all(batch.n_rows == size for batch in found[:-1])
        orders.append(torch.cat([batch.inputs[:, 1] for batch in found]))
    assert sorted(orders[0].tolist()) == sorted(parts["train"].features[:, 1].tolist())
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])


def test_a_sample_is_of_rows_by_their_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema, parts = written(tmp_path)
    path, rows = tmp_path / "train.safetensors", parts["train"]
    assert len(read_or_sample(path, schema).rows) == N_ROWS
    monkeypatch.setattr(tensors, "SAMPLED_ROWS", 100)
    sample = read_or_sample(path, schema)
    assert 60 < len(sample.rows) < 140
    for name, values in sample._asdict().items():
        if values is not None:
            np.testing.assert_array_equal(values, getattr(rows, name)[sample.rows])
    largest = sample.ids.view(np.uint64).max()
    assert (rows.ids.view(np.uint64) <= largest).sum() == len(sample.rows)


def test_a_column_of_few_numbers_is_fitted_to_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a sample of the rows has none of them, or but one value."""
    monkeypatch.setattr(prepare_module, "FITTED_ROWS", 20)
    schema, parts = written(tmp_path)
    features = parts["train"].features
    features[:, 0], features[:, 1] = np.nan, 7
    features[[100, 300], 0], features[200, 1] = (3, 5), 1e6
    write_examples(tmp_path / "train.safetensors", parts["train"])
    files = [PartFile(tmp_path / f"{name}.safetensors", schema) for name in parts]
    inputs = trained(schema, *files, epochs=1).ensemble.encode(torch.from_numpy(features))
    assert inputs.abs().max() < 100


def test_many_validation_rows_are_read_in_blocks_beside_few_train_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, _ = written(tmp_path)
    few = schema.model_copy(update={"rows": RowCounts(train=9, val=N_ROWS, test=1, repeated=0)})
    assert not is_trained_in_blocks(few)
    monkeypatch.setattr(tensors, "LARGE", 1000)
    assert is_trained_in_blocks(few)
    assert is_trained_in_blocks(schema)


def test_a_sample_of_a_wide_table_has_fewer_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "LARGE", 3 * 100)
    schema, _ = written(tmp_path)
    assert 60 < len(PartFile(tmp_path / "train.safetensors", schema).sample(400).rows) < 140


def test_a_wide_table_is_read_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema, parts = written(tmp_path)
    monkeypatch.setattr(tensors, "READ_NUMBERS", 3 * 10)
    blocks = [*PartFile(tmp_path / "train.safetensors", schema).blocks()]
    assert {len(block.rows) for block in blocks} == {10}
    assert np.concatenate([block.rows for block in blocks]).tolist() == [*range(N_ROWS)]
    monkeypatch.setattr(tensors, "READ_NUMBERS", 1)
    val = PartFile(tmp_path / "val.safetensors", schema)
    assert [len(block.rows) for block in val.blocks()] == [1] * N_VAL
    assert digest_of(val) == digest_of(parts["val"])


def test_what_columns_are_fitted_to_has_two_rows_more_than_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many columns there are, unless the sample is of all rows."""
    schema, parts = written(tmp_path)
    features = parts["train"].features
    file = PartFile(tmp_path / "train.safetensors", schema)
    np.testing.assert_array_equal(file.features_to_fit(10 * N_ROWS), features)
    monkeypatch.setattr(tensors, "READ_NUMBERS", 3 * 10)
    *sample, least, largest = file.features_to_fit(100)
    np.testing.assert_array_equal(sample, file.sample(100).features)
    np.testing.assert_array_equal(least, np.nanmin(features, axis=0))
    np.testing.assert_array_equal(largest, np.nanmax(features, axis=0))


def test_rows_in_folds_are_read_in_blocks_that_lack_some_of_them(tmp_path: Path) -> None:
    schema, parts = written(tmp_path)
    in_folds = schema.model_copy(update={"rows": schema.rows.model_copy(update={"folds": 8})})
    folds = np.arange(N_ROWS) * 8 // N_ROWS
    path = tmp_path / "train.safetensors"
    write_examples(path, parts["train"]._replace(folds=folds))
    assert digest_of(PartFile(path, in_folds)) == digest_of(parts["train"])
    with pytest.raises(InputError, match=r"holds the folds \[0, 1\], and the schema says 0"):
        digest_of(PartFile(path, schema))


@pytest.mark.parametrize("tensor", ["labels", "rows", "groups", "ids"])
@pytest.mark.parametrize("n_rows", [N_ROWS - 1, N_ROWS + 1])
def test_a_tensor_of_another_length(tmp_path: Path, tensor: str, n_rows: int) -> None:
    schema, parts = written(tmp_path)
    path = tmp_path / "train.safetensors"
    changed: dict[str, Any] = {tensor: np.zeros(n_rows, np.int64)}
    write_examples(path, parts["train"]._replace(**changed))
    with pytest.raises(InputError, match=f"{tensor} are of shape \\({n_rows},\\), and the schema"):
        PartFile(path, schema)


def test_a_cut_file_and_one_of_another_split(tmp_path: Path) -> None:
    schema, _ = written(tmp_path)
    path = tmp_path / "train.safetensors"
    other = schema.model_copy(update={"rows": RowCounts(train=9, val=0, test=1, repeated=0)})
    with pytest.raises(InputError, match="the schema says \\(9, 3\\); delete it"):
        PartFile(path, other)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut or not in safetensors format"):
        PartFile(path, schema)


@pytest.mark.slow
def test_the_stages_say_what_is_of_a_sample(fresh: Project) -> None:
    """With bounds so low that the table of the tests is a large one."""
    fresh.edit("vintage/base/tensors.py", "LARGE = 2**25", "LARGE = 2_000")
    fresh.edit("vintage/base/tensors.py", "SAMPLED_ROWS = 200_000", "SAMPLED_ROWS = 150")
    fresh.set_params(**{"split.by": "hash", "split.val_size": 0.1})
    fresh.set_params(**{"train.epochs": 2, "train.replicas": 2, "evaluate.resamples": 100})
    fresh.stage("split", check=True)
    printed = {name: fresh.stage(name, check=True).stdout for name in STAGES}
    counts = read_schema(fresh.root / "data/tensors/schema.json").rows
    expected = {"train": counts.train, "val": counts.val, "test": counts.test}
    expected = {name: n for name, n in expected.items() if n > 150}
    assert f"{counts.train} train rows are read in blocks" in printed["train"]
    files = {"evaluate": "details", "baseline": "baseline", "explain": "explanation"}
    for stage, name in files.items():
        written = json.loads((fresh.root / f"metrics/{name}.json").read_text())
        assert written["sampled"] == expected
        for part, n_rows in expected.items():
            assert f"of {n_rows} {part} rows, " in printed[stage]
    page = (fresh.root / "metrics/report.md").read_text()
    assert f"Of the {counts.test} test rows, a sample is scored" in page
    scored = (fresh.root / "metrics/predictions.csv").read_text().count("\n") - 1
    assert 100 < scored < 200 < counts.test
