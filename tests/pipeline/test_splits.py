"""The whole recipe on other splits of the table."""

import json
from typing import Any

import numpy as np
import pytest

from tests.conftest import Project, Run
from vintage.base.console import InputError


def table(n_rows: int = 150) -> str:
    """Numbers and a text with rare categories, so that more than weights depends on the split."""
    draw = np.random.default_rng(5)
    numbers = draw.normal(size=(n_rows, 2)).round(2)
    letters = draw.choice(list("aaaabbbcdefgh"), n_rows)
    kinds = np.where(numbers[:, 0] + draw.normal(size=n_rows) > 0, "yes", "no")
    lines = [f"{a},{b},{c},{kind}" for (a, b), c, kind in zip(numbers, letters, kinds, strict=True)]
    return "\n".join(["a,b,letter,kind", *lines, *lines[:9]]) + "\n"


def stored(folder: Any) -> Any:
    return json.loads((folder / "metrics/splits.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("changes", [{}, {"split.val_size": 0.2, "split.by": "hash"}])
def test_a_split_has_the_scores_that_the_pipeline_has_with_its_seeds(
    run: Run, changes: dict[str, Any]
) -> None:
    """So nothing is fitted on rows that another split has trained on."""
    short = {"train.epochs": 6, "train.seed": 50, "split.seed": 1, **changes}
    found = stored(run(table(), "splits", **short, **{"evaluate.splits": 3}))
    assert list(found["splits"]) == ["0", "2", "3"], "without the one that the pipeline has"
    for seed, split in found["splits"].items():
        own = {"split.seed": int(seed), "train.seed": 50 + (int(seed) + 1) * 2}
        folder = run(table(), "split", "train", "evaluate", **short | own)
        evaluation = json.loads((folder / "metrics/evaluation.json").read_text(encoding="utf-8"))
        schema = json.loads((folder / "data/tensors/schema.json").read_text(encoding="utf-8"))
        assert split["scores"] == evaluation["test"]
        assert split["test_rows"] == schema["rows"]["test"]
        assert split["train_rows"] == schema["rows"]["train"] + schema["rows"]["val"]


def test_the_same_test_rows_have_the_same_digest_in_whatever_order(run: Run) -> None:
    changes = {"split.by": "hash", "evaluate.splits": 2, "train.epochs": 1}
    header, *lines = table().splitlines()
    first = stored(run(table(), "splits", **changes))["splits"]
    again = "\n".join([header, *reversed(lines)]) + "\n"
    second = stored(run(again, "splits", **changes))["splits"]
    other = stored(run(table().replace(",yes", ",maybe"), "splits", **changes))["splits"]
    digests = [{seed: each["test_digest"] for seed, each in s.items()} for s in (first, second)]
    assert digests[0] == digests[1]
    assert len({*digests[0].values(), *(each["test_digest"] for each in other.values())}) == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evaluate.splits": 0}, "evaluate.splits is 0"),
        ({"split.order_by": "a", "split.val_size": 0.1}, "split.order_by: the latest rows"),
        ({"split.column": "part"}, "split.column: the column of split.column says"),
    ],
)
def test_where_no_other_split_makes_sense_none_is_made(
    run: Run, changes: dict[str, Any], reason: str
) -> None:
    header, *lines = table().splitlines()
    parts = ["train", "test"] * len(lines)
    text = "\n".join(
        [f"{header},part", *(f"{line},{part}" for line, part in zip(lines, parts, strict=False))]
    )
    found = stored(run(text + "\n", "splits", **changes))
    assert found["splits"] == {}
    assert found["reason"].startswith(reason)


def test_a_table_that_can_hardly_be_split_is_refused_in_a_line(run: Run) -> None:
    rare = "a,kind\n" + "".join(f"{n},{'xyzuvw'[n % 6]}\n" for n in range(12))
    changes = {"split.by": "hash", "split.test_size": 0.8, "split.val_size": 0.1}
    with pytest.raises(InputError, match=r"evaluate.splits: of 7 seeds, . make a split; the last"):
        run(rare, "splits", **changes, **{"evaluate.splits": 3})


def test_splits_of_other_parameters_are_not_compared(reproduced: Project) -> None:
    """`dvc repro evaluate` leaves them out."""
    reproduced.edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02")
    assert reproduced.repro("evaluate") == ["train", "evaluate"]
    shown = " ".join(reproduced.run("python", "-m", "vintage", "compare").stdout.split())
    assert "B: splits.json is of other parameters, code or rows than the model; run" in shown
    assert "this recipe on such tables: cannot be told" in shown
    assert reproduced.repro("splits") == ["splits"]
    shown = reproduced.run("python", "-m", "vintage", "compare").stdout
    assert "the recipes over 2 other splits" in shown
