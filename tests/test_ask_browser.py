"""The form in Chromium, from a card's link to the Observations in the EHR, and every refusal on the way."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests import browser, oauth_fhir
from tests.ask_browser import Form, chromium, sample, site
from tests.oauth_fhir import HANG, Chart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask
    from selenium import webdriver

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PATIENT = "s13"
FRACTION = "lesions[Observation/obs-9].cortical_fraction"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser.needed()
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def ehr() -> Iterator[oauth_fhir.Server]:
    with oauth_fhir.serving(Chart()) as server:
        yield server


@pytest.fixture(scope="module")
def served(ehr: oauth_fhir.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Flask]]:
    with site(ehr.base, tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def chart(ehr: oauth_fhir.Server) -> Chart:
    """A fresh chart of the woman whose Mirels score is incomplete."""
    ehr.chart = Chart(patient=PATIENT)
    ehr.chart.add(*sample("femur-mirels-incomplete"))
    return ehr.chart


@pytest.fixture
def form(driver: webdriver.Chrome, chart: Chart) -> Iterator[Form]:
    driver.set_window_size(1200, 1200)
    driver.get("about:blank")
    driver.get_log("browser")  # type: ignore[no-untyped-call] # what earlier tests left
    yield Form(driver)
    driver.execute_script("window.onbeforeunload = null; sessionStorage.clear && sessionStorage.clear()")


def call(app: Flask, chart: Chart, language: str = "en") -> dict[str, Any]:
    """Open the chart: the hook, with the server's data as prefetch."""
    kinds = {
        "conditions": "Condition",
        "observations": "Observation",
        "medications": "MedicationRequest",
        "procedures": "Procedure",
        "allergies": "AllergyIntolerance",
        "medicationAdministrations": "MedicationAdministration",
        "serviceRequests": "ServiceRequest",
    }
    prefetch: dict[str, Any] = {
        key: {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in chart.of(kind)]}
        for key, kind in kinds.items()
    }
    prefetch["patient"] = chart.resources[f"Patient/{PATIENT}"]
    asked = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/d1", "patientId": PATIENT},
        "prefetch": prefetch,
    }
    answer = app.test_client().post(
        "/cds-services/oncobone-patient-view", json=asked, headers={"Accept-Language": language}
    )
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def smart_link(answer: dict[str, Any], recommender: str) -> dict[str, Any]:
    """The link of that recommender's card that launches the form."""
    links = [
        link
        for card in answer["cards"]
        if card["extension"]["org.oncobone.trace"]["recommender"] == recommender
        for link in card.get("links", ())
        if link["type"] == "smart"
    ]
    found: dict[str, Any] = links[0]
    return found


def evaluation(answer: dict[str, Any]) -> dict[str, Any]:
    """What the call says of itself."""
    found: dict[str, Any] = answer["extension"]["org.oncobone.evaluation"]
    return found


def launched(form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], **more: Any) -> None:
    """Launch from the EHR with the patient open."""
    form.driver.get(ehr.launch(f"{served[0]}/ask/launch", PATIENT, **more))
    form.ready()
    assert form.trouble() == ""


def test_from_a_card_through_three_answers_to_a_changed_card(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    before = call(served[1], chart)
    assert "MIRELS-004" not in evaluation(before)["fired"]
    link = smart_link(before, "surgical-timing")
    context = json.loads(link["appContext"])
    assert context["recommender"] == "surgical-timing"
    assert "lesions[].cortical_fraction" in context["missing"]
    assert PATIENT not in json.dumps(link)
    launched(form, ehr, (link["url"].removesuffix("/dossier/launch"), served[1]), app_context=link["appContext"])
    assert "Silva" in form.find("#patient").text
    assert urlsplit(form.driver.current_url).query == ""
    form.type(FRACTION, "80")
    form.choose("spine.neuro_deficit", "no")
    form.choose("status.fit_for_surgery", "yes")
    changes = form.until(lambda: "→ 1" in form.changes() and "MIRELS-004" in form.changes() and form.changes())
    assert "Mirels" in changes
    form.save()
    assert form.outcomes() == [("saved", "")] * 4
    assert "All answers are saved" in form.find("#sum").text
    response, *observations = chart.written()
    assert response["resourceType"] == "QuestionnaireResponse"
    assert len(observations) == 3
    for one in observations:
        assert one["derivedFrom"] == [{"reference": f"QuestionnaireResponse/{response['id']}"}]
        assert one["performer"] == [{"reference": "Practitioner/d1"}]
        assert one["encounter"] == {"reference": "Encounter/e1"}
    after = evaluation(call(served[1], chart))
    assert "MIRELS-004" in after["fired"]
    assert not any("spine.neuro_deficit" in one["missing"] for one in after.get("indeterminate", ()))
    # What was answered is not asked again.
    form.driver.get("about:blank")
    launched(form, ehr, served)
    items = [one.get_attribute("data-item") for one in form.driver.find_elements("css selector", "fieldset")]
    assert not {FRACTION, "spine.neuro_deficit", "status.fit_for_surgery"} & set(items)
    assert form.complaints() == []


def test_a_standalone_start_chooses_a_listed_server(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask]
) -> None:
    form.driver.get(f"{served[0]}/ask?language=zh-CN")
    button = form.find("#choose button")
    assert button.text == ehr.base
    button.click()
    form.ready()
    assert "Silva" in form.find("#patient").text
    assert form.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    assert "患者" in form.find("#patient").text


def test_what_a_page_does_not_hold_is_read_page_by_page(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    assert sum("_start=" in path for method, path, _ in chart.seen if method == "GET") > 2
    assert all(token is None or token.startswith("Bearer ") for _, _, token in chart.seen)
    assert not any("Bearer" in path or "access_token" in path for _, path, _ in chart.seen)


def test_medications_that_orders_refer_to_are_read_and_results_category_by_category_where_all_are_refused(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    chart.wants_category = True
    subject = {"reference": f"Patient/{PATIENT}"}
    order: dict[str, Any] = {
        "resourceType": "MedicationRequest",
        "id": "by-name",
        "status": "active",
        "intent": "order",
    }
    order |= {"medicationReference": {"reference": "Medication/deno"}, "subject": subject, "authoredOn": "2026-11-01"}
    chart.add(order, {"resourceType": "Medication", "id": "deno", "code": {"text": "denosumab 120 mg"}})
    form.driver.get(ehr.launch(f"{served[0]}/dossier/launch", PATIENT))
    assert "Mirels" in form.find("#dossier .dossier #bones").text, "the results came"
    assert "denosumab" in form.find("#dossier").text.lower(), "the drug is known"
    asked = [path for method, path, _ in chart.seen if method == "GET"]
    assert any(path.endswith("/Medication/deno") for path in asked)
    assert sum("&category=" in path for path in asked) >= 9
    scope = next(path for path in asked if path.startswith("/authorize"))
    assert "patient%2FMedication.r" in scope


# --- saving that fails ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "why"),
    [(403, "why_403"), (409, "why_409"), (422, "why_422"), (500, "why_500")],
)
def test_a_refused_entry_is_named_and_the_others_are_saved(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart, status: int, why: str
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    form.choose("status.fit_for_surgery", "yes")
    chart.fail["Observation"] = [status]
    form.save()
    assert form.outcomes() == [("saved", ""), ("failed", why), ("saved", "")]
    assert len([one for one in chart.written() if one["resourceType"] == "Observation"]) == 1
    assert form.find('fieldset[data-item="spine.neuro_deficit"] input[value="no"]').is_selected()
    form.click(form.find("#after .main"))
    form.until(lambda: len([one for one in chart.written() if one["resourceType"] == "Observation"]) == 2)
    form.saved()
    assert "All answers are saved" in form.find("#sum").text


def test_a_server_that_takes_no_form_still_takes_the_answers(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    chart.fail["QuestionnaireResponse"] = [403]
    form.save()
    assert form.outcomes() == [("failed", "why_403"), ("saved", "")]
    (observation,) = chart.written()
    assert "derivedFrom" not in observation


def test_an_ended_sign_in_keeps_the_answers_through_a_new_one(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    chart.expire()
    form.save()
    assert form.outcomes()[0] == ("failed", "why_401")
    assert chart.written() == []
    form.click(form.find("#after .main"))
    form.until(lambda: "signed in again" in form.find("#state").text)
    assert form.find('fieldset[data-item="spine.neuro_deficit"] input[value="no"]').is_selected()
    form.save()
    assert form.outcomes() == [("saved", "")] * 2


def test_a_refresh_token_renews_the_sign_in_unseen(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    chart.gives_refresh, chart.refreshed_patient = True, PATIENT
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    chart.expire()
    form.save()
    assert form.outcomes() == [("saved", "")] * 2


def test_a_lost_reply_is_looked_up_before_anything_is_sent_again(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    form.choose("status.fit_for_surgery", "yes")
    chart.fail["Observation"] = [HANG]
    form.save()
    assert form.outcomes() == [("saved", ""), ("failed", "why_timeout"), ("not-tried", "")]
    assert "1" not in form.find("#sum").text.split("of")[0]
    form.click(form.find("#after .main"))
    form.until(lambda: len(chart.written()) == 3)
    form.saved()
    assert form.outcomes() == [("saved", "")] * 3
    assert len([one for one in chart.written() if one["resourceType"] == "Observation"]) == 2


def test_answers_that_nobody_keeps_can_be_copied_and_still_count_in_this_view(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.type(FRACTION, "80")
    chart.fail = {"Observation": [403] * 9, "QuestionnaireResponse": [403] * 9}
    form.until(lambda: "MIRELS-004" in form.changes())
    form.save()
    assert form.outcomes() == [("failed", "why_403")] * 2
    assert "MIRELS-004" in form.changes()
    form.click(form.find("#copy"))
    text = form.until(lambda: form.find("#text").get_attribute("value"))
    assert "80%" in text
    assert chart.written() == []


# --- refusals -------------------------------------------------------------------------------------------------


def nothing_happened(chart: Chart) -> None:
    """Nothing was read with a token, and nothing was written."""
    assert chart.written() == []
    assert not any(token for _, _, token in chart.seen)


def test_a_launch_from_a_server_that_is_not_listed_is_refused(
    form: Form, served: tuple[str, Flask], chart: Chart
) -> None:
    with oauth_fhir.serving(Chart()) as stranger:
        form.driver.get(stranger.launch(f"{served[0]}/ask/launch"))
        assert "not one of those set up here" in form.refusal()
        assert stranger.chart.seen == []


@pytest.mark.parametrize("query", ["?code=abc&state=forged", "?code=abc", "", f"?code=abc&state={'A' * 43}"])
def test_a_sign_in_that_was_not_started_here_is_refused(
    form: Form, served: tuple[str, Flask], chart: Chart, query: str
) -> None:
    form.driver.get(f"{served[0]}/ask/form{query}")
    assert "not started here" in form.refusal()
    assert chart.token_calls == []
    nothing_happened(chart)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_a_sign_in_on_a_foreign_origin_is_refused(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart, name: str
) -> None:
    with oauth_fhir.serving(Chart()) as stranger:
        chart.discovery[name] = f"{stranger.origin}/token"
        form.driver.get(ehr.launch(f"{served[0]}/ask/launch", PATIENT))
        assert "another place" in form.refusal()
        assert stranger.chart.seen == []
        nothing_happened(chart)


def test_an_insecure_sign_in_is_refused(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    chart.discovery["token_endpoint"] = "http://ehr.example.org/token"
    form.driver.get(ehr.launch(f"{served[0]}/ask/launch", PATIENT))
    assert "another place" in form.refusal()


def test_a_redirect_to_a_foreign_server_is_not_followed(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    with oauth_fhir.serving(Chart()) as stranger:
        chart.redirect_reads_to = f"{stranger.base}/Patient/{PATIENT}"
        form.driver.get(ehr.launch(f"{served[0]}/ask/launch", PATIENT))
        assert "could not be read" in form.refusal()
        assert stranger.chart.seen == []


def test_a_sign_in_without_a_patient_is_refused(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    form.driver.get(ehr.launch(f"{served[0]}/ask/launch", None))
    assert "did not say which patient" in form.refusal()
    nothing_happened(chart)


def test_a_record_of_another_patient_is_refused(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    chart.resources[f"Patient/{PATIENT}"] = {**chart.resources[f"Patient/{PATIENT}"], "id": "someone-else"}
    form.driver.get(ehr.launch(f"{served[0]}/ask/launch", PATIENT))
    assert "another patient" in form.refusal()
    assert chart.written() == []


def test_a_refreshed_token_for_another_patient_stops_everything(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    chart.gives_refresh, chart.refreshed_patient = True, "p2"
    chart.add({"resourceType": "Patient", "id": "p2"})
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    chart.expire()
    form.click(form.find("#save"))
    assert "another patient" in form.refusal()
    assert not form.driver.find_element("id", "work").is_displayed()
    assert chart.written() == []


def test_a_new_sign_in_as_another_patient_stops_everything(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    chart.expire()
    form.save()
    chart.patient = "p2"
    chart.add({"resourceType": "Patient", "id": "p2"})
    form.click(form.find("#after .main"))
    assert "another patient" in form.refusal()
    assert chart.written() == []


def test_a_patient_switched_in_the_ehr_stops_everything(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    chart.access = dict.fromkeys(chart.access, "p2")  # the same token now opens another record
    form.click(form.find("#save"))
    assert "another patient" in form.refusal()
    assert chart.written() == []


def test_another_launch_in_the_same_tab_stops_the_form_before_it(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    form.driver.execute_script("sessionStorage.setItem('oncobone.ask.open', 'another')")
    form.click(form.find("#save"))
    assert "another patient" in form.refusal()
    assert chart.written() == []


def test_an_app_context_that_names_no_fact_of_ours_is_ignored(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    odd = json.dumps({"recommender": "x", "missing": ["<script>alert(1)</script>", "lab.creatinine", 7]})
    launched(form, ehr, served, app_context=odd)
    assert form.driver.find_elements("css selector", "fieldset")
    assert form.complaints() == []


def test_the_dossier_opens_from_the_card_and_the_questions_are_its_tab(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    form.driver.get(ehr.launch(f"{served[0]}/dossier/launch", PATIENT))
    assert "Mirels" in form.find("#dossier .dossier #bones").text
    assert "Silva" in form.find("#patient").text
    assert not form.find("#questions").is_displayed()
    form.click(form.find("#tab-questions"))
    form.ready()
    form.type(FRACTION, "80")
    form.save()
    form.click(form.find("#tab-dossier"))
    form.until(lambda: "80.0%" in form.find("#dossier #bones").text)  # the chart was read again
    form.find('button[data-language="zh-CN"]').click()
    form.until(lambda: "骨骼" in form.find("#dossier").text)
    assert urlsplit(form.driver.current_url).query == ""
    assert form.complaints() == []


def test_a_saved_answer_can_be_corrected_and_the_old_entry_is_marked(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    form.save()
    assert not form.find('fieldset[data-item="spine.neuro_deficit"] input[value="yes"]').is_enabled()
    form.click(form.find('[data-correct="spine.neuro_deficit"] button'))
    form.choose("spine.neuro_deficit", "yes")
    form.save()
    form.until(lambda: ("amended", "") in form.outcomes())
    old, new = (one for one in chart.written() if one["resourceType"] == "Observation")
    assert (old["valueBoolean"], chart.resources[f"Observation/{old['id']}"]["status"]) == (False, "entered-in-error")
    assert (new["valueBoolean"], new["status"]) == (True, "final")


# --- for everybody ----------------------------------------------------------------------------------------------


def test_a_lesion_is_entered_by_pointing_with_the_keyboard_alone(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.driver.execute_script(
        "[...document.querySelectorAll('button')].find((b) => b.textContent === 'Add a lesion').click()"
    )
    spot = form.find('[data-item="lesions[new-1].site"] .spot[tabindex="0"]')
    form.driver.execute_script("arguments[0].focus()", spot)
    for key in ("\ue015", "\ue015", " "):
        form.driver.switch_to.active_element.send_keys(key)
    chosen = form.find('[data-item="lesions[new-1].site"] .spot[aria-checked="true"]')
    code = chosen.get_attribute("data-code")
    assert form.find('[data-item="lesions[new-1].site"] select').get_attribute("value") == code
    form.save()
    observation = chart.written()[-1]
    assert observation["component"][0]["valueCodeableConcept"]["coding"][0]["code"] == code
    assert "focus" not in observation


def test_every_field_has_a_name_and_the_page_speaks_both_languages(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    launched(form, ehr, served)
    form.choose("spine.neuro_deficit", "no")
    form.open_more()
    nameless = form.driver.execute_script(
        "return [...document.querySelectorAll('#form input, #form select, #form textarea')].filter((one) =>"
        " !one.labels?.length && !one.getAttribute('aria-label')).length"
    )
    assert nameless == 0
    assert form.driver.find_elements("css selector", "fieldset > legend")
    form.find('button[data-language="zh-CN"]').click()
    form.until(lambda: "脊柱" in form.find("#form").text)
    assert form.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    assert form.find('fieldset[data-item="spine.neuro_deficit"] input[value="no"]').is_selected()
    form.until(lambda: "未决" in form.changes())
    form.save()
    assert chart.written()[-1]["code"]["text"] == "神经功能障碍"


PHONE = {"width": 390, "height": 740, "deviceScaleFactor": 1, "mobile": True}
SPOTS = """
const boxes = [...document.querySelectorAll('.spot')].map((one) => one.getBoundingClientRect());
return [Math.min(...boxes.map((box) => Math.min(box.width, box.height))), boxes.length]
"""
OVER_THE_KEYBOARD = """
const field = document.querySelector(arguments[0]);
field.focus();
field.scrollIntoView({block: 'nearest'});
const [above, own] = [document.getElementById('moved'), field].map((one) => one.getBoundingClientRect());
return [above.top, above.bottom, own.top, own.bottom, innerHeight]
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_the_form_is_for_thumbs_and_for_everybody(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart, tmp_path: Path, width: int
) -> None:
    """Nothing scrolls sideways, spots of both sides are 24 px wide, axe finds nothing, light and dark."""
    size = PHONE | {"width": width, "mobile": width < 500}
    form.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for scheme in ("light", "dark"):
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            form.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            launched(form, ehr, served)
            form.driver.execute_script(
                "[...document.querySelectorAll('button')].find((b) => b.textContent === 'Add a lesion').click()"
            )
            form.find('[data-item="lesions[new-1].site"] .spot')
            form.open_more()
            assert form.driver.execute_script("return document.documentElement.scrollWidth") <= width
            smallest, number = form.driver.execute_script(SPOTS)
            assert smallest >= 24
            assert number > 30, "both sides"
            assert browser.findings(form.driver) == []
            told = form.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            (tmp_path / f"form-{width}-{scheme}.png").write_bytes(base64.b64decode(told["data"]))
    finally:
        form.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        form.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_answers_change_stays_in_sight_above_a_keyboard(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    form.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        launched(form, ehr, served)
        form.open_more()
        form.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE | {"height": 420})  # a keyboard opens
        field = f'fieldset[data-item="{FRACTION}"] .entry input:not([type="checkbox"])'
        top, bottom, own_top, own_bottom, height = form.driver.execute_script(OVER_THE_KEYBOARD, field)
        assert 0 <= top < bottom <= own_top, "above the field, not upon it"
        assert own_bottom <= height
    finally:
        form.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_hostile_chart_runs_nothing(
    form: Form, ehr: oauth_fhir.Server, served: tuple[str, Flask], chart: Chart
) -> None:
    name = "<img src=x onerror=alert(1)>"
    chart.resources[f"Patient/{PATIENT}"]["name"] = [{"text": name}]
    launched(form, ehr, served)
    assert name in form.find("#patient").text
    assert form.complaints() == []
