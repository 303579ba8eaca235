"""What `docs/vendors.md` says of other people's systems: the settings can be used, and the shapes are read so."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from typing import Any

import pytest

from hooks.fhir_server.addresses import next_query
from hooks.settings import Settings
from hooks.trust.clients import Issuer
from hooks.views import Desk
from tests.conftest import ROOT
from tests.test_readme import blocks
from tests.wire import DAY, bundle, call_body

PAGE = ROOT / "docs" / "vendors.md"
SETTINGS = [tomllib.loads(block) for block in blocks(PAGE, "toml")]
SUBJECT = {"reference": "Patient/p-1"}


@pytest.mark.parametrize("given", SETTINGS, ids=lambda given: next(iter(given)))
def test_the_settings_of_each_system_can_be_used(given: dict[str, Any]) -> None:
    settings = Settings.model_validate(given)
    for client in settings.clients:
        if client.jku:  # a key file is the reader's own
            assert Issuer(client, lambda: 0.0).rings


def facts(prefetch: dict[str, Any], draft: dict[str, Any], given: dict[str, Any]) -> Any:
    body = call_body("order-sign")
    body["prefetch"] |= prefetch
    body["context"]["draftOrders"] = bundle(draft)
    desk = Desk.of(Settings.model_validate(given | {"now": DAY}))
    service = next(one for one in desk.services if one.hook == "order-sign")
    return desk.judge(json.dumps(body).encode(), [service])[1].mapped.facts


def result(name: str, text: str, value: float, unit: str, when: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"text": text},
        "subject": SUBJECT,
        "effectiveDateTime": when,
        "valueQuantity": {"value": value, "unit": unit},
    }


def condition(name: str, **code: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": name, "code": code, "subject": SUBJECT, "recordedDate": "2026-10-01"}


def test_a_chart_as_chinese_systems_send_it_is_read_with_the_settings_of_the_page() -> None:
    given = next(one for one in SETTINGS if one.get("language") == "zh-CN")
    draft = {
        "resourceType": "MedicationRequest",
        "id": "d1",
        "status": "draft",
        "intent": "order",
        "subject": SUBJECT,
        "medicationCodeableConcept": {"text": "唑来膦酸注射液"},
        "dosageInstruction": [{"text": "4mg 静滴 每28天一次"}],
    }
    local = [{"system": "http://hospital.example/icd-10", "code": "C79.500x002"}]
    read = facts(
        {
            "conditions": bundle(condition("c1", coding=local), condition("c2", text="肺癌待排")),
            "observations": bundle(
                result("o1", "血清钙(校)", 2.3, "mmol/公升", "20261118"),
                result("o2", "肌酐(酶法)", 132, "μmol/L", "2026年11月18日"),
            ),
        },
        draft,
        given,
    )
    assert read.fact("dx.bone_met").value is True
    assert not read.fact("dx.lung_cancer").is_known, "待排 is doubt"
    calcium, creatinine = read.fact("lab.ca_corr"), read.fact("lab.creatinine")
    assert (float(calcium.value), calcium.date) == (2.3, dt.date(2026, 11, 18))
    assert (float(creatinine.value), creatinine.date) == (132, dt.date(2026, 11, 18))
    (order,) = read.orders
    assert (order.drug, order.route.value) == ("zoledronic", "IV")
    assert (float(order.dose_mg.value), float(order.interval_days.value)) == (4, 28)


def remark(code: str, severity: str) -> dict[str, Any]:
    coding = [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": code}]
    issue = {"severity": severity, "code": "processing", "details": {"coding": coding}}
    entry = {"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome", "issue": [issue]}}
    return {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": [entry]}


@pytest.mark.parametrize(
    ("code", "severity", "known"), [("4101", "warning", True), ("59100", "information", True), ("4100", "fatal", False)]
)
def test_an_empty_search_in_epics_dress_is_empty_and_a_failure_is_none(code: str, severity: str, known: bool) -> None:
    draft = call_body("order-sign")["context"]["draftOrders"]["entry"][0]["resource"]
    read = facts({"allergies": remark(code, severity)}, draft, {})
    assert ("allergies" not in read.unavailable) is known


def test_pages_of_hapi_lie_under_the_base_and_are_followed() -> None:
    base = "https://hapi.example/fhir"
    link = f"{base}?_getpages=7c1d&_getpagesoffset=200&_count=200&_bundletype=searchset"
    assert next_query(link, base) == "?_getpages=7c1d&_getpagesoffset=200&_count=200&_bundletype=searchset"
    assert next_query(link.replace("hapi.example", "elsewhere.example"), base) is None
