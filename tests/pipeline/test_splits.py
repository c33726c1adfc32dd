"""The whole recipe on other splits of the table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PARAMS, Project, Run
from vintage.base.console import InputError
from vintage.base.params import load_params
from vintage.table.dataset import load_dataset
from vintage.table.resplit import other_splits


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
    own_seeds = {"train.seed": 50, "split.seed": 1}
    short = {"train.epochs": 6, "split.test_size": 0.3, **own_seeds, **changes}
    found = stored(run(table(), "splits", **short, **{"evaluate.splits": 4}))["splits"]
    # without the seed that the pipeline has; three times 30 % of the rows fit side by side
    assert {seed: len(of_seed) for seed, of_seed in found.items()} == {"0": 3, "2": 1}
    for seed, (split, *_) in found.items():
        own = {"split.seed": int(seed), "train.seed": 50 + (3 * int(seed) + 1) * 2}
        folder = run(table(), "split", "train", "evaluate", **short | own)
        evaluation = json.loads((folder / "metrics/evaluation.json").read_text(encoding="utf-8"))
        schema = json.loads((folder / "data/tensors/schema.json").read_text(encoding="utf-8"))
        assert split["scores"] == evaluation["test"]
        assert split["test_rows"] == schema["rows"]["test"]
        assert split["train_rows"] == schema["rows"]["train"] + schema["rows"]["val"]


@pytest.mark.parametrize("size", ["auto", 0.2, 0.45, 0.6])
@pytest.mark.parametrize("by", ["shuffle", "hash"])
@pytest.mark.parametrize("val_size", ["folds", 0.1])
def test_splits_of_one_seed_test_other_rows(
    tmp_path: Path, by: str, size: float | str, val_size: float | str
) -> None:
    (path := tmp_path / "table.csv").write_text(table(140), encoding="utf-8")
    params = load_params(PARAMS)
    data = params.data.model_copy(update={"path": str(path), "target": "kind"})
    split = params.split.model_copy(update={"by": by, "test_size": size, "val_size": val_size})
    dataset = load_dataset(data, split)
    n_of_seed = {"auto": 3, 0.2: 5, 0.45: 2, 0.6: 1}[size]
    found = list(other_splits(dataset, data, split, 2 * n_of_seed))
    assert len({each.number for each in found}) == 2 * n_of_seed
    for of_seed in (found[:n_of_seed], found[n_of_seed:]):
        assert len({each.seed for each in of_seed}) == 1
        tested = np.concatenate([each.parts["test"].rows for each in of_seed])
        assert len(np.unique(tested)) == len(tested)
        for each in of_seed:
            rows = [part.rows for part in each.parts.values()]
            assert sorted(np.concatenate(rows)) == list(range(149)), "each row is in one part"
            assert not np.any(each.parts["test"].seen)
    if by == "shuffle":
        share = len(tested) / 149
        assert share == pytest.approx(n_of_seed * {"auto": 0.3}.get(size, size), abs=0.05)  # type: ignore[arg-type]


def test_the_same_test_rows_have_the_same_digest_in_whatever_order(run: Run) -> None:
    changes = {"split.by": "hash", "evaluate.splits": 2, "train.epochs": 1}
    header, *lines = table().splitlines()
    again = "\n".join([header, *reversed(lines)]) + "\n"
    renamed = table().replace(",yes", ",maybe")
    first, second, other = (
        [each["test_digest"] for each in stored(run(text, "splits", **changes))["splits"]["0"]]
        for text in (table(), again, renamed)
    )
    assert first == second
    assert len({*first, *other}) == 4


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
    with pytest.raises(InputError, match=r"evaluate.splits: of 7 splits, . can be made; the last"):
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
