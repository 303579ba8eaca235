"""
How many calls of a process may wait for FHIR servers: a slow one must not take every thread from everybody else.

A call that waits holds a thread. While fewer than three quarters of the threads wait, each call has its whole time:
a server that takes two seconds for everybody must not cost data before threads are short. When so many do, and all of
them for long or one of them for nearly all of its time, the next calls get a short time, which is enough for a server
in good health and for all that a slow one has at hand; when hardly a thread is left, none. While three calls about one
patient wait, and not since just now, no fourth one asks; of many that come at once the later ones have a short time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG_S: Final = 0.75
NEARLY_ALL: Final = 2 / 3
SHORT_S: Final = 0.4
KEPT_FREE: Final = 8
"""One thread in so many, and one at least, is left to calls which bring their data with them."""
OF_ONE_PATIENT: Final = 3
AT_ONCE_S: Final = 0.25
"""Several calls about a patient come together, when a chart is opened; so soon it is not known whether it is slow."""


@dataclass(slots=True, eq=False)
class _Waiting:
    about: int
    since: float


@dataclass(slots=True)
class Crowd:
    """The calls of this process that are reading from FHIR servers."""

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _inside: set[_Waiting] = field(default_factory=set)

    @contextlib.contextmanager
    def enter(self, about: int, threads: int, seconds: float) -> Iterator[float]:
        """
        Begin to read for a call about a patient, in a process of so many threads; gives for how long it may.

        That is `seconds`, or less, or 0: then nothing is to be asked.
        """
        with self._lock:
            now = self.clock()
            allowed = self._allowed(about, threads, seconds, now)
            one = _Waiting(about, now)
            self._inside.add(one)
        try:
            yield allowed
        finally:
            with self._lock:
                self._inside.discard(one)

    def _allowed(self, about: int, threads: int, seconds: float, now: float) -> float:
        """Say how long a call may read that comes now."""
        same = [each.since for each in self._inside if each.about == about]
        if len(same) >= OF_ONE_PATIENT and now - min(same) > AT_ONCE_S:
            return 0.0
        most = max(1, min(threads * 3 // 4, threads - 2))
        waited = sorted((now - each.since for each in self._inside), reverse=True)
        crowded = len(waited) >= most and (waited[most - 1] > LONG_S or waited[0] > seconds * NEARLY_ALL)
        if not crowded and len(same) < max(OF_ONE_PATIENT, threads // 2):
            return seconds
        full = crowded and len(waited) >= threads - max(1, threads // KEPT_FREE)
        return 0.0 if full else min(SHORT_S, seconds)


CROWD: Final = Crowd()
