"""What a page is made of; `vintage/report/markdown.py` and `html.py` show the same blocks.

All text is plain: whoever shows it escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Outcome = Literal["passed", "issue", "tip", "does not apply"]


class Bar(NamedTuple):
    """A value with its interval, which HTML draws beside the numbers."""

    low: float | None
    value: float
    high: float | None


@dataclass(frozen=True)
class Paragraph:
    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Items:
    """A list."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        bars: one for each row, or none at all; drawn in a column of their own, behind `bar_after`.
        scale: the ends of the bars' axis; None: as far as the bars and `mark` reach.
        mark: where a line is drawn across all bars.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[Bar | None] = ()
    bar_after: int = 0
    scale: tuple[float, float] | None = None
    mark: float | None = None


@dataclass(frozen=True)
class Picture:
    """A figure of `metrics/figures`, and what it shows in words."""

    file: str
    caption: str


@dataclass(frozen=True)
class Check:
    """One of the checks of `vintage/report/checks.py`; its code never changes its meaning."""

    code: str
    outcome: Outcome
    sentence: str

    @property
    def page(self) -> str:
        """Where it is explained."""
        return f"docs/checks.md#{self.code.lower()}"


@dataclass(frozen=True)
class Checks:
    """Checks, the most pressing ones first."""

    found: Sequence[Check]


class Number(NamedTuple):
    """A number that HTML shows large; the tables have it, too."""

    title: str
    value: str
    interval: str


@dataclass(frozen=True)
class Numbers:
    """The few numbers that are looked at first."""

    shown: Sequence[Number]


Block = Paragraph | Items | Table | Picture | Checks | Numbers


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]
    is_folded: bool = False


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        verdict: sentences without a period.
    """

    target: str
    table: str
    verdict: Sequence[str]
    sections: Sequence[Section]
