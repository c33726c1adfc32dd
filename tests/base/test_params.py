import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import PARAMS, ROOT, Project, only_error
from vintage.base.console import InputError
from vintage.base.files import parse_yaml
from vintage.base.params import NO_RESULT, Params, load_params, parse_params

DEFAULTS: dict[str, dict[str, Any]] = load_params(PARAMS).model_dump()


def with_value(key: str, value: object) -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(DEFAULTS)
    *sections, name = key.split(".")
    target = params
    for section in sections:
        target = target[section]
    target[name] = value
    return params


def every_key() -> list[str]:
    return [f"{section}.{name}" for section, values in DEFAULTS.items() for name in values]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.learning_rate", 1),
        ("train.batch_size", 10**9),
        ("train.batch_size", "auto"),
        ("train.batch_size", "all"),
        ("split.test_size", "auto"),
        ("split.val_size", 0),
        ("model.hidden", []),
        ("data.ignore", ["pH"]),
    ],
)
def test_a_value_in_range_is_taken(key: str, value: object) -> None:
    parse_params(with_value(key, value))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("train.learning_rate", "fast", "a number above 0"),
        ("train.learning_rate", 0, "a number above 0"),
        ("train.learning_rate", True, "a number above 0"),
        ("train.learning_rate", float("nan"), "a number above 0"),
        ("train.epochs", 10.5, "a whole number"),
        ("train.batch_size", "every", "auto, all, or a whole number"),
        ("train.seed", -1, "a whole number from 0"),
        ("split.test_size", 1.0, "auto, or a number above 0 and below 1"),
        ("split.val_size", 1.0, "a number from 0 up to, not including, 1"),
        ("model.activation", "tanh", "auto, relu or silu"),
        ("model.scaling_layer", 1, "auto, true or false"),
        ("split.stratify", "yes", "true or false"),
        ("model.hidden", [0], "auto, or a list of at most 64 whole numbers from 1 to 65536"),
        ("model.name", 3, "the name of a network"),
        ("train.numerics", None, "exact or fast"),
        ("data.ignore", "pH", "a list of column names"),
        ("evaluate.confidence", 1e-300, "a number from 0.5 to 0.9999"),
        ("train", 3, "a section"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(key: str, value: object, allowed: str) -> None:
    with pytest.raises(InputError) as error:
        parse_params(with_value(key, value))
    message = str(error.value)
    assert f"{key}: found {value!r}" in message
    assert allowed in message


@pytest.mark.parametrize("key", [*every_key(), *DEFAULTS])
def test_a_missing_key_is_named(key: str) -> None:
    params = copy.deepcopy(DEFAULTS)
    section, _, name = key.partition(".")
    if name:
        del params[section][name]
    else:
        del params[section]
    with pytest.raises(InputError, match=f"{re.escape(key)} is missing"):
        parse_params(params)


def test_a_number_that_python_cannot_print_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = PARAMS.read_text(encoding="utf-8").replace("data/wine.csv", f"0x{'f' * 4000}", 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"data.path: found a number of too many digits; allowed"):
        load_params(path)


@pytest.mark.parametrize("key", ["train.momentum", "extra"])
def test_an_unknown_key_is_named(key: str) -> None:
    with pytest.raises(InputError, match=f"{key} is not a known key; known are "):
        parse_params(with_value(key, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("split.seed", "split.sed", "split.sed is not a known key; did you mean seed?"),
        ("split", "splitt", "splitt is not a known key; did you mean split?"),
        ("model.hidden", "train.hidden", "train.hidden is not a known key; did you mean model.h"),
    ],
)
def test_a_typing_error_is_named_and_not_what_it_leaves_out(old: str, new: str, said: str) -> None:
    params = copy.deepcopy(DEFAULTS)
    section, _, name = old.partition(".")
    value = params[section].pop(name) if name else params.pop(section)
    if "." in new:
        params[new.partition(".")[0]][new.partition(".")[2]] = value
    else:
        params[new] = value
    with pytest.raises(InputError) as error:
        parse_params(params)
    assert said in str(error.value)
    assert str(error.value).endswith("?")
    assert "missing" not in str(error.value)


def test_all_wrong_keys_are_named_at_once() -> None:
    params = with_value("train.epochs", "many")
    params["split"]["test_size"] = 3
    del params["model"]["dropout"]
    params["evaluate"]["confidnce"] = params["evaluate"].pop("confidence")
    with pytest.raises(InputError) as error:
        parse_params(params)
    problems = str(error.value).removeprefix("params.yaml: ").split(". ")
    assert [problem.split()[0].strip(":") for problem in problems] == [
        *("split.test_size", "model.dropout", "train.epochs", "evaluate.confidnce"),
    ]


def test_very_many_wrong_keys_are_counted() -> None:
    with pytest.raises(InputError) as error:
        parse_params({f"key{index}": 1 for index in range(5000)})
    assert re.search(r"\. And \d{4} more$", str(error.value))
    assert len(str(error.value)) < 1000


SPELLINGS = [
    *("010", "08", "0o10", "0x1F", "0b11", "1_000", "+1", "-0", "0_", "1:30", "190:20:30"),
    *(".2e0", "1e-3", "1E5", "+.5e1", "12e03", ".5", "5.", "01.5", "1e+3", ".1e-2", "1e", "._1"),
    *("no", "yes", "on", "off", "y", "N", "true", "True", "tRue", "~", "null", "NULL", "Null"),
    *(".inf", "-.inf", "2024-01-01", "2001-12-14t21:59:43.10-05:00", "=", "<<", "''", '"no"'),
    *("!!int 010", "!!str 010", "!!float 1", "[010, no]", "{a: 1e-3}", "0X1F", "0O7", "1.5e3"),
]


@pytest.mark.parametrize("directive", ["", "%YAML 1.1\n---\n"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_value_is_read_as_dvc_reads_it(spelling: str, directive: str) -> None:
    from dvc.utils.serialize import parse_yaml as dvc_reads

    text = f"{directive}section:\n  key: {spelling}\n"
    try:
        expected = dvc_reads(text, "params.yaml")
    except Exception:
        with pytest.raises(InputError):
            parse_yaml(text.encode(), "params.yaml")
        return
    assert repr(parse_yaml(text.encode(), "params.yaml")) == repr(expected)


def test_a_key_that_stands_twice_is_named_with_its_line() -> None:
    with pytest.raises(InputError, match=r'line 3: not valid YAML: found duplicate key "b"'):
        parse_yaml(b"a:\n  b: 1\n  b: 2\n", "params.yaml")


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+1e-3", "0.001", "1.0e-3", ".1e-2"])
def test_every_way_to_write_a_number_is_a_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    source = PARAMS.read_text(encoding="utf-8")
    path.write_text(re.sub(r"learning_rate: \S+", f"learning_rate: {text}", source))
    assert load_params(path).train.learning_rate == 0.001


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)
)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"- 1", b"a: [", b"a: 1\na: 2", b"a: 2024-13-45", b"? [1]\n: 2", b"a: \x00"),
        *(b"a: !!bool x", b"a: !!int ''", b"a: !!timestamp x", b"1: 2", b"a: *a"),
        *(b"a: &a [x]\nb: *a", b"a: &a {b: 1}\nc: {<<: *a}", b"a: 0x_", b"? &a [1]\n: *a"),
        *(
            b"a: &a [*a]",
            LAUGHS.encode(),
            b"a: " + b"x" * 200_000,
            b"a: \xff",
            b"\xff\xfea",
            b"[" * 5000,
        ),
        *(b"a: !!python/object/apply:os.abort []", b"a: " + b"1:" * 40_000 + b"1", b"a: 1_:1"),
    ],
)
def test_what_is_no_params_file_gives_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_params(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_an_alias_stands_for_a_value(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    source = PARAMS.read_text(encoding="utf-8")
    one, two, three = source.split("seed: 42", 2)
    path.write_text(f"{one}seed: &seed 7{two}seed: *seed{three}", encoding="utf-8")
    assert load_params(path).train.seed == 7


def test_every_key_of_params_yaml_is_commented() -> None:
    lines = PARAMS.read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if re.match(r"  \w+:", line)]
    assert len(settings) == len(every_key())
    assert all(" # " in line for line in settings)


def test_dvc_yaml_knows_the_same_keys() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    declared = {key for stage in stages.values() for key in stage.get("params", [])}
    sections = set(Params.model_fields)
    assert declared <= sections | set(every_key())
    assert sections - declared == set(NO_RESULT), "sections that no stage depends on"


@pytest.mark.parametrize("stage", ["split", "train", "evaluate"])
def test_a_stage_with_wrong_params_writes_nothing(reproduced: Project, stage: str) -> None:
    before = reproduced.outputs()
    reproduced.edit("params.yaml", "epochs: 10", "epochs: many")
    assert "train.epochs: found 'many'" in only_error(reproduced.stage(stage))
    assert reproduced.outputs() == before


@pytest.mark.parametrize("key", ["data.target", "data.ignore", "split.group_by"])
def test_a_name_that_is_no_column_is_named(fresh: Project, key: str) -> None:
    fresh.set_params(**{key: ["colour"] if key == "data.ignore" else "colour"})
    error = only_error(fresh.stage("split"))
    assert f"{key} names 'colour', which is no column; the columns are fixed acidity" in error
    assert not (fresh.root / "data/tensors/schema.json").exists()
