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
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hooks.store.chain import AuditEntry, Chain, chain_for, key_file_for, verify
from hooks.store.database import (
    DEFAULT_DATABASE_URL,
    StoreError,
    StoreUnavailable,
    engine_for,
    migrate,
    word_for,
)
from hooks.store.tables import accepted_suggestions, audit_records, cards, feedback, used_tokens, write_checks

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

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
# A token's id is kept a little longer than the token can be used with the largest leeway.
TOKEN_GRACE: Final = 120
PRUNE_EVERY: Final = 60.0
WRITTEN_TOGETHER: Final = 64
# Failures of the database, not of what was to be stored.
_DOWN: Final = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError)
# What a readiness check asks room for: a full disk has some left in half-used pages, too little for a batch.
CHECK_BYTES: Final = 16 * 1024


class IssuedCard(NamedTuple):
    """A card as it is remembered: enough to recognise and count feedback, nothing of the patient."""

    uuid: str
    rules: Sequence[str]
    suggestions: Sequence[str]
    guidance: str


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """One entry of a feedback batch, checked for its shape; ids in lower case, the time in UTC."""

    card: str
    outcome: Literal["accepted", "overridden"]
    outcome_at: datetime
    accepted_suggestions: tuple[str, ...] = ()
    reason_code: str | None = None
    reason_system: str | None = None
    reason_display: str | None = None
    user_comment: str | None = None


@dataclass(frozen=True, slots=True)
class FeedbackOutcome:
    """What became of a batch: all of it is stored when both lists are empty, else nothing is."""

    stored: int = 0
    unknown_cards: tuple[int, ...] = ()  # places in the batch
    unknown_suggestions: tuple[tuple[int, int], ...] = ()  # places in the batch and in its acceptedSuggestions

    @property
    def refused(self) -> bool:
        """Nothing was stored, because of an unknown card or suggestion."""
        return bool(self.unknown_cards or self.unknown_suggestions)


class FeedbackCount(NamedTuple):
    """Cards with the same rules and guidance version, by what finally became of them."""

    guidance: str
    rules: tuple[str, ...]
    outcome: str | None  # None: shown, nothing heard
    reason: str | None
    cards: int


class _GivenUpError(Exception):
    """Nobody waits for this work any more: its transaction is taken back."""


class _Job(NamedTuple):
    """One piece of work on the database, and who waits for it."""

    future: Future[Any]
    work: Callable[[Connection], Any]
    read: bool


class _Worker:
    """
    The thread that talks to the database.

    What waits in its queue is written together, in one transaction: the disk is waited for once, not once for each.
    It is a daemon thread, so that a database that hangs does not keep the process from ending.
    """

    def __init__(self, transaction: Callable[[Sequence[_Job]], list[Any]]) -> None:
        self._transaction = transaction
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T], *, read: bool) -> Future[T]:
        """Hands in work; it may be run twice, when others in the same transaction fail."""
        future: Future[T] = Future()
        self._jobs.put(_Job(future, work, read))
        return future

    def stop(self, seconds: float) -> None:
        """Ends the thread after the work handed in before; waits no longer than the given time."""
        self._jobs.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (waiting := self._next()) is not None:
            jobs = [job for job in waiting if job.future.set_running_or_notify_cancel()]
            writes = [job for job in jobs if not job.read]
            if writes:
                self._finish(writes)
            for job in jobs:
                if job.read:
                    self._finish([job])

    def _next(self) -> list[_Job] | None:
        """Waits for work, and takes what else is there; None at the end."""
        jobs: list[_Job] = []
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

    def _finish(self, jobs: Sequence[_Job]) -> None:
        try:
            results = self._transaction(jobs)
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            if len(jobs) > 1 and not isinstance(error, _DOWN):
                for job in jobs:  # one of them is at fault: the others must not suffer for it
                    self._finish([job])
                return
            for job in jobs:
                job.future.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.future.set_result(result)


def _now() -> str:
    return as_text(datetime.now(UTC))


def as_text(moment: datetime) -> str:
    """A point in time as it is stored: UTC, with microseconds, so that text sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Statements:
    """The statements of every call, made once: to make one takes longer than to run it."""

    def __init__(self, engine: Engine) -> None:
        insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self.new_card = insert(cards).on_conflict_do_nothing()
        self.known_cards = sa.select(cards.c.uuid, cards.c.suggestions).where(
            cards.c.tenant == sa.bindparam("of"),
            cards.c.service == sa.bindparam("by"),
            cards.c.uuid.in_(sa.bindparam("uuids", expanding=True)),
        )
        self.new_suggestion = insert(accepted_suggestions).on_conflict_do_nothing()
        # What came in is returned: not every driver tells how many rows an INSERT has made.
        self.new_token = insert(used_tokens).on_conflict_do_nothing().returning(used_tokens.c.digest)
        self.feedback = self._add_to(insert(feedback))
        check = insert(write_checks)
        self.check = check.on_conflict_do_update(index_elements=["id"], set_=dict(check.excluded))
        self.new_audit = sa.insert(audit_records)
        self.newest_audit = (
            sa.select(audit_records.c.seq, audit_records.c.hash)
            .where(audit_records.c.tenant == sa.bindparam("of"))
            .order_by(audit_records.c.seq.desc())
            .limit(1)
        )
        # One writer at a time reads the newest record and adds the next. SQLite has only one anyway.
        # The lock is one for all tenants: several, taken in any order, could wait for each other in a circle.
        self.lock_audit = (
            None
            if engine.dialect.name == "sqlite"
            else sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("oncobone audit")))
        )

    @staticmethod
    def _add_to(insert: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
        """Feedback that is there already keeps its reason and comment, and gets those that it had not."""
        sent = insert.excluded
        has_reason = feedback.c.reason_code.is_not(None)
        changes: dict[str, sa.ColumnElement[Any]] = {
            name: sa.case((has_reason, feedback.c[name]), else_=sent[name])
            for name in ("reason_code", "reason_system", "reason_display")
        }
        changes["user_comment"] = sa.func.coalesce(feedback.c.user_comment, sent.user_comment)
        return insert.on_conflict_do_update(index_elements=list(feedback.primary_key.columns.keys()), set_=changes)


@dataclass(slots=True)
class _State:
    """What changes while the store runs."""

    migrated: bool = False
    pause_until: float = 0.0
    last_failure: str | None = None
    next_prune: float = 0.0


class Store:
    """An open store. Safe to use from many threads; a fork gets connections of its own."""

    def __init__(self, database_url: str, chain: Chain) -> None:
        self._engine = engine_for(database_url)
        self.chain = chain
        self._state = _State()
        self._statements = _Statements(self._engine)
        self._worker: _Worker | None = None
        self._start_lock = threading.Lock()
        _every_store.add(self)

    # What the service writes

    def remember_cards(
        self,
        tenant: str,
        service_id: str,
        issued: Iterable[tuple[str, Sequence[str], Sequence[str], str]],
        audit: Mapping[str, object] | None = None,
    ) -> None:
        """
        Stores issued cards, as (uuid, rule ids, suggestion uuids, guidance version), before they are sent.

        A card that is sent again is stored once. An audit record given along goes into the same transaction.
        """
        # Sorted: two transactions with the same cards would else wait for each other in a circle.
        rows = [
            {
                "tenant": tenant,
                "uuid": card.uuid.lower(),
                "service": service_id,
                "guidance": card.guidance,
                "rules": json.dumps(list(card.rules)),
                "suggestions": json.dumps([suggestion.lower() for suggestion in card.suggestions]),
                "issued_at": _now(),
            }
            for card in sorted(IssuedCard(*each) for each in issued)
        ]
        if not rows and audit is None:
            return

        def work(connection: Connection) -> None:
            if rows:
                connection.execute(self._statements.new_card, rows)
            if audit is not None:
                self._append(connection, tenant, audit)

        self._run(work, CALL_PATIENCE)

    def add_feedback(self, tenant: str, service_id: str, items: Sequence[FeedbackItem]) -> FeedbackOutcome:
        """
        Stores a batch of feedback in one transaction, all or nothing.

        A card must have been issued to this tenant by this service. The same card, outcome and time is stored once:
        a repeat adds suggestions, and a reason or comment where there was none.
        """
        received_at = _now()

        def work(connection: Connection) -> FeedbackOutcome:
            known = self._suggestions_of(connection, tenant, service_id, {item.card for item in items})
            unknown_cards = tuple(n for n, item in enumerate(items) if item.card not in known)
            unknown_suggestions = tuple(
                (n, m)
                for n, item in enumerate(items)
                for m, suggestion in enumerate(item.accepted_suggestions)
                if suggestion not in known.get(item.card, {suggestion})
            )
            if unknown_cards or unknown_suggestions:
                return FeedbackOutcome(0, unknown_cards, unknown_suggestions)
            ordered = sorted(items, key=lambda item: (item.card, item.outcome, item.outcome_at))
            rows = [_feedback_row(tenant, item, received_at) for item in ordered]
            connection.execute(self._statements.feedback, rows)
            chosen = [
                {name: row[name] for name in ("tenant", "card", "outcome", "outcome_at")} | {"suggestion": suggestion}
                for row, item in zip(rows, ordered, strict=True)
                for suggestion in sorted(set(item.accepted_suggestions))
            ]
            if chosen:
                connection.execute(self._statements.new_suggestion, chosen)
            return FeedbackOutcome(len(items))

        return self._run(work, FEEDBACK_PATIENCE) if items else FeedbackOutcome()

    def seen_token(self, iss: str, jti: str, exp: int) -> bool:
        """True when this token id was used before, by any process; else it is marked as used until `exp` (seconds)."""
        row = {"digest": _token_digest(iss, jti), "expires": exp + TOKEN_GRACE}

        def work(connection: Connection) -> bool:
            self._prune_tokens(connection)
            made = connection.execute(self._statements.new_token, row)
            return made.first() is None

        return self._run(work, CALL_PATIENCE, late=True)

    def was_used(self, iss: str, jti: str) -> bool:
        """Whether this token id was used before, without marking it."""
        query = sa.select(used_tokens.c.digest).where(used_tokens.c.digest == _token_digest(iss, jti))
        return self._run(lambda connection: connection.execute(query).first() is not None, READ_PATIENCE, read=True)

    def append_audit(self, tenant: str, *records: Mapping[str, object]) -> None:
        """Appends audit records to the tenant's chain, in one transaction."""

        def work(connection: Connection) -> None:
            for record in records:
                self._append(connection, tenant, record)

        self._run(work, CALL_PATIENCE)

    # What operators read

    def feedback_counts(self, tenant: str | None = None) -> list[FeedbackCount]:
        """
        Cards by guidance version, rules, final outcome and override reason; of one tenant, or of all.

        The final outcome of a card is its latest by `outcomeTimestamp`, then by arrival.
        """
        place = sa.func.row_number().over(
            partition_by=(feedback.c.tenant, feedback.c.card),
            # "overridden" before "accepted" when all else is equal: an order, so that the report is stable
            order_by=(feedback.c.outcome_at.desc(), feedback.c.received_at.desc(), feedback.c.outcome.desc()),
        )
        columns = (feedback.c.tenant, feedback.c.card, feedback.c.outcome, feedback.c.reason_code)
        placed = sa.select(*columns, place.label("place")).subquery()
        final = sa.select(placed).where(placed.c.place == 1).subquery()
        joined = cards.outerjoin(final, (final.c.tenant == cards.c.tenant) & (final.c.card == cards.c.uuid))
        groups = (cards.c.guidance, cards.c.rules, final.c.outcome, final.c.reason_code)
        query = sa.select(*groups, sa.func.count()).select_from(joined).group_by(*groups)
        if tenant is not None:
            query = query.where(cards.c.tenant == tenant)

        def work(connection: Connection) -> list[FeedbackCount]:
            return [
                FeedbackCount(guidance, tuple(json.loads(rules)), outcome, reason, count)
                for guidance, rules, outcome, reason, count in connection.execute(query)
            ]

        return self._run(work, READ_PATIENCE, read=True)

    def audit_entries(self, tenant: str | None = None, batch: int = 1000) -> Iterator[AuditEntry]:
        """Audit records by tenant and place in the chain, of one tenant or all; read in batches."""
        order = (audit_records.c.tenant, audit_records.c.seq)
        columns = [audit_records.c[name] for name in AuditEntry._fields]
        after: tuple[str, int] | None = None
        while True:
            query = sa.select(*columns).order_by(*order).limit(batch)
            if tenant is not None:
                query = query.where(audit_records.c.tenant == tenant)
            if after is not None:
                query = query.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, after)))

            def work(connection: Connection, query: sa.Select[Any] = query) -> list[AuditEntry]:
                return [AuditEntry(*row) for row in connection.execute(query)]

            entries = self._run(work, READ_PATIENCE, read=True)
            yield from entries
            if len(entries) < batch:
                return
            after = (entries[-1].tenant, entries[-1].seq)

    def verify_audit(self) -> list[str]:
        """What is wrong with the audit chains, one sentence each; an empty list when nothing is."""
        return verify(self.audit_entries(), self.chain).problems

    def check(self) -> None:
        """Writes a little and takes it back, for readiness; raises `StoreUnavailable` when that fails."""
        row = {"id": 1, "checked_at": _now(), "padding": " " * CHECK_BYTES}

        def work(connection: Connection) -> None:
            connection.execute(self._statements.check, row)
            connection.execute(sa.update(write_checks).values(padding=""))

        self._run(work, CALL_PATIENCE)

    def close(self) -> None:
        """Ends the work under way (up to 5 s) and closes the connections."""
        if self._worker:
            self._worker.stop(5)
            self._worker = None
        self._engine.dispose()

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
        if time.monotonic() < self._state.pause_until:
            raise StoreUnavailable(self._state.last_failure or "paused")
        given_up = threading.Event()

        def unless_given_up(connection: Connection) -> T:
            result = work(connection)
            if given_up.is_set() and not late:
                raise _GivenUpError
            return result

        future = self._running().submit(unless_given_up, read=read)
        try:
            return future.result(patience)
        except FutureTimeoutError:
            given_up.set()
            future.cancel()
            raise self._failed("timeout") from None
        except CancelledError:
            raise self._failed("closed") from None
        except StoreError as error:
            raise self._failed("tables of another version") from error
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            # Without the chain of causes: a driver's message may hold the row that could not be stored.
            raise self._failed(word_for(error)) from None

    def _transaction(self, jobs: Sequence[_Job]) -> list[Any]:
        """Does work in one transaction; called by the worker alone."""
        if not self._state.migrated:
            migrate(self._engine)
            self._state.migrated = True
        read = jobs[0].read
        with self._engine.connect().execution_options(oncobone_read=read) as connection, connection.begin():
            return [job.work(connection) for job in jobs]

    def _failed(self, word: str) -> StoreUnavailable:
        self._state.last_failure = word
        self._state.pause_until = time.monotonic() + PAUSE_AFTER_FAILURE
        log.error("store unavailable", extra={"component": "store", "cause": word})
        return StoreUnavailable(word)

    def _running(self) -> _Worker:
        if self._worker is None:
            with self._start_lock:
                if self._worker is None:
                    self._worker = _Worker(self._transaction)
        return self._worker

    def _after_fork(self) -> None:
        """A child has neither the thread nor the right to its parent's connections."""
        self._engine.dispose(close=False)
        self._worker = None
        self._start_lock = threading.Lock()

    def _suggestions_of(
        self, connection: Connection, tenant: str, service_id: str, uuids: set[str]
    ) -> dict[str, frozenset[str]]:
        known: dict[str, frozenset[str]] = {}
        wanted = sorted(uuids)
        for start in range(0, len(wanted), 500):
            asked = {"of": tenant, "by": service_id, "uuids": wanted[start : start + 500]}
            rows = connection.execute(self._statements.known_cards, asked)
            known |= {uuid: frozenset(json.loads(suggestions)) for uuid, suggestions in rows}
        return known

    def _prune_tokens(self, connection: Connection) -> None:
        if time.monotonic() >= self._state.next_prune:
            self._state.next_prune = time.monotonic() + PRUNE_EVERY
            connection.execute(sa.delete(used_tokens).where(used_tokens.c.expires < int(time.time())))

    def _append(self, connection: Connection, tenant: str, record: Mapping[str, object]) -> None:
        if self._statements.lock_audit is not None:
            connection.execute(self._statements.lock_audit)
        newest = connection.execute(self._statements.newest_audit, {"of": tenant}).first()
        seq, previous = newest or (0, "")
        text = json.dumps(record, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
        row = AuditEntry(
            tenant,
            seq + 1,
            self.chain.key_id,
            previous,
            text,
            self.chain.link(tenant, seq + 1, previous, text),
        )
        connection.execute(self._statements.new_audit, row._asdict())


_every_store: weakref.WeakSet[Store] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_every_store):
        store._after_fork()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork)


def _token_digest(iss: str, jti: str) -> str:
    return sha256(json.dumps([iss, jti]).encode()).hexdigest()


def _feedback_row(tenant: str, item: FeedbackItem, received_at: str) -> dict[str, str | None]:
    return {
        "tenant": tenant,
        "card": item.card,
        "outcome": item.outcome,
        "outcome_at": as_text(item.outcome_at),
        "received_at": received_at,
        "reason_code": item.reason_code,
        "reason_system": item.reason_system,
        "reason_display": item.reason_display,
        "user_comment": item.user_comment,
    }


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
    """
    The store that the settings name, for commands that only read: neither a database nor a key is made.

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
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(f"The database cannot be used: {word_for(error)}.") from error
    finally:
        engine.dispose()
    key = Path(settings.audit_key_file) if settings.audit_key_file else key_file_for(url)
    if key is not None and not key.exists():
        raise StoreError(f"There is no audit key {key}: name the one that the service uses (ONCOBONE_AUDIT_KEY_FILE).")
    return store_for(settings)


def store_for(settings: Settings) -> Store:
    """The store that the settings name; see `open_store`."""
    return open_store(settings.database_url or DEFAULT_DATABASE_URL, audit_key_file=settings.audit_key_file)
