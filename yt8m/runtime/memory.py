"""Settings of the C library for memory that is used over and over."""

import contextlib
import ctypes
import functools

# From malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@functools.cache
def reuse_freed_memory() -> None:
    """Tells glibc to keep what is freed for this process, instead of giving it back and asking anew.

    Large arrays of equal size follow one another in reading batches and in fusing classes, and without this each of
    them is paged in again, which takes a third to half of the time. Elsewhere than on glibc does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        # Older versions refuse more than 32 MB, and keep the value before.
        for size in (1 << 25, 1 << 30):
            library.mallopt(_M_MMAP_THRESHOLD, size)
