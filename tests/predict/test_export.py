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

from tests.conftest import Project, environment, only_error
from vintage.base.console import InputError
from vintage.base.recipe import Architecture, Recipe
from vintage.base.tensors import Feature, Features, RowCounts, Schema, read_examples
from vintage.network.checkpoint import Manifest, read_checkpoint
from vintage.network.ensemble import Ensemble, build_ensemble
from vintage.predict.export import export_onnx, onnx_bytes
from vintage.predict.onnx_model import read_onnx

CLOSE = 1e-5

PENGUINS = {"data.path": "data/penguins.csv", "data.target": "species", "train.replicas": 2}
CASES: dict[str, dict[str, object]] = {
    "wine": {"train.replicas": 3, "train.epochs": 5},
    "penguins": PENGUINS | {"train.epochs": 5, "train.calibration": "temperature"},
    "tabm": PENGUINS | {"train.epochs": 2, "model.name": "tabm", "model.hidden": [16]},
    "odd": {
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

    def checkpoint(self) -> tuple[Ensemble, Manifest, Schema]:
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
    export_onnx(made.file, *made.checkpoint())
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


def expected(ensemble: Ensemble, features: Features) -> npt.NDArray[np.float64]:
    probabilities: npt.NDArray[np.float64] = ensemble.predict_proba(
        torch.from_numpy(features)
    ).numpy()
    return probabilities


@pytest.mark.slow
def test_every_test_row_has_the_prediction_of_the_checkpoint(exported: Exported) -> None:
    ensemble, _, schema = exported.checkpoint()
    test = read_examples(exported.project.root / "data/tensors/test.safetensors", schema)
    wanted = expected(ensemble, test.features)
    probabilities, label, by_replica = run(exported.file, exported.table.iloc[test.rows])

    largest = np.abs(by_replica - wanted).max()
    print(f"largest difference {largest:.1e} in {wanted.shape}")
    assert largest < CLOSE
    np.testing.assert_allclose(probabilities, wanted.mean(axis=0), rtol=0, atol=CLOSE)
    assert probabilities.dtype == np.float32
    assert label.tolist() == [schema.classes[i] for i in probabilities.argmax(axis=1)]
    assert len(set(label)) > 1 or wanted.std(axis=1).max() > 0.01

    model = read_onnx(exported.file)
    assert model.schema == schema
    again = model.predict_proba(test.features)
    assert again.dtype == np.float64
    np.testing.assert_allclose(again, wanted, rtol=0, atol=CLOSE)


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


def test_the_command_predicts_by_it(exported: Exported, tmp_path: Path) -> None:
    table = exported.table.drop(columns="kind of", errors="ignore")
    table.to_csv(tmp_path / "new.csv", index=False)
    found = {}
    for model in (exported.file, exported.project.root / "data/checkpoint"):
        output = tmp_path / f"{model.name}.csv"
        command = [sys.executable, "-m", "vintage", "predict", str(tmp_path / "new.csv")]
        exported.project.run(*command, "-o", str(output), "--model", str(model))
        found[model.name] = pd.read_csv(output)
    exact, close = found["checkpoint"], found["model.onnx"]
    assert (exact["predicted"] == close["predicted"]).mean() > 0.99  # but for ties
    for column in exact.columns.drop("predicted"):
        np.testing.assert_allclose(close[column], exact[column], atol=CLOSE)


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
    name: str,
    hidden: list[int],
    normalize: str = "standard",
    activation: str = "relu",
    scaling_layer: bool = False,
) -> tuple[Ensemble, Manifest, Schema, Features]:
    """An ensemble with weights far from their initial values, and rows to predict."""
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
        model=architecture,
        recipe=Recipe(
            seed=0, epochs=1, batch_size=1, learning_rate=0.1, weight_decay=0, patience=0
        ),
        seeds=[0, 1],
        best_epochs=[1, 1],
        n_epochs=1,
        still_falling=False,
        numerics="portable",
    )
    is_number = np.array([feature.categories is None for feature, _ in columns])
    beyond = np.where(is_number, np.random.default_rng(1).normal(0, 3, features.shape), 0)
    return ensemble, manifest, schema, features + beyond.astype(np.float32)


@pytest.mark.parametrize(
    "network",
    [
        ("mlp", [], "none"),
        ("mlp", [], "standard", "relu", True),
        ("mlp", [8, 4], "standard"),
        ("mlp", [8, 4], "piecewise", "silu", True),
        ("tabm", [8, 4], "standard"),
        ("tabm", [8, 4], "standard", "silu"),
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
    ensemble, manifest, schema, features = untrained(columns, *network)
    export_onnx(tmp_path / "model.onnx", ensemble, manifest, schema)
    model = read_onnx(tmp_path / "model.onnx")
    assert model.schema == schema
    many = np.tile(features, (6, 1))  # more rows than a block has
    wanted = expected(ensemble, many)
    assert wanted.std() > 0.01
    np.testing.assert_allclose(model.predict_proba(many), wanted, rtol=0, atol=CLOSE)
    assert model.predict_proba(features[:0]).shape == (2, 0, 3)


def test_spellings_of_a_cell_are_those_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = [categorical("a", rng, True, "true", "1", "x")]
    ensemble, manifest, schema, _ = untrained(columns, "mlp", [8])
    export_onnx(tmp_path / "model.onnx", ensemble, manifest, schema)
    codes = {"1": 0, "1.0": 0, "TRUE": 1, "true": 1, "True": 1, "x": 2}
    codes |= dict.fromkeys(["", "NA", "N/A", "NaN", "nan", "null", "NULL"], 3)
    codes |= dict.fromkeys(["X", "x.0", "false", "unknown", "?"], 4)
    wanted = expected(ensemble, np.array([*codes.values()], dtype=np.float32)[:, None])
    _, label, by_replica = run(tmp_path / "model.onnx", pd.DataFrame({"a": [*codes]}))
    np.testing.assert_allclose(by_replica, wanted, rtol=0, atol=CLOSE)
    assert label.dtype == object


@pytest.mark.parametrize("name", ["mlp", "tabm"])
def test_output_that_is_not_finite_is_refused(name: str, tmp_path: Path) -> None:
    columns = columns_of("numbers", np.random.default_rng(0))
    ensemble, manifest, schema, features = untrained(columns, name, [8])
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.mul_(100)
    export_onnx(tmp_path / "model.onnx", ensemble, manifest, schema)
    features[5] = 3e38
    refused = pytest.raises(InputError, match=r"for 1 of 200 rows is not finite")
    with refused:
        expected(ensemble, features)
    with refused:
        read_onnx(tmp_path / "model.onnx").predict_proba(features)


WITHOUT = """
import sys
sys.modules["onnx"] = None
sys.argv = ["vintage", "export", "model.onnx"]
from vintage.__main__ import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["odd"], indirect=True)
def test_a_missing_package_is_named(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    done = exported.project.run(sys.executable, "-c", WITHOUT, check=False)
    assert "pip install onnx onnxruntime" in only_error(done)
    assert not (exported.project.root / "model.onnx").exists()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="pip install onnx onnxruntime"):
        read_onnx(exported.file)


def test_no_checkpoint_is_one_line(fresh: Project) -> None:
    done = fresh.run(sys.executable, "-m", "vintage", "export", "model.onnx", check=False)
    error = only_error(done)
    assert "data/checkpoint/schema.json: no such file; run `dvc repro`" in error


def test_a_file_that_is_no_export_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    columns = columns_of("categories", np.random.default_rng(0))
    ensemble, manifest, schema, _ = untrained(columns, "mlp", [])
    content = onnx_bytes(ensemble, manifest, schema)
    other = schema.model_copy(update={"features": schema.features[::-1]})

    def with_schema(text: str | None) -> bytes:
        model = onnx.load_from_string(content)
        del model.metadata_props[:]
        if text is not None:
            model.metadata_props.add(key="schema", value=text)
        changed: bytes = model.SerializeToString()
        return changed

    file = tmp_path / "model.onnx"
    for wrong, reason in (
        (None, "no such file"),
        (b"", "cannot read it as ONNX"),
        (b"species,island\n", "cannot read it as ONNX"),
        (content[: len(content) // 2], "cannot read it as ONNX"),
        (with_schema(None), "no schema"),
        (with_schema("{}"), "schema in its metadata is wrong"),
        (with_schema("no\nJSON"), "schema in its metadata is wrong"),
        (with_schema(other.model_dump_json(exclude_defaults=True)), "not those of its schema"),
    ):
        if wrong is not None:
            file.write_bytes(wrong)
        with pytest.raises(InputError, match=reason) as caught:
            read_onnx(file)
        assert str(caught.value).startswith(str(file))
        assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")
