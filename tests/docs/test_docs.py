"""What README and docs/ show is what is printed, and what they link to is there.

UPDATE_DOCS=1 python -m pytest tests/docs    writes what is printed now into the pages
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plain_recipe import PLAIN
from tests.conftest import PARAMS, ROOT, Project, needs_docs
from tests.docs.pages import (
    agrees,
    blocks_of,
    commands_of,
    headings_of,
    links_of,
    pages,
    reference_lines,
    run,
    with_renewed,
)
from vintage.base.params import allowed_values

# a user may have taken docs/ away, and put a page of their own in README's place
pytestmark = needs_docs

TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages(ROOT)}
README = TEXTS["README.md"]
RUN = {
    name: [command for block in blocks_of(text) if block.is_run for command in commands_of(block)]
    for name, text in TEXTS.items()
}
MOST_LINES = 220


@pytest.mark.slow
@pytest.mark.pages
@pytest.mark.parametrize("page", [name for name, commands in RUN.items() if commands])
def test_its_commands_print_what_it_shows(page: str, default_reproduced: Project) -> None:
    commands = RUN[page]
    install(default_reproduced)
    done = run(commands, default_reproduced)
    for command, (code, printed) in zip(commands, done, strict=True):
        assert code == command.exit_code, f"{command.text}\n" + "\n".join(printed)
    if "UPDATE_DOCS" in os.environ:
        new = with_renewed(TEXTS[page], commands, [printed for _, printed in done])
        (ROOT / page).write_text(new, encoding="utf-8")
        return
    for command, (_, printed) in zip(commands, done, strict=True):
        assert agrees(command.shown, printed), f"$ {command.text}\n" + "\n".join(printed)


def install(project: Project) -> None:
    """What `make` installs: an environment in which `vintage` runs the clone's code."""
    binaries = project.root / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "vintage").write_text('#!/bin/sh\nexec python -m vintage "$@"\n')
    (binaries / "vintage").chmod(0o755)
    (binaries.parent / "installed").touch()


@pytest.mark.parametrize("page", TEXTS)
def test_each_block_is_run_or_tells_why_not(page: str) -> None:
    for block in blocks_of(TEXTS[page]):
        if block.language == "mermaid" or not block.is_run:
            continue
        assert block.language in ("console", "python"), f"{page}, line {block.start}: not run"
        assert commands_of(block), f"{page}, line {block.start}: no command"


@pytest.mark.parametrize("page", TEXTS)
def test_its_links_lead_somewhere(page: str) -> None:
    for link in links_of(TEXTS[page]):
        name, _, heading = link.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page} links to {link}"
        if heading:
            assert heading in headings_of(path.read_text(encoding="utf-8")), f"{page}: {link}"


def test_every_page_is_linked() -> None:
    linked = {
        ((ROOT / page).parent / link.partition("#")[0]).resolve()
        for page, text in TEXTS.items()
        for link in links_of(text)
    }
    assert [page for page in TEXTS if page != "README.md" and ROOT / page not in linked] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_its_map_names_every_group_and_folder() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    top = {name.partition("/")[0] for name in listed if "/" in name and not name.startswith(".")}
    for name in sorted(top | {path.parent.name for path in (ROOT / "vintage").glob("*/*.py")}):
        assert re.search(rf"^[ |]*`?{name}/", README, re.M), f"the map does not name {name}/"


def test_the_files_to_open_exist() -> None:
    table = README.partition("## To add something")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+(?:\.\w+|/))`", table)
    assert len(named) >= 10
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_command_is_documented() -> None:
    usage = vintage("--help")
    commands = re.findall(r"^    (\w+) ", usage, re.M)
    assert "compare" in commands
    for command in commands:
        assert f"$ vintage {command} --help" in TEXTS["docs/commands.md"]
        assert f"\nexample: vintage {command}" in vintage(command, "--help")


def test_the_reference_of_parameters_is_generated() -> None:
    text, head, _ = TEXTS["docs/params.md"].partition("| key | allowed | meaning |\n")
    assert head
    lines = list(reference_lines(PARAMS))
    assert len(lines) == 2 + sum(len(key) == 2 for key in allowed_values())
    assert all(line.count("|") == 4 for line in lines)
    new = text + "\n".join(lines) + "\n"
    if "UPDATE_DOCS" in os.environ:
        (ROOT / "docs/params.md").write_text(new, encoding="utf-8")
    else:
        assert TEXTS["docs/params.md"] == new


def test_the_modules_and_tests_that_pages_name_exist() -> None:
    named = [
        (page, each)
        for page, text in TEXTS.items()
        for each in re.findall(r"(?:python -m |\[)((?:benchmarks|stages)[./][a-z_]+)", text)
        + re.findall(r"\b((?:vintage|stages|tests|benchmarks)/[\w/]*\w\.py)\b", text)
    ]
    assert named
    for page, name in named:
        path = ROOT / (name if name.endswith(".py") else name.replace(".", "/"))
        assert path.exists() or path.with_suffix(".py").exists(), f"{page} names {name}"


def test_the_tests_that_robustness_names_are_collected() -> None:
    commands = re.findall(r"pytest ([^`]+)`", TEXTS["docs/robustness.md"])
    assert commands
    collected = collected_tests({file for command in commands for file in files_in(command)})
    for command in commands:
        words = set(re.findall(r"\w+", command.partition(" -k ")[2])) - {"or"}
        for file in files_in(command):
            ids = [test for test in collected if test.startswith(f"{file}::")]
            assert ids, file
            chosen = [test for test in ids if any(word in test.lower() for word in words)]
            assert chosen or not words, f"pytest {command} chooses no test"


def files_in(command: str) -> list[str]:
    return re.findall(r"tests/\S+\.py", command)


def collected_tests(files: set[str]) -> list[str]:
    """The ids of all tests in `files`."""
    options = ("--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, *sorted(files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_pages_that_the_code_names_exist() -> None:
    files = [f for name in ("vintage", "stages", "benchmarks") for f in (ROOT / name).rglob("*.py")]
    named = {
        (file, page)
        for file in files
        for page in re.findall(r"docs/[\w/]+\.\w+", file.read_text(encoding="utf-8"))
    }
    assert named
    assert [pair for pair in named if not (ROOT / pair[1]).exists()] == []


def test_the_plain_recipe_is_set_as_it_is_measured() -> None:
    """The command of the page and the first step of the benchmark are the same parameters."""
    page = TEXTS["docs/plain_recipe.md"]
    set_there = dict(re.findall(r"-S (?:')?([\w.]+)=([^'\s\\]+)", page))
    expected = {key: str(value).lower().replace(" ", "") for key, value in PLAIN.items()}
    assert set_there == expected


def vintage(*arguments: str) -> str:
    command = [sys.executable, "-m", "vintage", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_what_is_left_out_and_what_varies_does_not_count() -> None:
    printed = ["A is HEAD (3f65af2)", "took 1.2 s", "b", "c"]
    assert agrees(["A is HEAD (0000000)", "took 9 s", "b", "c"], printed)
    assert agrees(["A is HEAD (0000000)", "...", "c"], printed)
    assert not agrees(["A is HEAD (0000000)", "...", "b"], printed)
    assert not agrees(["A is B (0000000)", "...", "c"], printed)
    assert not agrees(["...", "c", "b", "..."], printed)


def test_a_page_is_renewed_where_it_differs(tmp_path: Path) -> None:
    some = "$ printf 'a 1\\nb\\nc 3\\nd\\n'\na 2\n...\nc 4\n...\n"
    shown = f"{some}$ (exit 3)  # exit code 3\n$ echo x\ny\n"
    page = f"```console\n{shown}```\n"
    path = tmp_path / "page.md"
    path.write_text(page)
    (block,) = blocks_of(page)
    commands = commands_of(block)
    done = run(commands, Project(tmp_path))
    assert [code for code, _ in done] == [command.exit_code for command in commands] == [0, 3, 0]
    assert not agrees(commands[0].shown, done[0][1])
    new = with_renewed(page, commands, [printed for _, printed in done])
    assert new == page.replace("a 2", "a 1").replace("c 4", "c 3").replace("\ny\n", "\nx\n")
