"""The form's routes: where it may be launched from, what its pages may reach, and that nothing is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire

from fhir_mapping.delivery.context import KEY_OF
from hooks.application import create_app
from hooks.configuration import load
from hooks.dossier.form import asking
from hooks.dossier.form.texts import texts
from hooks.settings import ClientSettings, Settings, SettingsError
from hooks.trust.launching import launch_url, servers
from recommenders.vocabulary.guidance import INDICATORS
from tests.ask_browser import sample

if TYPE_CHECKING:
    from flask.testing import FlaskClient

BASE = "https://ehr.example.org/r4"
PATIENT = "s13"


def settings(**more: Any) -> Settings:
    """A site that offers the form."""
    told = {"now": "2026-11-22", "fhir_servers": BASE, "smart_client_id": "oncobone-ask"}
    return Settings.model_validate(told | more)


@pytest.fixture
def client() -> FlaskClient:
    return create_app(settings()).test_client()


def posted(name: str = "femur-mirels-incomplete", **more: Any) -> dict[str, Any]:
    """What the page posts for a sample patient."""
    prefetch: dict[str, Any] = {
        key: {"resourceType": "Bundle", "type": "searchset", "entry": []} for key in KEY_OF.values()
    }
    for resource in sample(name):
        if resource["resourceType"] == "Patient":
            prefetch["patient"] = resource
        elif resource["resourceType"] in KEY_OF:
            prefetch[KEY_OF[resource["resourceType"]]]["entry"].append({"resource": resource})
    return {"patient": prefetch["patient"]["id"], "prefetch": prefetch} | more


def items(page: dict[str, Any]) -> list[str]:
    """All that is asked."""
    return [item["item"] for block in page["blocks"] for item in block["items"]]


def test_without_a_client_id_or_a_server_there_is_no_form() -> None:
    for more in ({"smart_client_id": None}, {"fhir_servers": ""}):
        site = settings(**{key: value for key, value in more.items() if value is not None})
        if more.get("smart_client_id", "") is None:
            site = Settings.model_validate({"fhir_servers": BASE})
        assert create_app(site).test_client().get("/ask").status_code == 404


def test_the_settings_are_read_from_the_environment() -> None:
    environment = {
        "ONCOBONE_SMART_CLIENT_ID": "abc",
        "ONCOBONE_SMART_AUTH_ORIGINS": "https://login.example.org, https://id.example.org",
        "ONCOBONE_SMART_FRAME_ANCESTORS": "https://ehr.example.org",
    }
    found = load(environ=environment)
    assert found.smart_client_id == "abc"
    assert found.smart_auth_origins == ("https://login.example.org", "https://id.example.org")
    with pytest.raises(SettingsError, match="SMART_AUTH_ORIGINS"):
        load(environ={"ONCOBONE_SMART_AUTH_ORIGINS": "https://login.example.org/path"})


def test_servers_of_the_site_and_of_its_clients_may_launch() -> None:
    own = ClientSettings(issuer="x", fhir_servers=("https://other.example.org/fhir/",))
    assert servers(settings(clients=(own,))) == (BASE, "https://other.example.org/fhir")


@pytest.mark.parametrize(
    "iss",
    [
        "https://evil.example.org/r4",
        "https://ehr.example.org/r4/../evil",
        "https://ehr.example.org/r4x",
        "https://ehr.example.org",
        "https://ehr.example.org:444/r4",
        "http://ehr.example.org/r4",
        "https://ehr.example.org@evil.example.org/r4",
        "https://ehr.example.org/r4?x=1",
        "https://ehr.example.org/r4#x",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_launch_from_anywhere_else_is_refused_without_a_word_of_it(client: FlaskClient, iss: str) -> None:
    answer = client.get("/ask/launch", query_string={"iss": iss, "launch": "abc"})
    assert answer.status_code == 403
    page = answer.get_data(as_text=True)
    assert 'data-step="refused"' in page
    assert not iss or iss == "https://ehr.example.org" or iss not in page


def test_a_launch_goes_on_with_the_configured_address(client: FlaskClient) -> None:
    answer = client.get("/ask/launch", query_string={"iss": f"{BASE}/", "launch": '"><script>'})
    assert answer.status_code == 200
    page = answer.get_data(as_text=True)
    assert BASE in page
    assert '"><script>' not in page


@pytest.mark.parametrize("path", ["/ask", "/ask/form", "/ask/static/main.js", "/ask/questionnaire"])
def test_a_page_reaches_only_ourselves_and_the_configured_servers(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self' https://ehr.example.org;" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    answer.close()


def test_a_site_may_trust_a_sign_in_elsewhere_and_embedding_by_its_ehr() -> None:
    site = settings(smart_auth_origins="https://login.example.org", smart_frame_ancestors="https://ehr.example.org")
    policy = create_app(site).test_client().get("/ask").headers["Content-Security-Policy"]
    assert "connect-src 'self' https://ehr.example.org https://login.example.org;" in policy
    assert "frame-ancestors https://ehr.example.org" in policy


def test_pages_hold_nothing_inline_and_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/ask").get_data(as_text=True)
    assert "<style" not in page
    assert " onclick" not in page
    assert page.count("<script") == 1
    assert 'src="/ask/static/main.js"' in page


def test_posts_of_other_sites_pages_are_refused(client: FlaskClient) -> None:
    for origin, status in (("https://evil.example.org", 403), ("null", 403), ("http://localhost", 200)):
        answer = client.post("/ask/questions", json=posted(), headers={"Origin": origin})
        assert answer.status_code == status, origin


def test_a_name_made_to_point_here_is_refused(client: FlaskClient) -> None:
    assert client.get("/ask", headers={"Host": "rebound.example.org"}).status_code == 403


def test_the_first_questions_take_half_a_minute_and_the_rest_can_be_unfolded(client: FlaskClient) -> None:
    page = client.post("/ask/questions", json=posted()).get_json()
    assert page["in_scope"]
    first = [block for block in page["blocks"] if not block["more"]]
    assert 1 <= len(first) <= 6
    assert len(items(page)) == len(set(items(page)))
    assert "lesions[Observation/obs-9].cortical_fraction" in items(page)
    assert "lesions[Observation/obs-9].pain" not in items(page)
    Questionnaire.model_validate(page["questionnaire"])


def test_what_the_card_asked_for_comes_first(client: FlaskClient) -> None:
    asked = ["long-pfs-expected", "systemic-effective", "not-a-fact", 9]
    page = client.post("/ask/questions", json=posted(missing=asked)).get_json()
    assert set(items(page)[:2]) == {"local.long_pfs_expected", "local.systemic_effective"}


def test_a_stale_value_is_shown_with_its_day_and_can_be_taken_again(client: FlaskClient) -> None:
    body = posted("lung-prognosis-unknown")
    body["prefetch"]["observations"]["entry"].append(
        {
            "resource": {
                "resourceType": "Observation",
                "id": "old",
                "status": "final",
                "code": {"coding": [{"system": "urn:oncobone:facts", "code": "life-expectancy"}]},
                "subject": {"reference": f"Patient/{body['patient']}"},
                "effectiveDateTime": "2026-06-01",
                "valueQuantity": {"value": 8, "unit": "mo", "system": "http://unitsofmeasure.org", "code": "mo"},
            }
        }
    )
    page = client.post("/ask/questions", json=body).get_json()
    (question,) = [
        item for block in page["blocks"] for item in block["items"] if item["item"] == "status.life_expectancy"
    ]
    assert "8.0 months" in question["note"]
    assert "2026-06-01" in question["note"]
    assert question["again"]["value"] == {"low": 8, "high": 8}


def test_known_facts_are_listed_with_value_and_day(client: FlaskClient) -> None:
    page = client.post("/ask/questions", json=posted()).get_json()
    assert any("2026-" in row["text"] for row in page["known"])
    assert not {row["label"] for row in page["known"]} & {"fit for surgery and anaesthesia"}


def test_the_verdict_moves_with_the_answers(client: FlaskClient) -> None:
    answers = [{"item": "lesions[Observation/obs-9].cortical_fraction", "value": 80}]
    moved = client.post("/ask/preview", json=posted(answers=answers)).get_json()
    assert {"label": "Mirels score", "before": "8–10", "after": "10"} in moved["values"]
    assert "MIRELS-004" in [rule["rule"] for rule in moved["fired"]]
    assert [rule["rule"] for rule in moved["dropped"]].count("MIRELS-005") == 1
    chinese = client.post("/ask/preview?language=zh-CN", json=posted(answers=answers)).get_json()
    assert "骨折风险" in chinese["fired"][0]["summary"]


def test_an_unknown_moves_nothing(client: FlaskClient) -> None:
    answers = [{"item": "lesions[Observation/obs-9].cortical_fraction", "value": None}]
    moved = client.post("/ask/preview", json=posted(answers=answers)).get_json()
    assert moved["values"] == []
    assert moved["fired"] == []


def test_answers_count_also_where_the_list_of_observations_did_not_come(client: FlaskClient) -> None:
    body = posted("lung-prognosis-unknown", answers=[{"item": "status.life_expectancy", "value": "under-3"}])
    del body["prefetch"]["observations"]
    moved = client.post("/ask/preview", json=body).get_json()
    assert "BP-003" in [rule["rule"] for rule in moved["fired"]]


def test_another_patients_record_is_refused(client: FlaskClient) -> None:
    answer = client.post("/ask/questions", json=posted() | {"patient": "somebody-else"})
    assert answer.status_code == 400
    assert "somebody-else" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", ["questions", "preview", "observations"])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"patient": 7, "prefetch": {}}', b"\xff", b'{"patient":"a","prefetch":{},"x":1}']
)
def test_a_body_that_is_none_is_refused_in_plain_words(client: FlaskClient, path: str, body: bytes) -> None:
    answer = client.post(f"/ask/{path}", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("raw", [b"7", b'"x"', b"[1]", b'{"resourceType":"Bundle","entry":7}', b'{"entry":{"a":1}}'])
def test_observations_of_an_odd_shape_do_not_bring_it_down(client: FlaskClient, raw: bytes) -> None:
    body = posted(answers=[{"item": "status.ecog", "value": 1}])
    body["prefetch"]["observations"] = json.loads(raw)
    for path in ("questions", "preview", "observations"):
        assert client.post(f"/ask/{path}", json=body).status_code in {200, 400}, path


def test_a_performer_that_is_no_person_is_left_out(client: FlaskClient) -> None:
    answers = [{"item": "status.ecog", "value": 1}]
    body = posted(answers=answers, performer="https://evil.example.org/Practitioner/1", encounter="Encounter/a b")
    made = client.post("/ask/observations", json=body).get_json()
    assert "performer" not in made["observations"][0]["resource"]
    assert "encounter" not in made["observations"][0]["resource"]


def test_what_is_written_names_the_patient_of_the_chart_and_what_it_answers(client: FlaskClient) -> None:
    answers = [{"item": "status.ecog", "value": 1}, {"item": "pain.nrs", "value": None}]
    made = client.post("/ask/observations", json=posted(answers=answers)).get_json()
    (entry,) = made["observations"]
    assert entry["items"] == ["status.ecog"]
    assert entry["resource"]["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert made["form"]["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert len(made["form"]["item"]) == 2
    assert "pain score: unknown" in made["text"]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_questions_are_served_as_a_valid_questionnaire_in_both_languages(
    client: FlaskClient, language: str
) -> None:
    answer = client.get(f"/ask/questionnaire?language={language}")
    assert answer.mimetype == "application/fhir+json"
    found = answer.get_json()
    Questionnaire.model_validate(found)
    ecog = next(item for item in found["item"] if item["linkId"] == "status.ecog")
    other = ecog["_text"]["extension"][0]["extension"]
    assert other[0]["valueCode"] != language
    assert [option["valueInteger"] for option in ecog["answerOption"]] == [0, 1, 2, 3, 4]
    one = client.get("/ask/questionnaire?fact=status.ecog&fact=lesions[].pain").get_json()
    assert [item["linkId"] for item in one["item"]] == ["status.ecog", "lesions"]
    assert "url" not in one
    assert client.get("/ask/questionnaire?fact=lab.creatinine").status_code == 404


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_form_that_a_response_names_is_served_at_that_address(language: str) -> None:
    client = create_app(settings(public_url="https://cds.example.org")).test_client()
    answers = [{"item": "status.ecog", "value": 1}]
    made = client.post(f"/ask/observations?language={language}", json=posted(answers=answers)).get_json()["form"]
    address, _, version = made["questionnaire"].partition("|")
    form = client.get(address.removeprefix("https://cds.example.org")).get_json()
    assert (form["url"], form["version"], form["language"]) == (address, version, language)
    (item,) = made["item"]
    assert item["text"] == next(asked["text"] for asked in form["item"] if asked["linkId"] == "status.ecog")
    assert client.get("/ask/questionnaire/fr").status_code == 404


# --- the link on a card -----------------------------------------------------------------------------------------


def cards(site: Settings, name: str = "femur-mirels-incomplete") -> list[dict[str, Any]]:
    """The cards of patient-view."""
    body = posted(name)
    asked = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/d1", "patientId": body["patient"]},
        "prefetch": body["prefetch"],
    }
    answer = create_app(site).test_client().post("/cds-services/oncobone-patient-view", json=asked)
    found: list[dict[str, Any]] = answer.get_json()["cards"]
    return found


def smart(card: dict[str, Any]) -> list[dict[str, Any]]:
    """Its links that launch an app."""
    return [link for link in card.get("links", ()) if link["type"] == "smart"]


def test_a_card_with_open_rules_launches_the_form_and_says_nothing_of_the_patient() -> None:
    found = cards(settings(public_url="https://cds.example.org"))
    links = [link for card in found for link in smart(card)]
    assert links
    for link in links:
        assert link["url"] == "https://cds.example.org/dossier/launch"
        context = json.loads(link["appContext"])
        assert set(context) == {"recommender", "missing"}
        assert context["missing"]
        assert "autolaunchable" not in link
        for word in (PATIENT, "Silva", "1970", "obs-9"):
            assert word not in json.dumps(link)
    for card in found:
        for link in card.get("links", ()):
            assert ("appContext" in link) == (link["type"] == "smart")


def test_cards_launch_nothing_without_https_address_client_id_or_server() -> None:
    for site in (
        settings(),
        settings(public_url="http://cds.example.org"),
        Settings.model_validate({"now": "2026-11-22", "fhir_servers": BASE, "public_url": "https://cds.example.org"}),
        settings(public_url="https://cds.example.org", fhir_servers=""),
    ):
        assert launch_url(site) is None
        assert not [link for card in cards(site) for link in smart(card)]


def test_on_this_machine_a_card_launches_without_https() -> None:
    site = settings(public_url="http://127.0.0.1:8080")
    assert launch_url(site) == "http://127.0.0.1:8080/dossier/launch"
    assert [link for card in cards(site) for link in smart(card)]


@pytest.mark.parametrize("door", ["ask", "dossier"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_chart_has_its_dossier_which_keeps_nothing(client: FlaskClient, door: str, language: str) -> None:
    answer = client.post(f"/{door}/view?language={language}", json=posted())
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert answer.headers["Cache-Control"] == "no-store"
    page = answer.get_data(as_text=True)
    assert f'<article class="dossier" lang="{language}">' in page
    assert "<script" not in page


def test_for_a_client_that_cannot_launch_the_card_says_in_words_what_is_missing() -> None:
    for card in cards(settings()):
        if card["extension"]["org.oncobone.trace"].get("indeterminate"):
            assert "Not known, and what it would change" in card["detail"]


def test_every_word_of_the_form_is_used_and_said_in_both_languages() -> None:
    folder = Path(asking.__file__).parent
    source = "".join(
        path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.suffix in {".py", ".js", ".html"}
    )
    made = {
        "value_": asking.SHOWN_VALUES,
        "indicator_": INDICATORS,
        "span_": ("low", "high", "own"),
        "right_": ("side",),
        "left_": ("side",),
    }
    known = {f"{head}{tail}" for head, tails in made.items() for tail in tails}
    for key in texts("en"):
        assert key in known or re.search(rf"[\"'.]{key}\b", source), key
        assert texts("zh-CN")[key] != texts("en")[key]
    assert known <= set(texts("en"))
