"""An answered card is quiet for a while, for this patient and this content only; alerts are not."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from hooks import views
from hooks.application import create_app
from hooks.reference.samples import request_for
from hooks.settings import Settings
from hooks.store.quiet import TRACE, Quiet
from hooks.store.store import open_store
from hooks.store.tables import as_text
from tests.wire import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

EVALUATION = "org.oncobone.evaluation"
SERVICE = "/cds-services/oncobone-patient-view"
QUIET_SAMPLE = "lung-silent-bone-metastasis"
ALARMED_SAMPLE = "lung-denosumab-low-calcium"


def client(folder: Path, **settings: Any) -> FlaskClient:
    """A site of its own, with a store."""
    url = f"sqlite:///{folder / 'quiet.sqlite'}"
    chosen = Settings.model_validate({"now": DAY, "database_url": url} | settings)
    return create_app(chosen, store=open_store(url)).test_client()


def called(site: FlaskClient, name: str = QUIET_SAMPLE, instance: str = "1", **changes: Any) -> dict[str, Any]:
    body = request_for(name, "patient-view", hook_instance=instance) | changes
    answered = site.post(SERVICE, json=body)
    assert answered.status_code == 200
    found: dict[str, Any] = answered.get_json()
    return found


def answer(
    site: FlaskClient, card: dict[str, Any], outcome: str, reason: str | None = None, *, days_ago: int = 0
) -> None:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
    item: dict[str, Any] = {"card": card["uuid"], "outcome": outcome, "outcomeTimestamp": at.isoformat()}
    if outcome == "accepted":
        item["acceptedSuggestions"] = [{"id": card["suggestions"][0]["uuid"]}]
    if reason:
        item["overrideReason"] = {"reason": {"code": reason, "system": "urn:oncobone:override-reasons"}}
    assert site.post(f"{SERVICE}/feedback", json={"feedback": [item]}).status_code == 200


def first_quiet(body: dict[str, Any]) -> dict[str, Any]:
    return next(card for card in body["cards"] if card["indicator"] == "warning")


@pytest.mark.parametrize("outcome", ["overridden", "accepted"])
def test_an_answered_card_is_not_shown_again_and_the_evaluation_says_so(tmp_path: Path, outcome: str) -> None:
    site = client(tmp_path)
    before = called(site)
    card = first_quiet(before)
    answer(site, card, outcome, "patient-declines" if outcome == "overridden" else None)
    after = called(site, instance="2")
    assert [each["summary"] for each in after["cards"]] == [
        each["summary"] for each in before["cards"] if each is not card
    ]
    assert after["extension"][EVALUATION]["quieted"] == 1
    assert after["extension"][EVALUATION]["fired"] == before["extension"][EVALUATION]["fired"]
    assert b"oncobone_cards_quieted_total 1.0" in site.get("/metrics").data


def test_after_its_period_it_speaks_again(tmp_path: Path) -> None:
    site = client(tmp_path)
    card = first_quiet(called(site))
    answer(site, card, "overridden", "patient-declines", days_ago=31)
    assert card["summary"] in [each["summary"] for each in called(site, instance="2")["cards"]]


def test_an_alert_is_never_quiet_unless_its_reason_has_a_period_of_its_own(tmp_path: Path) -> None:
    site = client(tmp_path)
    card = next(each for each in called(site, ALARMED_SAMPLE)["cards"] if each["indicator"] == "critical")
    answer(site, card, "overridden", "being-corrected")
    assert card["summary"] in [each["summary"] for each in called(site, ALARMED_SAMPLE, "2")["cards"]]
    other = client(tmp_path, quiet_reasons={"being-corrected": 3})
    assert card["summary"] not in [each["summary"] for each in called(other, ALARMED_SAMPLE, "3")["cards"]]


@pytest.mark.parametrize("reasons", [{}, {"other": 3}])
def test_an_alert_is_not_quiet_because_the_callers_clock_is_ahead(tmp_path: Path, reasons: dict[str, float]) -> None:
    site = client(tmp_path, quiet_reasons=reasons)
    card = next(each for each in called(site, ALARMED_SAMPLE)["cards"] if each["indicator"] == "critical")
    answer(site, card, "overridden", "being-corrected", days_ago=-1)
    assert card["summary"] in [each["summary"] for each in called(site, ALARMED_SAMPLE, "2")["cards"]]


def received(folder: Path, days_ago: float) -> None:
    """Let all feedback have been received so many days ago, by the server's clock."""
    at = as_text(dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago))
    with sqlite3.connect(folder / "quiet.sqlite") as connection:
        connection.execute("UPDATE feedback SET received_at = ?", (at,))
    connection.close()


@pytest.mark.parametrize(("name", "indicator"), [(QUIET_SAMPLE, "warning"), (ALARMED_SAMPLE, "critical")])
@pytest.mark.parametrize("years", [1, 70])
def test_a_period_ends_however_far_a_clock_was_ahead(tmp_path: Path, name: str, indicator: str, years: int) -> None:
    """The clock of the caller, or also that of the server, which has been set right since."""
    site = client(tmp_path, quiet_reasons={"being-corrected": 3})
    card = next(each for each in called(site, name)["cards"] if each["indicator"] == indicator)

    def shown(instance: str) -> bool:
        return card["summary"] in [each["summary"] for each in called(site, name, instance)["cards"]]

    answer(site, card, "overridden", "being-corrected", days_ago=-365 * years)
    assert not shown("2")
    received(tmp_path, 3.1)
    assert shown("3")
    received(tmp_path, -365 * years)
    assert shown("4")


def test_the_newest_answer_counts_though_an_earlier_one_was_dated_ahead(tmp_path: Path) -> None:
    site = client(tmp_path, quiet_reasons={"being-corrected": 3})
    card = next(each for each in called(site, ALARMED_SAMPLE)["cards"] if each["indicator"] == "critical")
    answer(site, card, "overridden", "being-corrected", days_ago=-365)
    answer(site, card, "overridden", "other")
    assert card["summary"] in [each["summary"] for each in called(site, ALARMED_SAMPLE, "2")["cards"]]


def test_the_store_is_not_asked_of_what_cannot_be_quiet(tmp_path: Path) -> None:
    card = {"uuid": "1", "indicator": "critical", "extension": {TRACE: {"voice": "alert"}}}
    store = open_store(f"sqlite:///{tmp_path / 'quiet.sqlite'}")
    for days, reasons, asked in ((30, {}, 0), (30, {"other": 3}, 1), (0, {}, 0)):
        with patch.object(store, "answers", return_value={}) as answers:
            assert Quiet(store, days, reasons).heard("open", {"1": "key"}, [card]) == [card]
        assert answers.call_count == asked


def test_what_did_not_come_is_said_however_often_it_was_answered(tmp_path: Path) -> None:
    site = client(tmp_path, quiet_reasons={"other": 3})
    delivered = request_for(QUIET_SAMPLE, "patient-view")["prefetch"]
    broken = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    changes = {"prefetch": delivered | {"medications": broken}}
    first = called(site, **changes)
    assert [card["indicator"] for card in first["cards"]] == ["info"]
    answer(site, first["cards"][0], "overridden", "other")
    second = called(site, instance="2", **changes)
    assert [card["summary"] for card in second["cards"]] == [card["summary"] for card in first["cards"]]


def test_another_patient_with_the_same_card_hears_it(tmp_path: Path) -> None:
    site = client(tmp_path)
    card = first_quiet(called(site))
    answer(site, card, "overridden", "patient-declines")
    body = request_for(QUIET_SAMPLE, "patient-view", hook_instance="9")
    patient = body["context"]["patientId"]
    text = site.application.json.dumps(body).replace(patient, "somebody-else")
    other = site.post(SERVICE, data=text, content_type="application/json").get_json()
    assert card["summary"] in [each["summary"] for each in other["cards"]]


def test_without_feedback_nothing_changes(tmp_path: Path) -> None:
    site = client(tmp_path)
    first, second = called(site), called(site, instance="2")
    assert [card["summary"] for card in first["cards"]] == [card["summary"] for card in second["cards"]]
    assert "quieted" not in second["extension"][EVALUATION]


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(entry.record) for entry in open_store(f"sqlite:///{folder / 'quiet.sqlite'}").audit_entries()]


def test_each_call_is_recorded_once_with_the_cards_that_were_shown(tmp_path: Path) -> None:
    site = client(tmp_path)
    first = called(site)
    answer(site, first_quiet(first), "overridden", "patient-declines")
    second = called(site, instance="2")
    shadow = client(tmp_path, shadow=True)
    assert called(shadow, instance="3")["cards"] == []
    shown = [[card["uuid"] for card in body["cards"]] for body in (first, second)]
    assert [(record["status"], record.get("cards", [])) for record in recorded(tmp_path)] == [
        (200, each) for each in (*shown, [])
    ]


def test_an_answer_that_fails_after_it_was_recorded_is_recorded_as_failed(tmp_path: Path) -> None:
    site = client(tmp_path)
    body = request_for(QUIET_SAMPLE, "patient-view", hook_instance="1")
    with patch.object(views, "_tell", side_effect=ValueError):
        assert site.post(SERVICE, json=body).status_code == 500
    assert [record["status"] for record in recorded(tmp_path)] == [200, 500]


def test_nothing_of_the_patient_stands_in_what_is_kept_for_it(tmp_path: Path) -> None:
    site = client(tmp_path)
    called(site)
    patient = request_for(QUIET_SAMPLE)["context"]["patientId"]
    assert patient.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("quiet.sqlite*"))
