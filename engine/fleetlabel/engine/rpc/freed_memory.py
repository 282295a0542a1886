"""What is freed is kept for the next message, instead of given back to the system and asked for again.

A stream of pictures makes and frees a few hundred kilobytes a thousand times a second. With glibc's usual settings each
of these is mapped anew, and the system fills every page with zeros before it is written: that takes longer than all the
rest of sending it.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

# mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_ARENAS = 2
_KEPT_BYTES = 128 << 20  # per arena, at most
_GROWN_BYTES = 8 << 20
_MAPPED_BYTES = 32 << 20  # a larger piece is given back at once; glibc takes no higher number


def keep_freed_memory() -> None:
    """Tells the C library so for the rest of the process; where it is not glibc, nothing changes."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_ARENA_MAX, _ARENAS)
        mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_TOP_PAD, _GROWN_BYTES)
