"""The screen of a population leaves nobody out who could be our business."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

import pytest

from fhir_mapping.chart import read_chart
from fhir_mapping.delivery.screening import CHART_TYPES, HARMLESS, ORDER_TYPES, Screen
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import LOCAL, shipped_rows
from fhir_mapping.terms.site import site_mapping
from fhir_mapping.words.targets import TARGETS
from hooks.reference.samples import request_for, samples
from hooks.replay.population import population
from recommenders.assessing.assessment import assess
from recommenders.patient.scope import scope_of
from recommenders.vocabulary.facts import Fact, Finding
from tests.fhir import bundle, chart, coded, condition, local, observation, quantity, report
from tests.vignettes import load_all

Json = dict[str, Any]
SCREEN = Screen()


def is_let_through(resources: list[Json], *, orders: bool = False) -> bool:
    return any(SCREEN.may_concern(json.dumps(one).encode(), orders=orders) for one in resources)


def in_scope(resources: list[Json]) -> bool:
    return assess(chart(*resources).facts, "patient-view").in_scope


@pytest.mark.parametrize("name", [sample.name for sample in samples()])
def test_every_sample_patient_in_scope_is_let_through(name: str) -> None:
    request = request_for(name)
    prefetch: Any = {key: json.dumps(value).encode() for key, value in request["prefetch"].items()}
    drafts = request["context"].get("draftOrders")
    mapped = read_chart(
        prefetch,
        patient_id=request["context"]["patientId"],
        now=dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC),
        timezone=dt.UTC,
        draft_orders=None if drafts is None else json.dumps(drafts).encode(),
    )
    lines = [entry["resource"] for value in request["prefetch"].values() for entry in value.get("entry", ())]
    orders = [entry["resource"] for entry in (drafts or {}).get("entry", ())]
    if assess(mapped.facts, request["hook"]).in_scope:
        assert is_let_through([*lines, *orders], orders=True)


def test_every_code_that_alone_makes_a_patient_ours_is_let_through() -> None:
    """All Condition codes of the table, one chart each."""
    missed = []
    seen = 0
    for concept, kinds, system, code, display in shipped_rows():
        if "Condition" not in kinds:
            continue
        one = condition("c", coded(system, code, display=display))
        if not is_let_through([one]):
            seen += 1
            if in_scope([one]):
                missed.append((concept, code))
    assert not missed
    assert seen  # some codes are read and make nobody ours


@pytest.mark.parametrize("term", sorted(TARGETS))
def test_every_word_that_alone_makes_a_patient_ours_is_let_through(term: str) -> None:
    for said in (term.replace("_", " "), *WORDS.get(term, ())):
        for one in (condition("c", {"text": said}), condition("c", coded("urn:local", "77", display=said))):
            if not is_let_through([one]):
                assert not in_scope([one]), said


WORDS = {
    "lung_cancer": ("NSCLC", "右肺上叶腺癌", "肺恶性肿瘤", "Carcinoma of lung"),
    "bone_metastasis": ("骨转移", "bone mets", "Osseous metastases"),
    "multiple_myeloma": ("多发性骨髓瘤", "Multiple myeloma, IgG kappa"),
    "smouldering_myeloma": ("冒烟型骨髓瘤", "SMM", "asymptomatic myeloma"),
    "mgus": ("MGUS", "意义未明的单克隆免疫球蛋白血症"),
    "osteosarcoma": ("骨肉瘤",),
    "soft_tissue_sarcoma": ("软组织肉瘤",),
    "plasmacytoma": ("浆细胞瘤", "solitary plasmacytoma of bone"),
}


def test_every_observation_that_alone_makes_a_patient_ours_is_let_through() -> None:
    """All codes that an Observation may bear, with values that say yes."""
    yes: tuple[Json, ...] = (
        {"valueBoolean": True},
        {"valueString": "positive"},
        {"valueCodeableConcept": coded("http://snomed.info/sct", "10828004", display="Positive")},
        {"valueQuantity": {"value": 99, "unit": "{count}"}},
    )
    codes = [coded(LOCAL, one) for one in ("bone-lesion", *(r.local for r in dictionary.FINDINGS.values() if r.local))]
    codes += [
        coded(system, code)
        for _, kinds, system, code, _ in shipped_rows()
        if kinds and ("Observation" in kinds or "Condition" in kinds)
    ]
    held = 0
    for code in codes:
        if is_let_through([observation("o", code)]):
            continue
        held += 1
        assert not any(in_scope([observation("o", code) | value]) for value in yes), code
    assert held


def test_a_lesion_that_is_a_metastasis_is_let_through() -> None:
    parts = [
        {"code": coded(LOCAL, "lesion-nature"), "valueString": "metastasis"},
        {"code": coded(LOCAL, "lesion-modality"), "valueString": "ct"},
    ]
    lesion = local("l", "bone-lesion", component=parts)
    assert is_let_through([lesion])


def test_a_report_that_concludes_bone_metastasis_is_let_through() -> None:
    one = report(
        "r", coded("http://loinc.org", "24969-2"), conclusionCode=[coded("http://snomed.info/sct", "94222008")]
    )
    assert is_let_through([one])


@pytest.mark.parametrize("seed", range(8))
def test_a_mixed_up_chart_in_scope_is_let_through(seed: int) -> None:
    """Sample patients with lines dropped, swapped between them, and elements taken away or broken."""
    dice = random.Random(seed)
    pool = [one for sample in samples() for one in sample.resources if one["resourceType"] in CHART_TYPES]
    judged = 0
    for _ in range(25):
        lines = [json.loads(json.dumps(one)) for one in dice.sample(pool, dice.choice((1, 2, 4, 8)))]
        for one in lines:
            one.pop("subject", None)
            if dice.random() < 0.3:
                one.pop(dice.choice([name for name in one if name not in {"resourceType", "id"}]), None)
            if dice.random() < 0.1:
                one["code"] = dice.choice((None, [], "text", {"coding": {"code": 1}}, {"text": "骨转移"}))
        if in_scope(lines):
            judged += 1
            assert is_let_through(lines)
    assert judged


def test_every_vignette_in_scope_has_its_scope_from_what_the_screen_looks_for() -> None:
    """What brings a vignette into scope is a diagnosis, an entered lesion or first presentation, or an order."""
    for case in load_all():
        found = assess(case.facts, case.hook)
        kind = scope_of(found.case).kind
        assert kind in {"diagnosis", "order", "osteoporosis-order", "dental-order", "none"}
        if kind == "diagnosis":
            told = {name for name in SCOPE_FACTS if says_yes(found.facts.fact(name))}
            assert told, case


def says_yes(fact: Fact) -> bool:
    """Whether it is so, or the record contradicts itself on it, which is asked about."""
    return isinstance(fact, Finding) and (fact.value is True or fact.reason == "contradictory")


SCOPE_FACTS = (
    "dx.lung_cancer",
    "dx.mm",
    "dx.smm",
    "dx.mgus",
    "dx.plasmacytoma",
    "dx.pcl",
    "dx.osteosarcoma",
    "dx.sts",
    "dx.bone_met",
    "dx.other_solid_cancer",
    "dx.any_cancer",  # with a calcium that is too high
    "local.ortho_first_presentation",
)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"resourceType":"Condition","code":7}', b"\xff"])
def test_a_line_that_cannot_be_read_is_let_through(raw: bytes) -> None:
    assert SCREEN.may_concern(raw)


def test_most_of_a_hospital_is_left_out() -> None:
    sent = (
        condition("a", coded("http://hl7.org/fhir/sid/icd-10-cm", "I10", display="Essential hypertension")),
        condition("b", coded("http://hl7.org/fhir/sid/icd-10-cm", "J18.9", display="Pneumonia, unspecified organism")),
        condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "M81.0", display="Osteoporosis")),
        observation("d", "2160-0"),
        observation("e", "17861-6"),
        observation("f", "29463-7"),
        {"resourceType": "Encounter", "id": "g", "status": "finished"},
    )
    assert not is_let_through(list(sent))


def test_whoever_has_no_disease_of_ours_in_the_synthetic_population_is_left_out() -> None:
    """Common diagnoses under the words that systems print: one of them let through, and a ward is judged in vain."""
    for others in population(200, seed=3, ours=0):
        assert not is_let_through(others)


@pytest.mark.parametrize(
    "state", [{}, {"clinical": "resolved"}, {"verification": "provisional"}, {"verification": "refuted"}]
)
def test_all_that_is_held_harmless_makes_nobody_ours_in_one_chart(state: dict[str, str]) -> None:
    """Every code of every concept that the screen passes over, and some of them, beside a calcium that is too high."""
    told = [
        condition(f"c{number}", coded(system, code, display=display), **state)
        for number, (concept, kinds, system, code, display) in enumerate(shipped_rows())
        if "Condition" in kinds and concept in HARMLESS
    ]
    passed_over = [one for one in told if not is_let_through([one])]
    assert len(passed_over) > len(told) // 2
    calcium = observation("calcium", "17861-6", quantity(14, "mg/dL", code="mg/dL"))
    dice = random.Random(str(state))
    assert not in_scope([*passed_over, calcium])
    for _ in range(20):
        assert not in_scope([*dice.sample(passed_over, 12), calcium])


def test_every_concept_that_is_held_harmless_is_one_of_the_table() -> None:
    assert {concept for concept, kinds, *_ in shipped_rows() if "Condition" in kinds} >= HARMLESS


def test_a_site_s_own_code_is_known_to_its_screen() -> None:
    told = site_mapping({"codes": [{"system": "urn:his", "code": "K1", "concept": "lung_cancer"}]})
    line = json.dumps(condition("c", coded("urn:his", "K1"))).encode()
    assert (Screen(told).may_concern(line), SCREEN.may_concern(line)) == (True, False)


def test_orders_count_where_orders_are_asked_for() -> None:
    order = json.dumps(
        {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "zoledronic acid 4 mg"}}
    ).encode()
    assert {SCREEN.may_concern(order, orders=orders) for orders in (True, False)} == {True, False}
    assert {"MedicationRequest", "ServiceRequest"} == ORDER_TYPES
    bare = json.dumps({"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/1"}})
    assert SCREEN.may_concern(bare.encode(), orders=True)
    assert not SCREEN.may_concern(json.dumps(bundle([])).encode(), orders=True)


def test_a_result_under_a_local_code_is_named_and_others_are_not() -> None:
    assert SCREEN.unread(json.dumps(observation("o", coded("urn:lis", "KREA"))).encode()) == (
        "Observation",
        "urn:lis",
        "KREA",
    )
    assert SCREEN.unread(json.dumps(observation("o", "2951-2")).encode()) is None
    assert SCREEN.unread(json.dumps(observation("o", "2160-0")).encode()) is None
    assert SCREEN.unread(b"{") is None
