"""A page as Markdown in which every character is shown as itself."""

import html
import re
from collections.abc import Iterator, Sequence

from vintage.base.console import one_line
from vintage.report.blocks import Block, Checks, Items, Numbers, Page, Paragraph, Picture, Table

# GitHub looks for mentions, links and commits after it has decoded entities, so neither an entity
# nor a backslash stops it, but a zero-width space does; `one_line` leaves none in any text
SPACE = "\u200b"
FOUND = re.compile(
    r"@|#(?=\d)|gh-(?=\d)|:(?=//)|www(?=\.)|(?=\d*[a-f])[0-9a-f]{6}(?=[0-9a-f])", re.IGNORECASE
)


def page_lines(page: Page) -> Iterator[str]:
    """The page's lines; figures are linked relative to `metrics/`."""
    yield f"# {escaped(page.target)}, predicted from {escaped(page.table)}"
    yield ""
    for sentence in page.verdict:
        yield f"**{escaped(sentence)}.**"
    for section in page.sections:
        yield from ("", f"## {section.title}")
        for block in section.blocks:
            if lines := list(_lines(block)):
                yield from ("", *lines)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text, is_warning):
            yield f"**{escaped(text)}**" if is_warning else escaped(text)
        case Items(texts):
            yield from (f"- {escaped(text)}" for text in texts)
        case Table(caption, header, rows):
            yield from (f"{escaped(caption)}:", "")
            yield from table_lines(header, rows)
        case Picture(file, caption):
            yield f"![{escaped(caption)}](figures/{file})"
        case Checks(found):
            for check in found:
                said = f"{check.outcome}: {escaped(check.sentence)}"
                yield f"- [{check.code}](../{check.page}) {said}"
        case Numbers():  # which the tables have
            return


def escaped(text: str) -> str:
    """`text` on one line, without markup; on GitHub it mentions nobody and links nowhere."""
    apart = html.escape(FOUND.sub(rf"\g<0>{SPACE}", one_line(text)), quote=False)
    marked = re.sub(r"([\\`*_|\[\]~#])", r"\\\1", apart)
    return marked.replace("$", "&#36;").replace(SPACE, "&#8203;")


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table whose cells are escaped."""
    yield f"| {' | '.join(map(escaped, header))} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
