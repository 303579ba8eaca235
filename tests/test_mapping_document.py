"""The rules of reading, one sentence each, on resources as real systems send them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from fhir_mapping.terms.codes import ICD9_CM
from recommenders.vocabulary.dictionary import DICTIONARY
from tests.fhir import (
    ICD10,
    ICD10_CM,
    LOINC,
    NOW,
    RXNORM,
    SNOMED,
    SUBJECT,
    Json,
    administration,
    allergy,
    bundle,
    chart,
    coded,
    condition,
    days_ago,
    local,
    observation,
    patient,
    procedure,
    quantity,
    reasons,
    report,
    service_request,
)

LUNG = condition("lung", coded(ICD10_CM, "C34.11"))
MYELOMA = condition("mm", coded(SNOMED, "109989006"))
SOMEBODY = {"reference": "Patient/somebody-else"}
MODIFIED: Json = {"modifierExtension": [{"url": "http://hospital.example/meaning", "valueBoolean": True}]}


def calcium(name: str = "ca", value: float = 2.4, **more: Any) -> Json:
    """Give a total calcium in mmol/L."""
    return observation(name, "2000-8", quantity(value, "mmol/L"), **more)


def read_calcium(**more: Any) -> Any:
    """Give the fact that one calcium result becomes."""
    return chart(calcium(**more)).facts.lab.ca_total


# --- whose it is, and whether it counts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("foreign", "path"),
    [
        (condition("x", coded(ICD10_CM, "C34.11"), subject=SOMEBODY), "dx.lung_cancer"),
        (allergy("x", {"text": "mesna"}, patient=SOMEBODY), "allergy.mesna"),
        (procedure("x", coded(SNOMED, "34043003"), subject=SOMEBODY), "dental.last_exam"),
        (service_request("x", coded(SNOMED, "55162003"), subject=SOMEBODY), "dental.invasive_planned"),
        (report("x", {"text": "FISH"}, conclusion="del(17p)", subject=SOMEBODY), "cyto.del17p"),
        (administration("x", coded(RXNORM, "77655"), when=0, dose_mg=4, subject=SOMEBODY), "meds.antineoplastic"),
    ],
)
def test_whatever_is_about_somebody_else_is_left_out_and_named(foreign: Json, path: str) -> None:
    mapped = chart(foreign)
    name = f"{foreign['resourceType']}/x"
    assert reasons(mapped)[name] == ("other-patient: about somebody else",)
    assert name not in mapped.facts.fact(path).resources
    assert not mapped.facts.courses.items


def test_a_result_of_somebody_else_inside_the_patients_report_is_left_out() -> None:
    inner = calcium("i", subject=SOMEBODY)
    mapped = chart(report("r", coded(LOINC, "24321-2"), contained=[inner], result=[{"reference": "#i"}]))
    assert not mapped.facts.lab.ca_total.is_known
    assert any("other-patient" in reason for listed in reasons(mapped).values() for reason in listed)


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("final", True),
        ("amended", True),
        ("corrected", True),
        ("appended", True),
        ("preliminary", False),
        ("partial", False),
        ("registered", False),
        ("entered-in-error", False),
        ("cancelled", False),
    ],
)
def test_results_inside_a_report_count_as_the_report_does(status: str, counts: bool) -> None:
    one = report("r", coded(LOINC, "24321-2"), status=status, contained=[calcium("i")], result=[{"reference": "#i"}])
    mapped = chart(one)
    assert mapped.facts.lab.ca_total.is_known is counts
    assert counts or any(reason.startswith("status:") for reason in reasons(mapped)["DiagnosticReport/r"])


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (condition("x", coded(ICD10_CM, "C34.11"), **MODIFIED), "dx.lung_cancer"),
        (allergy("x", {"text": "mesna"}, **MODIFIED), "allergy.mesna"),
    ],
)
def test_what_an_unknown_modifier_may_turn_round_is_neither_yes_nor_no(resource: Json, path: str) -> None:
    mapped = chart(resource)
    assert getattr(mapped.facts.fact(path), "value", "") is None
    assert reasons(mapped)[f"{resource['resourceType']}/x"][0].startswith("unknown-modifier")


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (condition("x", coded(ICD10_CM, "C34.11"), onsetPeriod=7), "dx.lung_cancer"),
        (allergy("x", {"text": "mesna"}, reaction=[7]), "allergy.mesna"),
    ],
)
def test_what_cannot_be_read_is_not_taken_for_absent(resource: Json, path: str) -> None:
    mapped = chart(resource)
    assert any(reason.startswith("invalid") for reason in reasons(mapped)[f"{resource['resourceType']}/x"])
    assert getattr(mapped.facts.fact(path), "value", "") is None


@pytest.mark.parametrize("label", ["MASKED", "REDACTED"])
def test_what_is_masked_is_unknown_and_never_absent(label: str) -> None:
    labels: Json = {
        "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": label}]}
    }
    mapped = chart(
        condition("c", coded(ICD10_CM, "C34.11"), **labels),
        calcium("new", 2.4, when=1, **labels),
        calcium("old", 2.3, when=9),
    )
    assert mapped.facts.dx.lung_cancer.value is None
    assert mapped.facts.dx.mm.value is None
    assert mapped.facts.lab.ca_total.reason == "masked"
    assert "masked: withheld on purpose" in reasons(mapped)["Condition/c"]


def test_a_condition_whose_code_is_masked_may_be_any_condition() -> None:
    absent = [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
    assert chart(condition("c", {"extension": absent})).facts.dx.mm.value is None


def test_ordinary_security_labels_withhold_nothing() -> None:
    labels: Json = {
        "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
    }
    assert chart(condition("c", coded(ICD10_CM, "C34.11"), **labels)).facts.dx.lung_cancer.value is True


@pytest.mark.parametrize("who", ["Patient/p1", "https://ehr.example/fhir/RelatedPerson/r1"])
def test_a_metastasis_that_only_the_patient_or_a_relative_reports_is_a_suspicion(who: str) -> None:
    told = chart(LUNG, condition("b", coded(SNOMED, "94222008"), asserter={"reference": who})).facts.dx.bone_met
    assert (told.value, told.reason) == (None, "suspected")
    by_doctor = {"reference": "Practitioner/d1"}
    assert chart(condition("b", coded(SNOMED, "94222008"), asserter=by_doctor)).facts.dx.bone_met.value is True


def test_a_result_that_the_patient_measured_counts_and_says_so() -> None:
    weight = observation("w", "29463-7", quantity(70, "kg"), performer=[{"reference": "Patient/p1"}])
    assert "reported" in chart(weight).facts.patient.weight.flags


# --- what came of a key -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["conditions", "observations", "medications", "procedures", "allergies", "serviceRequests"]
)
@pytest.mark.parametrize(
    "sent",
    [
        "a string",
        "",
        5,
        True,
        {},
        {"resourceType": "Parameters", "parameter": []},
        {"resourceType": "List", "id": "l"},
        {"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": {"status": "404"}}]},
        [["nested"]],
        ["text"],
    ],
    ids=lambda sent: str(sent)[:40],
)
def test_what_is_no_list_of_resources_is_named_and_means_unknown(key: str, sent: object) -> None:
    sent_keys: Json = {"conditions": bundle([LUNG])} | {key: sent}
    mapped = chart(**sent_keys)
    assert f"prefetch/{key}" in reasons(mapped)
    closed = {"conditions": "dx.mm", "observations": "clin.symptoms_worse", "medications": "meds.mesna"}
    closed |= {"procedures": "bx.bone_done", "allergies": "allergy.mesna", "serviceRequests": "dental.invasive_planned"}
    assert getattr(mapped.facts.fact(closed[key]), "value", "") is None


@pytest.mark.parametrize(
    "sent",
    [
        bundle([calcium()]) | {"type": "collection"},
        bundle([{"resourceType": "Composition", "id": "c"}, calcium()]) | {"type": "document"},
        {"resourceType": "Bundle", "entry": {"resource": calcium()}},
        {"resourceType": "Bundle", "type": "batch-response", "entry": [{"resource": bundle([calcium()])}]},
        calcium(),
        [calcium()],
    ],
    ids=["collection", "document", "one entry", "batch", "single", "array"],
)
def test_results_are_read_in_whatever_they_are_wrapped(sent: Json) -> None:
    mapped = chart(LUNG, observations=sent)
    assert mapped.facts.lab.ca_total.value == Decimal("2.4")
    assert mapped.facts.clin.symptoms_worse.value is False


def test_a_resource_is_read_under_whichever_key_it_came() -> None:
    statement = {
        "resourceType": "MedicationStatement",
        "id": "s",
        "status": "active",
        "subject": SUBJECT,
        "medicationCodeableConcept": {"text": "calcium carbonate 500 mg"},
    }
    swapped = chart(procedures=bundle([calcium()]), allergies=bundle([statement]), observations=bundle([LUNG]))
    assert swapped.facts.lab.ca_total.is_known
    assert swapped.facts.meds.calcium.value is True
    assert swapped.facts.dx.lung_cancer.value is True


@pytest.mark.parametrize("kind", ["FamilyMemberHistory", "RiskAssessment", "CarePlan", "RequestGroup", "Claim"])
def test_what_never_states_a_fact_is_named_with_its_reason(kind: str) -> None:
    one = {"resourceType": kind, "id": "x", "status": "active", "subject": SUBJECT, "patient": SUBJECT}
    mapped = chart(LUNG, observations=bundle([one]))
    (reason,) = reasons(mapped)[f"{kind}/x"]
    assert "not read" not in reason


# --- dates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ({"effectivePeriod": {"start": days_ago(5), "end": days_ago(4)}}, days_ago(4)),
        ({"effectivePeriod": {"start": days_ago(5)}}, days_ago(5)),
        ({"effectiveInstant": f"{days_ago(3)}T08:00:00Z"}, days_ago(3)),
        ({"issued": f"{days_ago(3)}T08:00:00Z"}, days_ago(3)),
        ({"effectiveDateTime": "2026-11"}, "2026-11-01"),
        ({"effectiveDateTime": "2026-11-21T23:30:00-12:00"}, "2026-11-22"),
        ({"effectiveDateTime": "last week"}, None),
        ({}, None),
    ],
)
def test_a_result_has_the_day_of_the_first_element_that_tells_one(told: Json, day: str | None) -> None:
    fact = read_calcium(when=None, **told)
    assert fact.value == Decimal("2.4")
    assert fact.date == (dt.date.fromisoformat(day) if day else None)
    assert ("issued-date" in fact.flags) is ("issued" in told)


def test_a_specimen_tells_when_the_result_was_true() -> None:
    specimen = {"resourceType": "Specimen", "id": "s", "collection": {"collectedDateTime": days_ago(6)}}
    fact = read_calcium(
        when=None, specimen={"reference": "#s"}, contained=[specimen], issued=f"{days_ago(2)}T08:00:00Z"
    )
    assert fact.date == dt.date.fromisoformat(days_ago(6))


@pytest.mark.parametrize(
    ("one", "other", "known"),
    [
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:30Z", False),
        ("2026-11-20T08:00:00+08:00", "2026-11-20T00:00:00Z", False),
        ("2026-11-20", "2026-11-20T09:00:00Z", False),
        ("2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z", True),
    ],
)
def test_different_results_of_one_minute_or_one_bare_day_contradict(one: str, other: str, known: bool) -> None:
    fact = chart(calcium("a", 2.4, when=one), calcium("b", 2.9, when=other)).facts.lab.ca_total
    assert fact.value == (Decimal("2.9") if known else None)
    assert (fact.reason == "contradictory") is not known


@pytest.mark.parametrize(
    ("told", "date", "flag"),
    [
        ({"onsetDateTime": "2020-05-06"}, dt.date(2020, 5, 6), None),
        ({"onsetAge": quantity(60, "a", code="a")}, dt.date(2020, 3, 4), "onset-only-a-year"),
        ({"onsetAge": quantity(66, "years", code="a")}, None, "onset-only-a-year"),
        ({"onsetAge": quantity(60)}, None, "recorded-onset-not-told"),
        ({"onsetString": "2026年3月"}, dt.date(2026, 3, 1), None),
        ({"onsetString": "some years ago"}, None, "recorded-onset-not-told"),
    ],
)
def test_the_onset_of_a_myeloma_is_as_exact_as_it_was_told(told: Json, date: dt.date | None, flag: str | None) -> None:
    fact = chart(condition("mm", coded(SNOMED, "109989006"), **told)).facts.mm.onset_date
    assert fact.date == date
    assert flag is None or flag in fact.flags


@pytest.mark.parametrize("told", [{"onsetDateTime": "2026"}, {"onsetAge": quantity(66, "a", code="a")}])
def test_a_fracture_of_this_year_recorded_last_week_may_be_of_last_week(told: Json) -> None:
    broken = condition("f", coded(ICD10_CM, "M84.551A"), recorded=9, **told)
    assert chart(MYELOMA, broken).facts.pathological_fracture.current.value is True


# --- numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "value", "reason"),
    [
        ({"valueString": "２．１ｍｍｏｌ／Ｌ"}, "2.1", None),
        ({"valueString": "8.4 mg/dL"}, "2.0958", None),
        ({"valueString": "2.1"}, None, "unit"),
        ({"valueString": "hemolyzed"}, None, "haemolysed"),
        ({"valueQuantity": quantity("4.6", "mEq/L")}, "2.3", None),
        ({"valueQuantity": quantity("2.1", "pg/mL")}, None, "unit"),
        ({"valueQuantity": quantity("2.35", "mg/dL")}, None, "implausible"),
        ({"valueQuantity": quantity("2.1"), "referenceRange": [{"low": quantity("2.1", "mmol/L")}]}, None, "unit"),
        ({"dataAbsentReason": coded("x", "masked")}, None, "masked"),
        ({"dataAbsentReason": coded("x", "not-performed")}, None, "missing"),
        ({"interpretation": [coded("x", "L")]}, None, "no-value"),
    ],
)
def test_a_calcium_is_read_or_unknown_with_its_reason(told: Json, value: str | None, reason: str | None) -> None:
    fact = chart(observation("x", "2000-8", **told)).facts.lab.ca_total
    assert fact.value == (Decimal(value) if value else None)
    assert fact.reason == reason


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("血钙", "lab.ca_total"),
        ("校正钙", "lab.ca_corr"),
        ("离子钙", "lab.ca_ionised"),
        ("尿钙", None),
        ("24小时尿钙", None),
        ("Calcium, urine", None),
    ],
)
def test_a_result_without_a_code_is_known_by_its_whole_name_only(name: str, path: str | None) -> None:
    facts = chart(observation("x", {"text": name}, quantity("1.2", "mmol/L"))).facts
    known = {one for one in ("lab.ca_total", "lab.ca_corr", "lab.ca_ionised") if facts.fact(one).is_known}
    assert known == ({path} if path else set())


@pytest.mark.parametrize("name", ["尿白蛋白", "前白蛋白", "Albumin/Creatinine ratio", "尿肌酐"])
def test_names_that_only_contain_a_known_one_are_another_test(name: str) -> None:
    facts = chart(observation("x", {"text": name}, quantity("29", "g/L"))).facts
    assert not facts.lab.albumin.is_known
    assert not facts.lab.creatinine.is_known


@pytest.mark.parametrize(
    ("code", "told", "low", "high"),
    [
        ("777-3", {"valueQuantity": quantity(85, "K/uL", code="K/uL")}, 85, 85),
        ("777-3", {"valueQuantity": quantity(85000, "/uL")}, 85, 85),
        ("718-7", {"valueQuantity": quantity(7, "mmol/L")}, None, None),
        ("11118-7", {"valueString": "10-15 %"}, 10, 15),
        ("11118-7", {"valueString": "＞60%"}, 60, 100),
        ("93021-4", {"valueQuantity": quantity(30, "%")}, None, None),
        ("1952-1", {"valueQuantity": quantity(3, "ug/mL")}, 3, 3),
        ("54356-1", {"valueQuantity": quantity(3, "mg/L")}, None, None),
        ("29463-7", {"valueQuantity": quantity(68000, "g", code="g")}, 68, 68),
        ("8302-2", {"valueQuantity": quantity("1.72", "cm")}, None, None),
        ("770-8", {"valueQuantity": quantity(60, "%")}, None, None),
    ],
)
def test_each_result_is_kept_in_its_own_unit_or_not_at_all(
    code: str, told: Json, low: int | None, high: int | None
) -> None:
    paths = {
        "777-3": "lab.platelets",
        "718-7": "lab.hb",
        "11118-7": "mm.bmpc",
        "93021-4": "mm.bmpc",
        "1952-1": "mm.b2m",
    }
    paths |= {"54356-1": "mm.b2m", "29463-7": "patient.weight", "8302-2": "patient.height", "770-8": "lab.anc"}
    fact = chart(observation("x", code, **told)).facts.fact(paths[code])
    ends = (getattr(fact, "low", None), getattr(fact, "high", None))
    assert ends == (None if low is None else Decimal(low), None if high is None else Decimal(high))


def test_an_upper_limit_is_the_laboratorys_own_and_never_a_default() -> None:
    def limit(**more: Any) -> Decimal | None:
        return chart(observation("x", "2532-0", quantity(300, "U/L"), **more)).facts.lab.ldh.reference_high

    assert limit(referenceRange=[{"high": quantity(4, "ukat/L")}]) == 240
    assert limit(referenceRange=[{"text": "120-246"}]) == 246
    assert limit() is None


def test_of_several_monoclonal_bands_the_largest_counts_and_none_is_added() -> None:
    def band(value: int) -> Json:
        return {"code": coded(LOINC, "33358-3"), "valueQuantity": quantity(value, "g/L")}

    fact = chart(observation("p", {"text": "SPEP"}, component=[band(12), band(5)])).facts.mm.m_protein
    assert fact.value == 12
    assert "largest-of-several-bands" in fact.flags


def test_an_m_protein_too_small_to_quantify_is_not_zero() -> None:
    assert not chart(observation("p", "33358-3", valueString="Too small to quantify")).facts.mm.m_protein.is_known


# --- scores -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "told", "low", "high"),
    [
        (coded(LOINC, "89247-1"), {"valueQuantity": quantity("1.0", "{score}", code="{score}")}, 1, 1),
        (coded(LOINC, "89247-1"), {"valueQuantity": quantity("1.5")}, None, None),
        (coded(LOINC, "89247-1"), {"valueCodeableConcept": coded(LOINC, "LA9624-3")}, 2, 2),
        (coded(SNOMED, "423740007"), {"valueString": "PS 2分"}, 2, 2),
        (coded(SNOMED, "423740007"), {"valueString": "1-2"}, 1, 2),
        (coded(SNOMED, "423740007"), {"valueString": "good PS"}, None, None),
        (coded(SNOMED, "422512005"), {}, 1, 1),
        (coded(SNOMED, "422512005"), {"valueBoolean": False}, None, None),
        (coded(LOINC, "89243-0"), {"valueQuantity": quantity(70, "%")}, 2, 2),
        (coded(LOINC, "89243-0"), {"valueQuantity": quantity(75, "%")}, None, None),
    ],
)
def test_the_performance_status_is_a_grade_or_unknown(
    code: Json, told: Json, low: int | None, high: int | None
) -> None:
    fact = chart(observation("x", code, **told)).facts.status.ecog
    assert (fact.low, fact.high) == (None if low is None else Decimal(low), None if high is None else Decimal(high))


@pytest.mark.parametrize(
    ("code", "told", "score"),
    [
        ("72514-3", {"valueQuantity": quantity(7, "{score}")}, 7),
        ("72514-3", {"valueString": "7/10"}, 7),
        ("72514-3", {"valueString": "重度"}, 8),
        ("38208-5", {"valueInteger": 11}, None),
        ("38214-3", {"valueQuantity": quantity(60, "mm")}, 6),
        ("38214-3", {"valueQuantity": quantity(6, "cm")}, 6),
        ("38214-3", {"valueQuantity": quantity(60)}, None),
        ("38221-8", {"valueQuantity": quantity(4), "referenceRange": [{"high": {"value": 5}}]}, None),
        ("77565-0", {"valueQuantity": quantity(7)}, None),
    ],
)
def test_a_pain_score_is_on_its_scale_or_unknown(code: str, told: Json, score: int | None) -> None:
    assert chart(LUNG, observation("x", code, **told)).facts.pain.nrs.value == score


def test_a_pain_goal_is_no_pain() -> None:
    goal = observation("x", coded(LOINC, "72514-3", "Acceptable pain level"), valueInteger=3)
    assert not chart(LUNG, goal).facts.pain.nrs.is_known


def test_pain_scores_of_different_places_are_no_contradiction_and_the_worst_counts() -> None:
    minute = f"{days_ago(1)}T08:00:00Z"
    leg = observation("a", "72514-3", when=minute, valueInteger=3, bodySite={"text": "left femur"})
    back = observation("b", "72514-3", when=minute, valueInteger=7, bodySite={"text": "L2"})
    assert chart(LUNG, leg, back).facts.pain.nrs.value == 7
    unplaced = {name: value for name, value in leg.items() if name != "bodySite"}
    assert chart(LUNG, unplaced, back).facts.pain.nrs.reason == "contradictory"


# --- diagnoses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "code", "paths"),
    [
        (ICD9_CM, "174.9", {"dx.any_cancer", "ever.malignancy"}),
        (ICD9_CM, "1749", {"dx.any_cancer", "ever.malignancy"}),
        (ICD9_CM, "209.71", {"dx.any_cancer", "ever.malignancy"}),
        (ICD9_CM, "209.40", set()),
        (ICD9_CM, "173.31", set()),
        (ICD9_CM, "210.1", set()),
        (ICD9_CM, "14.9", set()),
        (ICD10_CM, "C34.11", {"dx.any_cancer", "dx.lung_cancer", "ever.malignancy"}),
        (ICD10_CM, "c3411", {"dx.any_cancer", "dx.lung_cancer", "ever.malignancy"}),
        (ICD10, "C34.900", {"dx.any_cancer", "dx.lung_cancer", "ever.malignancy"}),
        (ICD10_CM, "C78.01", {"dx.any_cancer", "dx.metastatic", "ever.malignancy"}),
        (ICD10_CM, "D02.20", set()),
        (ICD10_CM, "Z85.118", {"ever.malignancy"}),
        (ICD10_CM, "Z80.1", set()),
        (ICD10_CM, "C45.0", {"dx.any_cancer", "dx.other_solid_cancer", "ever.malignancy"}),
        (ICD10_CM, "C38.3", {"dx.any_cancer", "dx.other_solid_cancer", "ever.malignancy"}),
        (ICD10_CM, "C80.0", {"dx.any_cancer", "dx.metastatic", "ever.malignancy"}),
        (ICD10_CM, "C40.21", {"dx.any_cancer", "ever.malignancy"}),
        (ICD10_CM, "C49.21", {"dx.any_cancer", "dx.sts", "ever.malignancy"}),
        (ICD10_CM, "C49.A2", {"dx.any_cancer", "ever.malignancy"}),
        (ICD10_CM, "C48.0", {"dx.any_cancer", "dx.other_solid_cancer", "ever.malignancy"}),
        (ICD10_CM, "M81.0", {"dx.osteoporosis", "mm.bmd_decreased"}),
        (ICD10_CM, "M85.80", {"mm.bmd_decreased"}),
        (ICD10_CM, "N18.6", {"cause.ckd"}),
        (ICD10_CM, "Z99.2", {"other.dialysis"}),
        (ICD10_CM, "M87.151", set()),
        (ICD10_CM, "M87.180", {"onj.status"}),
        (ICD10, "E83.5", set()),
        ("http://terminology.hl7.org/CodeSystem/icd-o-3", "C34.1", set()),
        (ICD9_CM, "162.9", {"dx.any_cancer", "ever.malignancy"}),
    ],
)
def test_a_diagnosis_code_states_exactly_these_facts(system: str, code: str, paths: set[str]) -> None:
    facts = chart(condition("c", coded(system, code))).facts
    unsaid = {"patient.birth_date", "patient.sex", "patient.age", "dx.visceral_met_organs", "patient.pregnant"}
    told = {
        path
        for path in DICTIONARY
        if path not in unsaid and getattr(facts.fact(path), "value", None) not in {None, False, "none"}
    }
    assert told == paths


@pytest.mark.parametrize(
    ("status", "lung", "ever"),
    [
        ({"verification": "provisional"}, None, False),
        ({"verification": "differential"}, None, False),
        ({"verification": "unconfirmed"}, None, False),
        ({"verification": "refuted"}, False, False),
        ({"verification": "entered-in-error"}, False, False),
        ({"clinical": "inactive"}, False, True),
        ({"clinical": "remission"}, False, True),
        ({"clinical": "resolved"}, False, True),
        ({"clinical": "recurrence"}, True, True),
        ({"clinical": "unknown"}, True, True),
        ({"clinical": None, "verification": None}, True, True),
    ],
)
def test_a_diagnosis_counts_as_its_status_says(status: dict[str, Any], lung: bool | None, ever: bool) -> None:
    facts = chart(condition("c", coded(ICD10_CM, "C34.11"), **status)).facts
    assert (facts.dx.lung_cancer.value, facts.ever.malignancy.value) == (lung, ever)


def test_a_code_cut_short_is_taken_for_bone_and_named() -> None:
    mapped = chart(condition("c", coded(ICD10_CM, "C79.5")))
    assert mapped.facts.dx.bone_met.value is True
    assert "C79.5 without its fifth character: read as bone (C79.51)" in reasons(mapped)["Condition/c"]


@pytest.mark.parametrize(
    ("evidence", "proven"),
    [
        ([{"code": [coded(SNOMED, "252416005", "Histopathology test")]}], True),
        ([{"detail": [{"display": "Pathology report"}]}], True),
        ([{"detail": [{"reference": "DiagnosticReport/r"}]}], True),
        ([{"code": [{"text": "病理活检"}]}], True),
        ([{"code": [{"text": "imaging; biopsy pending"}]}], False),
        ([], False),
    ],
)
def test_a_plasmacytoma_is_proven_by_the_pathology_that_is_its_evidence(evidence: list[Json], proven: bool) -> None:
    proof: Json = {"evidence": evidence} if evidence else {}
    found = condition("p", {"text": "plasmacytoma of rib"}, **proof)
    pathology = report("r", {"text": "Surgical pathology report"})
    assert chart(found, pathology).facts.mm.plasmacytoma_biopsy.value is proven


# --- imaging and procedures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "study"),
    [
        (report("r", {"text": "MRI lumbar spine"}, conclusion="未见骨转移"), ("mri", "spine-lumbar", "negative")),
        (report("r", {"text": "MRI lumbar spine"}, conclusion="不能排除骨转移"), ("mri", "spine-lumbar", "equivocal")),
        (report("r", {"text": "全身骨扫描"}, conclusion="L3可疑骨转移"), ("spect", None, "equivocal")),
        (report("r", {"text": "CT chest"}, conclusion="肺结节"), None),
        (report("r", {"text": "CT chest"}, conclusion="胸椎骨质破坏"), ("ct", None, None)),
        (report("r", {"text": "PET-CT"}, status="preliminary", conclusion="骨转移"), None),
        (service_request("r", {"text": "PET-CT"}), None),
        (procedure("r", {"text": "MRI of the lumbar spine"}), ("mri", "spine-lumbar", None)),
        (procedure("r", {"text": "CT-guided biopsy of L3"}), None),
        (local("r", "img-ct", valueString="阴性"), ("ct", None, "negative")),
    ],
)
def test_a_study_counts_when_it_was_done_and_shows_bone(resource: Json, study: tuple[str, Any, Any] | None) -> None:
    found = [(one.modality, one.site, one.result) for one in chart(LUNG, resource).facts.studies]
    assert found == ([study] if study else [])


@pytest.mark.parametrize(
    ("words", "planned"),
    [
        ("拔牙", True),
        ("dental implant", True),
        ("种植牙", True),
        ("cardiac implant", False),
        ("breast implant", False),
        ("implantable port", False),
        ("洁牙", False),
    ],
)
def test_an_invasive_dental_procedure_is_planned_only_where_teeth_are_named(words: str, planned: bool) -> None:
    assert chart(LUNG, service_request("s", {"text": words})).facts.dental.invasive_planned.value is planned


@pytest.mark.parametrize(
    ("status", "planned"),
    [("active", True), ("on-hold", True), ("completed", False), ("revoked", False), ("entered-in-error", False)],
)
def test_a_request_is_a_plan_while_it_stands(status: str, planned: bool) -> None:
    mapped = chart(LUNG, service_request("s", coded(SNOMED, "55162003"), status=status))
    assert mapped.facts.dental.invasive_planned.value is planned
    assert planned or reasons(mapped)["ServiceRequest/s"] == (f"status: {status}, not a plan that stands",)


# --- medication ---------------------------------------------------------------------------------------------

HCPCS_ADDRESSES = [
    "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets/",
    "urn:oid:2.16.840.1.113883.6.285",
    "http://www.ama-assn.org/go/cpt",
]


@pytest.mark.parametrize("system", HCPCS_ADDRESSES)
@pytest.mark.parametrize(
    ("units", "drug"), [(120, "denosumab-120"), (60, "denosumab-60"), (None, "denosumab-unspecified")]
)
def test_a_billed_dose_is_known_under_every_address_and_its_units_tell_the_product(
    system: str, units: int | None, drug: str
) -> None:
    told = [{"url": "http://hospital.example/StructureDefinition/billed-units", "valueQuantity": {"value": units}}]
    bill = procedure("b", coded(system, "J0897"), when=10, **({"extension": told} if units else {}))
    (course,) = chart(LUNG, bill).facts.courses.items
    assert course.drug == drug
    assert [(dose.kind, dose.mg) for dose in course.doses] == [("billed", None if units is None else Decimal(units))]


@pytest.mark.parametrize(
    ("words", "taken"), [(None, True), ("Complies with drug therapy", True), ("Not taking", False), ("未服用", False)]
)
def test_a_drug_that_the_patient_says_not_to_take_is_not_current(words: str | None, taken: bool) -> None:
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-medication-adherence"
    said = [{"url": url, "extension": [{"url": "medicationAdherence", "valueCodeableConcept": {"text": words}}]}]
    request = {
        "resourceType": "MedicationRequest",
        "id": "m",
        "status": "active",
        "intent": "order",
        "subject": SUBJECT,
        "authoredOn": days_ago(30),
        "medicationCodeableConcept": {"text": "ibuprofen 400 mg tablet"},
    }
    mapped = chart(LUNG, request | ({"extension": said} if words else {}))
    assert mapped.facts.meds.nsaid.value is taken
    assert taken or any("reported-not-taken" in reason for reason in reasons(mapped)["MedicationRequest/m"])


def test_the_chart_of_a_patient_without_a_usable_birth_date_still_reads() -> None:
    mapped = chart(patient(birthDate="garbage"), LUNG, now=NOW)
    assert mapped.facts.dx.lung_cancer.value is True
    assert reasons(mapped)["Patient/p1"] == ("invalid at birthDate",)
