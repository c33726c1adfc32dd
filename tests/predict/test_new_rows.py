"""New rows: a test row gets the bits of metrics/predictions.csv, however and with whom it comes."""

import csv
import gzip
import io
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import yaml

from tests import tables
from tests.conftest import ROOT, Project, environment, only_error, run_here
from tests.processes import start
from vintage.base.console import InputError
from vintage.base.tensors import Feature, Features, RowCounts, Schema
from vintage.predict.model import encode
from vintage.predict.output import float_texts
from vintage.table import csv_rules
from vintage.table.batches import regrouped
from vintage.table.read import open_table

PREDICT = (sys.executable, "-m", "vintage", "predict")
SEPARATED = {"wine": ";", "penguins": "\t"}

Prediction = tuple[str, list[float]]


@dataclass
class Asked:
    """A table, and which row of the project's table each of its rows is."""

    arguments: list[str]
    rows: list[int]
    stdin: bytes = b""
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def wine(_reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return _reproduced.copy_to(tmp_path_factory.mktemp("wine") / "project")


@pytest.fixture(scope="session")
def penguins(_fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three classes of text; numbers, text and missing cells; one replica of few epochs."""
    project = _fresh.copy_to(tmp_path_factory.mktemp("penguins") / "project")
    project.set_params(**{"data.path": "data/penguins.csv", "data.target": "species"})
    project.set_params(**{"train.replicas": 1, "train.epochs": 5})
    project.repro("evaluate")
    return project


def predict(project: Project, *arguments: str, stdin: bytes = b"") -> str:
    """What the command prints; its messages go to the test's own."""
    if not stdin:
        here = run_here(project.root, "predict", *arguments)
        sys.stderr.write(here.stderr)
        assert here.returncode == 0, here.stderr
        return here.stdout
    done = subprocess.run(
        [*PREDICT, *arguments],
        cwd=project.root,
        env=environment(),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )
    sys.stderr.write(done.stderr.decode())
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def parsed(text: str) -> list[Prediction]:
    """The rows' classes and probabilities, in the order of their numbers."""
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [int(line["row"]) for line in lines] == list(range(len(lines)))
    return [(line["predicted"], probabilities(line)) for line in lines]


def probabilities(line: dict[str, str]) -> list[float]:
    return [float(value) for name, value in line.items() if name.startswith("probability_")]


def evaluated(project: Project) -> dict[int, Prediction]:
    text = (project.root / "metrics/predictions.csv").read_text(encoding="utf-8")
    lines = csv.DictReader(io.StringIO(text, newline=""))
    return {int(line["row"]): (line["predicted"], probabilities(line)) for line in lines}


def as_texts(project: Project) -> pd.DataFrame:
    name = "penguins" if "penguins" in (project.root / "params.yaml").read_text() else "wine"
    frame = pd.read_csv(project.root / f"data/{name}.csv", dtype=str, keep_default_na=False)
    frame.attrs["name"] = name
    return frame


def the_whole_table(frame: pd.DataFrame, folder: Path) -> Asked:
    path = folder / "new.csv"
    frame.to_csv(path, index=False)
    return Asked([str(path)], list(frame.index))


def shuffled(frame: pd.DataFrame, folder: Path) -> Asked:
    path = folder / "new.csv.gz"
    mixed = frame.sample(frac=1, random_state=1)[list(reversed(frame.columns))]
    mixed.to_csv(path, index=False, sep=SEPARATED[frame.attrs["name"]])
    return Asked([str(path)], list(mixed.index))


def a_few_rows(frame: pd.DataFrame, folder: Path) -> Asked:
    path = folder / "new.parquet"
    typed = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    few = typed.sample(n=120, random_state=2)
    few.drop(columns=typed.columns[-1] if frame.attrs["name"] == "wine" else "species").to_parquet(
        path, index=False
    )
    return Asked([str(path)], list(few.index))


def through_a_pipe_with_more_columns(frame: pd.DataFrame, folder: Path) -> Asked:  # noqa: ARG001
    more = frame.assign(note='a "quoted"\nremark', year_of_birth="1999")
    text = more.to_csv(index=False, sep=SEPARATED[frame.attrs["name"]], lineterminator="\r\n")
    said = ["does not know columns 'note', 'year_of_birth', left out"]
    return Asked(["-"], list(more.index), text.encode(), said)


def among_many_others(frame: pd.DataFrame, folder: Path) -> Asked:
    path = folder / "new.arrow"
    typed = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    many = typed.sample(n=5000, replace=True, random_state=3)
    table = pa.Table.from_pandas(many, preserve_index=False)
    pyarrow.feather.write_feather(table, str(path), chunksize=777)
    return Asked([str(path)], list(many.index))


def a_folder_of_files(frame: pd.DataFrame, folder: Path) -> Asked:
    typed = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    (folder / "new/more").mkdir(parents=True)
    typed[:100].to_parquet(folder / "new/a.parquet", index=False)
    typed[100:101].to_parquet(folder / "new/b.pq", index=False)
    typed[101:][reversed(frame.columns)].to_feather(folder / "new/more/c.arrow")
    return Asked([str(folder / "new")], list(frame.index))


FORMS = [
    the_whole_table,
    a_folder_of_files,
    shuffled,
    a_few_rows,
    through_a_pipe_with_more_columns,
    among_many_others,
]


@pytest.mark.slow
@pytest.mark.parametrize("table", ["wine", "penguins"])
@pytest.mark.parametrize("form", FORMS)
def test_a_test_row_gets_the_bits_of_the_evaluation(
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    table: str,
    form: Callable[[pd.DataFrame, Path], Asked],
) -> None:
    project: Project = request.getfixturevalue(table)
    asked = form(as_texts(project), tmp_path)
    found = parsed(predict(project, *asked.arguments, stdin=asked.stdin))
    expected = evaluated(project)
    assert len(found) == len(asked.rows)
    compared = [(expected[row], found[i]) for i, row in enumerate(asked.rows) if row in expected]
    assert len(compared) >= 20
    assert all(a == b for a, b in compared)
    complaints = capfd.readouterr().err.splitlines()
    assert len(complaints) == len(asked.said), complaints
    assert all(said in line for said, line in zip(asked.said, complaints, strict=True))


@pytest.mark.slow
def test_the_columns_of_the_output(wine: Project, penguins: Project, tmp_path: Path) -> None:
    header, first, *_ = predict(wine, "data/wine.csv").splitlines()
    classes = [f"probability_{grade}" for grade in range(3, 9)]
    assert header.split(",") == ["row", "predicted", *classes, "spread"]
    assert 0 < float(first.rpartition(",")[2]) < 0.5
    out = tmp_path / "deep/new.parquet"
    assert not predict(wine, "data/wine.csv", "-o", str(out))
    table = pyarrow.parquet.read_table(out).to_pydict()
    assert list(table) == header.split(",")
    assert [str(cells[0]) for cells in table.values()] == first.split(",")
    assert list(out.parent.iterdir()) == [out]
    alone = predict(penguins, "data/penguins.csv").splitlines()[1]
    assert alone.endswith(",")  # one network has no spread


@pytest.mark.slow
def test_a_column_is_carried_over_as_id(wine: Project, tmp_path: Path) -> None:
    frame = as_texts(wine).head(300)
    names = ["007", "=1+1", 'a "b", c', "two\nlines", "", "NA", "\u00fc"]
    frame.insert(0, "who", [names[row % len(names)] for row in range(len(frame))])
    path = tmp_path / "new.csv"
    frame.to_csv(path, index=False)
    plain = predict(wine, str(path))
    asked = predict(wine, str(path), "--id", "who")
    lines = list(csv.reader(io.StringIO(asked, newline="")))
    assert lines[0][:3] == ["row", "id", "predicted"]
    assert [line[1].removeprefix("'") for line in lines[1:]] == frame["who"].tolist()
    assert lines[2][1] == "'=1+1"
    without = [[*line[:1], *line[2:]] for line in lines]
    assert without == list(csv.reader(io.StringIO(plain, newline="")))
    predict(wine, str(path), "--id", "who", "-o", str(tmp_path / "out.parquet"))
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names[:3] == ["row", "id", "predicted"]
    assert table["id"].to_pylist() == frame["who"].tolist()
    by_feature = predict(wine, str(path), "--id", "pH")  # also a number stays as it is written
    assert [line.split(",")[1] for line in by_feature.splitlines()[1:]] == frame["pH"].tolist()
    assert [line.split(",")[2:] for line in by_feature.splitlines()] == [
        line.split(",")[1:] for line in plain.splitlines()
    ]
    done = run_here(wine.root, "predict", str(path), "--id", "whom")
    assert f"{path}: has no column 'whom', which is needed; the columns are" in only_error(done)


@pytest.mark.slow
def test_unknown_categories_are_counted(
    penguins: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = as_texts(penguins)
    frame.loc[3:6, "island"] = "Heligoland"
    frame.loc[300, "sex"] = "both, or neither"
    frame.loc[:, "species"] = "?"
    frame.loc[9, "bill_length_mm"] = " NA "  # which the reader of numbers does not take
    text = frame.to_csv(index=False).encode()
    found = parsed(predict(penguins, "-", stdin=text))
    assert len(found) == len(frame)
    assert capfd.readouterr().err == (
        "warning: standard input: cells with a category that no train row has: 4 of column "
        "'island', 1 of column 'sex'\n"
    )


@pytest.mark.slow
def test_wrong_tables(wine: Project, tmp_path: Path) -> None:
    frame = pd.concat([as_texts(wine)] * 8, ignore_index=True)
    path = tmp_path / "new.csv"
    out = tmp_path / "out.csv"
    out.write_text("as before")

    def refused(*arguments: str) -> str:
        done = run_here(wine.root, "predict", *arguments, "-o", str(out))
        assert out.read_text() == "as before"
        assert not list(tmp_path.glob(".*"))
        return only_error(done)

    frame.drop(columns=["pH", "alcohol"]).to_csv(path, index=False)
    assert f"{path}: has no columns 'pH', 'alcohol', which is needed" in refused(str(path))
    frame.loc[7001, "pH"] = "acid"
    frame.to_csv(path, index=False)
    line = refused(str(path))
    # what may be set before a training is no advice here
    assert line == f"error: {path}: column 'pH', row 7001: 'acid' is not a number; correct it"
    frame["pH"] = ["3"] * (len(frame) - 1) + ["true"]
    frame.to_csv(path, index=False)
    last = len(frame) - 1
    assert f"column 'pH', row {last}: 'true' is not a number" in refused(str(path))
    text = path.read_text().splitlines(keepends=True)
    text[5001] = "1,2\n"
    path.write_text("".join(text))
    assert f"{path}: cannot be read as a table: row 5000 has 2 cells, not 12" in refused(str(path))
    assert "is the table itself" in only_error(
        run_here(wine.root, "predict", str(path), "-o", str(path))
    )
    (folder := tmp_path / "rows").mkdir()
    as_texts(wine).to_csv(folder / "new.csv", index=False)
    assert "lies in the folder of the table" in only_error(
        run_here(wine.root, "predict", str(folder), "-o", str(folder / "predictions.csv"))
    )


@pytest.mark.slow
def test_a_header_alone(wine: Project, tmp_path: Path) -> None:
    header = ",".join(as_texts(wine).columns)
    for end in ("", "\n", "\r\n\r\n"):
        path = tmp_path / "new.csv"
        path.write_bytes((header + end).encode())
        with open_table(str(path)) as parts:
            assert parts.names == header.split(",")
            assert not list(parts.batches(["pH"], ["pH"]))
    lines = predict(wine, "-", stdin=header.encode()).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("row,predicted,probability_3")
    path.write_bytes(b"")
    with (
        pytest.raises(InputError, match="is empty; it needs a header and rows"),
        open_table(str(path)),
    ):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_killed_prediction_leaves_nothing(
    wine: Project, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "new.csv"
    header, _, rows = (wine.root / "data/wine.csv").read_text().partition("\n")
    path.write_text(header + "\n" + rows * 500)
    (out := tmp_path / "out").mkdir()
    for _ in range(3):  # a signal that comes while a block is read could be lost
        group = start(wine, *PREDICT, str(path), "-o", str(out / "predictions.csv"))
        assert group.until(lambda: any(p.stat().st_size for p in out.iterdir()), "the first rows")
        assert not (out / "predictions.csv").exists()
        group.send(number)
        assert group.end() == 128 + number
        assert len(group.complained.splitlines()) == 1
        assert [path.name for path in out.iterdir()] == []


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(wine: Project, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    header, _, rows = (wine.root / "data/wine.csv").read_text().partition("\n")
    path.write_text(header + "\n" + rows * 20)
    with subprocess.Popen(
        [*PREDICT, str(path)],
        cwd=wine.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(b"row,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "check", "stale", "compare"])
def test_no_command_minds_a_reader_that_has_gone(wine: Project, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "vintage", command],
        cwd=wine.root,
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
def test_the_model_of_a_revision(wine: Project, tmp_path: Path) -> None:
    project = wine.copy_to(tmp_path / "project")
    project.run("git", "commit", "-qam", "as it is", "--allow-empty")
    expected = predict(project, "data/wine.csv")
    shutil.rmtree(project.root / "data/checkpoint")
    before = project.run("git", "status", "--porcelain").stdout
    assert predict(project, "data/wine.csv", "--model", "HEAD") == expected
    assert project.run("git", "status", "--porcelain").stdout == before
    assert not (project.root / "data/checkpoint").exists()
    for model, problem in {
        "data/checkpoint": "there is no model; run `dvc repro`",
        "nobody": "no such Git revision or DVC experiment",
        "HEAD~0:": "no such Git revision",
        "params.yaml": "no such Git revision or DVC experiment; there is no folder of this name",
    }.items():
        done = run_here(project.root, "predict", "data/wine.csv", "--model", model)
        assert problem in only_error(done)
    shutil.rmtree(project.root / ".dvc/cache")
    error = only_error(run_here(project.root, "predict", "data/wine.csv", "--model", "HEAD"))
    assert "[Errno 2]" in error
    assert "try `dvc fetch`" in error


@pytest.mark.slow
def test_another_repository_gets_the_model_by_its_tag(wine: Project, tmp_path: Path) -> None:
    project = wine.copy_to(tmp_path / "project")
    (name,) = yaml.safe_load((project.root / "dvc.yaml").read_text())["artifacts"]
    for command in (
        f"dvc remote add --default store {tmp_path / 'store'}",
        "git add --all",
        "git commit --quiet --message model",
        f"git tag --annotate {name}@v1.0.0 --message first",
        "dvc push --quiet",
        f"git clone --quiet --bare . {tmp_path / 'shared.git'}",
    ):
        project.run(*command.split())
    expected = predict(project, "data/wine.csv")
    shutil.copy(project.root / "data/wine.csv", tmp_path)
    shutil.rmtree(project.root)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Project(tmp_path / "elsewhere")
    code = {"PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT)}
    url = f"file://{tmp_path / 'shared.git'}"
    for command in (
        f"dvc artifacts get {url} {name} -o model",
        f"dvc get {url} data/checkpoint --rev {name}@v1.0.0 -o same",
    ):
        elsewhere.run(*command.split())
    for model in ("model", "same"):
        done = elsewhere.run(*PREDICT, "../wine.csv", "--model", model, env=code)
        assert done.stdout == expected


SCIKIT_LEARN = """
import csv, sys
import vintage
assert not {"numpy", "torch", "sklearn"} & set(sys.modules)
from vintage.base import console
import numpy as np, pandas as pd
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer
from sklearn.utils.validation import check_is_fitted

model = vintage.load("data/checkpoint")
check_is_fitted(model)
assert is_classifier(model)
assert model.classes_.tolist() == ["3", "4", "5", "6", "7", "8"]
assert model.n_features_in_ == len(model.feature_names_in_) == 11
frame = pd.read_csv("data/wine.csv")
found = model.predict_proba(frame)
with open("metrics/predictions.csv") as file:
    for line in csv.DictReader(file):
        row = int(line["row"])
        expected = [float(line[f"probability_{name}"]) for name in model.classes_]
        assert found[row].tolist() == expected
        assert model.predict(frame.iloc[[row]]).tolist() == [line["predicted"]]
        if row > 200:
            break
reordered = frame[frame.columns[::-1]].assign(more="x").set_index(frame.index + 5)
assert (model.predict_proba(reordered) == found).all()
assert model.predict_proba(frame[:0]).shape == (0, 6)
grades = frame["quality"].astype(str)
assert model.score(frame, grades) > 0.6
assert get_scorer("roc_auc_ovr")(model, frame, grades) > 0.75
importance = permutation_importance(model, frame, grades, n_repeats=1, random_state=0)
assert importance.importances_mean[-2:].tolist()[1] == 0 < importance.importances_mean[-2]
calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(frame, grades)
assert calibrated.predict_proba(frame).shape == (len(frame), 6)
for wrong, problem in [
    (frame.drop(columns="pH"), "the frame: has no column 'pH'"),
    (frame.to_numpy(), "found ndarray, not a data frame"),
    (frame.assign(pH="acid"), "the frame: column 'pH', row 0: 'acid' is not a number"),
    (frame.assign(pH=np.inf), "row 0: inf is not a finite"),
    (frame.rename(columns={"density": "pH"}), "has no column 'density'"),
    (frame.assign(more=1).rename(columns={"more": "pH"}), "'pH' is there more than once"),
    (frame["pH"], "found Series, not a data frame"),
    (frame.assign(pH=1j), "column 'pH' of type complex128 cannot be read"),
    (frame.assign(pH=np.ones(len(frame), np.longdouble)), "'pH' of type float128 cannot be read"),
    (frame.assign(pH=pd.Series([[1]] * len(frame))), "column 'pH' is of type list"),
    (frame.assign(pH=pd.Series(["\\ud800"] * len(frame), dtype=object)), "cannot be read: 'utf-8'"),
    (frame.assign(pH=pd.Series([10**30] * len(frame))), "column 'pH' of type object cannot be"),
]:
    try:
        model.predict(wrong)
    except console.InputError as error:
        assert problem in str(error), error
        assert "\\n" not in str(error)
    else:
        raise AssertionError(problem)
sparse = frame.assign(pH=pd.arrays.SparseArray(frame["pH"]))
assert (model.predict_proba(sparse) == found).all()
"""


@pytest.mark.slow
def test_the_interface_of_scikit_learn(wine: Project) -> None:
    assert wine.run(sys.executable, "-W", "error::FutureWarning", "-c", SCIKIT_LEARN).stderr == ""


TYPES = {
    "list": pa.array([[1], [2]]),
    "struct": pa.array([{"x": 1}, {"x": 2}]),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8())),
    "list_view": pa.array([[1], [2]], pa.list_view(pa.int64())),
    "dictionary of lists": pa.DictionaryArray.from_arrays([0, 0], pa.array([[1]])),
    "fixed_size_binary": pa.array([b"\xff" * 16, b"\xfe" * 16], pa.uuid()),
    "time32": pa.array([1, 2], pa.time32("s")),
    "duration": pa.array([1, 2], pa.duration("s")),
    "fixed_shape_tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 3))),
    "dense_union": pa.UnionArray.from_dense(
        pa.array([0, 0], pa.int8()), pa.array([0, 1], pa.int32()), [pa.array([1, 2])]
    ),
}
TAKEN = {
    "run_end_encoded": pa.RunEndEncodedArray.from_arrays([1, 2], ["1", "2"]),
    "decimal32": pa.array([Decimal(1), Decimal(2)], pa.decimal32(5, 2)),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", "2"])),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1], pa.int8())),
}


@pytest.mark.parametrize("case", [*TYPES, *TAKEN])
@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_column_of_any_type_is_taken_or_refused(tmp_path: Path, case: str, form: str) -> None:
    table = pa.table({"c": (TYPES | TAKEN)[case], "kind": ["a", "b"]})
    path = tmp_path / f"t.{form}"
    try:
        if form == "parquet":
            pyarrow.parquet.write_table(table, path)
        else:
            with pa.ipc.new_file(path, table.schema) as file:
                file.write_table(table)
    except pa.ArrowNotImplementedError:
        pytest.skip("pyarrow cannot write it")
    feature = Feature(name="c", kind="categorical", categories=["1", "2", "true", "false"])
    rows = RowCounts(train=1, val=0, test=1, repeated=0)
    schema = Schema(target="kind", classes=["a", "b"], features=[feature], rows=rows)

    def encoded() -> Features:
        with open_table(str(path)) as parts:
            return encode(path, next(regrouped(parts.batches(["c"], []), 9)), schema)

    if case in TAKEN:
        assert encoded().max() < 4
        return
    with pytest.raises(InputError) as error:
        encoded()
    name = "list" if case.startswith("dictionary") else case
    assert str(error.value).startswith(f"{path}: column 'c' is of type ")
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_uuid_tells_groups_apart(tmp_path: Path) -> None:
    ids = pa.array([bytes([n]) * 16 for n in (7, 1, 7)], pa.uuid())
    table = pa.table({"who": ids, "n": [1, 2, 3], "kind": ["a", "b", "a"]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    found = tables.encode(tmp_path / "t.parquet", split=tables.split_params(group_by="who"))
    assert found.data.groups.tolist() == [0, 1, 0]


def test_numbers_are_written_as_python_writes_them(rng: random.Random) -> None:
    values = [10 ** rng.uniform(-9, 0) for _ in range(20_000)] + [rng.random() for _ in range(5000)]
    values += [0.0, 1.0, 1e-4, np.nextafter(1e-4, 0), 5e-324, 1e-300, 0.5, np.nextafter(1, 0)]
    assert float_texts(np.array(values)).to_pylist() == [repr(float(value)) for value in values]


def rows_of(text: str) -> list[list[str]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [line for line in lines if line]


def test_blocks_of_whole_rows(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the bytes are cut, and with the marks that the csv module refuses refused."""
    for _ in range(5000):
        text = "".join(rng.choices('"",;\n\rab', k=rng.randint(1, 20)))
        size = rng.randint(1, 6)
        monkeypatch.setattr(csv_rules, "BLOCK_BYTES", size)
        file = io.BytesIO(text.encode())
        try:
            expected = rows_of(text)
        except csv.Error:
            with pytest.raises(InputError, match="a cell in quotation marks is invalid"):
                list(csv_rules.whole_rows(Path("t"), file, file.read(size), ","))
            continue
        blocks = list(csv_rules.whole_rows(Path("t"), file, file.read(size), ","))
        assert [row for block in blocks for row in rows_of(block.decode())] == expected, text


def test_a_block_is_text_where_a_cell_is_no_plain_number(tmp_path: Path) -> None:
    values = [str(value) for value in np.random.default_rng(4).random(200_000).tolist()]
    values[150_000] = " 7 "
    values[150_001] = " NA "
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("a,b\n" + "".join(f"{value},x\n" for value in values))
    with open_table(str(path)) as parts:
        tables = list(regrouped(parts.batches(["a"], ["a"]), 10_000))
    types = [str(table["a"].type) for table in tables]
    assert set(types) == {"double", "binary"}
    assert types.count("double") > types.count("binary")
    cells = [cell for table in tables for cell in table["a"].to_pylist()]
    texts = [cell.decode() if isinstance(cell, bytes) else str(cell) for cell in cells]
    assert texts == values
