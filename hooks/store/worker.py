"""
The thread that talks to the database, so that a database that hangs holds no call.

What waits in its queue is written together, in one transaction: the disk, or a far database, is waited for once and
not once for each. It is a daemon thread, so that it does not keep the process from ending.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from hooks.store.trail import KeptCall

WRITTEN_TOGETHER: Final = 64
# Failures of the database, not of what was to be stored.
DOWN: Final = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError)


class GivenUpError(Exception):
    """Nobody waits for this work any more: its transaction is taken back."""


@dataclass(frozen=True, slots=True)
class Job:
    """
    One piece of work on the database and who waits for it: calls to be written, or something else to be done.

    `unless`: the calls, all of one tenant, are not written where a card of one of these quiet keys was answered.
    """

    calls: Sequence[KeptCall] = ()
    unless: Sequence[str] = ()
    work: Callable[[Connection], Any] | None = None
    read: bool = False
    future: Future[Any] = field(default_factory=Future)


class Worker:
    """Takes work, and does it in transactions; `transaction` gives one result for each job, in their order."""

    def __init__(self, transaction: Callable[[Sequence[Job]], list[Any]]) -> None:
        self._transaction = transaction
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._since: float | None = None
        self._line = _Line()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hands in a job; it may be run twice, when others in the same transaction fail."""
        self._jobs.put(job)

    def stop(self, seconds: float) -> None:
        """Ends the thread after the work handed in before; waits no longer than the given time."""
        self._jobs.put(None)
        self._thread.join(seconds)

    def busy_for(self) -> float:
        """For how many seconds the transaction at hand has been running; 0 when there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def on_line(self, connection: Connection) -> contextlib.AbstractContextManager[None]:
        """Within it `cut` ends this connection, if it is one over a network."""
        return self._line.of(connection)

    def cut(self) -> None:
        """Ends the connection at hand, so that a transaction that hangs fails now and not when the network says so."""
        self._line.cut()

    def _work(self) -> None:
        while (waiting := self._next()) is not None:
            jobs = [job for job in waiting if job.future.set_running_or_notify_cancel()]
            writes = [job for job in jobs if not job.read]
            if writes:
                self._finish(writes)
            for job in jobs:
                if job.read:
                    self._finish([job])

    def _next(self) -> list[Job] | None:
        """Waits for work, and takes what else is there; None at the end."""
        jobs: list[Job] = []
        while len(jobs) < WRITTEN_TOGETHER:
            try:
                job = self._jobs.get(block=not jobs)
            except queue.Empty:
                break
            if job is None:
                if not jobs:
                    return None
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _finish(self, jobs: Sequence[Job]) -> None:
        self._since = time.monotonic()
        try:
            results = self._transaction(jobs)
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            self._since = None
            if len(jobs) > 1 and not isinstance(error, DOWN):
                for few in _apart(jobs):  # one of them is at fault: the others must not suffer for it
                    self._finish(few)
                return
            for job in jobs:
                job.future.set_exception(error)
        else:
            self._since = None
            for job, result in zip(jobs, results, strict=True):
                job.future.set_result(result)


def _apart(jobs: Sequence[Job]) -> list[list[Job]]:
    """The calls by themselves, if there is anything else, and every other job alone."""
    calls = [job for job in jobs if job.calls]
    if len(calls) in {0, len(jobs)}:
        return [[job] for job in jobs]
    return [calls, *([job] for job in jobs if not job.calls)]


class _Line:
    """The network connection of the transaction at hand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fileno: int | None = None

    @contextlib.contextmanager
    def of(self, connection: Connection) -> Any:  # noqa: ANN401 - as contextmanager has it
        """Takes note of it."""
        driver = connection.connection.dbapi_connection
        fileno = driver.fileno() if connection.dialect.name == "postgresql" and driver is not None else None
        with self._lock:
            self._fileno = fileno
        try:
            yield
        finally:
            with self._lock:
                self._fileno = None

    def cut(self) -> None:
        """Ends it in both directions; who waits for an answer is told so."""
        with self._lock:
            if self._fileno is None:
                return
            # A second handle: the driver's own is closed by the driver.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._fileno)) as handle:
                handle.shutdown(socket.SHUT_RDWR)
