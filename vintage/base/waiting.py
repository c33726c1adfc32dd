"""What a person sees of a command that takes its time."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

SILENT = 2.0  # seconds


@contextlib.contextmanager
def waiting(doing: str) -> Iterator[None]:
    """On a terminal, show from two seconds on what is done and for how long; it leaves no trace.

    The cursor stays at the beginning of the line, so what is printed meanwhile takes its place.
    """
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(doing, done), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(doing: str, done: threading.Event) -> None:
    start, shown, pause = time.monotonic(), "", SILENT
    while not done.wait(pause):
        shown, pause = f"{doing}: {time.monotonic() - start:.0f} s", 1.0
        print(shown, end="\r", file=sys.stderr, flush=True)
    if shown:
        print(" " * len(shown), end="\r", file=sys.stderr, flush=True)
