"""Names, addresses of code systems, units and results, as laboratories and hospitals of many countries write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fhir_mapping.terms import codes, names, units
from fhir_mapping.terms.site import SiteMappingError, site_mapping
from recommenders.vocabulary.dictionary import DICTIONARY
from tests.fhir import (
    ICD10,
    ICD10_CM,
    LOINC,
    SNOMED,
    Json,
    chart,
    coded,
    condition,
    observation,
    prefetch,
    quantity,
    read,
)

if TYPE_CHECKING:
    from recommenders.vocabulary.dictionary import Facts

# --- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit", "fact"),
    [
        ("白蛋白(ALB)", "g/L", "lab.albumin"),
        ("*★白蛋白（溴甲酚绿法）", "g/L", "lab.albumin"),
        ("血清白蛋白測定", "g/L", "lab.albumin"),
        ("Albumin, Serum (BCG)", "g/L", "lab.albumin"),
        ("*★肌酐(酶法)", "umol/L", "lab.creatinine"),
        ("血清肌酐（Cr）", "umol/L", "lab.creatinine"),
        ("CREATININE", "umol/L", "lab.creatinine"),
        ("血清游离轻链KAP", "mg/L", "mm.kappa"),
        ("血清游离轻链 LAM", "mg/L", "mm.lambda_"),
        ("游离轻链λ(FLC-λ)", "mg/L", "mm.lambda_"),
        ("M蛋白定量", "g/L", "mm.m_protein"),
        ("血清M蛋白定量", "g/L", "mm.m_protein"),
        ("β₂-MG", "mg/L", "mm.b2m"),
        ("β2‐微球蛋白(β2-MG)", "mg/L", "mm.b2m"),
        ("浆细胞百分比", "%", "mm.bmpc"),
        ("血小板計數", "10*9/L", "lab.platelets"),
        ("血小板计数(PLT)", "10*9/L", "lab.platelets"),
        ("血清鈣", "mmol/L", "lab.ca_total"),
        ("Serum albumin level", "g/L", "lab.albumin"),
        ("Lambda Free Light Chain, Serum", "mg/L", "mm.lambda_"),
        ("Neutrophils Absolute", "10*9/L", "lab.anc"),
        ("Total Calcium", "mmol/L", "lab.ca_total"),
        ("Calcium, Total", "mmol/L", "lab.ca_total"),
        ("乳酸脫氫酶(LDH)", "U/L", "lab.ldh"),
        ("Creatinine, Ser/Plas (enzymatic)", "umol/L", "lab.creatinine"),
        ("急诊肌酐", "umol/L", "lab.creatinine"),
        ("Calcium Lvl", "mmol/L", "lab.ca_total"),
        ("PLT血小板计数", "10*9/L", "lab.platelets"),
        ("白血球計數", "10*9/L", "lab.wbc"),
        ("血紅素", "g/L", "lab.hb"),
        ("Hämoglobin", "g/L", "lab.hb"),
        ("Kappa Lt Chain, Free, S", "mg/L", "mm.kappa"),
        ("sFLC-λ", "mg/L", "mm.lambda_"),
        ("血清游离轻链κ/λ比值", "1", "mm.flc_ratio_kl"),
        ("Paraprotein", "g/L", "mm.m_protein"),
        ("骨髓涂片浆细胞比例", "%", "mm.bmpc"),
        ("eGFR (CKD-EPI 2021)", "mL/min/{1.73_m2}", "lab.egfr"),
        ("肌酐清除率(Cockcroft-Gault)", "mL/min", "lab.crcl"),
    ],
)
def test_a_result_is_read_by_its_name_as_laboratories_write_it(name: str, unit: str, fact: str) -> None:
    local = {"coding": [{"system": "http://hospital.example/lab", "code": "X1"}], "text": name}
    found = chart(observation("o", local, quantity(40 if unit != "mmol/L" else 2.3, code=unit))).facts.fact(fact)
    assert found.is_known
    assert "from-text" in found.flags


@pytest.mark.parametrize(
    "name",
    [
        "尿肌酐",
        "肌酐(尿)",
        "Cr 尿肌酐",
        "Creatinine Urine Random",
        "尿游离κ轻链",
        "Kappa light chains",
        "前白蛋白",
        "Hemoglobin A1c",
        "平均血红蛋白浓度",
        "Neutrophils %",
        "外周血浆细胞比例",
        "25-羟基维生素D2",
    ],
)
def test_a_name_that_only_holds_one_of_ours_is_another_test(name: str) -> None:
    mapped = chart(observation("o", {"text": name}, quantity(40, code="g/L")))
    assert not any(used.resource == "Observation/o" for used in mapped.used)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kappa/lambda ratio", "lambda/kappa ratio"),
        ("metastasis from bone to lung", "metastasis from lung to bone"),
        ("fracture without metastasis", "metastasis without fracture"),
        ("肌酐(尿)", "肌酐"),
        ("γ-GT", "GT"),
    ],
)
def test_two_names_stay_two_where_order_or_bracket_tell_them_apart(one: str, other: str) -> None:
    assert not set(names.forms(one)) & set(names.forms(other))


def test_a_sentence_or_a_name_within_one_is_no_whole_name() -> None:
    assert names.concepts_named("no evidence of multiple myeloma", "Condition") == ()
    assert names.concepts_named("family history: multiple myeloma", "Condition") == ()
    assert names.concepts_named("multiple myeloma", "Condition") == ("multiple_myeloma",)
    assert names.concepts_named("multiple myeloma " * 50, "Condition") == ()


def test_every_name_of_the_table_reads_as_its_concept_alone() -> None:
    known = {concept for concept, *_ in codes.shipped_rows()}
    for concept, text in names.shipped_names():
        assert concept in known or concept.endswith("_TRAP"), concept
        assert concept in names.concepts_named(text), text


def test_every_title_of_a_code_reads_as_the_concept_of_its_code() -> None:
    lost = [
        (concept, display)
        for concept, kinds, _, _, display in codes.shipped_rows()
        if display and "Medication" not in kinds and not _reads(concept, display)
    ]
    assert lost == []


def _reads(concept: str, display: str) -> bool:
    found = names.concepts_named(display)
    # two codes may bear one title ("Malignant neoplasm of mandible"), and a histology the name of a disease
    return concept in found or (concept.startswith("morph_") and bool(found)) or len(display) > names.LONGEST_NAME


def test_loinc_titles_are_those_of_results() -> None:
    assert names.concepts_named("Platelets [#/volume] in Blood by Automated count", "Observation") == ("platelets",)
    assert (
        chart(
            observation("o", {"text": "Platelets [#/volume] in Blood by Automated count"}, quantity(210, code="10*9/L"))
        ).facts.lab.platelets.value
        == 210
    )
    assert codes.normal_system(LOINC) == LOINC


# --- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "code", "concept", "flagged"),
    [
        ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "C90.00", "multiple_myeloma", True),
        ("http://fhir.de/CodeSystem/dimdi/icd-10-gm|2019", "C79.5", "bone_metastasis", True),
        ("http://hl7.org/fhir/sid/icd-10-am", "G82.23", "paraplegia", True),
        ("http://hl7.org/fhir/sid/icd-10-am", "Q62.17", "urinary_obstruction", True),
        ("http://hl7.org/fhir/sid/icd-10-nl", "C79.5", "bone_metastasis", True),
        ("http://hl7.org/fhir/sid/icd-10-uk", "C795", "bone_metastasis", True),
        ("http://jpfhir.jp/fhir/core/mhlw/CodeSystem/ICD10-2013-full", "C795", "bone_metastasis", True),
        ("urn:oid:2.16.840.1.113883.6.94", "C79.5", "bone_metastasis", True),
        ("https://twcore.mohw.gov.tw/ig/twcore/CodeSystem/icd-10-cm-2023-tw", "C79.51", "bone_metastasis", False),
        ("http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10", "C7951", "bone_metastasis", False),
        ("http://hl7.org/fhir/sid/icd-10-us", "C79.51", "bone_metastasis", False),
        ("ICD-10-CM", "C79.51", "bone_metastasis", False),
        ("urn:oid:2.16.156.10011.2.3.3.11", "C79.500x007", "bone_metastasis", False),
        ("http://medis.or.jp/CodeSystem/master-disease-exCode", "s9vn", "", False),
        ("urn:oid:1.2.392.200119.4.101.6", "A4UR", "urinary_obstruction", False),
        ("urn:oid:2.16.840.1.113883.6.43.1", "9180/3", "morph_osteosarcoma", False),
        ("http://hl7.org/fhir/sid/icd-9-cm", "198.5", "bone_metastasis", False),
        ("http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd9", "1985", "bone_metastasis", False),
    ],
)
def test_a_national_edition_is_read_as_the_who_part_of_its_code(
    system: str, code: str, concept: str, *, flagged: bool
) -> None:
    found = codes.concepts(coded(system, code))
    assert {match.concept for match in found} == {concept} - {""}
    assert all(("national edition" in match.note) is flagged for match in found)


def test_the_flag_of_a_national_edition_reaches_the_notes() -> None:
    mapped = chart(condition("c", coded("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "C90.00")))
    assert mapped.facts.dx.mm.value is True
    assert any("national edition" in note.reason for note in mapped.notes)


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("http://fhir.de/CodeSystem/bfarm/atc", "M05BX04"),
        ("http://fhir.de/CodeSystem/dimdi/atc", "M05BX04"),
        ("https://twcore.mohw.gov.tw/ig/twcore/CodeSystem/medcation-atc-tw", "M05BX04"),
    ],
)
def test_atc_under_a_national_address_is_atc(system: str, code: str) -> None:
    assert "denosumab" in {match.concept for match in codes.concepts(coded(system, code))}


@pytest.mark.parametrize(
    ("code", "concept"), [("81.65", "vertebroplasty"), ("8165", "vertebroplasty"), ("81.6500x001", "vertebroplasty")]
)
def test_procedures_of_icd_9_are_read_with_and_without_a_dot_and_with_chinas_digits(code: str, concept: str) -> None:
    found = codes.concepts(coded("urn:oid:2.16.840.1.113883.6.104", code), "Procedure")
    assert [match.concept for match in found] == [concept]


def test_an_exchange_code_of_japan_is_no_icd_code() -> None:
    assert codes.concepts(coded("http://medis.or.jp/CodeSystem/master-disease-exCode", "C795")) == ()


def test_a_site_adds_addresses_of_its_own() -> None:
    ours = "http://hospital.example/icd"
    site = site_mapping({"systems": {ours: "icd-10-national", "http://hospital.example/labs": "loinc"}})
    sent = prefetch(
        condition("c", coded(ours, "C79.57")),
        observation("o", coded("http://hospital.example/labs/", "777-3"), quantity(210, code="10*9/L")),
    )
    mapped = read(sent, site=site)
    assert mapped.facts.dx.bone_met.value is True
    assert mapped.facts.lab.platelets.value == 210


def test_an_address_read_as_nothing_we_know_is_refused_by_name() -> None:
    with pytest.raises(SiteMappingError, match="icd-12"):
        site_mapping({"systems": {"http://hospital.example/icd": "icd-12"}})


# --- units ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("K/mcL", "10*3/uL"),
        ("THOUS/MCL", "10*3/uL"),
        ("*10^9/L", "10*9/L"),
        ("x10⁹/L", "10*9/L"),
        ("giga/l", "10*9/L"),
        ("lakh/cumm", "10*5/uL"),
        ("mg%", "mg/dL"),
        ("毫摩尔/升", "mmol/L"),
        ("UI/L", "U/L"),
        ("U/L(37℃)", "U/L"),
        ("个/HP", "/[HPF]"),
        ("/hpf", "/[HPF]"),
        ("ml/(min·1.73m²)", "mL/min/{1.73_m2}"),
        ("mil/mm3", None),  # thousand in Portuguese, million in English
        ("mmoI/L", None),  # a letter read wrongly: nobody knows what else was
        ("tablets", None),
    ],
)
def test_units_are_read_as_laboratories_write_them(written: str, unit: str | None) -> None:
    assert units.spelled(written) == unit


@pytest.mark.parametrize(
    "said", ["6.0 10*9/L", "6.0 10^9/L", "6.0 ×10⁹/L", "6.0 10⁹/L", "6.0x10^9/L", "6.0 10*3/uL", "6000 /uL", "6.0 K/uL"]
)
def test_a_count_written_as_text_with_its_unit_is_a_value(said: str) -> None:
    fact = chart(observation("o", "6690-2", valueString=said)).facts.lab.wbc
    assert fact.value == 6
    assert "from-text" in fact.flags


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("2.05↓ mmol/L", "2.05"),
        ("2.05 mmol/L Low", "2.05"),
        ("↓2.05 mmol/L", "2.05"),
        ("2.05 (L) mmol/L", "2.05"),
        ("2.05mmol/L（偏低）", "2.05"),
        ("*2.05 mmol/L", "2.05"),
        ("2,05 mmol/L", "2.05"),
        ("2.05 mmol/L (2.15-2.55)", "2.05"),
        ("2.05 mmol/L [ref 2.15-2.55]", "2.05"),
        ("2.05 mmol/L [参考范围: 2.15~2.55]", "2.05"),
        ("2.05 L", None),
        ("2,050 mmol/L", None),
        ("2.05 zorkmids H", None),
    ],
)
def test_marks_and_the_laboratory_s_range_beside_a_number_are_not_of_it(said: str, value: str | None) -> None:
    calcium = chart(observation("o", "2000-8", valueString=said)).facts.lab.ca_total
    assert (str(calcium.value) if calcium.is_known else None) == value


@pytest.mark.parametrize("said", ["45,000 /uL", "45 K/uL L", "45*10^9/L", "4.5万/μL", "*45 ×10⁹/L"])
def test_a_count_keeps_its_thousands_and_its_powers_of_ten(said: str) -> None:
    assert chart(observation("o", "777-3", valueString=said)).facts.lab.platelets.value == 45


def test_platelets_in_lakhs_are_counted() -> None:
    assert chart(observation("o", "777-3", quantity(2.5, "lakh/cumm"))).facts.lab.platelets.value == 250


@pytest.mark.parametrize("unit", ["mil/mm3", "mmoI/L", "furlongs"])
def test_a_unit_that_cannot_be_read_is_named_with_what_was_sent(unit: str) -> None:
    fact = chart(observation("o", "777-3", quantity(210, unit))).facts.lab.platelets
    assert (fact.value, fact.reason) == (None, "unit")
    assert fact.sent == f"210 {unit}"


# --- results that tell a finding ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "answer", "reason"),
    [
        ({"valueCodeableConcept": {"text": "2+"}}, True, None),
        ({"valueCodeableConcept": {"text": "Large"}}, True, None),
        ({"valueString": "阳性(+)"}, True, None),
        ({"valueString": "Negative"}, False, None),
        ({"valueString": "阴性"}, False, None),
        ({"valueString": "trace"}, None, "suspected"),
        ({"valueString": "±"}, None, "suspected"),
        ({"valueString": "see comment"}, None, "no-value"),
    ],
)
def test_blood_on_the_dipstick(value: Json, answer: object, reason: str | None) -> None:
    fact = chart(observation("o", "5794-3", **value)).facts.urine.haematuria
    assert (fact.value, fact.reason if answer is None else None) == (answer, reason)


@pytest.mark.parametrize(
    ("value", "answer", "reason"),
    [
        (quantity(10, code="/[HPF]"), False, None),
        (quantity("10.1", code="/[HPF]"), True, None),
        (quantity(45, "个/HP"), True, None),
        (quantity(10, code="/[HPF]", comparator=">"), True, None),
        (quantity(50, code="/[HPF]", comparator="<"), None, "no-value"),
        (quantity(45, code="/uL"), None, "unit"),
        (quantity(45), None, "unit"),
    ],
)
def test_red_cells_of_the_sediment(value: Json, answer: object, reason: str | None) -> None:
    fact = chart(observation("o", "13945-1", value)).facts.urine.haematuria
    assert (fact.value, fact.reason if answer is None else None) == (answer, reason)


def test_red_cells_too_many_to_count_and_a_range_of_cells() -> None:
    assert chart(observation("o", "13945-1", valueString="TNTC")).facts.urine.haematuria.value is True
    assert chart(observation("o", "13945-1", valueString="20-30 /HPF")).facts.urine.haematuria.value is True
    assert (
        chart(observation("o", {"text": "RBC, Urine"}, valueString="20-30 /HPF")).facts.urine.haematuria.value is True
    )
    assert chart(observation("o", "13945-1", valueString="0-2 /HPF")).facts.urine.haematuria.value is False


def test_an_old_haematuria_on_the_problem_list_is_no_haematuria_today() -> None:
    old = condition("h", coded(ICD10, "R31"), recorded=91)
    new = condition("h", coded(ICD10, "R31"), recorded=90)
    assert chart(old).facts.urine.haematuria.reason == "stale"
    assert chart(new).facts.urine.haematuria.value is True


def test_plasma_cells_in_the_blood_by_count() -> None:
    assert chart(observation("o", "79426-3", quantity(3, code="%"))).facts.mm.circulating_pc.value is True
    assert chart(observation("o", "79426-3", quantity(0, code="%"))).facts.mm.circulating_pc.value is False


def test_of_several_bands_the_largest_counts_and_the_total_before_all() -> None:
    bands = [
        observation("one", "51435-6", quantity(24, code="g/L")),
        observation("two", "35559-4", quantity(9, code="g/L")),
    ]
    largest = chart(*bands).facts.mm.m_protein
    assert largest.value == 24
    assert "largest-of-several-bands" in largest.flags
    assert chart(*bands, observation("all", "33358-3", quantity(33, code="g/L"))).facts.mm.m_protein.value == 33


def test_a_paraplegia_is_a_deficit_and_no_event_of_the_skeleton() -> None:
    facts = chart(condition("p", coded(ICD10_CM, "G82.20"), recorded=1)).facts
    assert facts.spine.neuro_deficit.value is True
    assert facts.sre == ()


def test_a_lytic_lesion_is_one_at_least_in_a_plasma_cell_disease_and_none_beside_a_cancer() -> None:
    lytic = observation("x", coded(SNOMED, "441684001"), valueBoolean=True)
    smouldering = condition("s", coded(SNOMED, "413587002"))
    assert chart(lytic, smouldering).facts.mm.lytic_lesions.low == 1
    assert not chart(lytic).facts.mm.lytic_lesions.is_known
    assert not chart(lytic, smouldering, condition("b", coded(ICD10_CM, "C50.9"))).facts.mm.lytic_lesions.is_known


def test_a_metastasis_of_an_organ_that_is_not_counted_leaves_the_count_open() -> None:
    spread = condition("m", coded(SNOMED, "94480000"))
    organs = chart(condition("l", coded(ICD10_CM, "C78.7")), spread).facts.dx.visceral_met_organs
    assert organs.low == 1
    assert organs.high == 2


# --- titles as words -------------------------------------------------------------------------------------------


def one_title_each() -> list[tuple[str, str, str]]:
    """Give of each concept of Conditions the first of its codes, with a title that no other concept bears."""
    found: dict[str, tuple[str, str, str]] = {}
    for concept, kinds, system, code, display in codes.shipped_rows():
        if "Condition" in kinds.split("|") and display and names.concepts_named(display, "Condition") == (concept,):
            found.setdefault(concept, (system, code, display))
    return list(found.values())


def told(facts: Facts) -> dict[str, tuple[object, object]]:
    return {path: (getattr(facts.fact(path), "value", None), facts.fact(path).reason) for path in DICTIONARY}


@pytest.mark.parametrize(("system", "code", "title"), one_title_each())
def test_the_title_of_a_diagnosis_says_what_its_code_says(system: str, code: str, title: str) -> None:
    by_code = chart(condition("c", coded(system, code), recorded=2)).facts
    by_title = chart(condition("c", {"text": title}, recorded=2)).facts
    assert told(by_title) == told(by_code)
    local = {"coding": [{"system": "http://hospital.example/dx", "code": "17"}], "text": title.upper()}
    assert told(chart(condition("c", local, recorded=2)).facts) == told(by_code)


@pytest.mark.parametrize(
    ("title", "fact"),
    [
        ("尿潴留", "other.urinary_obstruction"),
        ("未特指的截瘫", "spine.neuro_deficit"),
        ("骨和骨髓继发性恶性肿瘤", "dx.bone_met"),
        ("骨骼續發性惡性腫瘤", "dx.bone_met"),
        ("乳房恶性肿瘤", "dx.other_solid_cancer"),
        ("攝護腺惡性腫瘤", "dx.other_solid_cancer"),
        ("ビスフォスフォネート関連顎骨壊死", "onj.status"),
        ("Tumeur maligne secondaire des os et de la moelle osseuse", "dx.bone_met"),
        ("Prostate, malignant neoplasm of", "dx.other_solid_cancer"),
    ],
)
def test_a_diagnosis_is_read_by_its_national_title(title: str, fact: str) -> None:
    found = chart(condition("c", {"text": title}, recorded=2)).facts.fact(fact)
    assert getattr(found, "value", None) in {True, "confirmed"}


def test_a_title_that_two_diseases_bear_names_none_of_them() -> None:
    facts = chart(condition("c", {"text": "Malignant neoplasm of mandible"}, recorded=2)).facts
    assert facts.dx.osteosarcoma.value is not True
    assert facts.ever.malignancy.value is not True
