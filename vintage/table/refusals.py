"""Wrong tables, as lines for people: what libraries raise, and many problems at once."""

import contextlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from vintage.base.console import InputError, one_line

MOST_PROBLEMS = 20  # that are shown


class Problems:
    """Wrong inputs that do not depend on each other, to be named at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note an InputError, and go on after the block."""
        try:
            yield
        except InputError as error:
            self.found += error.args

    def refuse(self) -> None:
        """Raise an InputError of all that was noted, if anything was."""
        n_more = len(self.found) - MOST_PROBLEMS
        more = [f"and {n_more} more problems"] if n_more > 0 else []
        if self.found:
            raise InputError(*self.found[:MOST_PROBLEMS], *more)


@contextlib.contextmanager
def refusals(path: Path, n_above: int = 0) -> Iterator[None]:
    """Turn what pyarrow, gzip and the system raise into an InputError.

    Args:
        n_above: how many rows of CSV stand above what is read, its header among them.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(f"{path}: the header is not UTF-8; save the table as UTF-8") from None
    except (MemoryError, PermissionError, BrokenPipeError):
        raise
    except (pa.ArrowException, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as a table: {_reason(error, n_above)}") from None


def _reason(error: Exception, n_above: int) -> str:
    """The reason in words for people; pyarrow's own rows count from 1, with the header."""
    reason = str(error)
    if wrong := re.search(
        r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", reason, re.DOTALL
    ):
        row, expected, found, text = wrong.groups()
        place = int(row) - 2 + n_above
        return f"row {place} has {found} cells, not {expected} as the header: {text[:60]!r}"
    return one_line(reason.partition("\n")[0])[:200]
