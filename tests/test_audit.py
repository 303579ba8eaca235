"""The audit record: what it holds, what it never holds, and that tampering shows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hooks.store import audit, backlog
from hooks.store.audit import Auditor, CallRecord, about_patient
from hooks.store.backlog import Backlog
from hooks.store.chain import AuditKeyError, Chain
from hooks.store.database import StoreUnavailable
from hooks.store.issued import Answered, FeedbackItem, Issued
from hooks.store.store import PAUSE_AFTER_FAILURE, Store, open_store
from tests.wire import PATIENT, call_body

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
INSTANCE = "6f1c3a52-0d0e-4a53-9d0c-0123456789ab"


def call(**fields: Any) -> CallRecord:
    known: dict[str, Any] = {
        "at": NOON,
        "tenant": "open",
        "client": "open",
        "service_id": "oncobone-order-sign",
        "hook": "order-sign",
        "hook_instance": INSTANCE,
        "status": 200,
        "milliseconds": 12.345,
        "as_of": "2026-11-22",
        "user": "Practitioner/canary-user",
        "patient": "canary-patient",
        "resources": ["Observation/canary-resource"],
        "guidance": "2026.11",
        "fired": ["DOSE-003"],
        "cards": ["c1"],
        "fetched": {"observations": "ok"},
    }
    return CallRecord(**(known | fields))


def records(store: Store) -> list[dict[str, Any]]:
    return [json.loads(entry.record) for entry in store.audit_entries()]


# What is kept


def test_a_record_says_who_asked_what_and_what_came_of_it_without_any_id(store: Store) -> None:
    Auditor(store).record(call())
    (record,) = records(store)
    assert record["at"] == "2026-11-22T12:00:00.000000Z"
    assert record["hook_instance"] == INSTANCE
    assert (record["fired"], record["guidance"], record["ms"], record["status"]) == (["DOSE-003"], "2026.11", 12.3, 200)
    assert "canary" not in json.dumps(record)
    for kind in ("user", "patient"):
        assert len(record[kind]) == 32


def test_a_hook_instance_that_is_no_uuid_is_kept_as_a_hash(store: Store) -> None:
    Auditor(store).record(call(hook_instance="Mrs Canary, born 1950"))
    (record,) = records(store)
    assert record["hook_instance"].startswith("hashed:")
    assert "Canary" not in json.dumps(record)


def test_the_same_patient_has_the_same_hash_and_another_tenant_another_one(store: Store) -> None:
    auditor = Auditor(store)
    for tenant in ("a", "a", "b"):
        auditor.record(call(tenant=tenant))
    hashes = [record["patient"] for record in records(store)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_patient_and_a_user_of_one_id_do_not_share_a_hash(store: Store) -> None:
    Auditor(store).record(call(user="x", patient="x", resources=["x"]))
    (record,) = records(store)
    assert len({record["user"], record["patient"], record["resources"][0]}) == 3


def test_the_cards_of_a_call_and_its_record_are_stored_together(store: Store) -> None:
    assert Auditor(store).record(call(), [("c1", ["DOSE-003"], [], "2026.11")])
    assert len(records(store)) == 1
    assert store.feedback_counts()[0].rules == ("DOSE-003",)


def test_calls_about_a_patient_can_be_found_with_the_key_alone(store: Store) -> None:
    auditor = Auditor(store)
    auditor.record(call(patient="p1"))
    auditor.record(call(patient="p2"))
    auditor.record(call(patient="p1", tenant="other"))
    assert [record["fired"] for record in about_patient(store, "open", "p1")] == [["DOSE-003"]]
    store.chain = Chain(b"another key")
    assert list(about_patient(store, "open", "p1")) == []


# The chain


@pytest.fixture
def chained(store: Store) -> Store:
    """A store with five records of each of two tenants."""
    auditor = Auditor(store)
    for n in range(10):
        auditor.record(call(tenant="ab"[n % 2], milliseconds=float(n)))
    return store


def tamper(store: Store, statement: str) -> None:
    """Changes records as somebody with the whole database in hand could."""
    with store._engine.begin() as connection:
        if store._engine.dialect.name == "sqlite":
            connection.execute(sa.text("DROP TRIGGER IF EXISTS audit_records_no_update"))
            connection.execute(sa.text("DROP TRIGGER IF EXISTS audit_records_no_delete"))
        else:
            connection.execute(sa.text("ALTER TABLE audit_records DISABLE TRIGGER USER"))
        connection.exec_driver_sql(statement)


def test_an_untouched_record_is_whole(chained: Store) -> None:
    assert chained.verify_audit() == []
    assert audit.verified(chained).heads.keys() == {"a", "b"}
    assert audit.verified(chained).entries == 10


def test_a_changed_record_is_named(chained: Store) -> None:
    tamper(chained, """UPDATE audit_records SET record = replace(record, '"ms":4.0', '"ms":5.0') WHERE tenant = 'a'""")
    assert chained.verify_audit() == ["tenant a, entry 3: was changed"]


def test_a_record_that_was_taken_out_is_missed(chained: Store) -> None:
    tamper(chained, "DELETE FROM audit_records WHERE tenant = 'a' AND seq = 3")
    assert chained.verify_audit() == ["tenant a, entry 4: 1 entries before it are missing"]


def test_records_that_changed_places_are_named(chained: Store) -> None:
    tamper(chained, "UPDATE audit_records SET tenant = 'c' WHERE tenant = 'b' AND seq = 1")
    problems = chained.verify_audit()
    assert "tenant c, entry 1: was changed" in problems
    assert "tenant b, entry 2: 1 entries before it are missing" in problems


def test_a_record_that_was_put_in_without_the_key_is_named(chained: Store) -> None:
    newest = list(chained.audit_entries(tenant="a"))[-1]
    forged = Chain(b"not the key").link("a", 6, newest.hash, "{}")
    tamper(
        chained,
        f"INSERT INTO audit_records VALUES ('a', 6, '{newest.key_id}', '{newest.hash}', '{{}}', '{forged}')",  # noqa: S608
    )
    assert chained.verify_audit() == ["tenant a, entry 6: was changed"]


def test_a_cut_off_end_shows_against_a_head_that_was_noted(chained: Store) -> None:
    heads = [(tenant, seq, digest) for tenant, (seq, digest) in audit.verified(chained).heads.items()]
    assert audit.verified(chained, heads).problems == []
    tamper(chained, "DELETE FROM audit_records WHERE tenant = 'a' AND seq = 5")
    assert chained.verify_audit() == []
    assert audit.verified(chained, heads).problems == ["tenant a, entry 5: noted before, is gone"]


def test_records_written_with_another_key_are_not_taken_for_whole(chained: Store) -> None:
    chained.chain = Chain(b"another key")
    assert len(chained.verify_audit()) == 10


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_records SET record = '{}'",
        "DELETE FROM audit_records",
        "DELETE FROM audit_records WHERE seq = 1",
    ],
)
def test_the_database_itself_refuses_to_change_records(chained: Store, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), chained._engine.begin() as connection:
        connection.execute(sa.text(statement))
    assert chained.verify_audit() == []


def test_parallel_writers_make_one_chain(store: Store) -> None:
    auditor = Auditor(store)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: auditor.record(call(milliseconds=n)), range(80)))
    result = audit.verified(store)
    assert (result.problems, result.entries) == ([], 80)


def test_a_long_chain_is_read_in_batches(store: Store) -> None:
    store.append_audit("a", *({"n": n} for n in range(25)))
    store.append_audit("b", {"n": 25})
    assert [json.loads(entry.record)["n"] for entry in store.audit_entries(batch=10)] == list(range(26))


# While the store is down


def down(store: Store) -> Any:
    """Breaks the store; call the result to mend it."""
    hand_in = store.hand_in

    def fails(*_: object, insist: bool = False, **_more: object) -> Future[dict[str, Answered]]:
        if not insist:
            raise StoreUnavailable("down")
        failed: Future[dict[str, Answered]] = Future()
        failed.set_exception(StoreUnavailable("down"))
        return failed

    store.hand_in = fails  # type: ignore[method-assign] # stands in for a database that is gone

    def mend() -> None:
        store.hand_in = hand_in  # type: ignore[method-assign] # as it was

    return mend


def written(auditor: Auditor) -> None:
    """Waits until the thread of the backlog has written everything."""
    assert auditor.close(5) == 0


def test_records_wait_for_the_store_and_are_written_in_their_order(store: Store) -> None:
    auditor = Auditor(store)
    mend = down(store)
    for n in range(5):
        assert not auditor.record(call(tenant="aabab"[n], milliseconds=float(n)))
    assert auditor.waiting == 5
    mend()
    written(auditor)
    assert auditor.waiting == 0
    by_tenant = {tenant: [json.loads(e.record)["ms"] for e in store.audit_entries(tenant)] for tenant in ("a", "b")}
    assert by_tenant == {"a": [0.0, 1.0, 3.0], "b": [2.0, 4.0]}
    assert store.verify_audit() == []


def test_what_there_was_no_room_for_is_recorded_as_a_gap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "SPOOL", 3)
    monkeypatch.setattr(Backlog, "_start", lambda _: None)  # nobody else writes: the order is ours
    auditor = Auditor(store)
    mend = down(store)
    for n in range(5):
        auditor.record(call(milliseconds=float(n)))
    mend()
    auditor.flush()
    assert [record.get("gap", record.get("ms")) for record in records(store)] == [2, 2.0, 3.0, 4.0]


def test_what_comes_back_unwritten_takes_no_more_room_than_there_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "SPOOL", 3)
    monkeypatch.setattr(Backlog, "_start", lambda _: None)
    auditor = Auditor(store)
    mend = down(store)
    refuses = store.hand_in

    def fills_up_meanwhile(*_: object, insist: bool = False) -> Future[dict[str, Answered]]:
        monkeypatch.setattr(store, "hand_in", refuses)
        for n in range(3, 5):
            auditor.record(call(milliseconds=float(n)))
        return refuses([], insist=True)

    for n in range(3):
        auditor.record(call(milliseconds=float(n)))
    monkeypatch.setattr(store, "hand_in", fills_up_meanwhile)
    with pytest.raises(StoreUnavailable):
        auditor.flush()
    assert auditor.waiting == 3
    mend()
    auditor.flush()
    assert [record.get("gap", record.get("ms")) for record in records(store)] == [2, 2.0, 3.0, 4.0]


def answered(store: Store) -> None:
    """A card of the key "answered" was shown, and accepted."""
    store.remember_cards("open", "s", [("c1", ["DOSE-003"], [], "1", "answered")])
    store.add_feedback("open", "s", [FeedbackItem("c1", "accepted", NOON)])


def test_a_call_is_recorded_as_its_cards_are_asked_for_unless_one_was_answered(store: Store) -> None:
    answered(store)
    auditor = Auditor(store)
    assert auditor.record_unless_answered(call(milliseconds=1.0), [("c2", [], [], "1", "new")], ["new"]) == {}
    found = auditor.record_unless_answered(call(milliseconds=2.0), [("c3", [], [], "1")], ["new", "answered"])
    assert [(key, each.outcome) for key, each in found.items()] == [("answered", "accepted")]
    assert [record["ms"] for record in records(store)] == [1.0]
    assert sum(count.cards for count in store.feedback_counts("open")) == 2, "a card that was not shown is kept"


def test_a_call_is_recorded_while_nobody_can_say_whether_its_cards_were_answered(store: Store) -> None:
    answered(store)
    auditor = Auditor(store)
    mend = down(store)
    assert auditor.record_unless_answered(call(), [], ["answered"]) == {}
    assert auditor.waiting == 1
    mend()
    written(auditor)
    assert len(records(store)) == 1


def test_a_call_whose_answers_came_too_late_is_recorded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(store)
    auditor = Auditor(store)
    in_time, look_up = threading.Event(), Issued.answers

    def late(*asked: Any) -> dict[str, Answered]:
        in_time.wait(5)
        return look_up(*asked)

    monkeypatch.setattr(Issued, "answers", late)
    monkeypatch.setattr(audit, "CALL_PATIENCE", 0.05)
    assert auditor.record_unless_answered(call(), [], ["answered"]) == {}
    in_time.set()
    written(auditor)
    assert len(records(store)) == 1


def test_a_machine_without_a_thread_to_spare_is_a_store_that_is_down(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()  # the next use starts a thread of its own
    auditor = Auditor(store)

    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuses)
        assert not auditor.record(call(milliseconds=1.0))
        with pytest.raises(StoreUnavailable):
            auditor.flush()
        with pytest.raises(StoreUnavailable):
            store.check()
    assert auditor.waiting == 1
    time.sleep(PAUSE_AFTER_FAILURE)
    auditor.record(call(milliseconds=2.0))
    assert auditor.close(10) == 0
    assert sorted(json.loads(entry.record)["ms"] for entry in store.audit_entries()) == [1.0, 2.0]


def test_a_flush_that_fails_loses_nothing(store: Store) -> None:
    auditor = Auditor(store)
    mend = down(store)
    for n in range(3):
        auditor.record(call(milliseconds=float(n)))
    with pytest.raises(StoreUnavailable):
        auditor.flush()
    assert auditor.waiting == 3
    mend()
    threads = [threading.Thread(target=auditor.flush) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["ms"] for record in records(store)] == [0.0, 1.0, 2.0]


# A real server


def test_nothing_of_a_patient_is_in_the_database_the_log_or_an_answer(
    tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    server = start_server(ONCOBONE_DATABASE_URL=f"sqlite:///{tmp_path / 'oncobone.sqlite'}")
    text = json.dumps(call_body("order-sign")).replace(PATIENT, "canary-patient").replace("doc-1", "canary-user")
    body = json.loads(text.replace("o-creatinine", "canary-resource"))
    body["prefetch"]["patient"]["name"] = [{"family": "Canary-Name"}]
    body["fhirServer"] = "https://canary-server.example/fhir"
    body["fhirAuthorization"] = {"access_token": "canary-token", "token_type": "Bearer", "expires_in": 300}
    answer = server.call(body)
    assert answer.status_code == 200
    card = answer.json()["cards"][0]["uuid"]
    path = "/cds-services/oncobone-order-sign/feedback"
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    assert server.request("POST", path, json={"feedback": [entry]}).status_code == 200
    body["context"]["patientId"] = "canary-other"
    assert server.call(body).status_code == 400
    assert server.request("POST", path, json={"feedback": [entry | {"card": "canary-card"}]}).status_code == 404
    server.stop()
    log = server.log.read_text()
    store = open_store(f"sqlite:///{tmp_path / 'oncobone.sqlite'}")
    found = [record["status"] for record in records(store)]
    assert found == [200, 400]
    assert [record["fired"] for record in about_patient(store, "open", "canary-patient")]
    store.close()
    files = b"".join(file.read_bytes() for file in tmp_path.glob("oncobone.sqlite*"))
    assert card.encode() in files  # the search does find what is there
    assert b"canary" not in files.lower()
    assert "canary" not in log.lower()


# The commands


def test_verify_prints_heads_and_fails_on_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", url)
    filled = open_store(url)
    Auditor(filled).record(call(tenant="https://ehr.example:8443"))
    run = CliRunner().invoke
    good = run(audit.commands, ["verify"])
    assert good.exit_code == 0, good.output
    head = good.stdout.strip()
    assert head.startswith("https://ehr.example:8443:1:")
    assert run(audit.commands, ["verify", "--expect", head]).exit_code == 0
    assert run(audit.commands, ["verify", "--expect", "a:2:x"]).exit_code == 1
    assert run(audit.commands, ["verify", "--expect", "nonsense"]).exit_code == 2
    who = run(audit.commands, ["who", "canary-patient", "--tenant", "https://ehr.example:8443"])
    assert json.loads(who.stdout)["fired"] == ["DOSE-003"]
    tamper(filled, "UPDATE audit_records SET record = '{}'")
    filled.close()
    bad = run(audit.commands, ["verify"])
    assert bad.exit_code == 1
    assert "entry 1: was changed" in bad.output


def test_a_key_that_is_no_key_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    for text, told in (("zz", "not hexadecimal"), ("abcd", "needs 32")):
        (tmp_path / "key").write_text(text)
        with pytest.raises(AuditKeyError, match=told):
            open_store(url, audit_key_file=tmp_path / "key")
    with pytest.raises(AuditKeyError, match="No such file"):
        open_store(url, audit_key_file=tmp_path / "no" / "key")


def test_every_audit_command_explains_itself_without_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("verify", "head", "who"):
        told = CliRunner().invoke(audit.commands, [name, "--help"])
        assert told.exit_code == 0
        assert "Usage" in told.output
    assert list(tmp_path.iterdir()) == [], "and makes none"


def test_an_empty_record_and_a_tenant_that_is_not_in_it_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", url)
    run = CliRunner().invoke
    kept = open_store(url)
    try:
        for arguments in (["verify"], ["head"], ["who", "p"], ["who", "p", "--tenant", "x"]):
            told = run(audit.commands, arguments)
            assert told.exit_code == 1, arguments
            assert "has never recorded a call" in told.output
        for name in ("one", "two"):
            Auditor(kept).record(call(tenant=name))
    finally:
        kept.close()
    whose = run(audit.commands, ["who", "p"])
    assert whose.exit_code == 1
    assert "Say --tenant; the record has one, two" in whose.output
    nobody = run(audit.commands, ["who", "p", "--tenant", "three"])
    assert nobody.exit_code == 1
    assert "the record has none of this name; it has one, two" in nobody.output
    assert run(audit.commands, ["who", "p", "--tenant", "two"]).exit_code == 0
