"""Spares a process that starts the garbage collector, which would go over all that was read again and again."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECT_AFTER = 50_000
"""So many new objects before the garbage collector looks at them; a call leaves few behind, and they are small."""


@contextmanager
def at_rest() -> Iterator[None]:
    """Read or build what lasts without the garbage collector; it would find nothing, each time with more to go over."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
