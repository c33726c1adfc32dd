"""How a stage or command speaks to people: plain lines, one-line errors, exit codes.

Exit codes: 0 done; 1 the machine failed (disk, permission); 2 wrong input; 130 and 143 when
interrupted by SIGINT or SIGTERM.
"""

import io
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn


class InputError(Exception):
    """Wrong input. The message is one line: what is wrong, where, and what would be right."""


class Terminated(Exception):  # noqa: N818 - like KeyboardInterrupt, a request and not a fault
    """SIGTERM was received."""


def one_line(text: object) -> str:
    """`text` with line breaks and control characters escaped, so that it stays on its line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def say(text: str = "") -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(f"warning: {one_line(text)}", file=sys.stderr, flush=True)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a stage or command and exit; a person sees one line for an error, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        sys.exit(main())
    except InputError as error:
        _fail(f"error: {error}", 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"error: {where}{error.strerror or error}", 1)
    except MemoryError:
        _fail("error: not enough memory; use a smaller table, batch_size or number of replicas", 1)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to continue", 130)
    except Terminated:
        _fail("terminated; run the same command again to continue", 143)


def _raise_terminated(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _fail(message: str, code: int) -> NoReturn:
    print(one_line(message), file=sys.stderr, flush=True)
    sys.exit(code)
