"""What glibc's allocator is told, so that the daemon stays small; others have no such knobs."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


def share_arenas() -> None:
    """Let all threads share two heaps, instead of up to eight a core of which each keeps its waste.

    20 MiB of a daemon with one camera. To be called before threads are started.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)


def return_freed() -> None:
    """Give memory that was freed back to the system, which glibc would keep for the next time."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
