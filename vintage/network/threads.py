"""Threads of PyTorch's own."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread_an_operation() -> Iterator[None]:
    """Share out no single operation to threads, where the work is shared out already."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
