"""Files between the stages, damaged by the thousand: refused or found by the check, never a crash.

None of them can hold code: a pickle that is offered as one is refused without being run.
"""

import json
import os
import pickle
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT, Project, only_error, refused_here, run_here
from tests.fuzzing import EXAMPLES, cases, damaged
from vintage.base.console import InputError
from vintage.base.params import load_params
from vintage.repository.check import check_outputs
from vintage.scores.predictions import parse_predictions

TENSORS = [f"data/tensors/{name}.safetensors" for name in ("train", "val", "test")]
WEIGHTS = "data/checkpoint/model.safetensors"
JSON = [
    *("data/checkpoint/model.json", "data/checkpoint/schema.json", "data/tensors/schema.json"),
    *("metrics/details.json", "metrics/losses.json", "metrics/baseline.json"),
    "metrics/explanation.json",
]
CSV = ["metrics/predictions.csv", "data/baseline/svc.csv", "data/baseline/random_forest.csv"]
ARTIFACTS = [*TENSORS, WEIGHTS, *JSON, *CSV]
READERS = {
    **dict.fromkeys(TENSORS, ("train", "baseline", "evaluate", "explain")),
    **dict.fromkeys([WEIGHTS, *JSON[:2]], ("evaluate", "explain")),
    JSON[2]: ("train", "baseline", "report"),
    JSON[3]: ("report",),
    JSON[4]: ("evaluate",),
    JSON[5]: ("report",),
    JSON[6]: ("report",),
    **dict.fromkeys(CSV, ("report",)),
}
MARKER = "the pickle was run"

TOKENS = [
    *(b"0", b"-1", b"9" * 30, b"1e400", b"-1e-7", b"NaN", b"Infinity", b"null", b"true", b'""'),
    *(b"[]", b"{}", b"[" * 5000, b",", b'"', b"}", b"]", b"\n", b"\r", b"\xff", b"\x00", b"'"),
    *(b"F64", b"BF16", b"U8", b"F32", b"I64", b'"shape":[0]', b"[4294967296,4294967296]"),
    *(b"\x00\x00\x00\x80", b"\x00\x00\xc0\x7f", b"\xff" * 8, b"1_0", b"0x1", b"data_offsets"),
]  # fmt: skip
LEAVES = st.one_of(
    st.sampled_from([None, True, 0, -1, 1, 0.5, 1e308, -1e308, 10**30, 65536, 2**31, 10**9, ""]),
    st.sampled_from([[], {}, [1], [[]], {"": None}, "x", "relu", "\x00", "mlp", [65536] * 64]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5).map(lambda text: text.encode(errors="replace").decode()),
)  # fmt: skip


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in items:
            yield from places(value, (*at, key))


@st.composite
def edited_json(draw: st.DrawFn, original: bytes) -> bytes:
    """The same JSON with one value replaced, removed, doubled or taken from elsewhere in it."""
    content = json.loads(original)
    every = list(places(content))
    *way, last = draw(st.sampled_from(every[1:]))
    parent = content
    for key in way:
        parent = parent[key]
    kind = draw(st.sampled_from(["replace", "replace", "remove", "copy", "rename"]))
    if kind == "replace":
        parent[last] = draw(LEAVES)
    elif kind == "remove":
        del parent[last]
    elif kind == "copy":
        value = content
        for key in draw(st.sampled_from(every)):
            value = value[key]
        parent[last] = json.loads(json.dumps(value))
    elif isinstance(parent, dict):
        parent[draw(st.text(max_size=3).map(lambda t: t.encode(errors="replace").decode()))] = (
            parent.pop(last)
        )
    else:
        parent.append(parent[last])
    return json.dumps(content).encode()


@st.composite
def edited_tensors(draw: st.DrawFn, original: bytes) -> bytes:
    """The same tensors with one of them changed in value, type or shape, added or left out."""
    tensors = safetensors.numpy.load(original)
    name = draw(st.sampled_from(sorted(tensors)))
    tensor = tensors[name].copy()
    kind = draw(st.sampled_from(["value", "value", "type", "shape", "rename", "remove", "rows"]))
    if kind == "value" and tensor.size:
        odd = [np.nan, np.inf, 3e38, -3e38, 0, -1, 1e-45, 1, 2**62]
        index = draw(st.integers(0, tensor.size - 1))
        with np.errstate(all="ignore"):
            value = np.asarray(draw(st.sampled_from(odd))).astype(tensor.dtype)
        tensor.reshape(-1)[index if draw(st.booleans()) else slice(None)] = value
    elif kind == "type":
        with np.errstate(all="ignore"):
            kinds: list[Any] = [np.float16, np.float64, np.int32, np.int64, np.bool_]
            tensor = tensor.astype(draw(st.sampled_from(kinds)))
    elif kind == "shape":
        tensor = tensor.reshape(
            draw(st.sampled_from([(-1,), (1, -1), (-1, 1), (1, *tensor.shape)]))
        )
    elif kind == "rows":
        keep = draw(st.integers(0, 3))
        tensors = {key: np.atleast_1d(value)[:keep] for key, value in tensors.items()}
        return safetensors.numpy.save(tensors)
    del tensors[name]
    if kind != "remove":
        tensors["x" if kind == "rename" else name] = tensor
    return safetensors.numpy.save(tensors)


@st.composite
def damage(draw: st.DrawFn, originals: dict[str, bytes]) -> tuple[str, bytes]:
    """One of the files, and what to put in its place."""
    path = draw(st.sampled_from(ARTIFACTS))
    original = originals[path]
    kind = draw(st.sampled_from(["bytes", "other", "edited", "edited"]))
    if kind == "other":
        return path, originals[draw(st.sampled_from(ARTIFACTS))]
    if kind == "edited" and path in JSON:
        return path, draw(edited_json(original))
    if kind == "edited" and path not in CSV:
        return path, draw(edited_tensors(original))
    return path, draw(damaged(original, TOKENS))


class Small:
    """A project after every stage, with a small table, network and number of epochs."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.outputs = project.outputs()
        self.originals = {path: self.outputs[path] for path in ARTIFACTS}

    def put(self, path: str, content: bytes) -> None:
        target = self.project.root / path
        target.unlink(missing_ok=True)  # it may be linked to the cache
        target.write_bytes(content)

    def restore(self) -> None:
        """Put everything back, also what a stage wrote."""
        for path, content in self.outputs.items():
            self.put(path, content)


@pytest.fixture(scope="module")
def small(_fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Small:
    project = _fresh.copy_to(tmp_path_factory.mktemp("small") / "project")
    draw = random.Random(1)
    rows = [[draw.gauss(0, 1), draw.gauss(0, 1), draw.choice("xyz")] for _ in range(90)]
    text = "a,b,c,day,kind\n" + "".join(
        f"{a:.3f},{b if index % 3 else ''},{'pqr '[index % 4]},2024-01-{index % 28 + 1:02},{kind}\n"
        for index, (a, b, kind) in enumerate(rows)
    )
    (project.root / "data/small.csv").write_text(text)
    project.set_params(
        **{
            "data.path": "data/small.csv",
            "data.target": "kind",
            "train.epochs": 3,
            "train.replicas": 2,
            "model.hidden": [4],
            "evaluate.resamples": 100,
        }
    )
    project.repro()
    return Small(project)


@cases(0.15)
@given(data=st.data())
def test_the_check_survives_any_damage(small: Small, data: st.DataObject) -> None:
    path, content = data.draw(damage(small.originals))
    root = small.project.root
    small.put(path, content)
    problems: list[str] = []
    try:
        problems += check_outputs(root, load_params(root / "params.yaml"))
    except InputError as error:
        problems += error.args
    finally:
        small.restore()
    assert all(0 < len(problem) < 2000 for problem in problems)
    assert not problems or content != small.originals[path]


@cases(0.08)
@given(data=st.data())
def test_predictions_are_read_or_refused(small: Small, data: st.DataObject) -> None:
    content = data.draw(damaged(small.originals[CSV[0]], TOKENS))
    try:
        predictions = parse_predictions(content, "p.csv")
    except InputError as error:
        message = str(error)
        assert message.startswith("p.csv: ")
        return
    probabilities = predictions.probabilities
    assert probabilities.shape == (len(predictions.rows), len(predictions.classes))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.slow
@cases(max(12 / EXAMPLES, 0.004), in_processes=True)
@given(data=st.data())
def test_a_stage_survives_any_damage(small: Small, data: st.DataObject) -> None:
    path, content = data.draw(damage(small.originals))
    stage = data.draw(st.sampled_from(READERS[path]))
    small.put(path, content)
    try:
        done = small.project.stage(stage)
    finally:
        small.restore()
    if done.returncode == 0:
        assert "Traceback" not in done.stderr
    else:
        only_error(done)


def edited(original: bytes, key: str, value: object) -> bytes:
    content = json.loads(original)
    content[key] = value
    return json.dumps(content).encode()


def scaled(original: bytes, factor: np.float32) -> bytes:
    tensors = safetensors.numpy.load(original)
    for name, tensor in tensors.items():
        if name != "encoder.mean":
            tensors[name] = np.where(tensor < 0, -factor, factor).astype(np.float32)
    return safetensors.numpy.save(tensors)


def one_class(original: bytes) -> bytes:
    tensors = safetensors.numpy.load(original)
    return safetensors.numpy.save({**tensors, "labels": np.zeros_like(tensors["labels"])})


def without_rows(original: bytes) -> bytes:
    tensors = safetensors.numpy.load(original)
    return safetensors.numpy.save({name: tensor[:0] for name, tensor in tensors.items()})


HUGE = {
    "name": "mlp",
    "hidden": [65536] * 64,
    "dropout": 0,
    "activation": "relu",
    "normalize": "none",
    "n_bins": 0,
    "scaling_layer": False,
}
MODEL, SCHEMA, EVALUATION, LOSSES, BASELINE = (JSON[index] for index in (0, 2, 3, 4, 5))
BAD: dict[str, tuple[str, str, Callable[[bytes], bytes], str]] = {
    "a network that no memory holds": (
        "evaluate", MODEL, lambda old: edited(old, "model", HUGE), "weights, where model.json"),
    "a million replicas": (
        "evaluate", MODEL, lambda old: edited(old, "seeds", [1] * 10**6), "at most 1024"),
    "a best epoch beyond the last": (
        "evaluate", MODEL, lambda old: edited(old, "best_epochs", [3, 4]), "beyond the last"),
    "two classes of one name": (
        "train", SCHEMA, lambda old: edited(old, "classes", ["x", "x", "z"]), "name of another"),
    "no test rows": (
        "train", SCHEMA,
        lambda old: edited(old, "rows", {"train": 63, "val": 9, "test": 0, "repeated": 0}),
        "rows.test"),
    "an epoch too few": (
        "evaluate", LOSSES, lambda old: json.dumps(json.loads(old)[1:]).encode(), "2 epochs"),
    "a loss that no drawing holds": (
        "evaluate", LOSSES, lambda old: old.replace(b'"train_loss": 1.', b'"train_loss": 1e308', 1),
        "0.train_loss"),
    "a class renamed": (
        "report", EVALUATION, lambda old: old.replace(b'"x": {', b'"w": {'), "its classes are not"),
    "a path as a baseline's name": (
        "report", BASELINE, lambda old: old.replace(b'"svc"', b'"../svc"'), "models."),
    "a row number that no integer holds": (
        "report", CSV[1], lambda old: old.replace(b"\n8,", b"\n1%030d," % 0, 1), "table of"),
    "a probability that is none": (
        "report", CSV[1], lambda old: re.sub(rb"0\.\d+", b"nan", old, count=1), "from 0 to 1"),
    "a cell of thousands of characters": (
        "report", CSV[1], lambda old: re.sub(rb"0\.\d+", b"[" * 5000, old, count=1), "[[["),
    "a row twice": (
        "report", CSV[0], lambda old: old.replace(b"\n8,", b"\n17,", 1), "two rows are the same"),
    "a row too few": (
        "report", CSV[1], lambda old: old[: old.rindex(b"\n", 0, -1) + 1], "does not fit"),
    "weights that overflow": (
        "evaluate", WEIGHTS, lambda old: scaled(old, np.float32(3e38)), "is not finite"),
    "a temperature of zero": (
        "evaluate", WEIGHTS, lambda old: scaled(old, np.float32(0)), "is not positive"),
    "a part without rows": (
        "train", TENSORS[0], without_rows, "holds 0 rows, and the schema says"),
    "rows of one class": (
        "baseline", TENSORS[0], one_class, "all of one class"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_stage_names_what_does_not_fit(small: Small, case: str) -> None:
    stage, path, change, expected = BAD[case]
    small.put(path, change(small.originals[path]))
    if case == "rows of one class":
        small.put(TENSORS[1], one_class(small.originals[TENSORS[1]]))
    try:
        error = refused_here(small.project.root, stage)
    finally:
        small.restore()
    assert expected in error
    assert len(error) < 500


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (MARKER,)


@pytest.mark.parametrize(
    ("path", "stage"),
    [(path, READERS[path][0]) for path in [*TENSORS[:1], WEIGHTS, JSON[0], JSON[2], CSV[0]]],
)
@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_a_pickle_is_refused_and_not_run(small: Small, path: str, stage: str, how: str) -> None:
    target = small.project.root / path
    target.unlink()
    if how == "torch.save":
        torch.save({"weight": Malicious()}, target)
    else:
        target.write_bytes(pickle.dumps(Malicious()))
    try:
        error = refused_here(small.project.root, stage)
        checked = run_here(small.project.root, "check")
    finally:
        small.restore()
    assert error.startswith(f"{path}: ")
    assert checked.returncode == 1
    assert not (small.project.root / MARKER).exists()


FORBIDDEN = re.compile(
    r"torch\.load|pickle|joblib|\bdill\b|\bshelve\b|\bmarshal\b|np\.load\(|allow_pickle|"
    r"(?<![.\w])(?:eval|exec)\(|yaml\.(?!load\(text, Loader=_Loader\))(?:full_|unsafe_)?load"
)


def test_nothing_in_the_code_can_run_a_file() -> None:
    folders = ("stages", "vintage", "benchmarks")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 20
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert not found
