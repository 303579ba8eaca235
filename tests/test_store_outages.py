"""What happens to the store when the disk is full, the database is locked, hangs, is gone or crashes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from hooks.store.database import StoreUnavailable
from hooks.store.issued import FeedbackItem
from hooks.store.store import CALL_PATIENCE, FEEDBACK_PATIENCE, Store, open_store
from tests.postgres import Cluster, needed
from tests.stores import issued

SERVICE = "oncobone-order-sign"
SLACK = 0.7  # seconds, on a machine with other work
SOAK = os.environ.get("ONCOBONE_SOAK") == "1"


def give_feedback(store: Store, card: str) -> None:
    store.add_feedback("open", SERVICE, [FeedbackItem(card, "overridden", datetime.now(UTC))])


def outage(store: Store, act: Callable[[], object], patience: float) -> StoreUnavailable:
    """The store is down, and says so in time."""
    store._state.pause_until = 0  # ask the database, not the memory of the last failure
    start = time.monotonic()
    with pytest.raises(StoreUnavailable) as unavailable:
        act()
    assert time.monotonic() - start < patience + SLACK
    return unavailable.value


def back(store: Store, act: Callable[[], object], seconds: float = 5) -> None:
    """The store is back by itself within five seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            act()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def fill(more: Callable[[], object]) -> None:
    """Writes until that fails."""
    while True:
        more()


def whole(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        connection.close()


# SQLite


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def on_file(file: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{file}")
    yield opened
    opened.close()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program holds the database."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.mark.soak
def test_a_locked_database_costs_a_call_a_second_and_feedback_its_patience(on_file: Store, file: Path) -> None:
    card = issued(on_file)
    start = time.monotonic()
    with locked(file):
        outage(on_file, lambda: issued(on_file), CALL_PATIENCE)
        outage(on_file, on_file.check, CALL_PATIENCE)
        outage(on_file, lambda: on_file.seen_token("i", "j", 2_000_000_000), CALL_PATIENCE)
        failure = outage(on_file, lambda: give_feedback(on_file, card.uuid), FEEDBACK_PATIENCE)
        assert failure.reason in {"timeout", "SQLITE_BUSY"}
        if SOAK:
            time.sleep(max(0.0, 10 - (time.monotonic() - start)))
    back(on_file, lambda: give_feedback(on_file, card.uuid))
    back(on_file, on_file.check)
    assert whole(file)


def test_feedback_waits_for_a_short_lock(on_file: Store, file: Path) -> None:
    card = issued(on_file)
    with locked(file):
        writer = threading.Thread(target=give_feedback, args=(on_file, card.uuid))
        writer.start()
        time.sleep(0.5)
    writer.join()
    assert on_file.feedback_counts()[0].outcome == "overridden"


def test_while_the_store_is_down_a_call_does_not_wait_again(on_file: Store, file: Path) -> None:
    with locked(file):
        outage(on_file, lambda: issued(on_file), CALL_PATIENCE)
        start = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreUnavailable):
                issued(on_file)
        assert time.monotonic() - start < CALL_PATIENCE, "not one of the hundred has waited"


def test_a_full_database_takes_no_feedback_keeps_what_it_has_and_goes_on_when_there_is_room(
    on_file: Store, file: Path
) -> None:
    card = issued(on_file)
    pages = 0

    @event.listens_for(on_file._engine, "connect")
    def no_more(connection: sqlite3.Connection, _: object) -> None:
        if pages:
            connection.execute(f"PRAGMA max_page_count = {pages}")

    with on_file._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
    on_file._engine.dispose()
    kept = 0
    comment = "x" * 2000

    def more() -> None:
        nonlocal kept
        item = FeedbackItem(card.uuid, "overridden", datetime.now(UTC), user_comment=comment)
        on_file.add_feedback("open", SERVICE, [item])
        kept += 1

    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        fill(more)
    outage(on_file, on_file.check, CALL_PATIENCE)
    outage(on_file, lambda: on_file.remember_cards("open", SERVICE, [(str(uuid.uuid4()), ["R" * 20_000], [], "1")]), 1)
    pages = 0
    on_file._engine.dispose()
    back(on_file, on_file.check)
    back(on_file, more)
    with on_file._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM feedback")).scalar() == kept
    assert whole(file)


def _fill(path: str, reasons: multiprocessing.SimpleQueue[str]) -> None:
    """Writes until the file may not grow, then until it may again."""
    store = open_store(f"sqlite:///{path}")
    card = issued(store)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    kept = 0
    try:
        while True:
            item = FeedbackItem(card.uuid, "overridden", datetime.now(UTC), user_comment="x" * 2000)
            store.add_feedback("open", SERVICE, [item])
            kept += 1
    except StoreUnavailable as error:
        reasons.put(error.reason)
    try:
        time.sleep(1.1)
        store.check()
        reasons.put("ready")
    except StoreUnavailable as error:
        reasons.put(error.reason)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    back(store, store.check)
    give_feedback(store, card.uuid)
    with store._engine.connect() as connection:
        found = connection.execute(sa.text("SELECT count(*) FROM feedback")).scalar()
    reasons.put("kept" if found == kept + 1 else f"kept {found} of {kept + 1}")
    store.close()


def test_a_file_that_may_not_grow_is_a_full_disk_too(file: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    reasons: multiprocessing.SimpleQueue[str] = spawn.SimpleQueue()
    process = spawn.Process(target=_fill, args=(str(file), reasons))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert reasons.get() in {"SQLITE_IOERR_WRITE", "SQLITE_FULL"}
    assert reasons.get() in {"SQLITE_IOERR_WRITE", "SQLITE_FULL"}
    assert reasons.get() == "kept"
    assert whole(file)


def test_a_file_that_is_no_database_is_told_by_its_kind_alone(file: Path) -> None:
    file.write_bytes(b"Mrs Canary" * 1000)
    broken = open_store(f"sqlite:///{file}")
    assert outage(broken, broken.check, CALL_PATIENCE).reason == "SQLITE_NOTADB"
    broken.close()


# PostgreSQL


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A PostgreSQL that a test may mistreat."""
    needed()
    running = Cluster(durable=True)
    try:
        running.start()
        yield running
    finally:
        running.signal_all(signal.SIGCONT)
        running.remove()


@pytest.fixture
def on_postgres(own_cluster: Cluster, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(own_cluster.url, audit_key_file=tmp_path / "key")
    yield opened
    opened.close()


@pytest.mark.database
def test_a_stopped_server_is_missed_at_once_and_found_again_by_itself(on_postgres: Store, own_cluster: Cluster) -> None:
    card = issued(on_postgres)
    own_cluster.stop()
    for act in (lambda: issued(on_postgres), on_postgres.check, lambda: give_feedback(on_postgres, card.uuid)):
        outage(on_postgres, act, CALL_PATIENCE)
    own_cluster.start()
    back(on_postgres, lambda: give_feedback(on_postgres, card.uuid))
    back(on_postgres, on_postgres.check)


@pytest.mark.database
def test_a_database_that_may_be_written_again_is_found_without_a_restart(
    on_postgres: Store, own_cluster: Cluster
) -> None:
    """A session keeps what its database said when it began: it would go on refusing to write for ever."""
    issued(on_postgres)
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'oncobone'")
        outage(on_postgres, on_postgres.check, CALL_PATIENCE)
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
    back(on_postgres, on_postgres.check)


@pytest.mark.database
@pytest.mark.soak
def test_a_server_that_hangs_holds_no_call(on_postgres: Store, own_cluster: Cluster) -> None:
    card = issued(on_postgres)
    own_cluster.signal_all(signal.SIGSTOP)
    for _ in range(10 if SOAK else 3):
        outage(on_postgres, lambda: issued(on_postgres), CALL_PATIENCE)
    own_cluster.signal_all(signal.SIGCONT)
    back(on_postgres, lambda: give_feedback(on_postgres, card.uuid))


@pytest.mark.database
def test_a_server_that_comes_later_than_we_do_is_found(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.stop()
    early = open_store(own_cluster.url, audit_key_file=tmp_path / "key")
    outage(early, early.check, CALL_PATIENCE)
    own_cluster.start()
    back(early, lambda: issued(early))
    assert early.feedback_counts()[0].cards == 1
    early.close()


@pytest.mark.database
@pytest.mark.soak
def test_what_postgresql_acknowledged_is_there_after_it_crashed(on_postgres: Store, own_cluster: Cluster) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            try:
                acknowledged.append(issued(on_postgres).uuid)
            except StoreUnavailable:
                time.sleep(0.02)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(5 if SOAK else 1):
        time.sleep(1)
        own_cluster.kill()
        own_cluster.start()
    time.sleep(1.5)
    stop.set()
    for writer in writers:
        writer.join()
    with on_postgres._engine.connect() as connection:
        kept = set(connection.execute(sa.text("SELECT uuid FROM cards")).scalars())
    assert len(acknowledged) > 20
    assert not set(acknowledged) - kept
