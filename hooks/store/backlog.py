"""
What waits for the store: calls that were answered while it was down, kept in memory and written when it is back.

A thread of its own writes them, oldest first, many at once, so that no caller pays for what others left behind. A
batch that runs into a timeout is cut in half; after one that went well the next may be larger again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Final

from sqlalchemy.exc import DataError

from hooks.store.database import StoreUnavailable, word_for
from hooks.store.issued import Answered
from hooks.store.store import Store, kept_call
from hooks.store.trail import KeptCall

log = logging.getLogger("oncobone.audit")

# Calls kept in memory while the store is down; the oldest go first, and are counted.
SPOOL: Final = 10_000
FIRST_BATCH: Final = 250
# Callers wait behind a batch; so many records take a database some hundredths of a second, wherever it is.
LARGEST_BATCH: Final = 500
# A batch that takes longer has its connection cut, and comes again as two.
BATCH_PATIENCE: Final = 3.0
RETRY_SECONDS: Final = 1.0
RETRY_SECONDS_AT_THE_END: Final = 0.1
TOO_SLOW: Final = {"SQLSTATE 57014", "SQLSTATE 55P03"}  # PostgreSQL: statement_timeout, lock_timeout
# The database works, and does not take what it was given.
UNFIT: Final = (DataError, ValueError, TypeError)


class Backlog:
    """Calls that wait, and the thread that writes them. `told` is given their number whenever it changes."""

    def __init__(self, store: Store, told: Callable[[int], None] = lambda _: None) -> None:
        self._store = store
        self._told = told
        self._waiting: deque[KeptCall] = deque()
        self._under_way = 0  # handed in, and the end not known yet
        self._dropped: dict[str, int] = {}
        self._batch = FIRST_BATCH
        self._changed = threading.Condition()
        self._flushing = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many calls are not known to be stored."""
        return len(self._waiting) + self._under_way

    def add(self, calls: Sequence[KeptCall]) -> None:
        """Keeps calls until they are written."""
        with self._changed:
            self._waiting.extend(calls)
            self._trim()
            self._start()
            self._tell()

    def follow(self, future: Future[dict[str, Answered]], calls: Sequence[KeptCall]) -> None:
        """Takes over calls whose caller has gone: when they are not stored in the end, they wait."""
        with self._changed:
            self._under_way += len(calls)
            self._tell()
        future.add_done_callback(partial(self._ended, calls))

    def flush(self) -> None:
        """Writes what waits, here and now. Raises `StoreUnavailable`; what is not stored then waits on."""
        with self._flushing:
            while calls := self._take():
                self._write(calls)

    def close(self, seconds: float) -> int:
        """
        The last words: tries again and again, whatever the store said before, until all is written or time is up.

        Gives how many calls are lost.
        """
        self._ending.set()
        deadline = time.monotonic() + seconds
        with self._changed:
            self._start()
            while self.waiting and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return self.waiting + sum(self._dropped.values())

    def _ended(self, calls: Sequence[KeptCall], future: Future[dict[str, Answered]]) -> None:
        with self._changed:
            self._under_way -= len(calls)
        # Cards that had been answered went out with the others, since nobody could say so in time.
        if future.cancelled() or future.exception() is not None or future.result():
            self.add(calls)
        with self._changed:
            self._tell()

    def _start(self) -> None:
        """Sees to it that the thread runs; it ends when nothing waits. A fork has none and gets its own."""
        if (self._waiting or self._dropped) and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._work, name="backlog", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the machine has no thread left: they wait until the next one comes
                self._thread = None

    def _work(self) -> None:
        while True:
            with self._changed:
                if not (self._waiting or self._dropped):
                    self._thread = None
                    return
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, what waits is tried again
                if not isinstance(error, StoreUnavailable):
                    log.error("what waits cannot be written", extra={"error": type(error).__name__})  # noqa: TRY400
                if self._ending.wait(RETRY_SECONDS):
                    time.sleep(RETRY_SECONDS_AT_THE_END)

    def _take(self) -> list[KeptCall]:
        """The oldest calls, a gap first."""
        with self._changed:
            while self._dropped:
                tenant, count = self._dropped.popitem()
                gap = kept_call(tenant, {"gap": count})
                gap.gap = count
                self._waiting.appendleft(gap)
            calls = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            self._under_way += len(calls)
            return calls

    def _write(self, calls: list[KeptCall]) -> None:
        try:
            future = self._store.hand_in(calls, insist=True)
        except StoreUnavailable:
            with self._changed:
                self._under_way -= len(calls)
                self._put_back(calls)
            raise
        too_much = False
        while not future.done():
            try:
                future.exception(BATCH_PATIENCE)
            except FutureTimeoutError:
                too_much = True
                self._store.cut()
        error = future.exception()
        unfit = isinstance(error, UNFIT)
        with self._changed:
            self._under_way -= len(calls)
            if unfit and len(calls) == 1:
                # It must not keep all others from being written.
                log.error("a record cannot be stored", extra={"component": "store", "error": type(error).__name__})
                self._drop(calls[0])
            elif error is not None:
                self._put_back(calls)
            self._tell()
        if unfit or (error is not None and (too_much or word_for(error) in TOO_SLOW)):
            self._batch = max(1, len(calls) // 2)
        elif error is None:
            self._batch = min(LARGEST_BATCH, self._batch * 2)
        if error is not None and not unfit:
            self._store.wait(future, 0)  # says which kind of failure it was, and raises

    def _put_back(self, calls: Sequence[KeptCall]) -> None:
        """They are the oldest again; others may have come meanwhile and filled their room."""
        self._waiting.extendleft(reversed(calls))
        self._trim()

    def _trim(self) -> None:
        while len(self._waiting) > SPOOL:
            self._drop(self._waiting.popleft())

    def _drop(self, call: KeptCall) -> None:
        self._dropped[call.tenant] = self._dropped.get(call.tenant, 0) + (call.gap or 1)

    def _tell(self) -> None:
        self._told(self.waiting)
        self._changed.notify_all()
