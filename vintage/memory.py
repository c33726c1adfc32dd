"""How the C library deals with the memory that tensors leave behind."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
LARGEST_REUSED = 32 << 20  # bytes; glibc takes no more for M_MMAP_THRESHOLD
KEPT = 256 << 20


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MB of what was freed, for the next tensor.

    By default it may give the memory of each tensor back to the system, which clears it again page
    by page for the next one: so a forward pass takes up to twice as long.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_REUSED)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
