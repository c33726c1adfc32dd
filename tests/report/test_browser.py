"""The page in a headless Chromium, if there is one; on Debian, `apt-get install chromium`."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from vintage.base.console import one_line

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and "CI" not in os.environ, reason="chromium is not installed"
    ),
]
STAGES = ("split", "train", "evaluate", "baseline", "explain", "report")
TARGET = '<b>kind</b> & "co" {{ 7 * 7 }}'
COLUMN = "<script>alert(1)</script>" * 3
CLASSES = ("<img src=x onerror=alert(2)>", "n" * 120)
DARK, LIGHT = 0, 1
HARNESS = """<!DOCTYPE html><body style="margin:0"><iframe style="border:0;width:{width}px;\
height:900px" src="{page}"></iframe><pre></pre><script>
const frame = document.querySelector("iframe")
frame.onload = () => {{
  const page = frame.contentDocument, all = [...page.querySelectorAll("body *")]
  const beyond = all.filter(e => !e.closest(".scroll *, .unseen, .skip")
    && e.getBoundingClientRect().right > {width} + 1)
  document.querySelector("pre").textContent = JSON.stringify({{
    beyond: beyond.map(e => e.tagName), scrolls: page.documentElement.scrollWidth > {width},
    paper: getComputedStyle(page.body).backgroundColor, title: page.querySelector("h1").innerText,
    foreign: page.querySelectorAll("script, b, body img[onerror]").length,
    images: [...page.images].map(e => e.complete && e.naturalWidth > 0),
    named: [...page.querySelectorAll("th, td")].map(e => e.textContent),
    tables: [...page.querySelectorAll("table")].every(e => e.caption.textContent.trim()),
    headings: [...page.querySelectorAll("h1, h2")].length,
  }})
}}</script>"""


def names(n_rows: int = 240) -> str:
    """A table with hostile names, whose classes a network can learn."""
    lines = [",".join('"' + name.replace('"', '""') + '"' for name in (COLUMN, "other", TARGET))]
    lines += [f"{row % 17},{row % 5},{CLASSES[row % 17 > 8]}" for row in range(n_rows)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def page(run: Run) -> Path:
    folder = run(names(), *STAGES, **{"data.target": TARGET, "split.group_by": "none"})
    return folder / "metrics/report.html"


def opened(page: Path, width: int, scheme: int) -> tuple[dict[str, Any], list[str]]:
    """What the page looks like, and the lines of its console."""
    assert CHROMIUM
    harness = page.with_name("harness.html")
    harness.write_text(HARNESS.format(width=width, page=page.as_uri()))
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
        *("--enable-logging=stderr", f"--blink-settings=preferredColorScheme={scheme}"),
        *("--dump-dom", f"--window-size={max(width, 520)},900"),
        f"--user-data-dir={page.parent / 'profile'}",
    )
    done = subprocess.run(
        [CHROMIUM, *options, harness.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    match = re.search(r"<pre>(.*?)</pre>", done.stdout, re.S)
    assert match, done.stdout[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(match[1])), console


def test_it_fits_and_is_quiet_in_every_scheme_and_width(page: Path) -> None:
    papers = set()
    for width in (390, 1280):
        for scheme in (DARK, LIGHT):
            seen, console = opened(page, width, scheme)
            assert console == []
            assert seen["beyond"] == []
            assert not seen["scrolls"]
            assert seen["images"] == [True, True, True]
            papers.add(seen["paper"])
    assert papers == {"rgb(255, 255, 255)", "rgb(13, 17, 23)"}
    assert seen["title"] == f"{one_line(TARGET)}, predicted from table.csv"
    assert {one_line(COLUMN), *CLASSES} <= set(seen["named"])
    assert seen["foreign"] == 0
    assert seen["tables"]
    assert seen["headings"] >= 8
    assert page.stat().st_size < 1_000_000


def test_a_request_an_error_and_what_is_too_wide_would_be_seen(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    foreign = '<img src="https://example.org/x.png"><div style="width:2000px">wide</div></main>'
    page.write_text(text.replace("</main>", foreign), encoding="utf-8")
    seen, console = opened(page, 390, LIGHT)
    assert any("example.org" in line for line in console)
    assert seen["scrolls"]
    assert "DIV" in seen["beyond"]
