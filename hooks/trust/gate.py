"""Keeps calls out before work begins: too many of one client, or more than this server can answer in time."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from hooks.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WAITED = "oncobone.waited_s"
"""Where the server tells, in the WSGI environment, how long a request stood in its queue."""


class TokenBucket:
    """Lets through so many calls a second, and `at_once` after a quiet time (by default those of a second)."""

    def __init__(
        self, per_second: float, clock: Callable[[], float] = time.monotonic, *, at_once: float | None = None
    ) -> None:
        self._rate = per_second
        self._most = max(per_second, 1.0) if at_once is None else at_once
        self._left = self._most
        self._clock = clock
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one call; give 0 when it may go on, else how many seconds it would have to wait."""
        with self._lock:
            now = self._clock()
            self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
            self._at = now
            if self._left >= 1:
                self._left -= 1
                return 0.0
            return (1 - self._left) / self._rate


class RateLimits:
    """One bucket per client."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._lock = threading.Lock()

    def check(self, client: str, per_second: float) -> None:
        """Count a call of a client; raises Refused (429) when it calls too often."""
        with self._lock:
            bucket = self._buckets.setdefault(client, TokenBucket(per_second))
        wait = bucket.take()
        if wait > 0:
            raise Refused(429, headers={"Retry-After": str(math.ceil(wait))})


class Strangers:
    """
    Bounds the work of a process for callers that nobody knows: so many requests a second, so many at once.

    What they ask for costs less than a call of a client, and can take no thread from one for long.
    """

    def __init__(self, per_second: float, at_once: int) -> None:
        self._bucket = TokenBucket(per_second)
        self._room = threading.BoundedSemaphore(at_once)

    def enter(self) -> None:
        """Begin a request; raises Refused (429). Whoever has entered must `leave`."""
        if not self._room.acquire(blocking=False):
            raise Refused(429, headers={"Retry-After": "1"})
        wait = self._bucket.take()
        if wait > 0:
            self._room.release()
            raise Refused(429, headers={"Retry-After": str(math.ceil(wait))})

    def leave(self) -> None:
        """End it."""
        self._room.release()


def refuse_overload(environ: Mapping[str, object], longest_s: float) -> None:
    """
    Refuse a request that has stood in the queue too long: its reader has given up, and others wait behind it.

    Raises Refused (503).
    """
    waited = environ.get(WAITED, 0.0)
    if isinstance(waited, float) and waited > longest_s:
        raise Refused(503, "More calls arrive than this server can answer now.", headers={"Retry-After": "1"})
