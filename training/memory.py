"""How the process handles memory while it trains."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # names and numbers of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make glibc keep what is freed instead of handing it back to the system.

    A training step frees and takes the same gigabyte over and over, and a page that comes fresh from the system costs a
    fault: with this a step took half to a fifth of the time.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
                library.mallopt(option, value)
