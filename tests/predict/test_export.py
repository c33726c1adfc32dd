"""An exported file predicts what its checkpoint predicts, from the cells of the table alone."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from tests.conftest import ROOT, Project, environment, only_error
from vintage.base.console import InputError
from vintage.base.recipe import Architecture
from vintage.base.tensors import Feature, Features, RowCounts, Schema, read_examples
from vintage.network.checkpoint import Checkpoint, Manifest, read_checkpoint, write_checkpoint
from vintage.network.ensemble import build_ensemble
from vintage.predict.export import export_onnx

CLOSE = 1e-5

PENGUINS = {"data.path": "data/penguins.csv", "data.target": "species", "train.replicas": 2}
CASES: dict[str, dict[str, object]] = {
    "wine": {"train.replicas": 3, "train.epochs": 5},
    "penguins": PENGUINS | {"train.epochs": 5, "train.calibration": "temperature"},
    "odd": {
        "train.calibration": "none",
        "data.path": "data/odd.csv",
        "data.target": "kind of",
        "data.kinds": {"größe 😀": "categorical"},
        "split.column": "part",
        "train.replicas": 2,
        "train.epochs": 5,
    },
}


@dataclass(frozen=True)
class Exported:
    project: Project
    file: Path
    table: pd.DataFrame

    def checkpoint(self) -> Checkpoint:
        return read_checkpoint(self.project.root / "data/checkpoint")


@pytest.fixture(scope="module", params=CASES)
def exported(
    request: pytest.FixtureRequest, _fresh: Project, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    folder = tmp_path_factory.mktemp(request.param)
    project = _fresh.copy_to(folder / "project")
    odd_table().to_csv(project.root / "data/odd.csv", index=False)
    project.set_params(**CASES[request.param])
    project.stage("split", check=True)
    project.stage("train", check=True)
    made = Exported(
        project, folder / "model.onnx", pd.read_csv(project.root / path_of(request.param))
    )
    export_onnx(made.file, made.checkpoint())
    return made


def path_of(case: str) -> str:
    return str(CASES[case].get("data.path", "data/wine.csv"))


def odd_table() -> pd.DataFrame:
    """Columns of every kind, with names and cells that might go wrong."""
    rng = np.random.default_rng(5)
    n_rows = 120
    days = pd.to_datetime("2024-02-28T23:00") + pd.to_timedelta(rng.integers(0, 5000, n_rows), "h")
    part = rng.choice(["train", "train", "val", "test"], n_rows)
    table = pd.DataFrame(
        {
            "a/b": rng.normal(size=n_rows),
            "input": days.strftime("%Y-%m-%dT%H:%M:%S"),
            "probabilities": rng.choice([True, False], n_rows),
            "x y": rng.choice(["red", "dark green", "née"], n_rows),
            "größe 😀": rng.choice(["1", "2", "10"], n_rows),
            "stamp": 1_700_000_000 + rng.permutation(n_rows) * 3,
            "moment": pd.to_datetime("2024-03-01") + pd.to_timedelta(rng.permutation(n_rows), "s"),
            "_constant_0": rng.integers(0, 2, n_rows),
            "kind of": rng.choice(["no", "yes, of course"], n_rows),
            "part": part,
        }
    )
    for index, name in enumerate(["a/b", "input", "x y", "größe 😀"]):
        table.loc[index::7, name] = np.nan
    table.loc[(part == "test") & (np.arange(n_rows) % 3 == 0), "x y"] = "purple"
    # no train row is without it, so that missing is unknown
    table["probabilities"] = table["probabilities"].astype(object)
    table.loc[table.index[part == "test"][:4], "probabilities"] = np.nan
    return table


def cells(table: pd.DataFrame, session: Any) -> dict[str, npt.NDArray[Any]]:
    """The table's cells as a stranger would feed them, who knows only the file."""
    fed: dict[str, npt.NDArray[Any]] = {}
    for each in session.get_inputs():
        column = table[each.name]
        if each.type == "tensor(string)":
            texts = ["" if pd.isna(cell) else str(cell) for cell in column]
            fed[each.name] = np.array(texts, dtype=object)[:, None]
            continue
        if column.dtype.kind not in "iufb":
            since = pd.to_datetime(column, utc=True) - pd.Timestamp("2000-01-01", tz="UTC")
            column = since / pd.Timedelta(days=1)
        kind = np.float64 if each.type == "tensor(double)" else np.float32
        fed[each.name] = column.to_numpy(dtype=kind)[:, None]
    return fed


def run(file: Path, table: pd.DataFrame) -> list[npt.NDArray[Any]]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    outputs: list[npt.NDArray[Any]] = session.run(None, cells(table, session))
    return outputs


@pytest.mark.slow
def test_every_test_row_has_the_prediction_of_the_checkpoint(exported: Exported) -> None:
    checkpoint = exported.checkpoint()
    schema = checkpoint.schema
    test = read_examples(exported.project.root / "data/tensors/test.safetensors", schema)
    wanted = checkpoint.predict_proba(test.features)
    probabilities, label, by_replica = run(exported.file, exported.table.iloc[test.rows])

    largest = np.abs(by_replica - wanted).max()
    print(f"largest difference {largest:.1e} in {wanted.shape}")
    assert largest < CLOSE
    np.testing.assert_allclose(probabilities, wanted.mean(axis=0), rtol=0, atol=CLOSE)
    assert probabilities.dtype == np.float32
    assert label.tolist() == [schema.classes[i] for i in probabilities.argmax(axis=1)]
    assert len(set(label)) > 1 or wanted.std(axis=1).max() > 0.01


@pytest.mark.slow
def test_the_metadata_are_those_of_the_checkpoint(exported: Exported) -> None:
    metadata = {each.key: each.value for each in onnx.load(exported.file).metadata_props}
    assert set(metadata) == {"model", "schema"}
    for name, text in metadata.items():
        file = exported.project.root / f"data/checkpoint/{name}.json"
        assert json.loads(text) == json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["odd"], indirect=True)
def test_the_command_writes_the_same_bytes_anywhere(exported: Exported, tmp_path: Path) -> None:
    done = exported.project.run(
        *(sys.executable, "-m", "vintage", "export", str(tmp_path / "new folder/ö.onnx")),
        *("--model", "data/checkpoint"),
        env={"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
    )
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "new folder/ö.onnx").read_bytes() == exported.file.read_bytes()


ALONE = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession("moved.onnx")
empty = {"tensor(float)": numpy.full((5, 1), numpy.nan, "float32"),
         "tensor(double)": numpy.full((5, 1), numpy.nan),
         "tensor(string)": numpy.full((5, 1), "", object)}
cells = {each.name: empty[each.type] for each in session.get_inputs()}
outputs = dict(zip((each.name for each in session.get_outputs()), session.run(None, cells)))
probabilities = outputs.get("probabilities_", outputs.get("probabilities"))
assert numpy.allclose(probabilities.sum(axis=1), 1) and not {"vintage", "torch"} & set(sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["odd"], indirect=True)
def test_the_file_alone_predicts_rows_of_missing_cells(exported: Exported, tmp_path: Path) -> None:
    shutil.copy(exported.file, tmp_path / "moved.onnx")
    subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, env=environment(), check=True, timeout=60
    )


Column = tuple[Feature, npt.NDArray[np.float32]]
N_ROWS = 200


def numeric(name: str, rng: np.random.Generator, missing: bool = False) -> Column:
    column = rng.normal(3, 5, N_ROWS).astype(np.float32)
    if missing:
        column[::7] = np.nan
    return Feature(name=name, kind="numeric", missing=missing), column


def binary(name: str, rng: np.random.Generator) -> Column:
    return Feature(name=name, kind="numeric"), rng.integers(0, 2, N_ROWS).astype(np.float32)


def categorical(name: str, rng: np.random.Generator, missing: bool, *categories: str) -> Column:
    feature = Feature(name=name, kind="categorical", missing=missing, categories=sorted(categories))
    codes = rng.integers(0, feature.unknown_code + 1, N_ROWS)
    return feature, codes.astype(np.float32)


NAMES = [*"n\"'", "a/b", "x y", "a\nb", "größe 😀", "probabilities", "label", "label_", "input"]
NAMES += ["replica_probabilities", "vintage", "_constant_0", "__Concat_1", "___", "\0", "output"]


def columns_of(shape: str, rng: np.random.Generator) -> list[Column]:
    texts = ("x", "y z", "y", "1", "1.5", "true", "??", "é", "n a", "none", "u\0v", "u")
    return {
        "numbers": [numeric("a", rng), numeric("b", rng, missing=True)],
        "one number": [numeric("a", rng)],
        "one bin": [binary("a", rng), binary("b", rng)],
        "other bins": [numeric("a", rng), binary("b", rng), categorical("c", rng, True, "d")],
        "categories": [categorical("a", rng, False, "u"), categorical("b", rng, True, "v", "w")],
        "names": [
            categorical(name, rng, index % 4 == 0, *texts) if index % 2 else numeric(name, rng)
            for index, name in enumerate(NAMES)
        ],
    }[shape]


def untrained(
    columns: list[Column],
    hidden: list[int],
    normalize: str = "standard",
    activation: str = "relu",
    scaling_layer: bool = False,
    name: str = "mlp",
) -> tuple[Checkpoint, Features]:
    """A network with weights far from their initial values, and rows to predict."""
    features = np.stack([column for _, column in columns], axis=1)
    rows = RowCounts(train=N_ROWS, val=0, test=1, repeated=0)
    schema = Schema(
        target="t", classes=["a", "", "ü\0"], features=[f for f, _ in columns], rows=rows
    )
    architecture = Architecture.model_validate(
        {
            "name": name,
            "hidden": hidden,
            "dropout": 0.5,
            "activation": activation,
            "normalize": normalize,
            "n_bins": 8 * (normalize == "piecewise"),
            "scaling_layer": scaling_layer,
        }
    )
    ensemble = build_ensemble(architecture, schema, [0, 1], features)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
        ensemble.temperature.fill_(1.7)
    manifest = Manifest(
        model=architecture, seeds=[0, 1], best_epochs=[1, 1], n_epochs=1, numerics="exact"
    )
    is_number = np.array([feature.categories is None for feature, _ in columns])
    beyond = np.where(is_number, np.random.default_rng(1).normal(0, 3, features.shape), 0)
    return Checkpoint(ensemble, manifest, schema), features + beyond.astype(np.float32)


def stored_cells(features: Features, columns: list[Column]) -> pd.DataFrame:
    """The cells that are stored as these features."""
    frame = {}
    for (feature, _), column in zip(columns, features.T, strict=True):
        texts = [*(feature.categories or []), *([""] if feature.missing else []), "unknown"]
        frame[feature.name] = (
            column if feature.categories is None else [texts[int(code)] for code in column]
        )
    return pd.DataFrame(frame)


@pytest.mark.parametrize(
    "network",
    [
        ([], "none"),
        ([], "standard", "relu", True),
        ([8, 4], "standard"),
        ([8, 4], "piecewise", "silu", True),
    ],
    ids=lambda network: "-".join(map(str, network)),
)
@pytest.mark.parametrize(
    "shape", ["numbers", "one number", "one bin", "other bins", "categories", "names"]
)
def test_every_shape_of_network_and_table(
    shape: str, network: tuple[Any, ...], tmp_path: Path
) -> None:
    columns = columns_of(shape, np.random.default_rng(0))
    checkpoint, features = untrained(columns, *network)
    export_onnx(tmp_path / "model.onnx", checkpoint)
    wanted = checkpoint.predict_proba(features)
    assert wanted.std() > 0.01
    _, _, found = run(tmp_path / "model.onnx", stored_cells(features, columns))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)
    _, _, none = run(tmp_path / "model.onnx", stored_cells(features[:0], columns))
    assert none.shape == (2, 0, 3)


def test_numbers_far_out_are_those_of_the_network(tmp_path: Path) -> None:
    columns = columns_of("numbers", np.random.default_rng(0))
    checkpoint, features = untrained(columns, [8, 4], "piecewise")
    features[0], features[1] = 1e20, -1e30
    export_onnx(tmp_path / "model.onnx", checkpoint)
    _, _, found = run(tmp_path / "model.onnx", stored_cells(features, columns))
    np.testing.assert_allclose(found, checkpoint.predict_proba(features), rtol=0, atol=CLOSE)


def test_spellings_of_a_cell_are_those_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    checkpoint, _ = untrained([categorical("a", rng, True, "true", "1", "x")], [8])
    export_onnx(tmp_path / "model.onnx", checkpoint)
    codes = {"1": 0, "1.0": 0, "TRUE": 1, "true": 1, "True": 1, "x": 2}
    codes |= dict.fromkeys(["", "NA", "N/A", "NaN", "nan", "null", "NULL"], 3)
    codes |= dict.fromkeys(["X", "x.0", "false", "unknown", "?"], 4)
    wanted = checkpoint.predict_proba(np.array([*codes.values()], dtype=np.float32)[:, None])
    _, label, by_replica = run(tmp_path / "model.onnx", pd.DataFrame({"a": [*codes]}))
    np.testing.assert_allclose(by_replica, wanted, rtol=0, atol=CLOSE)
    assert label.dtype == object


def test_a_kind_that_is_encoded_in_another_way_is_refused(tmp_path: Path) -> None:
    feature, cells = numeric("a", np.random.default_rng(0))
    checkpoint, _ = untrained([(feature.model_copy(update={"kind": "logarithm"}), cells)], [8])
    with pytest.raises(InputError, match="column 'a' is of kind logarithm, which cannot be exp"):
        export_onnx(tmp_path / "model.onnx", checkpoint)
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_the_command_refuses_a_network_without_an_onnx_form(tmp_path: Path) -> None:
    columns = columns_of("numbers", np.random.default_rng(0))
    checkpoint, _ = untrained(columns, [4], name="tabm")
    write_checkpoint(tmp_path / "checkpoint", *checkpoint)
    command = [sys.executable, "-m", "vintage", "export", str(tmp_path / "model.onnx")]
    done = subprocess.run(
        [*command, "--model", str(tmp_path / "checkpoint")],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a tabm cannot be exported as ONNX; train with model.name mlp" in only_error(done)
    assert not (tmp_path / "model.onnx").exists()


WITHOUT = """
import sys
sys.modules["onnx"] = None
sys.argv = ["vintage", "export", "model.onnx"]
from vintage.__main__ import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["odd"], indirect=True)
def test_a_missing_package_is_named(exported: Exported) -> None:
    done = exported.project.run(sys.executable, "-c", WITHOUT, check=False)
    assert "pip install onnx" in only_error(done)
    assert not (exported.project.root / "model.onnx").exists()


def test_no_checkpoint_is_one_line(fresh: Project) -> None:
    done = fresh.run(sys.executable, "-m", "vintage", "export", "model.onnx", check=False)
    assert "data/checkpoint: there is no model; run `dvc repro`" in only_error(done)


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["wine"], indirect=True)
def test_the_command_exports_a_revision(exported: Exported, tmp_path: Path) -> None:
    project = exported.project.copy_to(tmp_path / "project")
    project.repro()
    project.commit("results")
    shutil.rmtree(project.root / "data/checkpoint")
    command = [sys.executable, "-m", "vintage", "export", "model.onnx"]
    project.run(*command, "--model", "HEAD")
    assert (project.root / "model.onnx").read_bytes() == exported.file.read_bytes()
