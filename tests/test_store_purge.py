"""What is older than the site keeps is deleted, the audit chain says so itself, and nobody else can cut it unseen."""

from __future__ import annotations

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hooks.store import audit, purging
from hooks.store.audit import Auditor, verified
from hooks.store.issued import FeedbackItem
from hooks.store.purging import Purged, age, purge
from hooks.store.store import Store, kept_call, open_store
from hooks.store.tables import as_text
from hooks.tools.cli import main
from tests.test_audit import call, tamper

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
EDGE = NOW - dt.timedelta(days=365)


def days_ago(days: int) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


@pytest.fixture
def filled(store: Store) -> Store:
    """Ten calls of each of two tenants, two months apart, each with a card; the newest was two months ago."""
    auditor = Auditor(store)
    for n in range(10):
        for tenant in "ab":
            record = call(tenant=tenant, at=days_ago(60 * (10 - n)), milliseconds=float(n))
            auditor.record(record, [(f"{tenant}{n}", ["DOSE-003"], ["s"], "1")])
    return store


def purged(store: Store, **other: Any) -> Purged:
    return purge(store._engine, store.chain, EDGE, now=NOW, **other)


def count(store: Store, table: str) -> int:
    with store._engine.connect() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar() or 0)  # noqa: S608


def test_what_is_older_goes_and_what_is_younger_stays(filled: Store) -> None:
    found = purged(filled)
    assert (found.cards, found.audit) == (8, {"a": 4, "b": 4})
    assert count(filled, "cards") == 12
    kept = [json.loads(entry.record) for entry in filled.audit_entries("a")]
    assert [record.get("ms") for record in kept] == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, None]
    assert all(record["at"] >= EDGE.isoformat()[:10] for record in kept)


def test_the_chain_holds_and_the_purge_is_on_record(filled: Store) -> None:
    heads = [(tenant, *head) for tenant, head in filled.audit_heads().items()]
    early = ("a", 2, next(entry.hash for entry in filled.audit_entries("a") if entry.seq == 2))
    purged(filled)
    assert verified(filled, [*heads, early]).problems == [], "a head that was purged was taken with a record of it"
    told = json.loads(list(filled.audit_entries("a"))[-1].record)["purged"]
    assert (told["through"], told["cards"]) == (4, 4), "of its own tenant"
    assert Auditor(filled).record(call(tenant="a"))
    purge(filled._engine, filled.chain, days_ago(100), now=NOW)
    assert filled.verify_audit() == [], "and again"


def test_a_purge_that_is_broken_off_has_said_what_it_deleted_and_the_next_goes_on(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "AT_ONCE", 3)
    steps = iter([True, True])

    def breaks(engine: sa.Engine, work: Any) -> Purged:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return patiently(engine, work)

    patiently = purging._patiently
    monkeypatch.setattr(purging, "_patiently", breaks)
    with pytest.raises(KeyboardInterrupt):
        purged(filled)
    assert filled.verify_audit() == []
    told = [json.loads(entry.record).get("purged") for entry in filled.audit_entries("a")]
    assert sum(each["cards"] for each in told if each) == 20 - count(filled, "cards") == 4
    monkeypatch.setattr(purging, "_patiently", patiently)
    assert purged(filled).audit == {"b": 4}
    assert filled.verify_audit() == []
    assert (count(filled, "cards"), count(filled, "audit_records")) == (12, 12 + 4), (
        "two records of each tenant's steps"
    )


def test_cards_that_are_older_than_every_record_are_on_record_too(filled: Store) -> None:
    purged(filled)
    filled.remember_cards("a", "s", [("late", ["DOSE-003"], [], "1")])
    with filled._engine.begin() as connection:
        connection.execute(sa.text("UPDATE cards SET issued_at = '2020-01-01T00:00:00.000000Z' WHERE uuid = 'late'"))
    assert purged(filled) == Purged(cards=1)
    assert json.loads(list(filled.audit_entries("a"))[-1].record)["deleted"]["cards"] == 1
    assert filled.verify_audit() == []


def test_the_service_writes_between_the_steps_of_a_purge(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A purge in one transaction kept feedback out and /readyz red for as long as it took."""
    monkeypatch.setattr(purging, "AT_ONCE", 20)
    auditor = Auditor(store)
    old = [kept_call("a", {"at": as_text(days_ago(400)), "ms": n}) for n in range(200)]
    store.wait(store.hand_in(old), 30)
    over = threading.Event()
    stored: list[bool] = []

    def writes() -> None:
        while not over.is_set():
            stored.append(auditor.record(call(tenant="a", at=days_ago(1), milliseconds=float(len(stored)))))

    writer = threading.Thread(target=writes)
    writer.start()
    assert purged(store).audit == {"a": 200}
    over.set()
    writer.join()
    auditor.close(10)
    assert all(stored)
    assert len(stored) > 10
    assert store.verify_audit() == []


def test_two_purges_at_once_delete_each_thing_once(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "AT_ONCE", 2)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(purged, filled) for _ in range(2)]
        found = [each.result() for each in both]
    assert sum(each.cards for each in found) == 8
    assert sum(sum(each.audit.values()) for each in found) == 8
    assert filled.verify_audit() == []


def test_a_chain_that_somebody_else_has_cut_shows(filled: Store) -> None:
    tamper(filled, "DELETE FROM audit_records WHERE tenant = 'a' AND seq <= 4")
    assert filled.verify_audit() == ["tenant a, entry 5: 4 entries before it are missing"]


def test_what_is_cut_beyond_the_purge_shows(filled: Store) -> None:
    purged(filled)
    tamper(filled, "DELETE FROM audit_records WHERE tenant = 'a' AND seq = 5")
    assert filled.verify_audit() == ["tenant a, entry 6: 5 entries before it are missing"]


def test_after_a_purge_records_can_be_changed_as_little_as_before(filled: Store) -> None:
    purged(filled)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), filled._engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_records"))


def test_a_card_with_younger_feedback_stays(filled: Store) -> None:
    item = FeedbackItem("a0", "accepted", days_ago(1), ("s",))
    assert filled.add_feedback("a", "oncobone-order-sign", [item]).stored == 1  # received now
    assert purged(filled).cards == 7
    assert count(filled, "feedback") == 1


def test_feedback_goes_with_its_card(filled: Store) -> None:
    item = FeedbackItem("a0", "accepted", days_ago(590), ("s",))
    filled.add_feedback("a", "oncobone-order-sign", [item])
    with filled._engine.begin() as connection:
        connection.execute(sa.text("UPDATE feedback SET received_at = '2025-01-01T00:00:00.000000Z'"))
    found = purged(filled)
    assert (found.cards, found.feedback) == (8, 1)
    assert count(filled, "accepted_suggestions") == 0


def test_a_dry_run_counts_and_deletes_nothing(filled: Store) -> None:
    found = purged(filled, dry=True)
    assert (found.cards, found.audit) == (8, {"a": 4, "b": 4})
    assert (count(filled, "cards"), count(filled, "audit_records")) == (20, 20)


@pytest.mark.parametrize(("text", "days"), [("90d", 90), ("18m", 540), ("10y", 3650)])
def test_an_age_is_days_months_or_years(text: str, days: int) -> None:
    assert age(text).days == days


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", url)
    opened = open_store(url)
    for days in (4000, 1):
        Auditor(opened).record(call(at=dt.datetime.now(dt.UTC) - dt.timedelta(days=days)))
    opened.close()
    run = CliRunner().invoke
    heads = run(audit.commands, ["head"]).stdout
    assert heads.startswith("open:2:")
    assert run(main, ["purge", "--older-than", "10y"], input="n\n").exit_code == 1
    done = run(main, ["purge", "--older-than", "10y", "--yes"])
    assert "Deleted 1 audit records of open." in done.output
    (tmp_path / "heads").write_text(heads, encoding="utf-8")
    held = run(audit.commands, ["verify", "--expect-from", str(tmp_path / "heads")])
    assert held.exit_code == 0, held.output
    for wrong in ("10", "5d", "x"):
        assert run(main, ["purge", "--older-than", wrong, "--yes"]).exit_code == 2


@pytest.mark.parametrize(("newest", "is_refused"), [(0, False), (29, False), (31, True), (4000, True)])
def test_where_no_call_came_for_a_month_somebody_has_to_say_that_the_clock_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str, newest: int, *, is_refused: bool
) -> None:
    """What purges have written down by a clock that is ahead makes it no better: they are no calls."""
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", database_url)
    monkeypatch.setenv("ONCOBONE_AUDIT_KEY_FILE", str(tmp_path / "key"))
    opened = open_store(database_url, audit_key_file=tmp_path / "key")
    auditor = Auditor(opened)
    now = dt.datetime.now(dt.UTC)
    for tenant, days in (("a", 9000), ("a", newest), ("b", 8000), ("b", newest + 20)):
        record = call(tenant=tenant, at=now - dt.timedelta(days=days))
        auditor.record(record, [(f"{tenant}{days}", ["DOSE-003"], [], "1")])
    command = ["purge", "--older-than", "20y", "--yes"]
    first = CliRunner().invoke(main, command)
    assert (first.exit_code, count(opened, "cards")) == ((1, 4) if is_refused else (0, 2)), first.output
    assert ("Nothing was deleted" in first.output) is is_refused
    for _ in range(2):
        sure = CliRunner().invoke(main, [*command, "--clock-is-right"])
        assert (sure.exit_code, count(opened, "cards")) == (0, 2), sure.output
    assert (CliRunner().invoke(main, command).exit_code == 1) is is_refused
    assert opened.verify_audit() == []
    opened.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{tmp_path / 'store.sqlite'}")
    done = CliRunner().invoke(main, ["purge", "--older-than", "10y", "--yes"])
    assert done.exit_code == 1
    assert "There is no database" in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [("audit", "verify"), ("audit", "head"), ("feedback", "report"), ("purge", "--older-than", "10y", "--yes")],
)
def test_a_database_that_cannot_be_opened_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / "store.sqlite").mkdir()
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{tmp_path / 'store.sqlite'}")
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert done.output == "Error: The store is unavailable: SQLITE_CANTOPEN.\n"
