"""What a person sees of a command: on a terminal, in a pipe, and when they press Ctrl-C."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment

WAITS = """
import time
from vintage.base import waiting
waiting.SILENT = 0.05
with waiting.waiting("comparing"):
    time.sleep(0.5)
print("done")
"""
# as pydantic and NumPy do, if the interrupt comes while they are imported
SWALLOWS = """
import os, signal, time
from vintage.base import console
def main():
    try:
        os.kill(os.getpid(), signal.{signal})
        time.sleep(60)
    except BaseException as error:
        raise ImportError("something went wrong") from error
console.run(main)
"""


def run(*command: str, **own: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment() | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_terminal_shows_what_is_waited_for_and_a_file_does_not(tmp_path: Path) -> None:
    done = run(sys.executable, "-c", WAITS)
    assert (done.stdout, done.stderr) == ("done\n", "")
    (script := tmp_path / "waits.py").write_text(WAITS)
    shown = run("script", "-qec", f"{sys.executable} {script}", "/dev/null").stdout
    assert re.fullmatch(r"(comparing: \d s\n)+ {14}\ndone\n", shown)  # \r is read as \n


@pytest.mark.parametrize(
    ("signal", "code", "said"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]
)
def test_an_interrupt_is_one_whatever_a_library_makes_of_it(
    signal: str, code: int, said: str
) -> None:
    done = run(sys.executable, "-c", SWALLOWS.format(signal=signal))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"{said}; run the same command again to continue\n"


def test_without_colours_none_are_printed_on_a_terminal() -> None:
    command = f"{sys.executable} -m vintage compare --help; {sys.executable} -m vintage show --x"
    shown = run("script", "-qec", command, "/dev/null", NO_COLOR="1", TERM="xterm-256color").stdout
    assert "REV_A" in shown
    assert "\nerror: " in shown
    assert "\x1b" not in shown
