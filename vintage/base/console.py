"""How a stage or command speaks to people: plain lines, one-line errors, exit codes.

Exit codes: 0 done; 1 the machine failed (disk, permission); 2 wrong input; 75 another worker of the
same training has ended; 130 and 143 when interrupted by SIGINT or SIGTERM; 141 when whoever reads
the output has gone.
"""

import contextlib
import ctypes
import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
LOST = 75  # EX_TEMPFAIL of <sysexits.h>
LAUNCHER = "VINTAGE_LAUNCHER"  # the id of the process that started this one as one of many
STARTERS = ("DVC_STAGE", "TORCHELASTIC_RUN_ID")
_interrupts: list[BaseException] = []  # that were received


class InputError(Exception):
    """Wrong input. Each argument is one line: what is wrong, where, and what would be right."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class WorkerLostError(Exception):
    """Another worker of the same training has ended."""


class Terminated(BaseException):  # as KeyboardInterrupt: `except Exception` must not catch it
    """SIGTERM was received."""


def speaks(error: BaseException) -> bool:
    """Whether this process is the one to tell of an error; `vintage.network.workers` replaces it
    where there are several."""
    is_launched = os.environ.get(LAUNCHER, str(os.getpid())) != str(os.getpid())
    return not (is_launched and isinstance(error, KeyboardInterrupt | Terminated))


def one_line(text: object) -> str:
    """`text` with line breaks and control characters escaped, so that it stays on its line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def say(text: str = "") -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(f"warning: {one_line(text)}", file=sys.stderr, flush=True)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a stage or command, and exit with its code; see `listen`."""
    listen()
    try:
        sys.exit(main())
    finally:
        gc.freeze()  # or Python goes through all that PyTorch has made once more, for 0.3 s


def listen() -> None:
    """End with one line on an error, on the first SIGINT or SIGTERM, and on the death of the DVC
    or the launcher that started this stage.

    A stage that outlives its DVC would go on writing beside, and into, the next run. The kernel
    tells only of the parent's death, so `dvc.yaml` puts no shell in between, by `exec`.
    """
    sys.excepthook = _end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and `&` may have asked for
            signal.signal(number, _interrupt)
    if any(name in os.environ for name in STARTERS) and sys.platform == "linux":
        parent = int(os.environ.get(LAUNCHER, os.getppid()))
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was told
            raise Terminated


def _end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Say what went wrong in one line, and exit; a traceback only for a fault of the program."""
    if _interrupts and isinstance(error, Exception):  # what a library has made of it
        error = _interrupts[0]
    if isinstance(error, RuntimeError) and "allocate" in str(error):  # PyTorch's way to say so
        error = MemoryError()
    match error:
        case WorkerLostError():
            message, code = f"error: {one_line(error)}", LOST
        case InputError():
            message, code = "\n".join(f"error: {one_line(each)}" for each in error.args), 2
        case BrokenPipeError():  # whoever reads the output has seen enough
            os._exit(141)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message, code = one_line(f"error: {where}{error.strerror or error}"), 1
        case MemoryError():
            hint = "use a smaller table, batch_size or number of replicas"
            message, code = f"error: not enough memory; {hint}", 1
        case KeyboardInterrupt():
            message, code = "interrupted; run the same command again to continue", 130
        case Terminated():
            message, code = "terminated; run the same command again to continue", 143
        case _:
            sys.__excepthook__(kind, error, traceback)
            os._exit(1)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    if speaks(error):
        print(message, file=sys.stderr, flush=True)
    os._exit(code)  # Python's own code would be 1


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # whoever ends a group may signal twice; the second must not tear up the first one's cleaning
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    _interrupts.append(KeyboardInterrupt() if number == signal.SIGINT else Terminated())
    raise _interrupts[0]
