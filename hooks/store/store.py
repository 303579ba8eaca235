"""
The store: issued cards, feedback, used tokens and the audit record, in SQLite or PostgreSQL.

SQLite runs in WAL mode with `synchronous=FULL`; a write transaction begins IMMEDIATE. PostgreSQL is chosen by its
URL and keeps its own defaults (`synchronous_commit` is switched on where a server has it off). What a method has
stored when it returns is on the disk.

No method waits longer than its patience: the work runs on the store's own thread, so a database that hangs cannot
hold a call; and what several calls have to write at the same time is written together. A store that is down raises
`StoreUnavailable`, from any method, and comes back by itself.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import StaticPool

from hooks.store import issued, trail
from hooks.store.chain import AuditEntry, Chain, chain_for, key_file_for, verify
from hooks.store.database import (
    DEFAULT_DATABASE_URL,
    StoreError,
    StoreUnavailable,
    engine_for,
    migrate,
    require_current,
    word_for,
)
from hooks.store.issued import Answered, FeedbackCount, FeedbackItem, FeedbackOutcome, card_rows
from hooks.store.tables import as_text, audit_records, insert_of, write_checks
from hooks.store.trail import KeptCall
from hooks.store.used import SteadyClock, UsedTokens
from hooks.store.worker import GivenUpError, Job, Worker

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from hooks.settings import Settings

log = logging.getLogger("oncobone.store")

T = TypeVar("T")

# How long a caller waits for the database, in seconds. A call of a hook has 500 ms in all and goes on without the
# store; feedback has nothing else to do than to be stored.
CALL_PATIENCE: Final = 1.0
FEEDBACK_PATIENCE: Final = 6.0
READ_PATIENCE: Final = 60.0
# After a failure the next attempts fail at once for this long, so that a dead database does not slow every call.
PAUSE_AFTER_FAILURE: Final = 1.0
# Behind a transaction that has been running for so long nobody waits.
STUCK_AFTER: Final = 2.0
PRUNE_EVERY: Final = 60.0
# What a readiness check asks room for: a full disk has some left in half-used pages, too little for a batch.
CHECK_BYTES: Final = 16 * 1024


@dataclass(slots=True)
class _State:
    """What changes while the store runs."""

    migrated: bool = False
    pause_until: float = 0.0
    last_failure: str | None = None
    failed_at: float = -math.inf
    next_prune: float = 0.0


_RECORD: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))


class Store:
    """An open store. Safe to use from many threads; a fork gets connections of its own."""

    def __init__(self, database_url: str, chain: Chain) -> None:
        self._engine = engine_for(database_url)
        self._reading = self._engine.execution_options(oncobone_read=True)
        self.chain = chain
        self._state = _State()
        self._issued = issued.Issued(self._engine.dialect)
        self._tokens = UsedTokens(self._engine.dialect)
        self._clock = SteadyClock()
        self._trail = trail.Trail(self._engine.dialect, self._issued)
        insert = insert_of(self._engine.dialect)
        check = insert(write_checks)
        self._check = check.on_conflict_do_update(index_elements=["id"], set_=dict(check.excluded))
        self._worker: Worker | None = None
        self._start_lock = threading.Lock()
        _every_store.add(self)

    # What the service writes

    def remember_cards(
        self,
        tenant: str,
        service_id: str,
        issued: Iterable[tuple[Any, ...]],
        audit: Mapping[str, object] | None = None,
    ) -> None:
        """
        Stores issued cards, as `IssuedCard` or its parts in order, before they are sent.

        A card that is sent again is stored once. An audit record given along goes into the same transaction.
        """
        call = kept_call(tenant, audit, card_rows(tenant, service_id, issued, datetime.now(UTC)))
        if call.cards or call.record is not None:
            self.wait(self.hand_in([call]), CALL_PATIENCE)

    def append_audit(self, tenant: str, *records: Mapping[str, object]) -> None:
        """Appends audit records to the tenant's chain, in one transaction."""
        self.wait(self.hand_in([kept_call(tenant, record) for record in records]), CALL_PATIENCE)

    def hand_in(
        self, calls: Sequence[KeptCall], *, unless: Sequence[str] = (), insist: bool = False
    ) -> Future[dict[str, Answered]]:
        """
        Has calls written, in one transaction, and does not wait; the future says whether they are on the disk.

        It gives the answers that cards of the quiet keys in `unless` were given, by key: with any, nothing is written.
        A store that is known to be down raises `StoreUnavailable`, unless one insists on trying.
        """
        if not insist:
            self._refuse_while_down()
        job = Job(calls=calls, unless=unless)
        self._running().submit(job)
        return job.future

    def wait(self, future: Future[T], patience: float) -> T:
        """
        Waits for a future of the store as long as patience (seconds) lasts. Raises `StoreUnavailable`.

        What the future stands for goes on: only its own end says whether it was stored.
        """
        try:
            return future.result(patience)
        except FutureTimeoutError:
            raise self._failed("timeout") from None
        except CancelledError:
            raise self._failed("closed") from None
        except StoreUnavailable as error:
            raise self._failed(error.reason) from None
        except StoreError as error:
            raise self._failed("tables of another version") from error
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            # Without the chain of causes: a driver's message may hold the row that could not be stored.
            raise self._failed(word_for(error)) from None

    def cut(self) -> None:
        """Ends a transaction that hangs on the network; what it was for fails and can be tried again."""
        if self._worker is not None:
            self._worker.cut()

    def add_feedback(self, tenant: str, service_id: str, items: Sequence[FeedbackItem]) -> FeedbackOutcome:
        """
        Stores a batch of feedback in one transaction, all or nothing.

        A card must have been issued to this tenant by this service. The same card, outcome and time is stored once:
        a repeat adds suggestions, and a reason or comment where there was none.
        """
        received_at = datetime.now(UTC)
        if not items:
            return FeedbackOutcome()
        return self._run(
            lambda connection: self._issued.add(connection, tenant, service_id, items, received_at), FEEDBACK_PATIENCE
        )

    def answers(self, tenant: str, keys: Sequence[str]) -> dict[str, Answered]:
        """Gives the newest answer that cards of each of these quiet keys were given, by key."""
        return self._run(lambda connection: self._issued.answers(connection, tenant, keys), CALL_PATIENCE, read=True)

    def seen_token(self, iss: str, jti: str, exp: int) -> bool:
        """True when this token id was used before, by any process; else it is marked as used until `exp` (seconds)."""

        def work(connection: Connection) -> bool:
            self._prune_tokens(connection)
            return self._tokens.take(connection, iss, jti, exp)

        return self._run(work, CALL_PATIENCE, late=True)

    def mark_used(self, tokens: Mapping[str, int]) -> Future[None]:
        """
        Has tokens marked as used, by their digests, each until its `exp`, and does not wait.

        The future says whether they are on the disk. Raises `StoreUnavailable`.
        """
        job = Job(work=lambda connection: self._tokens.mark(connection, tokens))
        self._running().submit(job)
        return job.future

    def was_used(self, iss: str, jti: str) -> bool:
        """Whether this token id was used before, without marking it."""
        return self._run(lambda connection: self._tokens.is_taken(connection, iss, jti), READ_PATIENCE, read=True)

    # What operators read

    def feedback_counts(self, tenant: str | None = None) -> list[FeedbackCount]:
        """See `issued.counts`."""
        return self._run(lambda connection: issued.counts(connection, tenant), READ_PATIENCE, read=True)

    def audit_entries(self, tenant: str | None = None, batch: int = 1000) -> Iterator[AuditEntry]:
        """Audit records by tenant and place in the chain, of one tenant or all; read in batches."""
        after: tuple[str, int] | None = None
        while True:

            def work(connection: Connection, after: tuple[str, int] | None = after) -> list[AuditEntry]:
                return trail.entries_after(connection, after, tenant, batch)

            entries = self._run(work, READ_PATIENCE, read=True)
            yield from entries
            if len(entries) < batch:
                return
            after = (entries[-1].tenant, entries[-1].seq)

    def audit_heads(self) -> dict[str, tuple[int, str]]:
        """The newest record of each tenant: its place and its hash."""

        def work(connection: Connection) -> dict[str, tuple[int, str]]:
            return {tenant: self._trail.head(connection, tenant) for tenant in trail.tenants(connection)}

        return self._run(work, READ_PATIENCE, read=True)

    def verify_audit(self) -> list[str]:
        """What is wrong with the audit chains, one sentence each; an empty list when nothing is."""
        return verify(self.audit_entries(), self.chain).problems

    def check(self) -> None:
        """Writes a little and takes it back, for readiness; raises `StoreUnavailable` when that fails."""
        row = {"id": 1, "checked_at": as_text(datetime.now(UTC)), "padding": " " * CHECK_BYTES}

        def work(connection: Connection) -> None:
            connection.execute(self._check, row)
            connection.execute(sa.update(write_checks).values(padding=""))

        self._run(work, CALL_PATIENCE)

    def disk_free(self) -> float | None:
        """Which share of the disk under a SQLite file is free; None where the database lies elsewhere."""
        path = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        if not path or path == ":memory:":
            return None
        try:
            usage = shutil.disk_usage(Path(path).resolve().parent)
        except OSError:
            return None
        return usage.free / usage.total

    def failed_within(self, seconds: float) -> bool:
        """Whether it was found down within so many seconds."""
        return time.monotonic() - self._state.failed_at < seconds

    def close(self) -> None:
        """Ends the work under way (up to 5 s) and closes the connections; a later use opens them again."""
        if self._worker:
            self._worker.stop(5)
            self._worker = None
        self._engine.dispose()
        if isinstance(self._engine.pool, StaticPool):  # in memory: what was there has gone
            self._state.migrated = False

    # How it runs

    def prepare(self, patience: float = 30.0) -> None:
        """Brings the tables up to date, if that is not done yet. Raises `StoreUnavailable` or `StoreError`."""
        try:
            self._run(lambda _: None, patience, read=True)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, StoreError):
                raise error.__cause__ from None
            raise

    def _run(self, work: Callable[[Connection], T], patience: float, *, read: bool = False, late: bool = False) -> T:
        """
        Has work done in a transaction, and waits until it is on the disk, as long as patience (seconds) lasts.

        What the caller has given up is not written afterwards, or it would be there twice when it is handed in again;
        unless it is good to have `late` too.
        """
        self._refuse_while_down()
        given_up = threading.Event()

        def unless_given_up(connection: Connection) -> T:
            result = work(connection)
            if given_up.is_set() and not late:
                raise GivenUpError
            return result

        future: Future[T] = Future()
        self._running().submit(Job(work=unless_given_up, read=read, future=future))
        try:
            return self.wait(future, patience)
        except StoreUnavailable:
            given_up.set()
            future.cancel()
            raise

    def _transaction(self, jobs: Sequence[Job]) -> list[Any]:
        """Does work in one transaction; called by the worker alone."""
        if not self._state.migrated:
            migrate(self._engine)
            self._state.migrated = True
        engine = self._reading if jobs[0].read else self._engine
        with (
            engine.connect() as connection,
            self._running().on_line(connection),
            connection.begin(),
        ):
            results = [job.work(connection) if job.work else self._answered(connection, job) for job in jobs]
            unanswered = (job for job, found in zip(jobs, results, strict=True) if not (job.unless and found))
            if calls := [call for job in unanswered for call in job.calls]:
                self._trail.write(connection, self.chain, calls)
        self._state.pause_until = 0.0
        return results

    def _answered(self, connection: Connection, job: Job) -> dict[str, Answered]:
        return self._issued.answers(connection, job.calls[0].tenant, job.unless) if job.unless else {}

    def _refuse_while_down(self) -> None:
        if time.monotonic() < self._state.pause_until:
            raise StoreUnavailable(self._state.last_failure or "paused")
        if self._worker is not None and self._worker.busy_for() > STUCK_AFTER:
            raise StoreUnavailable("timeout")

    def _failed(self, word: str) -> StoreUnavailable:
        now = time.monotonic()
        told = now < self._state.pause_until and word == self._state.last_failure  # the last words do not wait
        self._state.last_failure = word
        self._state.failed_at = now
        self._state.pause_until = now + PAUSE_AFTER_FAILURE
        if not told:
            log.error("store unavailable", extra={"component": "store", "cause": word})
        return StoreUnavailable(word)

    def _running(self) -> Worker:
        if self._worker is None:
            with self._start_lock:
                if self._worker is None:
                    try:
                        self._worker = Worker(self._transaction)
                    except RuntimeError:  # the machine has no thread left
                        raise self._failed("no thread") from None
        return self._worker

    def _after_fork(self) -> None:
        """A child has neither the thread nor the right to its parent's connections."""
        self._engine.dispose(close=False)
        self._worker = None
        self._start_lock = threading.Lock()

    def _prune_tokens(self, connection: Connection) -> None:
        if time.monotonic() >= self._state.next_prune:
            self._state.next_prune = time.monotonic() + PRUNE_EVERY
            if (now := self._clock.now()) is not None:
                self._tokens.prune(connection, now)


def kept_call(tenant: str, record: Mapping[str, object] | None, rows: Sequence[dict[str, str | None]] = ()) -> KeptCall:
    """A call as it is kept; the text of its record is fixed here, since that is what is hashed."""
    text = None
    if record is not None:
        text = _RECORD.encode(record)
    return KeptCall(tenant, text, rows)


_every_store: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_every_store):
        store._after_fork()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork)


def open_store(database_url: str = DEFAULT_DATABASE_URL, *, audit_key_file: str | Path | None = None) -> Store:
    """
    The store of a database URL, its tables brought up to date.

    A database that cannot be reached is no reason to fail: the store is tried again at each use. A URL that cannot
    be used, or a database of a newer version, raises `StoreError`. The audit key is read from its file, which is
    made when it is missing (see `chain.key_file_for`).
    """
    engine_for(database_url).dispose()  # a wrong URL is told before a key is made for it
    store = Store(database_url, chain_for(database_url, audit_key_file))
    try:
        store.prepare()
    except StoreUnavailable:
        log.error("the store is down; calls are answered, feedback is not accepted")  # noqa: TRY400 - no traceback
    return store


def existing_store(settings: Settings) -> Store:
    """The store that the settings name, for commands about what is there; raises as `require_existing` does."""
    require_existing(settings)
    return store_for(settings)


def require_existing(settings: Settings) -> None:
    """
    Makes sure that there are a database and a key, so that a command about what is there makes and changes neither.

    Raises `StoreError`, with what to do, where there is none yet; `StoreUnavailable` for one that is down.
    """
    url = settings.database_url or DEFAULT_DATABASE_URL
    engine = engine_for(url)
    try:
        path = engine.url.database if engine.dialect.name == "sqlite" else None
        if path and not Path(path).exists():
            raise StoreError(
                f"There is no database {path}: nothing was ever kept there. Is it the one that the service uses"
                " (ONCOBONE_DATABASE_URL, ONCOBONE_CONFIG, the directory it runs in)?"
            )
        if not sa.inspect(engine).has_table(audit_records.name):
            raise StoreError("The database holds no tables of OncoBone: no service has used it yet.")
        require_current(engine)
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(word_for(error)) from error
    finally:
        engine.dispose()
    key = Path(settings.audit_key_file) if settings.audit_key_file else key_file_for(url)
    if key is not None and not key.exists():
        raise StoreError(f"There is no audit key {key}: name the one that the service uses (ONCOBONE_AUDIT_KEY_FILE).")


def store_for(settings: Settings) -> Store:
    """The store that the settings name; see `open_store`."""
    return open_store(settings.database_url or DEFAULT_DATABASE_URL, audit_key_file=settings.audit_key_file)
