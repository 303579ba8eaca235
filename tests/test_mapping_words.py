"""What words deny, doubt or only mention, in both languages, and what Latin letters beside Chinese ones mean."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_mapping.words import assertions
from tests.fhir import (
    ICD10_CM,
    LOINC,
    SNOMED,
    Json,
    allergy,
    chart,
    coded,
    condition,
    local,
    observation,
    reasons,
    report,
)

LUNG = condition("lung", coded(ICD10_CM, "C34.11"))
MYELOMA = condition("mm", coded(SNOMED, "109989006"))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        # 排除 is a negation only where nothing takes it back
        ("已排除骨转移", "absent"),
        ("不排除骨转移", "suspected"),
        ("未排除骨转移", "suspected"),
        ("不能完全排除骨转移", "suspected"),
        ("无法排除骨转移", "suspected"),
        ("骨转移待除外", "suspected"),
        ("bone metastasis not ruled out", "suspected"),
        ("bone metastasis to be ruled out", "suspected"),
        ("bone metastases have not been excluded", "suspected"),
        # doubt
        ("骨转移可能性大", "suspected"),
        ("倾向骨转移", "suspected"),
        ("是否骨转移", "suspected"),
        ("bone metastasis unlikely", "suspected"),
        ("findings concerning for bone metastasis", "suspected"),
        ("evaluate for bone metastasis", "suspected"),
        # one "no" for a whole list
        ("无骨折、骨转移", "absent"),
        ("未见骨折、骨转移", "absent"),
        ("否认肺癌、骨转移", "absent"),
        ("无骨折、有骨转移", "present"),
        ("疑似肝转移、骨转移", "suspected"),
        ("no fracture, cord compression or bone metastasis", "absent"),
        ("denies weakness, bone metastasis", "absent"),
        ("No acute fracture, bone metastasis at L3 is stable", "present"),
        ("no fracture. Bone metastasis at L3", "present"),
        # other ways to say no
        ("没有骨转移", "absent"),
        ("非骨转移", "absent"),
        ("骨转移：无", "absent"),
        ("骨转移(-)", "absent"),
        ("骨转移未见", "absent"),
        ("bone metastasis: no", "absent"),
        ("bone metastasis not identified", "absent"),
        ("absence of bone metastasis", "absent"),
        ("free of bone metastases", "absent"),
        ("not due to bone metastasis", "absent"),
        # no negations at all
        ("骨转移未见进展", "present"),
        ("双下肢无力伴骨转移", "present"),
        ("无明显诱因发现骨转移", "present"),
        ("MRI without contrast shows bone metastasis", "present"),
        ("no significant change in bone metastases", "unread"),
        ("no evidence of new bone metastasis", "unread"),
        ("骨折高危、骨转移", "present"),
    ],
)
def test_a_metastasis_is_denied_doubted_or_told(said: str, verdict: str) -> None:
    assert assertions.verdict(said, "bone_metastasis") == verdict


@pytest.mark.parametrize(
    ("term", "said", "verdict"),
    [
        ("cord_compression", "双下肢无力伴脊髓压迫", "present"),
        ("cord_compression", "无法行走，脊髓压迫", "present"),
        ("cord_compression", "impending cord compression", "hypothetical"),
        ("lung_cancer", "非小细胞肺癌", "present"),
        ("lung_cancer", "左肺上叶腺癌", "present"),
        ("lung_cancer", "adenocarcinoma of left lung", "present"),
        ("lung_cancer", "lung cancer screening", "other"),
        ("lung_cancer", "肺转移癌", None),
        ("smouldering_myeloma", "smoldering (asymptomatic) multiple myeloma", "present"),
        ("smouldering_myeloma", "冒烟型（无症状）多发性骨髓瘤", "present"),
        ("osteonecrosis_jaw", "risk of ONJ", "hypothetical"),
        ("osteonecrosis_jaw", "颌骨坏死", "present"),
        ("pathological_fracture", "陈旧性病理性骨折", "historical"),
        # a Latin word ends where a Chinese one begins
        ("lung_cancer", "确诊NSCLC伴骨转移", "present"),
        ("smouldering_myeloma", "患者SMM随访", "present"),
        ("osteonecrosis_jaw", "MRONJ待排", "suspected"),
        ("mdt", "肺癌MDT讨论", "present"),
    ],
)
def test_a_finding_is_denied_doubted_or_told(term: str, said: str, verdict: str | None) -> None:
    assert assertions.verdict(said, term) == verdict


@pytest.mark.parametrize(
    ("words", "value", "reason"),
    [
        ("骨转移", True, None),
        ("骨转移？", None, "suspected"),
        ("no bone metastasis", None, "contradictory"),
        ("at risk of bone metastasis", None, "contradictory"),
        ("已排除骨转移", None, "contradictory"),
    ],
)
def test_a_code_whose_own_words_doubt_or_deny_it_is_no_finding(
    words: str, value: bool | None, reason: str | None
) -> None:
    facts = chart(condition("c", coded(SNOMED, "94222008", words))).facts
    assert (facts.dx.bone_met.value, facts.dx.bone_met.reason) == (value, reason)
    assert facts.ever.malignancy.value is (value is True)
    assert facts.dx.metastatic.value is value


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("t(4;14)(p16;q32) detected", {"t4_14": True}),
        ("未检出t(4;14)、t(14;16)，检出del(17p)", {"t4_14": False, "t14_16": False, "del17p": True}),
        ("No evidence of t(4;14), t(14;16) or del(17p)", {"t4_14": False, "t14_16": False, "del17p": False}),
        ("t(4;14)、t(14;16)均阴性", {"t4_14": False, "t14_16": False}),
        ("t(4;14), t(14;16) and del(17p): negative", {"t4_14": False, "t14_16": False, "del17p": False}),
        ("t(4;14)及t(14;16)未检出，1q21扩增阳性", {"t4_14": False, "t14_16": False, "gain1q": True}),
        ("t(4;14) and t(14;16): failed", {}),
        ("FISH probes: t(4;14), t(14;16), del(17p). Result: see PDF", {}),
        ("FISH panel: t(4;14) positive", {"t4_14": True}),
        ("FISH: t(11;14) positive", {}),
        ("normal karyotype 46,XX", {}),
        ("nuc ish(TP53x1,D17Z1x2)[65/100]", {"del17p": True}),
        ("nuc ish(TP53,D17Z1)x2[200]", {"del17p": False}),
        ("47,XY,+1q,del(13)(q14)", {"gain1q": True, "del13q": True}),
        ("t(4;14) cannot be excluded", {}),
    ],
)
def test_a_report_of_cytogenetics_says_yes_no_or_nothing_of_each_abnormality(said: str, found: dict[str, bool]) -> None:
    facts = chart(MYELOMA, report("r", {"text": "FISH"}, conclusion=said)).facts
    told = {
        name: getattr(facts.cyto, name).value for name in ("del17p", "t4_14", "t14_16", "t14_20", "gain1q", "del13q")
    }
    assert {name: value for name, value in told.items() if value is not None} == found


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("exon 19 deletion", True),
        ("L858R突变阳性", True),
        ("EGFR wild type", False),
        ("No EGFR mutation detected", False),
        ("EGFR未发现突变", False),
        ("mutation not identified", False),
        ("Indeterminate", None),
        ("equivocal", None),
        ("VUS", None),
        ("see report", None),
        ("QNS", None),
    ],
)
def test_a_gene_result_in_words_is_a_variant_none_or_nothing(said: str, value: bool | None) -> None:
    assert chart(LUNG, observation("g", "21665-5", valueString=said)).facts.driver.egfr.value is value


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("VGPR", "VGPR"),
        ("sCR", "sCR"),
        ("很好的部分缓解", "VGPR"),
        ("疗效：VGPR", "VGPR"),
        ("partial response", "PR"),
        ("near CR", None),
        ("接近CR", None),
        ("≥VGPR", None),
        ("VGPR or better", None),
        ("PR/VGPR", None),
        ("possible CR", None),
        ("Scr 120 umol/L", None),
    ],
)
def test_a_response_in_words_is_one_category_or_none(said: str, word: str | None) -> None:
    assert chart(MYELOMA, local("r", "imwg-response", valueString=said)).facts.mm.response.value == word


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("MRD阴性", "negative"),
        ("MRD negative (10^-5)", "negative"),
        ("微小残留病未检出", "negative"),
        ("MRD检测结果：阳性", "positive"),
        ("MRD not done", None),
        ("MRD未转阴", None),
        ("MRD pending", None),
        ("未做", None),
    ],
)
def test_residual_disease_in_words(said: str, word: str | None) -> None:
    assert chart(MYELOMA, local("r", "mrd-status", valueString=said)).facts.mm.mrd.value == word


def test_response_and_residual_disease_are_known_by_name_where_no_code_is() -> None:
    named = [
        observation("r", {"text": "疗效评价"}, valueString="VGPR"),
        observation("m", {"text": "MRD"}, valueCodeableConcept=coded(SNOMED, "260385009")),
    ]
    facts = chart(MYELOMA, *named).facts
    assert (facts.mm.response.value, facts.mm.mrd.value) == ("VGPR", "negative")
    assert "from-text" in facts.mm.response.flags


def test_a_disease_status_tells_a_response_of_myeloma_only_in_its_own_words() -> None:
    """mCODE's status is of any cancer: its "complete remission" is no IMWG category."""

    def status(words: str) -> Json:
        return observation("s", coded(LOINC, "97509-4"), valueCodeableConcept={"text": words})

    assert chart(MYELOMA, status("Cancer in complete remission (finding)")).facts.mm.response.value is None
    assert chart(MYELOMA, status("VGPR")).facts.mm.response.value == "VGPR"


@pytest.mark.parametrize(
    ("said", "low", "high", "low_open", "high_open"),
    [
        ("life expectancy > 3 months", 3, 600, True, False),
        ("life expectancy at least 3 months", 3, 600, False, False),
        ("预计生存期不少于3个月", 3, 600, False, False),
        ("预计生存期3个月以上", 3, 600, False, False),
        ("预计生存期不足3个月", 0, 3, False, True),
        ("预计生存期不超过3个月", 0, 3, False, False),
        ("预计生存期3个月以内", 0, 3, False, False),
        ("life expectancy 3 months or less", 0, 3, False, False),
        ("life expectancy not less than 6 months", 6, 600, False, False),
        ("no more than 3 months", 0, 3, False, False),
    ],
)
def test_the_edge_of_a_life_expectancy_belongs_to_it_where_the_words_say_so(
    said: str, low: int, high: int, low_open: bool, high_open: bool
) -> None:
    fact = chart(LUNG, observation("p", "75328-5", valueString=said)).facts.status.life_expectancy
    assert (fact.low, fact.high, fact.low_open, fact.high_open) == (Decimal(low), Decimal(high), low_open, high_open)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("mesna", True),
        ("美司钠过敏", True),
        ("no allergy to mesna", False),
        ("无美司钠过敏史", False),
        ("No known allergies", False),
        ("mesalamine", False),
    ],
)
def test_an_allergy_that_is_denied_in_its_own_words_is_none(words: str, value: bool) -> None:
    assert chart(LUNG, allergy("a", {"text": words})).facts.allergy.mesna.value is value


def test_an_allergy_may_be_told_by_the_substance_of_its_reaction_alone() -> None:
    told = allergy("a", {"text": "drug"}, reaction=[{"substance": {"text": "ifosfamide"}}])
    mapped = chart(LUNG, told)
    assert mapped.facts.allergy.ifosfamide.value is True
    assert "AllergyIntolerance/a" not in reasons(mapped)


@pytest.mark.parametrize(
    ("site", "expected"),
    [("T12椎体", "spine-thoracic"), ("L1椎体", "spine-lumbar"), ("C5椎体病灶", "spine-cervical"), ("椎体", "spine")],
)
def test_the_level_of_a_vertebra_is_read_before_chinese_words(site: str, expected: str) -> None:
    (lesion,) = chart(MYELOMA, local("l", "bone-lesion", bodySite={"text": site})).facts.lesions
    assert lesion.site.value == expected
