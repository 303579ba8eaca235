"""The store on both engines: what it keeps, what it promises when it is read again, and how its tables come about."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import event

from hooks.store import database, used
from hooks.store.database import StoreError, engine_for, migrate
from hooks.store.issued import FeedbackItem
from hooks.store.store import Store, open_store
from hooks.store.tables import REVISION, metadata, revisions
from hooks.trust.tokens import LEEWAY, LONGEST_LIFE
from tests.conftest import ROOT
from tests.postgres import Cluster
from tests.stores import issued

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

STEPS = sorted(path.name[:4] for path in (ROOT / "hooks/store/migrations/versions").glob("0*.py"))
"""The revisions of the tables, in order."""


def overridden(card: str, at: datetime = NOON) -> FeedbackItem:
    return FeedbackItem(card, "overridden", at)


def test_what_was_stored_is_there_after_reopening(database_url: str, tmp_path: Path) -> None:
    first = open_store(database_url, audit_key_file=tmp_path / "key")
    card = issued(first)
    first.close()
    second = open_store(database_url, audit_key_file=tmp_path / "key")
    assert second.add_feedback("open", "oncobone-order-sign", [overridden(card.uuid)]).stored == 1
    second.close()


def test_a_card_that_is_sent_again_counts_once(store: Store) -> None:
    card = issued(store)
    store.remember_cards("open", "oncobone-order-sign", [card, card])
    assert [count.cards for count in store.feedback_counts()] == [1]


def test_a_token_id_is_new_once_and_used_ever_after(store: Store) -> None:
    exp = int(time.time()) + 300
    assert not store.seen_token("https://ehr.example", "a", exp)
    assert store.seen_token("https://ehr.example", "a", exp)
    assert not store.seen_token("https://ehr.example", "b", exp)
    assert not store.seen_token("https://other.example", "a", exp)


def test_of_twenty_parallel_uses_of_a_token_one_is_the_first(store: Store) -> None:
    exp = int(time.time()) + 300
    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda _: store.seen_token("https://ehr.example", "same", exp), range(20)))
    assert seen.count(False) == 1


class Clocks:
    """The two clocks of a machine, set by hand: seconds since 1970, and those that nobody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.even = time.time(), time.monotonic()
        monkeypatch.setattr(used, "time", self)

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.even

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.even += seconds


def prune(store: Store, name: str, exp: float) -> None:
    """Use another token, at a time at which those that are over are forgotten."""
    store._state.next_prune = 0
    assert not store.seen_token("https://ehr.example", name, int(exp))


def test_expired_token_ids_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    store._clock = used.SteadyClock()
    store.seen_token("https://ehr.example", "old", int(clocks.wall) + 300)
    clocks.go(used.TOKEN_LIFE + 1)
    prune(store, "new", clocks.wall + 300)
    with store._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM used_tokens")).scalar() == 1


@pytest.mark.parametrize("ahead", [100, 24 * 3600, 20 * 365 * 24 * 3600])
def test_a_clock_that_was_ahead_for_a_while_makes_no_used_token_good_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """Neither by a service that has run for long, nor by one that starts meanwhile."""
    clocks = Clocks(monkeypatch)
    store._clock = used.SteadyClock()
    clocks.go(2 * used.TOKEN_LIFE)
    exp = clocks.wall + 300
    prune(store, "mine", exp)
    clocks.wall += ahead
    for second in range(0, 3600, 600):
        if second == 1200:
            store._clock = used.SteadyClock()
        prune(store, f"ahead-{second}", clocks.wall + 300)
        assert store.was_used("https://ehr.example", "mine"), second
        clocks.go(600)
    clocks.wall -= ahead
    prune(store, "right", clocks.wall + 300)
    assert store.seen_token("https://ehr.example", "mine", int(exp))
    clocks.go(used.TOKEN_LIFE + 1)
    prune(store, "later", clocks.wall + 300)
    assert not store.was_used("https://ehr.example", "mine"), "in the end it is forgotten all the same"


def test_a_token_id_is_kept_for_as_long_as_the_token_can_be_used() -> None:
    assert used.TOKEN_LIFE > LONGEST_LIFE + 2 * LEEWAY
    assert used.JUMP < used.TOKEN_GRACE - LEEWAY


def _use_token(url: str, key: str, start: float, answers: multiprocessing.SimpleQueue[bool]) -> None:
    mine = open_store(url, audit_key_file=key)
    time.sleep(max(0.0, start - time.time()))
    answers.put(mine.seen_token("https://ehr.example", "same", int(time.time()) + 300))


def test_two_processes_that_open_an_empty_database_together_agree(database_url: str, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[bool] = spawn.SimpleQueue()
    arguments = (database_url, str(tmp_path / "key"), time.time() + 2, answers)
    processes = [spawn.Process(target=_use_token, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted([answers.get(), answers.get()]) == [False, True]


def test_a_fork_gets_connections_of_its_own(store: Store) -> None:
    issued(store)
    child = os.fork()
    if child == 0:
        try:
            issued(store)
        except BaseException:  # noqa: BLE001 - a test's child must end here, whatever happens
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    issued(store)
    assert sum(count.cards for count in store.feedback_counts()) == 3


def test_every_commit_of_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'store.sqlite'}")
    with engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                   ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")}  # fmt: skip
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000, "foreign_keys": 1}


def test_two_writers_that_read_first_both_succeed(tmp_path: Path) -> None:
    # With a plain BEGIN one of them would fail at once: it could not turn its read into a write.
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    stores = [open_store(url) for _ in range(2)]
    cards = [issued(stores[0]) for _ in range(40)]
    failures: list[BaseException] = []

    def write(mine: Store, part: int) -> None:
        try:
            for card in cards[part::2]:
                mine.add_feedback("open", "oncobone-order-sign", [overridden(card.uuid)])
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(mine, part)) for part, mine in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [(count.outcome, count.cards) for count in stores[0].feedback_counts()] == [("overridden", 40)]
    for each in stores:
        each.close()


@pytest.mark.database
def test_postgresql_commits_wait_for_the_disk_even_where_the_server_would_not(cluster: Cluster) -> None:
    name = f"test_{uuid.uuid4().hex}"
    engine = engine_for(cluster.fresh(name))
    with engine.begin() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    engine.dispose()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    engine.dispose()


HELD = {
    "sqlite": """
        SELECT type || name || tbl_name
               || replace(replace(replace(coalesce(sql, ''), char(10), ''), char(9), ''), ' ', '')
          FROM sqlite_master WHERE name <> 'cards';
        SELECT name || type || [notnull] || coalesce(dflt_value, '') || pk FROM pragma_table_info('cards')""",
    "postgresql": """
        SELECT table_name || column_name || ordinal_position || data_type || is_nullable
               || coalesce(character_maximum_length, 0) || coalesce(column_default, '')
          FROM information_schema.columns WHERE table_schema = 'public';
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'public';
        SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace;
        SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal;
        SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
}
"""What asks a database for all that it holds beside rows. A column added later is told in other words by SQLite."""


def begun(engine: sa.Engine) -> None:
    """Leave a database where Alembic begins: it has its own table, and takes the steps one by one."""
    with engine.begin() as connection:
        revisions.create(connection)


def made_things(engine: sa.Engine) -> set[str]:
    """All that a database holds beside rows: tables with their columns and keys, indexes, triggers, functions."""
    asked = HELD["sqlite" if engine.dialect.name == "sqlite" else "postgresql"]
    with engine.connect() as connection:
        return {str(row[0]) for query in asked.split(";") for row in connection.exec_driver_sql(query)}


def test_tables_made_at_once_are_those_that_the_steps_make(
    database_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    at_once = engine_for(database_url)
    migrate(at_once)
    other_url = f"sqlite:///{tmp_path}/steps.sqlite"
    if at_once.dialect.name != "sqlite":
        other_url = request.getfixturevalue("cluster").fresh(f"test_{uuid.uuid4().hex}")
    by_steps = engine_for(other_url)
    begun(by_steps)
    migrate(by_steps)
    assert made_things(at_once) == made_things(by_steps)
    assert any("append" in made for made in made_things(at_once)), "the audit record can be changed"
    for engine in (at_once, by_steps):
        engine.dispose()


def test_a_service_that_starts_on_an_empty_database_does_without_alembic(tmp_path: Path) -> None:
    program = (
        "import sys; from hooks.store.database import engine_for, migrate;"
        f" migrate(engine_for('sqlite:///{tmp_path}/new.sqlite')); print('alembic' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    assert told.stdout == "False\n"


@pytest.mark.parametrize("by_steps", [False, True])
def test_the_migrations_make_the_tables_that_the_code_uses(database_url: str, by_steps: bool) -> None:
    engine = engine_for(database_url)
    if by_steps:
        begun(engine)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
    engine.dispose()


def test_one_step_back_and_forth_keeps_what_the_steps_before_hold(store: Store) -> None:
    card = issued(store)
    store.add_feedback("open", "oncobone-order-sign", [overridden(card.uuid)])
    store.append_audit("open", {"service": "oncobone-order-sign"})
    for _ in STEPS[2:]:
        migrate(store._engine, "-1")
    assert "audit_records" not in sa.inspect(store._engine).get_table_names()
    assert store.feedback_counts()[0].outcome == "overridden"
    migrate(store._engine)
    assert store.feedback_counts()[0].outcome == "overridden"
    store.append_audit("open", {"service": "oncobone-order-sign"})
    assert store.verify_audit() == []


def test_every_step_can_be_taken_back_on_a_filled_database(store: Store) -> None:
    card = issued(store)
    store.add_feedback("open", "oncobone-order-sign", [overridden(card.uuid)])
    store.seen_token("https://ehr.example", "a", int(time.time()) + 300)
    for _ in STEPS:
        migrate(store._engine, "-1")
    assert set(sa.inspect(store._engine).get_table_names()) == {"alembic_version"}
    migrate(store._engine)
    assert store.feedback_counts() == []


def test_a_failed_step_leaves_no_half_made_tables(database_url: str) -> None:
    engine = engine_for(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE used_tokens (x integer)"))  # in the way of the second step
    with pytest.raises(sa.exc.DBAPIError):
        migrate(engine)
    assert sa.inspect(engine).get_table_names() == ["used_tokens"]
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_with_the_reason(database_url: str, tmp_path: Path) -> None:
    engine = engine_for(database_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StoreError, match="newer"):
        open_store(database_url, audit_key_file=tmp_path / "key")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://host/db", "mysql"),
        ("nonsense", "not a database URL"),
        ("sqlite:////no/such/place/store.sqlite", "does not exist"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_at_the_start(url: str, told: str) -> None:
    with pytest.raises(StoreError, match=told):
        open_store(url)


def test_the_database_command_goes_up_and_one_step_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{tmp_path / 'store.sqlite'}")
    run = CliRunner().invoke
    assert STEPS[-1] in run(database.commands, ["upgrade"]).output
    assert run(database.commands, ["downgrade"], input="n\n").exit_code == 1
    assert STEPS[-2] in run(database.commands, ["downgrade", "--yes"]).output


def test_what_waits_is_written_in_one_transaction(store: Store) -> None:
    cards = [issued(store) for _ in range(20)]
    commits: list[sa.Connection] = []
    event.listen(store._engine, "commit", commits.append)
    holding, release = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        holding.set()
        release.wait(10)

    with ThreadPoolExecutor(21) as pool:
        held = pool.submit(store._run, hold, 10)
        holding.wait(10)
        given = [
            pool.submit(store.add_feedback, "open", "oncobone-order-sign", [overridden(card.uuid)]) for card in cards
        ]
        while store._worker is None or store._worker._jobs.qsize() < len(cards):
            time.sleep(0.01)
        release.set()
        held.result()
        assert [each.result().stored for each in given] == [1] * 20
    assert len(commits) == 2
    assert store.feedback_counts()[0].cards == 20


def test_work_that_fails_does_not_take_down_what_is_written_with_it(store: Store) -> None:
    card = issued(store)
    holding, release = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        holding.set()
        release.wait(10)

    def fail(_: object) -> None:
        raise ArithmeticError("a fault of ours")

    with ThreadPoolExecutor(3) as pool:
        held = pool.submit(store._run, hold, 10)
        holding.wait(10)
        good = pool.submit(store.add_feedback, "open", "oncobone-order-sign", [overridden(card.uuid)])
        bad = pool.submit(store._run, fail, 10)
        while store._worker is None or store._worker._jobs.qsize() < 2:
            time.sleep(0.01)
        release.set()
        held.result()
        with pytest.raises(ArithmeticError):
            bad.result()
        assert good.result().stored == 1
    assert store.feedback_counts()[0].outcome == "overridden"


def test_a_memory_store_works_from_many_threads() -> None:
    memory = open_store("sqlite://")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: issued(memory), range(50)))
    assert sum(count.cards for count in memory.feedback_counts()) == 50
    memory.close()


def test_the_audit_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path / 'store.sqlite'}").close()
    assert (tmp_path / "store.audit-key").stat().st_mode & 0o777 == 0o600


def test_nothing_of_a_patient_is_stored_with_a_card(store: Store) -> None:
    columns = {column.name for column in metadata.tables["cards"].columns}
    assert columns == {"tenant", "uuid", "service", "guidance", "rules", "suggestions", "issued_at", "quiet_key"}


def test_the_database_file_is_whole_after_it_was_used(tmp_path: Path) -> None:
    used = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    issued(used, uuid=str(uuid.uuid4()).upper())
    used.close()
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
