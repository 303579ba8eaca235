"""
The circuit breaker: a FHIR server that is down is not asked by every call, one after the other.

It counts calls and not requests, and a call in which anything was answered speaks for the server. One that is gone
(connections refused, 5xx) is told from one that is slow: a slow answer may be the fault of one large chart, so a slow
server is left alone only after calls about several patients. Whether it is back is found out by a cheap question of
the breaker's own, not by the next patient.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

GONE_CALLS: Final = 3
SLOW_CALLS: Final = 5
DIFFERENT_CALLS: Final = 3
PAUSE_SECONDS: Final = 30.0
# Reasons of `fetch` that speak against the server; any other is an answer, and comes from a server in good health.
SLOW: Final = frozenset({"timeout"})
GONE: Final = frozenset({"connection", "tls", "certificate", "truncated", "server-error"})

_PATIENT = re.compile(r"(?:^Patient/|[?&](?:patient|subject)=(?:Patient/)?|[?&]_id=)([A-Za-z0-9.-]+)")


@dataclass(slots=True)
class CallHealth:
    """What the requests of one call came to; safe to fill from many threads."""

    answered: bool = False
    slow: bool = False
    gone: bool = False

    def note(self, reason: str | None) -> None:
        """Take note of one request: None when it was answered well, else the reason why not."""
        if reason in SLOW:
            self.slow = True
        elif reason in GONE:
            self.gone = True
        else:
            self.answered = True


def about(queries: Iterable[object]) -> int:
    """Which patient a call is about, as a number that says nothing of the patient; other calls by their queries."""
    texts = sorted(query for query in queries if isinstance(query, str))
    found = next((match[1] for text in texts if (match := _PATIENT.search(text))), None)
    return hash(found if found is not None else tuple(texts))


@dataclass(slots=True)
class _Breaker:
    gone: int = 0
    slow: int = 0
    about: set[int] = field(default_factory=set)
    open_until: float | None = None
    trying: bool = False


class Breakers:
    """
    One circuit breaker for each base.

    It opens after three calls in a row that found the server gone, or five that got nothing in time; about three
    different patients at the least. Half a minute later `trial(base, ca_file)` asks, in a thread of its own, whether
    the server is back; until it is, calls go on without it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        trial: Callable[[str, str | None], bool] = lambda _base, _ca_file: True,
    ) -> None:
        self._clock = clock
        self._trial = trial
        self._lock = threading.Lock()
        self._of: dict[str, _Breaker] = {}

    def allows(self, base: str, ca_file: str | None = None) -> bool:
        """Whether a call may fetch from this base now; `ca_file` as the call trusts the server, for the trial."""
        with self._lock:
            breaker = self._of.setdefault(base, _Breaker())
            if breaker.open_until is None:
                return True
            if self._clock() >= breaker.open_until and not breaker.trying:
                trial = threading.Thread(target=self._try, args=(base, ca_file), name="fetch-trial", daemon=True)
                with contextlib.suppress(RuntimeError):  # no thread to be had: the next call tries again
                    trial.start()
                    breaker.trying = True
            return False

    def tell(self, base: str, patient: int, health: CallHealth) -> None:
        """Take note of what a call to this base came to; `patient` as `about` gives it."""
        with self._lock:
            breaker = self._of.setdefault(base, _Breaker())
            if breaker.open_until is not None:
                return  # a call that began before: the trial decides
            if health.answered:
                self._of[base] = _Breaker()
                return
            if not (health.gone or health.slow):
                return
            breaker.gone += health.gone
            breaker.slow += not health.gone
            if len(breaker.about) < DIFFERENT_CALLS:
                breaker.about.add(patient)
            many = breaker.gone >= GONE_CALLS or breaker.gone + breaker.slow >= SLOW_CALLS
            if many and len(breaker.about) >= DIFFERENT_CALLS:
                breaker.open_until = self._clock() + PAUSE_SECONDS

    def _try(self, base: str, ca_file: str | None) -> None:
        well = False
        try:
            well = self._trial(base, ca_file)
        finally:
            with self._lock:
                if well:
                    self._of[base] = _Breaker()
                else:
                    self._of[base].open_until = self._clock() + PAUSE_SECONDS
                    self._of[base].trying = False
