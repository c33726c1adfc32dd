"""What the machine gives a process: cores, and the memory that arrays and tensors leave behind."""

import contextlib
import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
KEPT = 2**30  # bytes
KEPT_OF_OLD = 2**25  # of a single array; the most that older versions of glibc take


def available_cores() -> int:
    """How many cores this process may use; where the system cannot tell, all there are."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GB of what was freed, for the next array.

    By default it may give the memory of each array back to the system, which then clears it page
    by page for the next one: so a forward pass takes up to twice as long.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT) or libc.mallopt(M_MMAP_THRESHOLD, KEPT_OF_OLD)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
