"""Feedback: what is taken, what is refused with which words, and what the report makes of it."""

from __future__ import annotations

import csv
import io
import json
import logging
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from hooks import errors
from hooks.errors import Refused
from hooks.store import feedback
from hooks.store.database import StoreUnavailable
from hooks.store.feedback import MAX_COMMENT, MAX_ITEMS, handle, parse, report, share
from hooks.store.store import Store, open_store
from tests.stores import issued

if TYPE_CHECKING:
    from flask.testing import FlaskClient

SERVICE = "oncobone-order-sign"


def accepted(card: str, *suggestions: str, at: str = "2026-11-22T12:00:00Z") -> dict[str, Any]:
    entry: dict[str, Any] = {"card": card, "outcome": "accepted", "outcomeTimestamp": at}
    return entry | {"acceptedSuggestions": [{"id": each} for each in suggestions]}


def overridden(card: str, /, *, at: str = "2026-11-22T12:00:00Z", **reason: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"card": card, "outcome": "overridden", "outcomeTimestamp": at}
    return entry | ({"overrideReason": reason} if reason else {})


def body(*entries: object) -> bytes:
    return json.dumps({"feedback": entries}).encode()


def rows(store: Store, table: str = "feedback") -> list[dict[str, Any]]:
    with store._engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.text(f"SELECT * FROM {table}"))]  # noqa: S608 - ours


# What is stored


def test_an_accepted_card_is_stored_with_its_suggestions(store: Store) -> None:
    card = issued(store)
    handle(store, "open", SERVICE, body(accepted(card.uuid, card.suggestions[0])))
    assert [(row["card"], row["outcome"]) for row in rows(store)] == [(card.uuid, "accepted")]
    assert [row["suggestion"] for row in rows(store, "accepted_suggestions")] == list(card.suggestions)


@pytest.mark.parametrize(
    "reason",
    [
        {},
        {"reason": {"code": "rechecked", "system": "urn:oncobone:override-reasons"}},
        {"userComment": "seen with the nephrologist"},
        {"reason": {"code": "x", "system": "urn:a", "display": "X"}, "userComment": "y"},
        {"reason": {"code": "a-reason-of-the-client's-own"}},
    ],
)
def test_an_override_is_stored_with_whatever_reason_it_has(store: Store, reason: dict[str, Any]) -> None:
    card = issued(store)
    handle(store, "open", SERVICE, body(overridden(card.uuid, **reason)))
    (row,) = rows(store)
    assert row["reason_code"] == reason.get("reason", {}).get("code")
    assert row["user_comment"] == reason.get("userComment")


def test_a_comment_is_kept_letter_by_letter_and_what_no_database_holds_is_replaced(store: Store) -> None:
    card = issued(store)
    comment = "<script>alert(1)</script> '; DROP TABLE feedback; -- 患者拒绝 😀"
    handle(store, "open", SERVICE, body(overridden(card.uuid, userComment=comment + "\x00\ud800")))
    assert rows(store)[0]["user_comment"] == comment + "\ufffd\ufffd"


def test_a_thousand_repeats_are_one_row(store: Store) -> None:
    card = issued(store)
    entry = overridden(card.uuid)
    for _ in range(10):
        handle(store, "open", SERVICE, body(*[entry] * 100))
    assert len(rows(store)) == 1


def test_the_same_time_in_another_spelling_is_a_repeat(store: Store) -> None:
    card = issued(store)
    for at in ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000+00:00", "2026-11-22t20:00:00+08:00"):
        handle(store, "open", SERVICE, body(overridden(card.uuid, at=at)))
    assert len(rows(store)) == 1


def test_another_time_is_another_row(store: Store) -> None:
    card = issued(store)
    handle(store, "open", SERVICE, body(*(overridden(card.uuid, at=f"2026-11-22T12:00:0{n}Z") for n in range(3))))
    assert len(rows(store)) == 3


def test_a_list_of_suggestions_may_grow(store: Store) -> None:
    suggestions = [str(uuid.uuid4()) for _ in range(3)]
    card = issued(store, suggestions=suggestions)
    handle(store, "open", SERVICE, body(accepted(card.uuid, suggestions[0])))
    handle(store, "open", SERVICE, body(accepted(card.uuid, *suggestions[:2])))
    handle(store, "open", SERVICE, body(accepted(card.uuid, suggestions[2])))
    assert {row["suggestion"] for row in rows(store, "accepted_suggestions")} == set(suggestions)
    assert len(rows(store)) == 1


def test_a_repeat_adds_a_reason_where_there_was_none_and_changes_none(store: Store) -> None:
    card = issued(store)
    reasons: list[dict[str, Any]] = [
        {},
        {"reason": {"code": "first", "system": "urn:a"}},
        {"reason": {"code": "second"}},
    ]
    for reason in reasons:
        handle(store, "open", SERVICE, body(overridden(card.uuid, **reason)))
    (row,) = rows(store)
    assert (row["reason_code"], row["reason_system"]) == ("first", "urn:a")


def test_ids_are_compared_without_regard_to_case(store: Store) -> None:
    card = issued(store)
    handle(store, "open", SERVICE, body(accepted(card.uuid.upper(), card.suggestions[0].upper())))
    assert len(rows(store)) == 1


# What is refused


def test_one_unknown_card_and_nothing_of_the_batch_is_stored(store: Store) -> None:
    cards = [issued(store) for _ in range(3)]
    batch = [overridden(card.uuid) for card in cards] + [overridden(str(uuid.uuid4()))]
    with pytest.raises(Refused) as refused:
        handle(store, "open", SERVICE, body(*batch))
    assert (refused.value.status, refused.value.field) == (404, "feedback[3].card")
    assert rows(store) == []


def test_a_card_of_another_tenant_or_service_is_unknown(store: Store) -> None:
    theirs = issued(store, tenant="hospital-a")
    elsewhere = issued(store, tenant="hospital-b", service="oncobone-patient-view")
    for card in (theirs, elsewhere):
        with pytest.raises(Refused) as refused:
            handle(store, "hospital-b", SERVICE, body(overridden(card.uuid)))
        assert refused.value.status == 404
    assert rows(store) == []


def test_a_suggestion_of_another_card_is_refused_and_nothing_stored(store: Store) -> None:
    first, second = issued(store), issued(store)
    with pytest.raises(Refused) as refused:
        handle(store, "open", SERVICE, body(overridden(first.uuid), accepted(second.uuid, first.suggestions[0])))
    assert (refused.value.status, refused.value.field) == (400, "feedback[1].acceptedSuggestions[0].id")
    assert rows(store) == []


GOOD = overridden("6f1c3a52-0000-4000-8000-000000000000")


def but(**changes: Any) -> bytes:
    return body({name: value for name, value in (GOOD | changes).items() if value is not ...})


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b"[]", "feedback"),
        (b"{}", "feedback"),
        (b'"feedback"', "feedback"),
        (json.dumps([GOOD]).encode(), "feedback"),
        (json.dumps(GOOD).encode(), "feedback"),
        (b'{"feedback": {}}', "feedback"),
        (b'{"feedback": []}', "feedback"),
        (b'{"feedback": null}', "feedback"),
        (body(*[GOOD] * (MAX_ITEMS + 1)), "feedback"),
        (body(GOOD, 7), "feedback[1]"),
        (but(card=...), "feedback[0].card"),
        (but(card=None), "feedback[0].card"),
        (but(card=""), "feedback[0].card"),
        (but(card=["x"]), "feedback[0].card"),
        (but(card="x" * 65), "feedback[0].card"),
        (but(outcome=...), "feedback[0].outcome"),
        (but(outcome="ignored"), "feedback[0].outcome"),
        (but(outcome=["accepted"]), "feedback[0].outcome"),
        (but(outcome="accepted"), "feedback[0].acceptedSuggestions"),
        (but(outcome="accepted", acceptedSuggestions=[]), "feedback[0].acceptedSuggestions"),
        (but(outcome="accepted", acceptedSuggestions="a"), "feedback[0].acceptedSuggestions"),
        (but(outcome="accepted", acceptedSuggestions=["a"]), "feedback[0].acceptedSuggestions[0]"),
        (but(outcome="accepted", acceptedSuggestions=[{"id": 1}]), "feedback[0].acceptedSuggestions[0].id"),
        (but(outcome="accepted", acceptedSuggestions=[{"id": "a"}] * 101), "feedback[0].acceptedSuggestions"),
        (but(overrideReason="no"), "feedback[0].overrideReason"),
        (but(overrideReason={"reason": "rechecked"}), "feedback[0].overrideReason.reason"),
        (but(overrideReason={"reason": {"display": "x"}}), "feedback[0].overrideReason.reason.code"),
        (but(overrideReason={"reason": {"code": 1}}), "feedback[0].overrideReason.reason.code"),
        (but(overrideReason={"userComment": ["x"]}), "feedback[0].overrideReason.userComment"),
        (but(overrideReason={"userComment": "x" * (MAX_COMMENT + 1)}), "feedback[0].overrideReason.userComment"),
        (but(outcomeTimestamp=...), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp=1795500946), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="yesterday"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="2026-11-22"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="2026-11-22T12:00:00"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="2026-02-30T12:00:00Z"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="2026-11-22T25:00:00Z"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="2026-11-22T12:00:61Z"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="0001-01-01T00:00:00+23:59"), "feedback[0].outcomeTimestamp"),
        (but(outcomeTimestamp="9999-12-31T23:59:60Z"), "feedback[0].outcomeTimestamp"),
        (b"", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b'{"feedback": NaN}', None),
        (b'{"feedback": [], "feedback": []}', None),
        (b'{"feedback": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
        (b'{"feedback": ' + b"9" * 10_000 + b"}", None),
    ],
)
def test_a_wrong_shape_is_refused_with_its_field(sent: bytes, field: str | None) -> None:
    with pytest.raises(Refused) as refused:
        parse(sent)
    assert (refused.value.status, refused.value.field) == (400, field)
    assert field is None or field in refused.value.diagnostics


def test_a_body_over_the_cap_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused) as refused:
        parse(b"[" * (feedback.MAX_BODY + 1))
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-22T12:00:00Z", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22T12:00:00.5Z", datetime(2026, 11, 22, 12, 0, 0, 500_000, UTC)),
        ("2026-11-22T12:00:00.123456789Z", datetime(2026, 11, 22, 12, 0, 0, 123_456, UTC)),
        ("2026-11-22T12:00:00-00:00", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22T12:00:00-05:30", datetime(2026, 11, 22, 17, 30, tzinfo=UTC)),
        ("2026-12-31T23:59:60Z", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_of_rfc_3339_are_read(sent: str, read: datetime) -> None:
    assert parse(but(outcomeTimestamp=sent))[0].outcome_at == read


def test_members_that_nobody_knows_are_passed_over() -> None:
    assert parse(but(extension={"com.example": 1}, acceptedSuggestions=None, overrideReason=None))


# Over HTTP


@pytest.fixture
def client(store: Store) -> FlaskClient:
    app = Flask(__name__)
    errors.register(app, print)
    app.register_blueprint(feedback.blueprint(lambda: store, lambda _: "open", lambda: [SERVICE]))
    return app.test_client()


def test_an_acknowledgement_holds_nothing_of_what_was_sent(store: Store, client: FlaskClient) -> None:
    card = issued(store)
    answer = client.post(
        f"/cds-services/{SERVICE}/feedback", json={"feedback": [overridden(card.uuid, userComment="Mrs Canary")]}
    )
    assert (answer.status_code, answer.get_json()) == (200, {"stored": 1})


def test_every_refusal_is_an_operation_outcome_that_quotes_nothing(store: Store, client: FlaskClient) -> None:
    for path, sent in (
        (f"/cds-services/{SERVICE}/feedback", {"feedback": [overridden("canary")]}),
        (f"/cds-services/{SERVICE}/feedback", {"feedback": [{"card": "canary", "outcome": "canary"}]}),
        ("/cds-services/unknown/feedback", {"feedback": [overridden("canary")]}),
    ):
        answer = client.post(path, json=sent)
        assert answer.status_code in (400, 404)
        assert answer.get_json()["resourceType"] == "OperationOutcome"
        assert "canary" not in answer.get_data(as_text=True)


def test_when_the_store_is_down_the_answer_is_503_with_retry_after(
    store: Store, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(store, "_run", down)
    answer = client.post(f"/cds-services/{SERVICE}/feedback", json={"feedback": [GOOD]})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.get_json()["issue"][0]["code"] == "transient"


def test_a_comment_never_reaches_the_log(
    store: Store, client: FlaskClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = issued(store)
    with caplog.at_level(logging.DEBUG):
        for sent in (overridden(card.uuid, userComment="Mrs Canary"), overridden("x", userComment="Mrs Canary")):
            client.post(f"/cds-services/{SERVICE}/feedback", json={"feedback": [sent]})
        # The worst case: the database itself complains about the row.
        with store._engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE accepted_suggestions"))
            connection.execute(sa.text("DROP TABLE feedback"))
        answer = client.post(
            f"/cds-services/{SERVICE}/feedback", json={"feedback": [overridden(card.uuid, userComment="Mrs Canary")]}
        )
    assert answer.status_code == 503
    assert "Canary" not in caplog.text


# The report


def test_the_report_counts_cards_by_rule_and_guidance_version(store: Store) -> None:
    both = issued(store, rules=["DOSE-003", "MON-001"])
    dose = issued(store, rules=["DOSE-003"])
    issued(store, rules=["DOSE-003"])
    later = issued(store, rules=["DOSE-003"], guidance="2027.01")
    handle(
        store,
        "open",
        SERVICE,
        body(
            accepted(both.uuid, both.suggestions[0]),
            overridden(dose.uuid, reason={"code": "rechecked", "system": "urn:a"}),
            overridden(later.uuid),
        ),
    )
    found = {(row.rule, row.guidance): row for row in report(store)}
    assert list(found) == [("DOSE-003", "2026.11"), ("DOSE-003", "2027.01"), ("MON-001", "2026.11")]
    row = found["DOSE-003", "2026.11"]
    assert (row.shown, row.accepted.count, row.overridden.count, row.reasons) == (3, 1, 1, {"rechecked": 1})
    assert (found["DOSE-003", "2027.01"].overridden.count, found["DOSE-003", "2027.01"].reasons) == (1, {})
    assert found["MON-001", "2026.11"].accepted.count == 1


def test_of_several_outcomes_of_a_card_the_latest_counts_in_whatever_order_they_came(store: Store) -> None:
    cards = [issued(store) for _ in range(2)]
    for card, order in zip(cards, ((0, 1), (1, 0)), strict=True):
        outcomes = (
            overridden(card.uuid, at="2026-11-22T12:00:00Z"),
            accepted(card.uuid, card.suggestions[0], at="2026-11-22T12:00:01Z"),
        )
        for n in order:
            handle(store, "open", SERVICE, body(outcomes[n]))
    (row,) = report(store)
    assert (row.shown, row.accepted.count, row.overridden.count) == (2, 2, 0)


def test_the_report_of_a_tenant_leaves_out_the_others(store: Store) -> None:
    issued(store, tenant="hospital-a")
    issued(store, tenant="hospital-b")
    assert [row.shown for row in report(store, "hospital-a")] == [1]
    assert [row.shown for row in report(store)] == [2]


@pytest.mark.parametrize(
    # Wilson intervals as in Newcombe RG, Statistics in Medicine 1998;17:857-872, table I (method 3)
    ("count", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_the_interval_of_wilson(count: int, of: int, low: float, high: float) -> None:
    found = share(count, of)
    assert found.value == count / of
    assert (round(found.low or 0, 4), round(found.high or 0, 4)) == (low, high)


def test_a_share_of_nothing_is_unknown() -> None:
    assert share(0, 0).value is None


def test_the_report_command_prints_a_table_csv_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", url)
    filled = open_store(url)
    card = issued(filled)
    reason: dict[str, Any] = {"reason": {"code": "rechecked"}, "userComment": "Mrs Canary"}
    handle(filled, "open", SERVICE, body(overridden(card.uuid, **reason)))
    filled.close()
    run = CliRunner().invoke
    table = run(feedback.commands, ["report"]).output
    assert "DOSE-003  2026.11   1      0         0%-79%" in table
    parsed = list(csv.DictReader(io.StringIO(run(feedback.commands, ["report", "--format", "csv"]).output)))
    assert parsed[0]["reasons"] == "rechecked 1"
    (row,) = json.loads(run(feedback.commands, ["report", "--format", "json"]).output)
    assert row["overridden"]["cards"] == row["shown"] == 1
    assert "Canary" not in table


def test_a_report_over_many_cards_stays_small(store: Store) -> None:
    many: list[tuple[str, list[str], list[str], str]] = [
        (str(uuid.uuid4()), ["DOSE-003"], [], "2026.11") for _ in range(3000)
    ]
    store.remember_cards("open", SERVICE, many)
    start = datetime(2026, 11, 22, tzinfo=UTC)
    for n in range(0, 3000, 500):
        batch = [
            overridden(each[0], at=(start + timedelta(seconds=n)).isoformat(), reason={"code": "rechecked"})
            for each in many[n : n + 500]
        ]
        handle(store, "open", SERVICE, body(*batch))
    (row,) = report(store)
    assert (row.shown, row.overridden.count, row.reasons) == (3000, 3000, {"rechecked": 3000})
    assert len(store.feedback_counts()) == 1
