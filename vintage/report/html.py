"""A page as one HTML file that needs nothing else: no script, no request, its figures within it."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vintage.base.console import one_line
from vintage.report.blocks import Bar, Page, Table
from vintage.report.tables import NUMBER

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def page_html(page: Page, figures: Mapping[str, bytes]) -> str:
    """The file's text; every name is shown letter by letter.

    Args:
        figures: SVG by file name, for each picture of the page.
    """
    # `one_line` escapes control characters, and autoescape the markup
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters |= {"numeric": numeric_columns, "drawn": drawn_bars}
    images = {
        name: "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii")
        for name, content in figures.items()
    }
    return environment.get_template(TEMPLATE.name).render(page=page, images=images)


def _shown(value: Any) -> Any:
    return one_line(value) if type(value) is str else value


def numeric_columns(table: Table) -> list[bool]:
    """Whether a column holds numbers, which are aligned to the right."""
    return [
        all(cell[:1] in NUMBER for cell in cells) and any(cells)
        for cells in zip(*table.rows, strict=True)
    ]


def drawn_bars(table: Table) -> dict[str, Any]:
    """Where bars are drawn, in percent of their column's width: `mark`, and `bars` by row."""
    low, high = table.scale or _reach(table)

    def place(value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - low) / (high - low) if high > low else 0.5
        return round(4 + 92 * min(1, max(0, share)), 2)

    bars = [bar and Bar(*map(place, bar)) for bar in table.bars]  # type: ignore[arg-type]
    return {"bars": bars, "mark": place(table.mark)}


def _reach(table: Table) -> tuple[float, float]:
    numbers = [number for bar in table.bars if bar for number in bar if number is not None]
    numbers += [] if table.mark is None else [table.mark]
    return (min(numbers), max(numbers)) if numbers else (0, 0)
