"""
What a process does about its memory.

One that starts is spared the garbage collector, which would go over all that was read again and again. One that has
answered long bodies gives their memory back.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECT_AFTER = 50_000
"""So many new objects before the garbage collector looks at them; a call leaves few behind, and they are small."""

LONG_BLOCK = 4 * 2**20
"""From so many bytes on a block of memory is given back to the system as soon as it is free: the longest bodies."""
_M_MMAP_THRESHOLD = -3
"""As glibc's `malloc.h` has it."""


def give_long_blocks_back() -> None:
    """
    Let the C library give long blocks back, however many there were.

    glibc by itself keeps more with each long block that becomes free, up to 32 MB, so that a process would stay as
    large as the longest bodies made it. Another C library has no such call, and is left as it is.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LONG_BLOCK)


@contextmanager
def at_rest() -> Iterator[None]:
    """Read or build what lasts without the garbage collector; it would find nothing, each time with more to go over."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
