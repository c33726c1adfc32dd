"""Work on several threads whose results come in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterator[Item], n_threads: int
) -> Iterator[Result]:
    """The results of items, computed on threads, a few ahead. The first error ends them."""
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[Future[Result]] = deque()
        failure: Exception | None = None
        try:
            while True:
                try:
                    waiting.append(pool.submit(function, next(items)))
                except StopIteration:
                    break
                except Exception as error:  # raised after the results of the items before it
                    failure = error
                    break
                if len(waiting) > n_threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if failure:
            raise failure
