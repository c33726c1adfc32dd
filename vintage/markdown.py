"""Markdown that shows any text letter by letter, whatever marks it carries."""

import html
import re
from collections.abc import Iterator, Sequence

from vintage.console import one_line


def escaped(text: str) -> str:
    """`text` on one line, with every mark of Markdown, HTML and formulas shown as itself."""
    marked = re.sub(r"([\\`*_|\[\]~#])", r"\\\1", html.escape(one_line(text), quote=False))
    return marked.replace("$", "&#36;")  # an entity begins no formula


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; the cells of `rows` are escaped, the header is not."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
