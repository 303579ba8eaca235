"""What a site may choose about who hears what: the shadow, and the voice of each rule."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hooks.application import create_app
from hooks.configuration import load
from hooks.reference.samples import request_for, samples
from hooks.settings import Settings, SettingsError
from hooks.store.store import open_store
from hooks.tools.cli import main
from hooks.trust.keys import public_jwk
from tests.test_wire_signed import CALL, FHIR, ISSUER, KEY, PUBLIC, bearer
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hooks.store.store import Store

VIEW = "oncobone-patient-view"
SAMPLE = "lung-denosumab-low-calcium"
"""An alert: calcium has fallen on denosumab (MON-004)."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}", audit_key_file=tmp_path / "key")
    yield opened
    opened.close()


def asked(store: Store, settings: dict[str, Any], service: str = VIEW, name: str = SAMPLE) -> Any:
    app = create_app(Settings.model_validate({"now": DAY} | settings), store=store)
    answered = app.test_client().post(f"/cds-services/{service}", json=request_for(name, "patient-view"))
    assert answered.status_code == 200
    return answered.get_json()


def evaluation(answered: Any) -> Any:
    return answered["extension"]["org.oncobone.evaluation"]


SHADOWS: list[tuple[dict[str, Any], str]] = [
    ({"shadow": True}, VIEW),
    ({"services": [{"id": "trial", "hook": "patient-view", "shadow": True}]}, "trial"),
]


@pytest.mark.parametrize(("settings", "service"), SHADOWS)
def test_in_the_shadow_all_is_judged_and_recorded_and_no_card_is_shown(
    settings: dict[str, Any], service: str, store: Store
) -> None:
    usual = asked(store, {})
    assert usual["cards"], "an alert"
    told = asked(store, settings, service)
    assert told["cards"] == []
    assert evaluation(told)["shadow"] is True
    assert evaluation(told)["unshown_cards"] == len(usual["cards"])
    assert evaluation(told)["fired"] == evaluation(usual)["fired"]
    kept = [json.loads(entry.record) for entry in store.audit_entries()]
    assert sorted(kept[-1]["fired"]) == sorted(evaluation(usual)["fired"]), "the record knows what would have been said"
    assert not kept[-1].get("cards"), "and that nobody was told"


def test_a_card_that_nobody_was_shown_takes_no_feedback(store: Store) -> None:
    """Its id is known from an answer that another store gave; here it was never issued."""
    settings = Settings.model_validate({"now": DAY, "shadow": True})
    shadowed = create_app(settings, store=store).test_client()
    assert shadowed.post(f"/cds-services/{VIEW}", json=request_for(SAMPLE, "patient-view")).status_code == 200
    usual = create_app(Settings.model_validate({"now": DAY})).test_client()
    card = usual.post(f"/cds-services/{VIEW}", json=request_for(SAMPLE, "patient-view")).get_json()["cards"][0]
    item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": f"{DAY}T12:00:00Z"}
    assert shadowed.post(f"/cds-services/{VIEW}/feedback", json={"feedback": [item]}).status_code == 404


def test_a_client_may_be_in_the_shadow_while_others_are_not(tmp_path: Path, store: Store) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public_jwk(KEY, "ES384", "k1")]}), encoding="utf-8")
    for shadow in (True, False):
        entry = {"issuer": ISSUER, "keys_file": tmp_path / "jwks.json", "fhir_servers": [FHIR], "shadow": shadow}
        settings = {"auth": "signed", "public_url": PUBLIC, "clients": [entry], "now": DAY}
        client = create_app(Settings.model_validate(settings), store=store).test_client()
        told = client.post(CALL, json=request_for(SAMPLE, "patient-view"), headers=bearer(CALL)).get_json()
        assert bool(told["cards"]) is not shadow
        assert evaluation(told).get("shadow", False) is shadow


def test_a_site_may_quieten_an_alert_only_by_name_and_says_who_decided(store: Store) -> None:
    voice = {"voice": {"MON-004": "reference"}}
    with pytest.raises(ValueError, match="say in decided_by who decided that"):
        Settings.model_validate({"now": DAY} | voice)
    told = asked(store, voice | {"decided_by": "Drug and therapeutics committee, 2026-11-02"})
    assert all("MON-004" not in card["extension"]["org.oncobone.trace"]["fired"] for card in told["cards"])
    assert "MON-004" in evaluation(told)["fired"], "it is not said, and still on record"


def test_a_task_is_not_made_an_alert_and_what_is_no_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="may make a task quieter, not louder"):
        Settings.model_validate({"voice": {"DOSE-003": "alert"}})
    with pytest.raises(ValueError, match="is no rule"):
        Settings.model_validate({"voice": {"DOSE-999": "task"}})


def test_a_mistake_in_a_voice_stops_the_start_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('[voice]\nMON-004 = "reference"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="decided_by"):
        load({"config": str(file)}, {})


@pytest.mark.usefixtures("day_of_the_tests")
def test_the_check_of_the_settings_says_what_is_quieter_and_that_nothing_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('shadow = true\ndecided_by = "Committee"\n[voice]\nMON-004 = "reference"\n', encoding="utf-8")
    done = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert done.exit_code == 0, done.output
    assert "In the shadow: every call is judged and recorded, and no card is shown" in done.output
    assert "MON-004 speaks as reference, by the site's own choice (decided by: Committee)" in done.output


def test_only_a_draft_of_the_same_call_is_ever_deleted() -> None:
    deleted = 0
    app = create_app(Settings.model_validate({"now": DAY})).test_client()
    for sample in samples():
        for hook in ("patient-view", "order-select", "order-sign"):
            body = request_for(sample.name, hook)
            entries = body["context"].get("draftOrders", {}).get("entry", ())
            drafts = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in entries}
            for card in app.post(f"/cds-services/oncobone-{hook}", json=body).get_json()["cards"]:
                for suggestion in card.get("suggestions", ()):
                    gone = {action["resourceId"] for action in suggestion["actions"] if action["type"] == "delete"}
                    deleted += len(gone)
                    assert gone <= drafts, sample.name
    assert deleted, "one of the samples has such a button"
