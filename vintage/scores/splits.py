"""The scores of a recipe on many splits of one table, as `splits.json` holds them."""

import hashlib
from typing import Annotated

from pydantic import BeforeValidator, Field

from vintage.base.files import Strict
from vintage.base.tensors import Examples
from vintage.scores.evaluation import Scores, plain_scores
from vintage.scores.rows import Floats

Number = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]


class SplitScores(Strict):
    """Of one split.

    Attributes:
        test_rows, train_rows: how many rows were scored, and how many the replicas learned from or
            were validated by.
        test_digest: equal for the same test rows with the same classes, in whatever order.
        scores: on the test rows, by metric; of an earlier release without the newest ones.
    """

    test_rows: Annotated[int, Field(ge=1)]
    train_rows: Annotated[int, Field(ge=1)]
    test_digest: str
    scores: Scores

    @classmethod
    def of(cls, parts: dict[str, Examples], classes: list[str], test: Floats) -> "SplitScores":
        """Score the predictions of the test rows, float64 `[n, n_classes]`."""
        rows = parts["test"]
        return cls(
            test_rows=len(rows.labels),
            train_rows=len(parts["train"].labels) + len(parts["val"].labels),
            test_digest=_digest(rows, classes),
            scores=plain_scores(rows.labels, test),
        )


def _by_turn(found: object) -> object:
    """An earlier release had one split of each seed."""
    return {"0": found} if isinstance(found, dict) and "scores" in found else found


_OfSeed = Annotated[dict[Number, SplitScores], Field(min_length=1), BeforeValidator(_by_turn)]


class Splits(Strict):
    """`splits.json`.

    Attributes:
        splits: by the seed of the split, then by a number; those of one seed have no test row in
            common.
        reason: why there are none.
    """

    splits: dict[Number, _OfSeed]
    reason: str | None = None

    @property
    def all_splits(self) -> list[SplitScores]:
        return [each for of_seed in self.splits.values() for each in of_seed.values()]


def _digest(rows: Examples, classes: list[str]) -> str:
    named = sorted((int(i), classes[label]) for i, label in zip(rows.ids, rows.labels, strict=True))
    return hashlib.sha256(repr(named).encode("utf-8")).hexdigest()[:16]
