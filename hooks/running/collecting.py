"""Keeps the garbage collector, while a process starts, from looking again and again at what lasts as long as it."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECT_AFTER = 50_000
"""So many new objects before the garbage collector looks at them; a call leaves few behind, and they are small."""


@contextmanager
def for_good() -> Iterator[None]:
    """Read or build what lasts: meanwhile the garbage collector rests, and afterwards it never looks at it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
