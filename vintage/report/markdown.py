"""Text and tables as Markdown in which every character is shown as itself."""

import html
import re
from collections.abc import Iterator, Sequence

from vintage.base.console import one_line

# GitHub looks for mentions, links and commits after it has decoded entities, so neither an entity
# nor a backslash stops it, but a zero-width space does; `one_line` leaves none in any text
SPACE = "\u200b"
FOUND = re.compile(
    r"@|#(?=\d)|gh-(?=\d)|:(?=//)|www(?=\.)|(?=\d*[a-f])[0-9a-f]{6}(?=[0-9a-f])", re.IGNORECASE
)


def escaped(text: str) -> str:
    """`text` on one line, without markup; on GitHub it mentions nobody and links nowhere."""
    apart = html.escape(FOUND.sub(rf"\g<0>{SPACE}", one_line(text)), quote=False)
    marked = re.sub(r"([\\`*_|\[\]~#])", r"\\\1", apart)
    return marked.replace("$", "&#36;").replace(SPACE, "&#8203;")


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; the cells of `rows` are escaped, the header is not."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
