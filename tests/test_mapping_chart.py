"""A whole chart: whose it is, what breaks, what is named, and that order, units and duplicates change nothing."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_mapping.chart import Mapped, Unavailable, read_chart
from fhir_mapping.delivery.context import WrongPatientError
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.decode import TooManyEntriesError
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from tests.fhir import (
    ICD10_CM,
    LOCAL,
    LOINC,
    NOW,
    RXNORM,
    SNOMED,
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
    prefetch,
    procedure,
    quantity,
    read,
    reasons,
    report,
    service_request,
)

EXAMPLES = Path(__file__).parents[2] / "shared" / "fhir-examples"
LUNG = condition("lung", coded(ICD10_CM, "C34.11"))
BONE = condition("bone", coded(SNOMED, "94222008"))


def told(facts: Facts) -> dict[str, tuple[Any, ...]]:
    """Give what a chart says, fact by fact, without where it was read."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in DICTIONARY:
        fact = facts.fact(path)
        value = getattr(fact, "rounded", None) or getattr(fact, "value", None)
        found[path] = (value, getattr(fact, "possible", None), fact.reason, fact.date)
    return found


RICH: list[Json] = [
    LUNG,
    BONE,
    condition("mm", coded(SNOMED, "109989006"), onsetDateTime="2026-01-10"),
    observation("ca", "17861-6", quantity("9.2", "mg/dL"), when=2),
    observation("ca-old", "2000-8", quantity("2.41", "mmol/L"), when=40),
    observation("alb", "1751-7", quantity("3.6", "g/dL"), when=2),
    observation("cr", "2160-0", quantity("1.49", "mg/dL"), when=3),
    observation("cr-old", "14682-9", quantity("101", "umol/L"), when=33),
    observation("w", "29463-7", quantity("154", "lbs"), when=10),
    observation("k", "36916-5", quantity("12.5", "mg/dL"), when=9),
    observation("l", "33944-0", quantity("8", "mg/L"), when=9),
    observation("ecog", "89247-1", when=5, valueInteger=1),
    local("life", "life-expectancy", when=5, valueString="预计生存期大于6个月"),
    procedure("dental", coded(SNOMED, "34043003"), when=60),
    administration("z1", coded(RXNORM, "77655"), when=100, dose_mg=4),
    allergy("a1", {"text": "mesna"}),
]


# --- whose it is --------------------------------------------------------------------------------------------


def test_a_resource_about_another_patient_is_left_out_and_named() -> None:
    other = observation("x", "2000-8", quantity("3.4", "mmol/L"), subject={"reference": "Patient/somebody-else"})
    mapped = chart(LUNG, other)
    assert not mapped.facts.lab.ca_total.is_known
    assert reasons(mapped)["Observation/x"] == ("other-patient: about somebody else",)


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p1",
        "https://ehr.example/fhir/Patient/p1",
        "Patient/p1/_history/3",
        "https://e.example/Patient/p1/_history/1",
    ],
)
def test_a_reference_to_the_patient_may_be_an_address_or_a_version(reference: str) -> None:
    one = observation("x", "2000-8", quantity("2.4", "mmol/L"), subject={"reference": reference})
    assert chart(one).facts.lab.ca_total.is_known


@pytest.mark.parametrize("reference", ["Patient/p11", "Patient/xp1", "Group/p1", "p1", "https://e.example/Person/p1"])
def test_a_reference_that_only_looks_like_the_patient_is_not(reference: str) -> None:
    one = observation("x", "2000-8", quantity("2.4", "mmol/L"), subject={"reference": reference})
    assert not chart(one).facts.lab.ca_total.is_known


def test_a_urn_that_resolves_to_the_patient_inside_the_bundle_counts() -> None:
    urn = "urn:uuid:6f1c1f3e-0000-4000-8000-000000000001"
    one = observation("x", "2000-8", quantity("2.4", "mmol/L"), subject={"reference": urn})
    sent = bundle([one])
    sent["entry"].append({"fullUrl": urn, "resource": patient()})
    assert chart(observations=sent).facts.lab.ca_total.is_known


def test_a_resource_without_a_subject_is_used_and_noted() -> None:
    one = observation("x", "2000-8", quantity("2.4", "mmol/L"))
    del one["subject"]
    mapped = chart(one)
    assert mapped.facts.lab.ca_total.is_known
    assert reasons(mapped)["Observation/x"][0].startswith("no-subject")


@pytest.mark.parametrize("key", ["patient", "observations"])
def test_another_patient_is_refused_with_the_field_named_and_no_value(key: str) -> None:
    other = patient(id="secret-42")
    sent = prefetch(LUNG, **{key: bundle([other]) if key != "patient" else other})
    with pytest.raises(WrongPatientError) as refused:
        read(sent)
    assert f"prefetch.{key}" in str(refused.value)
    assert "secret-42" not in str(refused.value)


def test_a_patient_without_an_id_is_refused() -> None:
    anonymous = patient()
    del anonymous["id"]
    with pytest.raises(WrongPatientError):
        chart(anonymous)


def test_twenty_thousand_entries_are_the_most() -> None:
    many = b'{"resourceType":"Bundle","entry":[' + b",".join([b"{}"] * 20_001) + b"]}"
    with pytest.raises(TooManyEntriesError):
        chart(observations=many)


def test_the_moment_of_the_call_must_tell_its_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        chart(now=dt.datetime(2026, 11, 22, 12))  # noqa: DTZ001 - the fault under test


# --- what breaks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (observation("x", "2000-8", {"value": True, "unit": "mmol/L"}), "invalid at valueQuantity"),
        (observation("x", "2000-8", {"value": "a lot", "unit": "mmol/L"}), "invalid at valueQuantity"),
        (observation("x", "2000-8", quantity("2.4", "mmol/L"), valueString="2.4"), "invalid"),
        (observation("x", "2000-8", quantity("2.4", "mmol/L"), interpretation=[5]), "invalid at interpretation"),
    ],
)
def test_one_broken_result_spoils_nothing_and_is_named_by_its_element(broken: Json, words: str) -> None:
    mapped = chart(LUNG, broken, observation("alb", "1751-7", quantity("36", "g/L")))
    assert not mapped.facts.lab.ca_total.is_known
    assert mapped.facts.lab.albumin.is_known
    assert any(reason.startswith(words) for reason in reasons(mapped)["Observation/x"])


def test_a_fault_in_an_element_nobody_reads_costs_no_value() -> None:
    one = observation("x", "2000-8", quantity("2.4", "mmol/L"), note=7, device={"bad": 1}, blub=[{}])
    del one["note"]
    assert chart(one).facts.lab.ca_total.is_known


def test_an_element_written_twice_keeps_the_resource_out() -> None:
    raw = json.dumps(bundle([observation("x", "2000-8", quantity("2.4", "mmol/L"))]))
    twice = raw.replace('"value": 2.4', '"value": 2.4, "value": 3.4').encode()
    mapped = chart(observations=twice)
    assert not mapped.facts.lab.ca_total.is_known
    assert reasons(mapped)["Observation/x"] == ("duplicate-member: an element is written twice",)


def test_what_senders_get_wrong_every_day_is_understood() -> None:
    one = {
        "resourceType": "Observation",
        "id": 17,
        "status": "final",
        "code": {"coding": {"system": "http://loinc.org/", "code": "2000-8 "}},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": f"{days_ago(2)}T08:15:00",
        "valueQuantity": {"value": "2.40", "unit": " mmol/l", "code": ""},
        "interpretation": {"coding": [{"code": "N"}]},
        "referenceRange": {"low": {"value": 2.1, "unit": "mmol/L"}, "high": {"value": 2.6}},
    }
    fact = chart(one).facts.lab.ca_total
    assert fact.value == Decimal("2.40")
    assert (fact.reference_low, fact.reference_high) == (Decimal("2.1"), Decimal("2.6"))
    assert fact.resources == ("Observation/17",)


@pytest.mark.parametrize(
    "odd", [b"5", b"[1, 2]", b'"text"', b"{", b"\xff\xfe", b"", b'{"resourceType": "Bundle", "entry": 5}']
)
def test_a_key_that_is_no_bundle_leaves_its_facts_unknown_or_empty(odd: bytes) -> None:
    mapped = chart(LUNG, allergies=odd)
    assert mapped.facts.dx.lung_cancer.value is True
    assert "prefetch/allergies" in reasons(mapped)


def test_a_key_that_could_not_be_had_is_unavailable_with_its_reason() -> None:
    mapped = chart(LUNG, allergies=Unavailable("the server answered 403"))
    assert mapped.facts.allergy.denosumab.reason == "not-delivered"
    assert reasons(mapped)["prefetch/allergies"] == ("unavailable: the server answered 403",)


def test_notes_hold_no_value_and_no_free_text_of_the_patient() -> None:
    secret = "Zaphod"
    mapped = chart(
        condition("c", {"text": f"{secret} 骨转移?"}),
        observation("x", "17861-6", {"value": 987.25, "unit": secret}),
        observation("y", {"text": secret}, quantity("987.25", "mmol/L")),
        local("z", "imwg-response", valueString=secret),
    )
    for note in mapped.notes:
        assert secret not in note.reason + note.resource
        assert "987.25" not in note.reason


def test_the_first_hundred_unread_resources_are_named_and_the_rest_is_counted() -> None:
    many = [observation(f"n{number:03}", "2951-2", quantity(140, "mmol/L")) for number in range(130)]
    mapped = chart(LUNG, *many)
    unread = [note for note in mapped.notes if note.reason.endswith("no code that a rule uses")]
    assert len([note for note in unread if note.resource.startswith("Observation/")]) == 100
    assert [note.reason for note in unread if note.resource == "prefetch"] == [
        "30 more resources: not read: no code that a rule uses"
    ]


def test_a_display_that_names_something_else_is_noted_and_the_code_kept() -> None:
    mapped = chart(condition("c", coded(SNOMED, "94222008", display="Essential hypertension")))
    assert mapped.facts.dx.bone_met.value is True
    assert any(reason.startswith("display-mismatch") for reason in reasons(mapped)["Condition/c"])


# --- single readings ----------------------------------------------------------------------------------------


def test_a_bound_is_an_interval_and_open_where_it_is_open() -> None:
    fact = chart(observation("k", "36916-5", quantity("0.6", "mg/L", comparator="<"))).facts.mm.kappa
    assert (fact.low, fact.high, fact.low_open, fact.high_open) == (Decimal(0), Decimal("0.6"), True, True)


def test_a_contained_result_of_a_report_is_read() -> None:
    inner = observation("i", "2000-8", quantity("2.4", "mmol/L"))
    del inner["subject"]
    one = report("r", coded(LOINC, "24321-2"), contained=[inner], result=[{"reference": "#i"}])
    assert chart(one).facts.lab.ca_total.resources == ("Observation/r-i",)


def test_results_that_a_report_lists_and_that_did_not_come_are_named() -> None:
    one = report("r", coded(LOINC, "24321-2"), result=[{"reference": "Observation/gone"}])
    assert "1 of its results were not delivered" in reasons(chart(one))["DiagnosticReport/r"]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(90, "d", "3.0"), (13, "wk", "3.0"), (3, "mo", "3.0"), (1, "a", "12.0"), (89, "d", "2.9")],
)
def test_life_expectancy_is_kept_in_months(value: int, unit: str, shown: str) -> None:
    fact = chart(
        local("l", "life-expectancy", valueQuantity=quantity(value, unit, code=unit))
    ).facts.status.life_expectancy
    assert fact.rounded == Decimal(shown)
    assert "local-code" in fact.flags


def test_the_newer_of_condition_and_entry_wins() -> None:
    pain = condition("c", coded(SNOMED, "12584003"), recorded=100)
    entered = local("e", "clin-bone-pain", when=3, valueBoolean=False)
    assert chart(pain, entered).facts.clin.bone_pain.value is False
    assert chart(pain).facts.clin.bone_pain.value is True


def test_a_jaw_osteonecrosis_is_confirmed_by_its_own_code_only() -> None:
    assert chart(condition("j", coded(ICD10_CM, "M87.180"))).facts.onj.status.value == "confirmed"
    assert chart(condition("j", coded(SNOMED, "397758007"))).facts.onj.status.value == "suspected"
    assert chart(condition("j", coded(ICD10_CM, "M87.10"))).facts.onj.status.value == "none"


def test_an_ecog_grade_kept_as_a_finding_counts_until_a_newer_score() -> None:
    grade = condition("g", coded(SNOMED, "422894000"), recorded=10)
    assert chart(grade).facts.status.ecog.value == 2
    assert chart(grade, observation("e", "89247-1", when=3, valueInteger=1)).facts.status.ecog.value == 1


def test_surgery_within_a_month_of_a_pathological_fracture_is_a_skeletal_event() -> None:
    fracture = condition("f", coded(SNOMED, "409667007"), onsetDateTime=days_ago(20), recorded=20)
    nail = procedure("n", coded(SNOMED, "20701002"), when=15, bodySite=[coded(SNOMED, "71341001")])
    events = {event.type: event for event in chart(LUNG, fracture, nail).facts.sre}
    assert events["bone-surgery"].fixation
    assert events["bone-surgery"].site == "femur"
    assert "bone-surgery" not in {event.type for event in chart(LUNG, nail).facts.skeletal_events}


def test_an_allergy_to_any_bisphosphonate_covers_them_all() -> None:
    facts = chart(allergy("a", {"text": "Zometa - fever"})).facts
    assert facts.allergy.bisphosphonate.value is True
    assert facts.allergy.denosumab.value is False


def test_an_extraction_that_is_ordered_is_planned_and_one_that_was_done_is_not() -> None:
    extraction = coded(SNOMED, "55162003")
    assert chart(service_request("s", extraction)).facts.dental.invasive_planned.value is True
    assert chart(procedure("p", extraction)).facts.dental.invasive_planned.value is False


def test_a_referral_to_the_dentist_is_no_examination() -> None:
    visit = coded(SNOMED, "34043003")
    assert not chart(service_request("s", visit)).facts.dental.last_exam.is_known
    assert chart(procedure("p", visit, when=9)).facts.dental.last_exam.date == dt.date.fromisoformat(days_ago(9))


def test_the_creatinine_baseline_is_the_newest_before_the_first_dose_and_not_the_order() -> None:
    facts = chart(
        LUNG,
        administration("z1", coded(RXNORM, "77655"), when=90, dose_mg=4),
        administration("z2", coded(RXNORM, "77655"), when=62, dose_mg=4),
        observation("before", "14682-9", quantity("90", "umol/L"), when=95),
        observation("earlier", "14682-9", quantity("80", "umol/L"), when=110),
        observation("after", "14682-9", quantity("150", "umol/L"), when=80),
        observation("now", "14682-9", quantity("120", "umol/L"), when=1),
    ).facts
    assert facts.lab.creatinine_baseline.value == 90
    assert facts.lab.creatinine.value == 120


def test_a_myeloma_chart_keeps_its_series_and_others_do_not() -> None:
    results = [observation(f"h{n}", "718-7", quantity(100 + n, "g/L"), when=n * 30) for n in range(1, 6)]
    assert len(chart(LUNG, *results).facts.series["lab.hb"]) == 1
    series = chart(condition("mm", coded(SNOMED, "109989006")), *results).facts.series["lab.hb"]
    assert [reading.value for reading in series] == [105, 104, 103, 102, 101]


@pytest.mark.parametrize(
    ("code", "value", "path", "answer"),
    [
        ("81746-0", {"valueCodeableConcept": coded(LOINC, "LA6576-8")}, "cyto.del17p", True),
        ("81746-0", {"valueCodeableConcept": coded(SNOMED, "260385009")}, "cyto.del17p", False),
        ("84916-6", {"valueQuantity": quantity(12, "%")}, "cyto.del17p", None),
        (
            "84916-6",
            {"valueQuantity": quantity(12, "%"), "interpretation": [{"coding": [{"code": "POS"}]}]},
            "cyto.del17p",
            True,
        ),
        ("72726-3", {"valueString": "阳性"}, "cyto.t4_14", True),
        ("77033-9", {"valueString": "QNS"}, "cyto.t14_16", None),
        ("81752-8", {"valueString": "3 copies"}, "cyto.gain1q", True),
        ("21702-6", {"valueString": "KRAS G12D"}, "gene.kras", True),
        ("21702-6", {"valueString": "no mutation detected"}, "gene.kras", False),
        ("98014-4", {"valueString": "t(4;14)(p16;q32) detected; del(17)(p13) not detected"}, "cyto.t4_14", True),
        ("98014-4", {"valueString": "t(4;14)(p16;q32) detected; del(17)(p13) not detected"}, "cyto.del17p", False),
        ("98014-4", {"valueString": "nuc ish(TP53x1,D17Z1x2)[65/100]"}, "cyto.del17p", True),
    ],
)
def test_each_abnormality_is_read_in_its_own_way(code: str, value: Json, path: str, answer: bool | None) -> None:
    fact = chart(condition("mm", coded(SNOMED, "109989006")), observation("f", code, **value)).facts.fact(path)
    assert getattr(fact, "value", None) is answer


# --- the same patient, said in three ways -------------------------------------------------------------------


def test_mcode_us_core_and_local_versions_of_one_patient_give_the_same_facts() -> None:
    """The same findings as mCODE resources, as US Core with CM codes and pounds, and in a local feed with words."""
    mcode = chart(
        condition("p", coded(SNOMED, "254626006"), category=[coded(SNOMED, "372087000")]),
        condition("s", coded(SNOMED, "94222008"), category=[coded(SNOMED, "128462008")]),
        observation("e", "89247-1", valueInteger=1, interpretation=[coded(LOINC, "LA9623-5")]),
        observation("c", "2000-8", quantity("2.30", "mmol/L", code="mmol/L")),
        observation("w", "29463-7", quantity(70, "kg", code="kg")),
    )
    us_core = chart(
        condition("p", coded(ICD10_CM, "C34.11", "Adenocarcinoma of right upper lobe")),
        condition("s", coded(ICD10_CM, "C79.51")),
        observation("e", "89247-1", quantity(1, "{score}", code="{score}")),
        observation("c", "17861-6", quantity("9.2", "MG/DL")),
        observation("w", "29463-7", quantity("154.3236", "lbs")),
    )
    chinese = chart(
        condition("p", {"text": "肺腺癌"}),
        condition("s", {"text": "骨转移"}),
        observation("e", {"text": "ECOG评分"}, valueString="1分"),
        observation("c", {"text": "血清总钙"}, quantity("2.30", "mmol/L")),
        observation("w", {"text": "体重"}, quantity("70", "公斤")),
    )
    one, other, third = (told(mapped.facts) for mapped in (mcode, us_core, chinese))
    assert one == other
    assert one == third


# --- laws ---------------------------------------------------------------------------------------------------

LAWS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LAWS
@given(st.randoms(use_true_random=False))
def test_the_order_of_entries_never_matters(shuffler: random.Random) -> None:
    shuffled = list(RICH)
    shuffler.shuffle(shuffled)
    mapped, usual = chart(*shuffled), chart(*RICH)
    assert (mapped, mapped.used) == (usual, usual.used)


@LAWS
@given(st.lists(st.sampled_from(RICH), max_size=6))
def test_a_resource_delivered_twice_counts_once(again: list[Json]) -> None:
    mapped, usual = chart(*RICH, *again), chart(*RICH)
    assert (mapped, mapped.used) == (usual, usual.used)


@LAWS
@given(st.lists(st.sampled_from(RICH), min_size=1, max_size=6))
def test_resources_of_another_patient_never_change_a_fact(foreign: list[Json]) -> None:
    other = {"reference": "Patient/other"}
    strangers = []
    for number, one in enumerate(foreign):
        changed = dict(one, id=f"stranger-{number}")
        changed["patient" if "patient" in one else "subject"] = other
        strangers.append(changed)
    assert chart(*RICH, *strangers).facts == chart(*RICH).facts


@LAWS
@given(st.decimals(min_value=40, max_value=1500, places=0))
def test_a_creatinine_in_another_unit_is_the_same_creatinine(micromoles: Decimal) -> None:
    milligrams = micromoles / Decimal("88.42")
    one = chart(observation("x", "14682-9", quantity(str(micromoles), "umol/L"))).facts.lab.creatinine
    other = chart(observation("x", "2160-0", quantity(f"{milligrams:.12f}", "mg/dL"))).facts.lab.creatinine
    assert one.rounded == other.rounded


@LAWS
@given(st.decimals(min_value=Decimal("0.8"), max_value=Decimal("4.9"), places=2))
def test_a_calcium_in_another_unit_is_the_same_calcium(millimoles: Decimal) -> None:
    one = chart(observation("x", "2000-8", quantity(str(millimoles), "mmol/L"))).facts.lab.ca_total
    other = chart(
        observation("x", "17861-6", quantity(f"{millimoles / Decimal('0.2495'):.12f}", "mg/dL"))
    ).facts.lab.ca_total
    assert one.rounded == other.rounded


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(RICH), st.data())
def test_no_damaged_resource_breaks_the_reader_or_hides_the_others(one: Json, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([key for key in one if key not in {"resourceType", "subject", "patient"}]))
    damaged = {**one, "id": "damaged", name: data.draw(JSON)}
    facts = chart(damaged, observation("phosphate", "2777-1", quantity("3.1", "mg/dL"))).facts
    assert facts.lab.phosphate.is_known


# --- public examples ----------------------------------------------------------------------------------------

_EXAMPLE_KEYS = {
    "Patient": "patient",
    "Condition": "conditions",
    "AllergyIntolerance": "allergies",
    "MedicationRequest": "medications",
    "MedicationStatement": "medications",
    "Medication": "medications",
    "MedicationAdministration": "medicationAdministrations",
    "Procedure": "procedures",
    "ServiceRequest": "serviceRequests",
}


def _subject(resource: Json) -> str:
    reference = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
    return str(reference).rpartition("/")[2].rpartition(":")[2]


def _mapped(path: Path) -> tuple[Mapped, list[Json]]:
    whole = json.loads(path.read_text("utf-8"))
    resources = [entry["resource"] for entry in whole["entry"]] if whole["resourceType"] == "Bundle" else [whole]
    own = [one["id"] for one in resources if one["resourceType"] == "Patient"]
    patient_id = own[0] if own else next((who for one in resources if (who := _subject(one))), "example")
    keys: dict[str, list[Json]] = {key: [] for key in (*_EXAMPLE_KEYS.values(), "observations")}
    for one in resources:
        keys[_EXAMPLE_KEYS.get(one["resourceType"], "observations")].append(one)
    sent = {key: json.dumps(bundle(listed)).encode() for key, listed in keys.items() if listed or key != "patient"}
    return read_chart(sent, patient_id=patient_id, now=NOW, timezone=dt.UTC), resources


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the public FHIR examples are not beside this checkout")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: str(path.stem))
def test_every_resource_of_the_public_examples_is_used_or_named(path: Path) -> None:
    mapped, resources = _mapped(path)
    seen = {used.resource for used in mapped.used} | {note.resource for note in mapped.notes}
    for one in resources:
        assert f"{one['resourceType']}/{one['id']}" in seen


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the public FHIR examples are not beside this checkout")
def test_the_examples_give_the_facts_that_a_reader_finds_in_them() -> None:
    by_name = {path.stem: _mapped(path)[0].facts for path in EXAMPLES.glob("*.json")}
    assert by_name["mcode-ig--ecog-performance-status"].status.ecog.is_known
    assert by_name["mcode-ig--secondary-cancer-condition-brain"].dx.brain_metastases.value is True
    assert by_name["ctm-app--TrialMatching_Patient01"].dx.bone_met.value is True
    assert by_name["ctm-app--TrialMatching_Patient01"].dx.visceral_met_organs.value == 1  # the liver; nodes are none
    assert by_name["us-core--observation-serum-calcium"].lab.ca_total.value == Decimal("1.92115")  # 7.7 mg/dL
    assert by_name["us-core--observation-serum-creatinine"].lab.creatinine.value == Decimal("88.42")
    assert by_name["us-core--dxa-hip-l-t-score-bmd"].mm.bmd_decreased.value is True
    assert by_name["r4core--observation-example"].patient.weight.value == Decimal("83.91458845")  # 185 lbs
    assert by_name["us-core--medicationrequest-self-tylenol"].meds.acetaminophen.flags == ("reported", "from-text")
    assert by_name["ccrr--tnm-clinical-distant-metastases-category-cm0-example"].dx.metastatic.value is False
    assert by_name["mef--csv-condition-bundle"].dx.other_solid_cancer.value is True  # C02.0, whatever its display says
    blood = by_name["r4core--diagnosticreport-example"].lab
    assert (blood.hb.value, blood.platelets.value, blood.anc.value) == (Decimal(176), Decimal(444), Decimal("0.9"))


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the public FHIR examples are not beside this checkout")
@pytest.mark.parametrize(
    ("example", "resource", "reason"),
    [
        ("ccrr--ccrr-procedure-radiotherapy-example", "Procedure/radiotherapy-example", "radiotherapy without a site"),
        ("us-core--observation-pregnancy-status", "Observation/pregnancy-status", "older than 40 weeks"),
        ("us-core--diagnosticreport-metabolic-panel", "DiagnosticReport/metabolic-panel", "8 of its results were not"),
        ("us-core--DiagnosticReport-bone-density-report", "DiagnosticReport/bone-density-report", "6 of its results"),
        ("us-core--allergyintolerance-example", "AllergyIntolerance/example", "an allergy to no drug of ours"),
        ("us-core--bp-data-absent", "Observation/bp-data-absent", "not read"),
        ("us-core--Observation-PHQ9-item-example-44261-6", "Observation/PHQ9-item-example-44261-6", "recognised"),
        (
            "us-core--medicationrequest-coded-oral-axid",
            "MedicationRequest/medicationrequest-coded-oral-axid",
            "unmapped",
        ),
        ("mef--csv-condition-bundle", "Condition/conditionId-1", "display-mismatch"),
        ("r4core--diagnosticreport-example", "Observation/r8", "trap"),
        ("mef--surgical-radiation-procedure-bundle", "Procedure/procedure-2", "not read"),
    ],
)
def test_what_the_examples_hold_beside_our_facts_is_named_with_its_reason(
    example: str, resource: str, reason: str
) -> None:
    told = reasons(_mapped(EXAMPLES / f"{example}.json")[0])[resource]
    assert any(one.startswith(reason) for one in told), told


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the public FHIR examples are not beside this checkout")
def test_nothing_is_made_of_examples_that_hold_none_of_our_facts() -> None:
    """A remission of any cancer is no myeloma response, a made-up operation is no surgery of bone."""
    disease_status = _mapped(EXAMPLES / "mef--csv-cancer-disease-status-bundle.json")[0].facts
    assert not disease_status.mm.response.is_known
    assert not disease_status.local.disease_progression.is_known
    assert not _mapped(EXAMPLES / "mef--surgical-radiation-procedure-bundle.json")[0].facts.sre
    assert not _mapped(EXAMPLES / "us-core--observation-pregnancy-status.json")[0].facts.patient.pregnant.is_known


def test_local_codes_of_the_dictionary_are_all_read() -> None:
    """Every yes/no fact that has a local code is true when it is entered as true."""
    for path, rule in dictionary.FINDINGS.items():
        if not rule.local:
            continue
        words = DICTIONARY[path].words
        value: Json = {"valueCodeableConcept": coded(LOCAL, words[-1])} if words else {"valueBoolean": True}
        fact = chart(local("x", rule.local, **value)).facts.fact(path)
        assert getattr(fact, "value", None) == (words[-1] if words else True), path
