"""Markdown that shows any text letter by letter, whatever marks it carries, and calls nobody."""

import html
import re
from collections.abc import Iterator, Sequence

from vintage.base.console import one_line

# GitHub looks for these in the text that it shows, so no entity or backslash hides them; a space
# without width does, which `one_line` leaves in no text
SPACE = "\u200b"
CALLS = re.compile(r"@|#(?=\d)|gh-(?=\d)|:(?=//)|www(?=\.)", re.IGNORECASE)
COMMIT = re.compile(r"(?<![0-9a-z])(?=\d*[a-f])[0-9a-f]{7,}(?![0-9a-z])", re.IGNORECASE)
SHORTER_THAN_A_COMMIT = 6


def escaped(text: str) -> str:
    """`text` on one line, with every mark of Markdown, HTML and formulas shown as itself.

    On GitHub, names and numbers in it mention no person, issue or commit, and an address is no
    link.
    """
    apart = COMMIT.sub(_in_pieces, CALLS.sub(rf"\g<0>{SPACE}", one_line(text)))
    marked = re.sub(r"([\\`*_|\[\]~#])", r"\\\1", html.escape(apart, quote=False))
    # an entity begins no formula
    return marked.replace("$", "&#36;").replace(SPACE, "&#8203;")


def _in_pieces(match: re.Match[str]) -> str:
    return re.sub(rf".{{{SHORTER_THAN_A_COMMIT}}}(?=.)", rf"\g<0>{SPACE}", match[0])


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; the cells of `rows` are escaped, the header is not."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
