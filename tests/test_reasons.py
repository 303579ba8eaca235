"""Why a fact is unknown survives to the card: never "no result on record" where there is one."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from fhir_mapping.chart import read_chart
from hooks.cards.wording import LANGUAGES, Language, Speaker, has_phrase
from recommenders.assessing.assessment import assess
from recommenders.patient.recency import as_seen
from recommenders.vocabulary.facts import Reason
from tests.fhir import (
    LOINC,
    NOW,
    RXNORM,
    SUBJECT,
    administration,
    chart,
    coded,
    condition,
    days_ago,
    observation,
    patient,
    prefetch,
    quantity,
    reasons,
    report,
)

if TYPE_CHECKING:
    from recommenders.vocabulary.facts import Fact

Json = dict[str, Any]
CREATININE = "2160-0"
UNIT = quantity(90, "umol/L")
LUNG = condition("lung", coded("http://hl7.org/fhir/sid/icd-10", "C34.1"))


def creatinine(*resources: Json) -> Fact:
    return chart(*resources).facts.lab.creatinine


def said(facts: Any, fact: Fact, language: Language) -> str:
    found = Speaker(assess(facts, "patient-view"), language).why_unknown(fact)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("told", "reason", "en", "zh"),
    [
        ({"status": "registered"}, "pending", "pending", "待回报"),
        ({"status": "preliminary", "valueQuantity": UNIT}, "pending", "pending", "待回报"),
        ({"valueString": "hemolyzed"}, "haemolysed", "haemolysed", "溶血"),
        ({"valueString": "标本溶血"}, "haemolysed", "haemolysed", "溶血"),
        ({"note": [{"text": "Sample hemolysed"}]}, "haemolysed", "haemolysed", "溶血"),
        ({"valueString": "see comment"}, "no-value", "holds no value", "无数值"),
        ({"valueQuantity": quantity(90)}, "unit", "no unit", "单位"),
        ({"valueQuantity": quantity(90_000, "umol/L")}, "implausible", "implausible", "不合理"),
        ({"dataAbsentReason": coded("x", "masked")}, "masked", "withheld", "未公开"),
        ({"effectiveDateTime": days_ago(-5), "valueQuantity": UNIT}, "future-dated", "future", "未来"),
    ],
)
def test_the_card_says_what_is_wrong_with_the_only_result(told: Json, reason: str, en: str, zh: str) -> None:
    facts = chart(LUNG, observation("x", CREATININE) | told).facts
    assert facts.lab.creatinine.reason == reason
    assert facts.lab.creatinine.resources == ("Observation/x",)
    assert en in said(facts, facts.lab.creatinine, "en")
    assert zh in said(facts, facts.lab.creatinine, "zh-CN")


def test_an_undated_result_counts_only_where_age_does_not_matter_and_is_never_called_old() -> None:
    lab = observation("x", CREATININE, UNIT, when=None)
    cytogenetics = observation("c", coded("urn:oncobone:facts", "cyto-t4-14"), when=None, valueBoolean=True)
    mapped = chart(LUNG, lab, cytogenetics)
    assert any("undated" in reason for reason in reasons(mapped)["Observation/x"])
    seen = as_seen(mapped.facts, "chart")
    assert seen.lab.creatinine.reason == "undated"
    assert "without a date" in said(seen, seen.lab.creatinine, "en")


def test_a_result_that_was_not_done_is_none() -> None:
    assert creatinine(observation("x", CREATININE, dataAbsentReason=coded("x", "not-performed"))).reason == "missing"


def test_an_older_value_counts_beside_a_pending_one_and_says_that_a_newer_one_is_pending() -> None:
    found = creatinine(
        observation("old", CREATININE, UNIT, when=5), observation("new", CREATININE, when=1, status="registered")
    )
    assert found.is_known
    assert "newer-pending" in found.flags
    older = creatinine(
        observation("old", CREATININE, UNIT, when=1), observation("new", CREATININE, when=5, status="registered")
    )
    assert "newer-pending" not in older.flags


# Dates as other systems write them


@pytest.mark.parametrize(
    "when",
    [
        "20261118",
        "2026/11/18",
        "2026年11月18日",
        "2026.11.18",
        "20261118083000",
        "2026/11/18 08:30",
        "18 Nov 2026",
        "Nov 18, 2026",
        "18.11.2026",
        "18-Nov-2026",
        "11/18/2026",
        "2026年11月18号",
        "20261118T083000Z",
        "20261118083000+0000",
    ],
)
def test_a_date_in_another_spelling_is_read_and_flagged(when: str) -> None:
    mapped = chart(observation("x", CREATININE, UNIT, when=when))
    found = mapped.facts.lab.creatinine
    assert found.date is not None
    assert found.date.isoformat() == "2026-11-18"
    assert "date-respelled" in found.flags
    assert any("date-respelled" in reason for reason in reasons(mapped)["Observation/x"])


@pytest.mark.parametrize("when", ["05.06.2026", "05/06/2026", "20261318", "31 Nuv 2026", "yesterday"])
def test_a_date_that_may_mean_two_days_is_no_date(when: str) -> None:
    mapped = chart(observation("x", CREATININE, UNIT, when=when))
    assert mapped.facts.lab.creatinine.date is None
    assert any("undated" in reason for reason in reasons(mapped)["Observation/x"])


@pytest.mark.parametrize(
    "timing",
    [
        {"event": ["2026-11-10", "2026-11-18T08:00:00Z"]},
        {"repeat": {"boundsPeriod": {"start": "2026-11-10", "end": "2026-11-18"}}},
    ],
)
def test_a_timing_tells_when(timing: Json) -> None:
    found = creatinine(observation("x", CREATININE, UNIT, when=None, effectiveTiming=timing))
    assert found.date is not None
    assert found.date.isoformat() == "2026-11-18"


@pytest.mark.parametrize("born", ["1960-03-04T00:00:00+08:00", "1960-03-04T23:59:00Z", "1960/03/04", "19600304"])
def test_a_birth_date_with_a_time_or_in_another_spelling_is_read_and_noted(born: str) -> None:
    mapped = chart(patient(birthDate=born))
    assert str(mapped.facts.patient.birth_date.date) == "1960-03-04"
    assert any("date-respelled" in reason for reason in reasons(mapped)["Patient/p1"])


def test_dates_as_fhir_has_them_are_not_flagged() -> None:
    mapped = chart(patient(), LUNG, observation("x", CREATININE, UNIT, when="2026-11-18T08:00:00+08:00"))
    assert not [note for note in mapped.notes if "date-respelled" in note.reason]


def test_a_condition_recorded_in_another_spelling_is_read_and_noted() -> None:
    mapped = chart(condition("mm", coded("http://hl7.org/fhir/sid/icd-10", "C90.0"), onsetDateTime="2026/10/01"))
    assert str(mapped.facts.mm.onset_date.date) == "2026-10-01"
    assert any("onsetDateTime" in reason for reason in reasons(mapped)["Condition/mm"])


# What nobody can identify


def order(name: str, **members: Any) -> Json:
    made = {"resourceType": "MedicationRequest", "id": name, "status": "active", "intent": "order", "subject": SUBJECT}
    return made | {"authoredOn": days_ago(5)} | members


NOBODY_KNOWS = [
    order("m", medicationReference={"reference": "Medication/refused"}),
    order("m", medicationCodeableConcept=coded("http://hl7.org/fhir/sid/ndc", "99999999999")),
    order("m", medicationCodeableConcept=coded("http://hospital.example/drugs", "D-17")),
    order("m", medicationCodeableConcept=coded(RXNORM, "999999999")),
    order("m", medicationCodeableConcept=coded("http://hospital.example/drugs", "D-17"), status="on-hold"),
    administration("m", coded("http://hospital.example/drugs", "D-17"), when=10),
]


@pytest.mark.parametrize("one", NOBODY_KNOWS)
def test_a_drug_that_nobody_can_identify_is_unknown_and_not_absent(one: Json) -> None:
    mapped = chart(LUNG, one)
    facts = mapped.facts
    name = f"{one['resourceType']}/m"
    assert facts.meds.mesna.reason == "unidentified"
    assert name in facts.meds.mesna.resources
    assert not facts.courses.delivered
    assert any("unidentified" in reason for reason in reasons(mapped)[name])
    for language in LANGUAGES:
        assert name in said(facts, facts.meds.mesna, language).replace("\\", "")
    judged = assess(facts, "patient-view")
    assert judged.verdicts["BP-001"].state != "fired"


KNOWN_TO_BE_OTHERS = [
    order("m", medicationCodeableConcept=coded("http://hl7.org/fhir/sid/ndc", "99999999999", "Metformin 500 mg")),
    order("m", medicationCodeableConcept=coded("http://hospital.example/drugs", "D-17", display="Omeprazole")),
    order("m", medicationCodeableConcept=coded("http://www.whocc.no/atc", "A10BA02")),
    order("m", medicationCodeableConcept=coded(RXNORM, "999999999"), status="completed"),
    order("m", medicationCodeableConcept=coded(RXNORM, "999999999"), status="entered-in-error"),
    order("m", medicationCodeableConcept=coded(RXNORM, "999999999"), intent="proposal"),
    administration("m", coded("http://hospital.example/drugs", "D-17"), when=900),
]


@pytest.mark.parametrize("one", KNOWN_TO_BE_OTHERS)
def test_a_drug_that_is_known_to_be_none_of_ours_or_no_longer_taken_leaves_the_list_whole(one: Json) -> None:
    facts = chart(LUNG, one).facts
    assert facts.meds.mesna.value is False
    assert facts.courses.delivered


def test_a_bone_agent_that_is_on_record_stays_known_beside_a_drug_that_nobody_can_identify() -> None:
    zoledronic = order("z", medicationCodeableConcept=coded(RXNORM, "77655", "zoledronic acid 4 mg"))
    facts = chart(LUNG, zoledronic, NOBODY_KNOWS[1]).facts
    assert [course.drug for course in facts.courses] == ["zoledronic"]


@pytest.mark.parametrize(
    ("code", "clinical", "reason"),
    [
        (coded("http://hospital.example/dx", "X-1"), "active", "unidentified"),
        (coded("http://snomed.info/sct", "999999999"), "active", "unidentified"),
        (coded("http://hospital.example/dx", "X-1"), "resolved", None),
        (coded("http://hospital.example/dx", "X-1", "Hypertension"), "active", None),
        (coded("http://hl7.org/fhir/sid/icd-10", "I10"), "active", None),
    ],
)
def test_a_problem_that_nobody_can_identify_leaves_open_what_it_may_be(
    code: Json, clinical: str, reason: str | None
) -> None:
    mapped = chart(LUNG, condition("x", code, clinical=clinical))
    assert mapped.facts.dx.mm.reason == reason
    assert mapped.facts.dx.lung_cancer.value is True
    if reason:
        assert mapped.facts.dx.mm.resources == ("Condition/x",)


# Drafts that cannot be judged


def drafted(**members: Any) -> Any:
    one = {"resourceType": "MedicationRequest", "id": "d", "status": "draft", "intent": "order", "subject": SUBJECT}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one | members}]}
    sent = prefetch(LUNG)
    return read_chart(sent, patient_id="p1", now=NOW, timezone=dt.UTC, draft_orders=json.dumps(bundle).encode())


UNTOLD = coded("http://hospital.example/drugs", "D-17")


@pytest.mark.parametrize(
    ("members", "unjudged", "hint"),
    [
        ({"medicationCodeableConcept": UNTOLD}, "drug", None),
        ({"medicationReference": {"reference": "Medication/refused"}}, "drug", None),
        (
            {"medicationCodeableConcept": UNTOLD, "dosageInstruction": [{"text": "Zometa 4 mg over 15 min"}]},
            "drug",
            "zoledronic",
        ),
        ({"medicationCodeableConcept": UNTOLD, "note": [{"text": "唑来膦酸"}]}, "drug", "zoledronic"),
        (
            {
                "medicationCodeableConcept": {"text": "zoledronic acid"},
                "dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 1, "unit": "vial"}}]}],
            },
            "dose",
            None,
        ),
        (
            {
                "medicationCodeableConcept": {"text": "zoledronic acid"},
                "dosageInstruction": [{"doseAndRate": [{"doseQuantity": quantity(4, "mg", code="mg")}]}],
            },
            None,
            None,
        ),
        ({"medicationCodeableConcept": {"text": "omeprazole 20 mg"}}, None, None),
    ],
)
def test_a_draft_that_cannot_be_judged_is_noted_and_what_hints_at_one_of_ours_is_marked(
    members: Json, unjudged: str | None, hint: str | None
) -> None:
    mapped = drafted(**members)
    (order,) = mapped.facts.orders
    assert (order.unjudged, order.hint) == (unjudged, hint)
    word = {"drug": "unidentified", "dose": "dose-not-told"}.get(unjudged or "", "")
    told = [reason for reason in reasons(mapped).get("MedicationRequest/d", ()) if word and reason.startswith(word)]
    assert bool(told) is (unjudged is not None)


# Examinations whose finding was not read


@pytest.mark.parametrize("conclusion", [None, "Multiplanar images of the whole spine were acquired."])
def test_an_mri_whose_report_was_not_understood_was_done_and_is_unread(conclusion: str | None) -> None:
    one = report("r", coded(LOINC, "36801-9", "MRI whole spine"), when="2026-11-20")
    mapped = chart(LUNG, one | ({"conclusion": conclusion} if conclusion else {}))
    (study,) = mapped.facts.studies
    assert study.is_unread
    assert mapped.facts.mm.mri_focal.reason == "unread"
    assert any(reason.startswith("unread") for reason in reasons(mapped)["DiagnosticReport/r"])
    assert "of 20 Nov was not read" in said(mapped.facts, mapped.facts.mm.mri_focal, "en")
    assert "11月20日" in said(mapped.facts, mapped.facts.mm.mri_focal, "zh-CN")


def test_an_mri_that_was_understood_is_read() -> None:
    one = report("r", coded(LOINC, "36801-9", "MRI whole spine"), conclusion="No evidence of bone metastasis.")
    (study,) = chart(LUNG, one).facts.studies
    assert not study.is_unread


@pytest.mark.parametrize("reason", get_args(Reason))
def test_each_reason_has_its_own_word_on_the_card(reason: Reason) -> None:
    assert has_phrase(f"short_{reason}")
