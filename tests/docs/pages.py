"""The commands in a page of the documentation: read, run, compared with what stands there.

A page's ```console blocks are run in one clone, in order, in one shell. A line that begins with
`$ ` is a command. What follows, up to the next one, is all that it prints; `...` stands for any
lines that are left out. A command without output beneath it only has to succeed, and one with
`# exit code 1` behind it to end so. A ```python block is run as well. A block is not run behind
`<!-- not run: reason -->`, and `<!-- run: command -->` runs a command that the page does not show.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

from tests.conftest import Project, environment
from vintage.base.params import allowed_values

LEFT_OUT = "..."
BLOCK = re.compile(
    r"(?:^<!-- (?P<remark>[^\n]*) -->\n+)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S
)
VARYING = (
    (re.compile(r"\((?:[0-9a-f]{7})\)"), "(COMMIT)"),
    (re.compile(r"^\[main [0-9a-f]{7}\]"), "[main COMMIT]"),
    (re.compile(r"\b\d+(\.\d+)? ?s\b"), "SECONDS"),
    # argparse of Python 3.13 names the value once
    (re.compile(r"-(\w) ([\w-]+), (--[\w-]+ \2)\b"), r"-\1, \3"),
)
DONE = "---- done with exit code "


@dataclass(frozen=True)
class Block:
    """A fenced block, its first line's number in the page from 0, and the remark before it."""

    language: str
    lines: list[str]
    start: int
    remark: str

    @property
    def is_run(self) -> bool:
        return not self.remark.startswith("not run: ")


@dataclass(frozen=True)
class Command:
    """A command with the output that the page shows: lines `start` to `end` of the page."""

    text: str
    exit_code: int
    shown: list[str]
    start: int
    end: int


def blocks_of(page: str) -> list[Block]:
    return [
        Block(
            match["language"],
            match["body"].splitlines(),
            page.count("\n", 0, match.start("body")),
            match["remark"] or "",
        )
        for match in BLOCK.finditer(page)
    ]


def commands_of(block: Block) -> list[Command]:
    """The commands of a block that is run."""
    if block.language == "python":
        code = "\n".join(["python - <<'END'", *block.lines, "END"])
        return [Command(code, 0, [], block.start, block.start)]
    hidden = block.remark.removeprefix("run: ") if block.remark.startswith("run: ") else None
    found = [] if hidden is None else [Command(hidden, 0, [], block.start, block.start)]
    starts = [number for number, line in enumerate(block.lines) if line.startswith("$ ")]
    for start, end in pairwise([*starts, len(block.lines)]):
        first = start + 1
        while block.lines[first - 1].endswith("\\"):
            first += 1
        text = "\n".join(block.lines[start:first]).removeprefix("$ ")
        exit_code = re.search(r"# exit code (\d+)", text)
        shown = block.lines[first:end]
        place = block.start + first
        found.append(
            Command(text, int(exit_code[1]) if exit_code else 0, shown, place, place + len(shown))
        )
    return found


def run(commands: list[Command], project: Project) -> list[tuple[int, list[str]]]:
    """Run all of them in one shell; the exit code and the lines of output of each."""
    script = "\n".join(f"{command.text}\nprintf '\\n{DONE}%s\\n' $?" for command in commands)
    own = {
        "PATH": f"{project.root / '.venv/bin'}{os.pathsep}{environment()['PATH']}",
        "PYTHONUNBUFFERED": "1",  # or what DVC says would follow what its stages say
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=project.root,
        env=environment() | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    parts = re.split(rf"\n{DONE}(\d+)\n", done.stdout)
    assert len(parts) == 2 * len(commands) + 1, done.stdout
    outputs = [printed.strip("\n").splitlines() for printed in parts[0:-1:2]]
    return list(zip(map(int, parts[1::2]), outputs, strict=True))


def normal(line: str) -> str:
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return line.rstrip()


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether `shown` is what was printed, but for what varies and what is left out."""
    if not shown:
        return True
    pattern = "".join(
        r"(?:.*\n)*?" if line == LEFT_OUT else re.escape(normal(line)) + "\n" for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{normal(line)}\n" for line in printed)) is not None


def renewed(shown: list[str], printed: list[str]) -> list[str]:
    """`shown` with the lines that were printed, the same ones left out as far as that is clear.

    Between two `...` as many lines stand as before: those that are most alike.
    """
    if agrees(shown, printed):
        return shown
    if LEFT_OUT not in shown:
        return printed
    lines: list[str] = []
    position = 0
    for part in re.split(rf"^{re.escape(LEFT_OUT)}$", "\n".join(shown), flags=re.M):
        wanted = part.strip("\n").splitlines()
        if not wanted:
            lines.append(part.strip("\n"))
            continue
        starts = range(position, max(position, len(printed) - len(wanted)) + 1)
        best = max(starts, key=lambda start: alike(wanted, printed[start : start + len(wanted)]))
        position = best + len(wanted)
        lines.append("\n".join(printed[best:position]))
    return f"\n{LEFT_OUT}\n".join(lines).strip("\n").splitlines()


def alike(some: list[str], others: list[str]) -> float:
    pairs = zip(some, others, strict=False)
    return sum(SequenceMatcher(None, one, other).ratio() for one, other in pairs)


def with_renewed(page: str, commands: list[Command], outputs: list[list[str]]) -> str:
    """The page, with the output of each command as it is now."""
    lines = page.splitlines()
    for command, printed in reversed(list(zip(commands, outputs, strict=True))):
        if command.shown:
            lines[command.start : command.end] = renewed(command.shown, printed)
    return "\n".join(lines) + "\n"


def links_of(page: str) -> list[str]:
    """The relative links of a page, to files and headings."""
    text = BLOCK.sub("", page)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def headings_of(page: str) -> list[str]:
    """The anchors of a page's headings, as a Git host makes them."""
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", page), re.M)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def pages(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def reference_lines(params: Path) -> Iterator[str]:
    """A Markdown table of all parameters: what each may be, and its comment in `params`."""
    yield "| key | allowed | meaning |"
    yield "|---|---|---|"
    section = ""
    for line in params.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\w+):$", line):
            section = match[1]
        elif match := re.match(r"  (\w+): .*?(?: # (.*))?$", line):
            name, comment = match.groups(default="")
            cells = (f"`{section}.{name}`", allowed_values()[section, name], comment)
            yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
