"""Several wrong inputs, named at once."""

import contextlib
from collections.abc import Iterator

from vintage.base.console import InputError

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
