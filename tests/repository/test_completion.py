"""The Tab key in a real bash, with the line that docs/commands.md gives."""

import contextlib
import os
import pty
import re
import subprocess

from tests.conftest import INPUTS, ROOT, environment, needs_docs

TO_SHOW = b"\t\x01echo '\x05'\r"  # Tab, then put what stands there into quotes behind `echo`
PROMPT = {"PROMPT_COMMAND": "printf ready", "PS1": "> "}  # which Ctrl-A shows in part only
TYPED = {
    "vintage comp": "vintage compare ",
    "vintage compare --format m": "vintage compare --format md ",
    "vintage verify --re": "vintage verify --receipt ",
    "vintage predict data/pen": "vintage predict data/penguins.csv ",
}


@needs_docs
def test_tab_completes_commands_options_choices_and_files() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\$ (eval .*shtab.*)$", page, re.M)
    shown = typed(line, *(text.encode() + TO_SHOW for text in TYPED))
    assert re.findall(r"^(vintage .*)$", shown, re.M) == list(TYPED.values())


def typed(setup: str, *keys: bytes) -> str:
    """What a terminal shows of an interactive bash."""
    terminal, of_bash = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=INPUTS,
        env=environment() | PROMPT | {"INPUTRC": os.devnull, "TERM": "dumb"},
        stdin=of_bash,
        stdout=of_bash,
        stderr=of_bash,
        start_new_session=True,
    )
    os.close(of_bash)
    shown = b""
    with contextlib.suppress(OSError):  # which tells that bash has gone
        for each in (b"", f"{setup}\r".encode(), *keys, b"exit\r"):
            os.write(terminal, each)
            new = b""
            while not new.endswith(b"ready> "):  # or what is typed meets no editor
                new += os.read(terminal, 4096)
            shown += new
    os.close(terminal)
    assert bash.wait(timeout=60) == 0
    return shown.decode().replace("\r\n", "\n")
