"""A code that decides nothing does not outvote what decides; a contradiction asks; a bone metastasis is cancer."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mapping.terms.site import SiteMapping, site_mapping
from recommenders.assessing.assessment import assess
from tests.fhir import (
    ICD10,
    ICD10_CM,
    LOINC,
    SNOMED,
    Json,
    chart,
    coded,
    condition,
    local,
    observation,
    prefetch,
    quantity,
    read,
    report,
)

LUNG = condition("lung", coded(ICD10_CM, "C34.11"))


def site_of(**settings: Any) -> SiteMapping:
    """Give the mapping of a site."""
    return site_mapping(settings)


def both(system: str, code: str, text: str) -> Json:
    """Give a Condition with a code and words of its own."""
    return condition("c", {"coding": [{"system": system, "code": code}], "text": text})


# --- words, morphology, a second coding ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "code", "text", "fact", "value"),
    [
        (ICD10, "C41.9", "骨肉瘤", "dx.osteosarcoma", True),
        (ICD10_CM, "C40.21", "Osteosarcoma of the distal femur", "dx.osteosarcoma", True),
        (ICD10_CM, "C40.21", "Malignant tumour of the distal femur", "dx.osteosarcoma", False),
        (ICD10_CM, "C40.21", "Osteosarcoma not excluded", "dx.osteosarcoma", None),
        (ICD10_CM, "C49.21", "Osteosarcoma", "dx.osteosarcoma", True),
        (ICD10_CM, "C49.21", "Osteosarcoma", "dx.sts", False),
        (ICD10_CM, "C76.0", "soft tissue sarcoma", "dx.sts", True),
        (ICD10_CM, "C76.0", "soft tissue sarcoma", "dx.other_solid_cancer", False),
        (ICD10_CM, "C47.6", "Malignant peripheral nerve sheath tumour", "dx.sts", True),
        (ICD10_CM, "C48.0", "脂肪肉瘤", "dx.sts", True),
        (ICD10, "C34.9", "肺恶性肿瘤伴骨转移", "dx.bone_met", True),
        (ICD10, "C34.9", "伴骨转移", "dx.bone_met", True),
        (ICD10, "C34.9", "肺癌，骨转移待排", "dx.bone_met", None),
        (ICD10_CM, "C50.911", "Breast cancer with bone metastases", "dx.bone_met", True),
        (ICD10_CM, "M87.10", "Osteonecrosis due to drug, jaw", "onj.status", "confirmed"),
        (ICD10_CM, "M87.1", "药物性颌骨坏死", "onj.status", "confirmed"),
        (ICD10_CM, "M87.10", "Osteonecrosis due to drug, femoral head", "onj.status", "none"),
        (ICD10_CM, "I10", "bone metastasis", "dx.bone_met", True),  # a code that no table knows says nothing
    ],
)
def test_words_decide_beside_a_code_that_names_a_place_or_a_class(
    system: str, code: str, text: str, fact: str, value: object
) -> None:
    assert getattr(chart(both(system, code, text)).facts.fact(fact), "value", None) == value


def test_a_local_code_never_outvotes_a_standard_one() -> None:
    site = site_of(codes=[{"system": "urn:example", "code": "BM", "concept": "bone_metastasis"}])
    two = {"coding": [{"system": "urn:example", "code": "BM"}, {"system": ICD10_CM, "code": "C34.11"}]}
    facts = read(prefetch(condition("c", two)), site=site).facts
    assert (facts.dx.lung_cancer.value, facts.dx.bone_met.value) == (True, None)


def test_of_two_codings_the_one_that_tells_smouldering_decides_beside_d472() -> None:
    two = {"coding": [{"system": ICD10_CM, "code": "D47.2"}, {"system": SNOMED, "code": "413587002"}]}
    facts = chart(condition("c", two)).facts
    assert (facts.dx.smm.value, facts.dx.mgus.value) == (True, False)


# --- contradictions ask --------------------------------------------------------------------------------------


def test_a_gammopathy_that_its_marrow_contradicts_is_in_scope_and_the_stronger_sign_speaks() -> None:
    marrow = observation("bm", coded(LOINC, "11118-7"), valueQuantity=quantity(62, "%"))
    facts = chart(condition("c", coded(ICD10_CM, "D47.2")), marrow).facts
    assert facts.dx.mgus.reason == "contradictory"
    found = assess(facts, "patient-view")
    fired = {rule for rule, verdict in found.verdicts.items() if verdict.state == "fired"}
    assert {"MM-001", "MM-003", "BP-020"} <= fired
    assert "BP-022" not in fired


# --- a cancer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (condition("c", coded(ICD10_CM, "C82.10")), True),
        (condition("c", coded(ICD10, "C91.0")), True),
        (condition("c", coded(ICD10_CM, "C79.51")), True),
        (condition("c", {"text": "Breast cancer"}), True),
        (condition("c", {"text": "弥漫大B细胞淋巴瘤"}), True),
        (condition("c", {"text": "胃癌？"}), None),
        (condition("c", coded(ICD10_CM, "C44.91")), False),
        (condition("c", coded(ICD10_CM, "D05.10")), False),
        (condition("c", {"text": "Ductal carcinoma in situ"}), False),
        (condition("c", {"text": "Basal cell carcinoma of the nose"}), False),
        (condition("c", {"text": "Family history of breast cancer"}), False),
        (condition("c", {"text": "History of colon cancer"}), False),
        (condition("c", {"text": "Cancer screening"}), False),
        (condition("c", coded(ICD10_CM, "C82.10"), clinical="resolved"), False),
        (condition("c", coded(ICD10_CM, "D47.2")), False),
    ],
)
def test_an_active_malignancy_of_whatever_kind(told: Json, value: bool | None) -> None:
    assert chart(told).facts.dx.any_cancer.value is value


# --- reports -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "conclusion", "value", "reason"),
    [
        ("MRI of the spine", "Bone metastases at L2 and L4.", True, None),
        ("MRI of the spine", "Suspicious for bone metastasis at L2.", None, "suspected"),
        ("Bone scan", "Multiple bone metastases.", None, "suspected"),
        ("MRI of the spine", "No bone metastasis.", None, "missing"),
        ("MRI of the spine", "Indication: bone metastasis. Findings: normal marrow.", None, "missing"),
    ],
)
def test_what_a_report_concludes_counts_as_its_modality_allows(
    name: str, conclusion: str, value: bool | None, reason: str | None
) -> None:
    fact = chart(LUNG, report("r", {"text": name}, conclusion=conclusion)).facts.dx.bone_met
    assert (fact.value, fact.reason) == (value, reason)


def test_the_newest_report_on_a_bone_metastasis_counts() -> None:
    scan = report("a", {"text": "Bone scan"}, when=60, conclusion="Suspicious for bone metastasis.")
    later = report("b", {"text": "MRI of the spine"}, when=10, conclusion="No bone metastasis.")
    assert chart(LUNG, scan, later).facts.dx.bone_met.reason == "missing"
    assert chart(LUNG, scan).facts.dx.bone_met.reason == "suspected"


# --- cut-offs of a laboratory ----------------------------------------------------------------------------------


def test_a_percentage_is_compared_with_the_cutoff_beside_it_else_with_that_of_the_site() -> None:
    myeloma = condition("mm", coded(SNOMED, "109989006"))

    def del17p(said: str, **cutoffs: float) -> bool | None:
        site = site_of(cutoffs={"cyto.del17p": cutoffs["site"]}) if cutoffs else None
        facts = read(prefetch(myeloma, report("r", {"text": "FISH"}, conclusion=said)), site=site).facts
        value = facts.cyto.del17p.value
        assert value is None or isinstance(value, bool)
        return value

    assert del17p("del(17p) 12% (cut-off 10%)") is True
    assert del17p("del(17p) 12%") is None
    assert del17p("del(17p) 12%", site=10) is True
    assert del17p("del(17p) 8%", site=10) is False
    assert del17p("del(17p) 12% (cut-off 15%)", site=10) is False
    assert del17p("del(17p) 60%") is True
    assert del17p("del(17p): 0%") is False


def test_a_local_entry_beside_a_report_wins_on_its_day() -> None:
    myeloma = condition("mm", coded(SNOMED, "109989006"))
    entered = local("c", "cyto-del17p", valueBoolean=False)
    told = report("r", {"text": "FISH"}, conclusion="del(17p) positive")
    assert chart(myeloma, entered, told).facts.cyto.del17p.value is False
