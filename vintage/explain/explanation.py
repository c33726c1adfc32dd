"""`explanation.json`: what the stage `explain` finds. The types alone, which the report reads."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from vintage.base.files import Strict

Count = Annotated[int, Field(ge=0)]
Item = TypeVar("Item")


def _by_rank(items: list[Any]) -> dict[str, Any]:
    return {str(rank): item for rank, item in enumerate(items, start=1)}


def _in_order(items: Any) -> Any:
    return [items[rank] for rank in sorted(items, key=int)] if isinstance(items, dict) else items


# stored by rank, because DVC draws every list of a file that it takes for a plot
Ranked = Annotated[list[Item], BeforeValidator(_in_order), PlainSerializer(_by_rank)]
Share = Annotated[float, Field(ge=0, le=1)]


class Importance(Strict):
    """By how much the log loss on test rows rises if a column's cells are exchanged, see there.

    None: there is no interval, because the test rows are all of one group.
    """

    column: str
    increase: float
    low: float | None
    high: float | None


class Mistake(Strict):
    """A test row that was predicted wrong.

    Attributes:
        row: its number in the table, from 0, as in `predictions.csv`.
        cells: those of the most important columns, as the network was given them.
    """

    row: Count
    actual: str
    predicted: str
    probability_of_actual: Share
    probability_of_predicted: Share
    cells: dict[str, str]


class Slice(Strict):
    """Test rows with certain values in a column, on which the network does worse than overall."""

    column: str
    values: str
    rows: Count
    log_loss: float
    accuracy: Share
    p_value: Share


class Drift(Strict):
    """A column whose cells are distributed otherwise in the test rows than in the train rows."""

    column: str
    distance: Share
    p_value: Share


class Learned(Strict):
    """The log loss on the test rows after training on so many rows."""

    rows: Count
    log_loss: float
    low: float | None
    high: float | None


class LearningCurve(Strict):
    """See `vintage.explain.learning_curve`.

    Attributes:
        points: by a rising number of rows.
        gain: by how much the second half of the rows lowers the log loss, with its interval.
        of_rows: how many train rows there are; the curve ends at fewer if they are many.
    """

    points: Annotated[Ranked[Learned], Field(min_length=2)]
    gain: float
    gain_low: float
    gain_high: float
    draws: Count
    of_rows: Count


class Explanation(Strict):
    """All of `explanation.json`.

    Attributes:
        columns: how many columns there are; all are searched for drift.
        importance: of the columns that were exchanged, the most important one first.
        repeats: how often each was exchanged, on `importance_rows` test rows.
        slices: those that do worse beyond chance, of `slices_tested`.
        curve: None if there are too few rows for it.
        sampled: by part, how many rows there are, where only some of them were looked at.
    """

    columns: Count
    importance: list[Importance]
    importance_rows: Count
    repeats: Count
    mistakes: Ranked[Mistake]
    slices: Ranked[Slice]
    slices_tested: Count
    drift: Ranked[Drift]
    curve: LearningCurve | None
    sampled: dict[str, Count] | None = None

    @model_validator(mode="after")
    def _the_mistakes_show_the_same_columns(self) -> Self:
        if any(each.cells.keys() != self.mistakes[0].cells.keys() for each in self.mistakes):
            raise ValueError("two mistakes show other columns")
        return self
