"""What real feeds send that looks like something else: each trap as one sentence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from recommenders.patient.derived import derive
from recommenders.patient.recency import as_seen
from recommenders.vocabulary.dictionary import Facts
from tests.fhir import (
    ICD10,
    ICD10_CM,
    ICD_O_3,
    LOCAL,
    LOINC,
    SNOMED,
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
)

LUNG = condition("lung", coded(ICD10_CM, "C34.11"))


def seen(facts: Facts) -> Facts:
    """Give the facts as a patient-view sees them, with what follows from them."""
    return derive(as_seen(facts, "chart"))


def test_a_metastasis_from_bone_is_no_metastasis_to_bone() -> None:
    mapped = chart(LUNG, condition("m", coded(SNOMED, "314990009", display="Metastasis from malignant tumor of bone")))
    assert not mapped.facts.dx.bone_met.is_known
    assert "trap: metastasis from bone, not to bone" in reasons(mapped)["Condition/m"]


def test_bone_marrow_metastasis_is_not_bone_metastasis_in_the_us_edition() -> None:
    facts = chart(LUNG, condition("m", coded(ICD10_CM, "C79.52"))).facts
    assert not facts.dx.bone_met.is_known
    assert facts.dx.metastatic.value is True


def test_the_who_code_for_bone_and_marrow_counts_as_bone_metastasis() -> None:
    assert chart(LUNG, condition("m", coded(ICD10, "C79.5"))).facts.dx.bone_met.value is True


def test_a_myeloma_code_with_smouldering_words_is_smouldering() -> None:
    code = coded("http://hospital.example/icd10-cn", "C90.000", "多发性骨髓瘤（冒烟型）")
    under_who = coded(ICD10, "C90.000", "多发性骨髓瘤（冒烟型）")
    for sent in (code, under_who):
        mapped = chart(condition("mm", sent))
        assert mapped.facts.dx.smm.value is True
        assert mapped.facts.dx.mm.value is False
    assert any("coding-conflict" in reason for reason in reasons(mapped)["Condition/mm"])


def test_the_us_gammopathy_code_with_much_marrow_is_a_question_and_no_mgus() -> None:
    mapped = chart(
        condition("g", coded(ICD10_CM, "D47.2", "Monoclonal gammopathy")),
        observation("bm", "11118-7", quantity(15, "%", code="%")),
    )
    dx = mapped.facts.dx
    assert (dx.mgus.is_known, dx.smm.is_known, dx.mm.value) == (False, False, False)
    assert any("ask which it is" in reason for reason in reasons(mapped)["Condition/g"])


def test_the_us_gammopathy_code_alone_is_mgus_and_may_hide_smouldering() -> None:
    dx = chart(condition("g", coded(ICD10_CM, "D47.2"))).facts.dx
    assert (dx.mgus.value, dx.smm.is_known) == (True, False)


def test_the_who_gammopathy_code_is_mgus_and_not_smouldering() -> None:
    dx = chart(condition("g", coded(ICD10, "D47.2"))).facts.dx
    assert (dx.mgus.value, dx.smm.value) == (True, False)


def test_histology_in_the_extension_tells_small_cell() -> None:
    extension = {
        "url": "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior",
        "valueCodeableConcept": coded(ICD_O_3, "8041/3"),
    }
    facts = chart(condition("lung", coded(ICD10_CM, "C34.11"), extension=[extension])).facts
    assert facts.dx.lung_histology.value == "sclc"


def test_a_liver_metastasis_is_no_second_cancer_and_nodes_are_no_organ() -> None:
    facts = chart(
        LUNG, condition("liver", coded(ICD10_CM, "C78.7")), condition("nodes", coded(ICD10_CM, "C77.9"))
    ).facts
    assert facts.dx.other_solid_cancer.value is False
    assert facts.dx.visceral_met_organs.value == 1


@pytest.mark.parametrize(("code", "current"), [("M84.551S", False), ("M84.551K", True), ("M84.551A", True)])
def test_the_sequela_of_a_fracture_is_history_and_a_nonunion_is_not(code: str, current: bool) -> None:
    facts = seen(chart(LUNG, condition("f", coded(ICD10_CM, code), recorded=6)).facts)
    assert facts.pathological_fracture.current.value is current
    assert facts.sre[0].site == "femur"


def test_a_later_refutation_beats_a_provisional_metastasis() -> None:
    provisional = condition("a", coded(SNOMED, "94222008"), verification="provisional", recorded=20)
    refuted = condition("b", coded(SNOMED, "94222008"), verification="refuted", recorded=5)
    assert chart(LUNG, provisional, refuted).facts.dx.bone_met.value is False


def test_a_refutation_of_the_same_day_contradicts() -> None:
    provisional = condition("a", coded(SNOMED, "94222008"), verification="provisional", recorded=20)
    refuted = condition("b", coded(SNOMED, "94222008"), verification="refuted", recorded=20)
    assert chart(LUNG, provisional, refuted).facts.dx.bone_met.reason == "contradictory"


def test_calcium_corrected_by_the_laboratory_is_never_corrected_again() -> None:
    facts = seen(
        chart(
            LUNG,
            observation("ca", "29265-6", quantity(2.60, "mmol/L", code="mmol/L")),
            observation("alb", "1751-7", quantity(25, "g/L", code="g/L")),
        ).facts
    )
    assert facts.lab.ca_corr.rounded == Decimal("2.60")
    assert "corrected-by-laboratory" in facts.lab.ca_corr.flags
    assert not facts.lab.ca_total.is_known


def test_a_total_calcium_of_the_same_day_goes_before_the_corrected_one() -> None:
    facts = seen(
        chart(
            observation("corr", "29265-6", quantity(2.60, "mmol/L")),
            observation("total", "2000-8", quantity(2.30, "mmol/L")),
            observation("alb", "1751-7", quantity(40, "g/L")),
        ).facts
    )
    assert facts.lab.ca_corr.rounded == Decimal("2.30")


def test_a_calcium_with_a_written_unit_only_is_converted() -> None:
    facts = chart(observation("ca", "17861-6", quantity("9.2", "MG/DL"))).facts
    assert facts.lab.ca_total.rounded == Decimal("2.30")


def test_a_calcium_without_any_unit_is_unknown() -> None:
    mapped = chart(observation("ca", "17861-6", quantity("9.2")))
    assert mapped.facts.lab.ca_total.reason == "unit"
    assert "unit" in reasons(mapped)["Observation/ca"][0]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("mg/dl", "9.2 mg/dl"),
        ("mmol/L", "9.2 mg/dL"),
        ("%00%0D%0AX-Evil: 1", "9.2 mg/dL"),
        ("<b>mg/dL</b>", "9.2 mg/dL"),
    ],
)
def test_a_result_is_shown_with_the_unit_that_was_understood(written: str, shown: str) -> None:
    calcium = chart(observation("ca", "17861-6", quantity("9.2", written, code="mg/dL"))).facts.lab.ca_total
    assert (calcium.rounded, calcium.sent) == (Decimal("2.30"), shown)
    assert ("unit-differs" in calcium.flags) is (written == "mmol/L")


@pytest.mark.parametrize(("written", "differs"), [("10*9/L", False), ("10*3/uL", False), ("g/L", True)])
def test_words_that_mean_the_same_as_the_coded_unit_do_not_differ_from_it(written: str, differs: bool) -> None:
    platelets = chart(observation("plt", "777-3", quantity("220", written, code="10*9/L"))).facts.lab.platelets
    assert platelets.rounded == 220
    assert ("unit-differs" in platelets.flags) is differs


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (quantity("9.2", "furlong"), "9.2 furlong"),
        (quantity("9.2", "X-Evil: 1"), "9.2"),
        (quantity("9.2", "mg per dL, as John Doe of 12 Long Road told us"), "9.2"),
    ],
)
def test_of_a_unit_that_nobody_understands_only_what_could_be_one_is_shown(sent: dict[str, Any], shown: str) -> None:
    calcium = chart(observation("ca", "17861-6", sent)).facts.lab.ca_total
    assert (calcium.reason, calcium.sent) == ("unit", shown)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("9.2 mg/dL", "9.2 mg/dL"),
        ("９.２ mg/dL", "９.２ mg/dL"),
        ("9.2 %00%0D%0AX-Evil: 1", "9.2"),
        ("9.2 <script>", "9.2"),
    ],
)
def test_a_result_in_words_is_shown_as_sent_when_it_is_a_plain_result(said: str, shown: str) -> None:
    calcium = chart(observation("ca", "17861-6", valueString=said)).facts.lab.ca_total
    assert calcium.sent == shown


def test_a_newer_result_without_unit_is_not_hidden_by_an_older_good_one() -> None:
    facts = chart(
        observation("new", "17861-6", quantity("9.2"), when=1),
        observation("old", "17861-6", quantity("9.2", "mg/dL"), when=8),
    ).facts
    assert facts.lab.ca_total.reason == "unit"


def test_light_chains_in_different_units_give_the_right_ratio_and_side() -> None:
    mm = condition("mm", coded(SNOMED, "109989006"))
    facts = seen(
        chart(
            mm,
            observation("k", "36916-5", quantity("12.5", "mg/dL", code="mg/dL")),
            observation("l", "33944-0", quantity(8, "mg/L", code="mg/L")),
        ).facts
    )
    assert facts.mm.kappa.value == Decimal(125)
    assert facts.mm.flcr.rounded == Decimal("15.6")
    assert facts.mm.flc_involved.value == Decimal(125)


def test_a_light_chain_without_unit_is_unknown() -> None:
    assert chart(observation("k", "36916-5", quantity("12.5"))).facts.mm.kappa.reason == "unit"


def test_no_m_spike_seen_is_zero_and_the_percentage_is_left_out() -> None:
    spep = observation(
        "spep",
        coded(LOINC, "24351-9"),
        component=[
            {"code": coded(LOINC, "33358-3"), "valueString": "No M-spike seen"},
            {"code": coded(LOINC, "33647-9"), "valueQuantity": quantity(0, "%", code="%")},
        ],
    )
    mapped = chart(condition("mm", coded(SNOMED, "109989006")), spep)
    assert mapped.facts.mm.m_protein.value == 0
    assert any(reason.startswith("trap") for reason in reasons(mapped)["Observation/spep"])


def test_an_m_protein_in_percent_is_unknown() -> None:
    assert chart(observation("m", "33358-3", quantity("3.1", "%", code="%"))).facts.mm.m_protein.reason == "unit"


def test_clearance_is_computed_from_creatinine_and_the_egfr_is_only_shown() -> None:
    facts = seen(
        chart(
            patient(birthDate="1955-05-05", gender="male"),
            observation("egfr", "62238-1", quantity(60, "mL/min/1.73m2", comparator=">"), when=2),
            observation("cr", "2160-0", quantity("1.49", "mg/dL"), when=14),
            observation("w", "29463-7", quantity(70, "kg"), when=5),
        ).facts
    )
    assert facts.lab.crcl.rounded == Decimal("45.0")
    assert facts.lab.egfr.low_open
    assert facts.lab.egfr.low == 60


@pytest.mark.parametrize(
    ("code", "answer", "grade"), [("89247-1", "LA9624-3", 2), ("89247-1", "LA9627-6", 5), ("89243-0", "LA9627-6", 5)]
)
def test_an_ecog_answer_counts_and_karnofsky_zero_is_converted(code: str, answer: str, grade: int) -> None:
    ecog = chart(observation("e", code, interpretation=[coded(LOINC, answer)])).facts.status.ecog
    assert ecog.value == grade
    assert ("converted" in ecog.flags) is (code == "89243-0")


@pytest.mark.parametrize(("answer", "grade"), [("0", 0), ("3", 3), ("5", 5), ("U", None), ("9", None)])
def test_a_registrys_own_answer_is_the_grade_whose_number_is_its_code(answer: str, grade: int | None) -> None:
    told = coded(
        "http://registry.example/CodeSystem/ecog", answer, display="Völlig pflegebedürftig (10-20 % Karnofsky)"
    )
    assert chart(observation("e", "89247-1", valueCodeableConcept=told)).facts.status.ecog.value == grade


def test_words_of_a_limited_prognosis_give_no_number() -> None:
    mapped = chart(
        LUNG,
        observation("p", "75328-5", valueString="terminal illness, comfort care"),
        condition("t", coded(SNOMED, "300936002")),
    )
    assert not mapped.facts.status.life_expectancy.is_known
    assert "limited prognosis documented without a number: ask for it" in reasons(mapped)["Condition/t"]
    assert "limited prognosis documented without a number: ask for it" in reasons(mapped)["Observation/p"]


def test_a_visual_analogue_scale_in_millimetres_is_divided_by_ten() -> None:
    assert chart(observation("vas", "38214-3", quantity(60, "mm", code="mm"))).facts.pain.nrs.value == 6


def test_a_pain_score_of_sixty_without_a_scale_is_never_divided() -> None:
    assert not chart(observation("p", "38208-5", quantity(60, "{score}", code="{score}"))).facts.pain.nrs.is_known


def test_one_absent_variant_is_no_wild_type() -> None:
    variant = observation(
        "v",
        "69548-6",
        valueCodeableConcept=coded(LOINC, "LA9634-2", display="Absent"),
        component=[
            {
                "code": coded(LOINC, "48018-6"),
                "valueCodeableConcept": coded("http://www.genenames.org/geneId", "HGNC:3236", display="EGFR"),
            },
            {"code": coded(LOINC, "48005-3"), "valueCodeableConcept": {"text": "p.Leu858Arg"}},
        ],
    )
    mapped = chart(LUNG, variant)
    assert not mapped.facts.driver.egfr.is_known
    assert "only this one change is absent" in reasons(mapped)["Observation/v"][0]


def test_fish_in_a_pdf_is_unknown_and_not_negative() -> None:
    mapped = chart(
        condition("mm", coded(SNOMED, "109989006")), report("r", {"text": "FISH panel"}, conclusion="FISH: see PDF")
    )
    cyto = mapped.facts.cyto
    assert not any(fact.is_known for fact in (cyto.del17p, cyto.t4_14, cyto.t14_16, cyto.gain1q))
    assert "DiagnosticReport/r" in reasons(mapped)


def test_a_hip_replacement_for_osteoarthritis_is_no_skeletal_event() -> None:
    hip = procedure("hip", coded(SNOMED, "179304004"), reasonCode=[{"text": "Osteoarthritis of hip"}])
    mapped = chart(LUNG, hip)
    assert mapped.facts.skeletal_events == ()
    assert "another reason than cancer" in reasons(mapped)["Procedure/hip"][0]


def test_radiotherapy_of_the_lung_is_no_skeletal_event() -> None:
    course = procedure("rt", coded(SNOMED, "1217123003"), bodySite=[coded(SNOMED, "39607008")])
    mapped = chart(LUNG, course)
    assert mapped.facts.sre == ()
    assert "something else than bone" in reasons(mapped)["Procedure/rt"][0]


def test_a_course_summary_on_the_femur_is_a_skeletal_event_with_its_dose() -> None:
    base = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-radiotherapy-dose-delivered-to-volume"
    extension = {
        "url": base,
        "extension": [
            {"url": "totalDoseDelivered", "valueQuantity": quantity(800, "cGy", code="cGy")},
            {"url": "fractionsDelivered", "valueUnsignedInt": 1},
        ],
    }
    course = procedure(
        "rt", coded(SNOMED, "1217123003"), bodySite=[coded(SNOMED, "71341001")], extension=[extension], when=10
    )
    (event,) = chart(LUNG, course).facts.sre
    assert event.type == "bone-radiotherapy"
    assert (event.site, event.dose_gy, event.fractions) == ("femur", Decimal(8), 1)
    assert event.date is not None
    assert event.date.isoformat() == days_ago(10)


def test_radiotherapy_without_a_site_is_asked_for() -> None:
    mapped = chart(LUNG, procedure("rt", coded(SNOMED, "1217123003")))
    assert mapped.facts.sre == ()
    assert "without a site" in reasons(mapped)["Procedure/rt"][0]


# --- what the traps do not name, and the dangers do ---------------------------------------------------------


def test_a_deceased_patient_is_told() -> None:
    assert chart(patient(deceasedDateTime="2026-11-01")).facts.patient.deceased.value is True


def test_a_birth_year_alone_is_an_interval_of_age() -> None:
    age = chart(patient(birthDate="1960")).facts.patient.age
    assert (age.low, age.high) == (Decimal(65), Decimal(66))


def test_a_masked_result_is_unknown_and_not_normal() -> None:
    absent = coded("http://terminology.hl7.org/CodeSystem/data-absent-reason", "masked")
    assert chart(observation("ca", "2000-8", dataAbsentReason=absent)).facts.lab.ca_total.reason == "masked"


def test_a_list_that_did_not_come_leaves_its_facts_unknown() -> None:
    facts = chart(LUNG, without=["allergies", "medications"]).facts
    assert facts.allergy.denosumab.reason == "not-delivered"
    assert facts.meds.calcium.reason == "not-delivered"
    assert facts.unavailable == {"allergies", "medications"}
    assert facts.dx.mm.value is False


def test_an_empty_list_and_null_mean_known_to_be_empty() -> None:
    facts = chart(LUNG, allergies=b"null", medications=bundle([])).facts
    assert facts.allergy.denosumab.value is False
    assert facts.meds.calcium.value is False
    assert facts.unavailable == frozenset()


def test_an_operation_outcome_is_not_an_empty_list() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    facts = chart(LUNG, allergies=outcome).facts
    assert facts.allergy.denosumab.reason == "not-delivered"
    assert "allergies" in facts.unavailable


def test_of_a_list_cut_short_silence_says_nothing() -> None:
    cut = bundle([LUNG], link=[{"relation": "next", "url": "https://ehr.example/fhir?page=2"}])
    facts = chart(conditions=cut).facts
    assert facts.dx.lung_cancer.value is True
    assert facts.dx.mm.reason == "list-cut"


def test_of_a_list_with_a_larger_total_silence_says_nothing() -> None:
    facts = chart(conditions=bundle([LUNG], total=7)).facts
    assert facts.dx.mm.reason == "list-cut"


def test_two_results_of_one_minute_that_differ_contradict_and_keep_both() -> None:
    at = f"{days_ago(1)}T08:00:00Z"
    fact = chart(
        observation("a", "2160-0", quantity(1.0, "mg/dL"), when=at),
        observation("b", "2160-0", quantity(2.0, "mg/dL"), when=at),
    ).facts.lab.creatinine
    assert fact.reason == "contradictory"
    assert [round(rival) for rival in fact.rivals] == [88, 177]
    assert fact.resources == ("Observation/b", "Observation/a") or fact.resources == ("Observation/a", "Observation/b")


def test_two_results_that_differ_are_kept_as_they_were_sent_each_in_its_own_unit() -> None:
    at = f"{days_ago(1)}T08:00:00Z"
    fact = chart(
        observation("a", "17861-6", quantity("9.4", "mg/dL"), when=at),
        observation("b", "2000-8", quantity("2.05", "mmol/L"), when=at),
    ).facts.lab.ca_total
    assert fact.reason == "contradictory"
    assert fact.rivals_sent == ("2.05 mmol/L", "9.4 mg/dL")


@pytest.mark.parametrize(
    ("code", "fact"),
    [
        ("D50.9", "cause.iron_deficiency"),
        ("D51.0", "cause.vitamin_deficiency"),
        ("D52.9", "cause.vitamin_deficiency"),
        ("D56.1", "cause.haemolysis"),
        ("K92.2", "cause.bleeding"),
        ("N18.3", "cause.ckd"),
        ("I12.9", "cause.kidney_disease"),
        ("E21.0", "cause.hyperparathyroidism"),
    ],
)
def test_what_else_explains_a_sign_of_myeloma_is_read_from_the_problem_list(code: str, fact: str) -> None:
    known = chart(condition("other", coded(ICD10, code))).facts.fact(fact)
    assert known.is_known
    assert getattr(known, "value", None) is True
    silent = chart(LUNG).facts.fact(fact)
    assert getattr(silent, "value", None) is False


def test_the_same_result_in_two_units_is_one_result() -> None:
    at = f"{days_ago(1)}T08:00:00Z"
    fact = chart(
        observation("a", "17861-6", quantity("9.2", "mg/dL"), when=at),
        observation("b", "2000-8", quantity("2.30", "mmol/L"), when=at),
    ).facts.lab.ca_total
    assert fact.rounded == Decimal("2.30")


def test_a_corrected_result_replaces_the_final_one_of_the_same_time() -> None:
    mapped = chart(
        observation("a", "2000-8", quantity(2.9, "mmol/L")),
        observation("b", "2000-8", quantity(2.3, "mmol/L"), status="corrected"),
    )
    assert mapped.facts.lab.ca_total.rounded == Decimal("2.30")
    assert "superseded by a corrected result of the same time" in reasons(mapped)["Observation/a"]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "preliminary", "registered", "unknown"])
def test_a_newer_result_that_does_not_count_is_left_out_and_named(status: str) -> None:
    mapped = chart(
        observation("new", "2000-8", quantity(3.3, "mmol/L"), when=0, status=status),
        observation("old", "2000-8", quantity(2.3, "mmol/L"), when=3),
    )
    assert mapped.facts.lab.ca_total.rounded == Decimal("2.30")
    assert any(reason.startswith("status") for reason in reasons(mapped)["Observation/new"])


def test_a_future_dated_result_is_ignored_and_named() -> None:
    mapped = chart(
        observation("new", "2000-8", quantity(3.3, "mmol/L"), when=-3),
        observation("old", "2000-8", quantity(2.3, "mmol/L"), when=3),
    )
    assert mapped.facts.lab.ca_total.rounded == Decimal("2.30")
    assert reasons(mapped)["Observation/new"] == ("future-dated: more than 24 hours ahead",)


def test_a_value_labelled_with_the_wrong_unit_is_implausible_and_never_relabelled() -> None:
    mapped = chart(observation("ca", "17861-6", quantity("2.35", "mg/dL")))
    assert mapped.facts.lab.ca_total.reason == "implausible"
    assert mapped.facts.lab.ca_total.sent == "2.35 mg/dL"


def test_an_unknown_modifier_extension_keeps_a_resource_out() -> None:
    mapped = chart(observation("ca", "2000-8", quantity(2.3, "mmol/L"), modifierExtension=[{"url": "urn:x"}]))
    assert not mapped.facts.lab.ca_total.is_known
    assert "unknown-modifier" in reasons(mapped)["Observation/ca"][0]


def test_a_myeloma_in_remission_stays_a_myeloma() -> None:
    for sent in (
        condition("mm", coded(SNOMED, "109989006"), clinical="remission"),
        condition("mm", coded(ICD10_CM, "C90.01")),
        condition("mm", coded(SNOMED, "94704006")),
    ):
        mm = chart(sent).facts.dx.mm
        assert mm.value is True
        assert "in-remission" in mm.flags


def test_a_resolved_cancer_is_history_only() -> None:
    facts = chart(condition("lung", coded(ICD10_CM, "C34.11"), clinical="resolved")).facts
    assert facts.dx.lung_cancer.value is False
    assert facts.ever.malignancy.value is True


def test_an_abatement_ends_a_condition_that_still_says_active() -> None:
    facts = chart(condition("o", coded(SNOMED, "64859006"), abatementDateTime=days_ago(300))).facts
    assert facts.dx.osteoporosis.value is False


@pytest.mark.parametrize(
    ("words", "value", "reason"),
    [
        ("骨转移", True, None),
        ("多发骨转移", True, None),
        ("不能排除骨转移", None, "suspected"),
        ("骨转移待排", None, "suspected"),
        ("骨转移？", None, "suspected"),
        ("bone metastases cannot be excluded", None, "suspected"),
        ("possible bone metastasis", None, "suspected"),
        ("未见骨转移", False, None),
        ("bone metastasis ruled out", False, None),
        ("未见新发骨转移", None, "missing"),
        ("无骨转移", False, None),
        ("骨转移风险", None, "missing"),
        ("at risk of bone metastasis", None, "missing"),
        ("无症状骨转移", True, None),
    ],
)
def test_words_of_bone_metastasis_are_read_with_negation_and_doubt(
    words: str, value: bool | None, reason: str | None
) -> None:
    fact = chart(condition("c", {"text": words})).facts.dx.bone_met
    assert (fact.value, fact.reason) == (value, reason)


@pytest.mark.parametrize("words", ["family history of lung cancer", "肺癌家族史", "screening for lung cancer"])
def test_other_people_and_screenings_are_no_diagnosis(words: str) -> None:
    facts = chart(condition("c", {"text": words})).facts
    assert facts.dx.lung_cancer.value is False
    assert facts.ever.malignancy.value is False


def test_asymptomatic_myeloma_in_words_is_smouldering_and_high_risk_is_no_doubt() -> None:
    assert chart(condition("c", {"text": "无症状骨髓瘤"})).facts.dx.smm.value is True
    assert chart(condition("c", {"text": "高危冒烟型骨髓瘤"})).facts.dx.smm.value is True
    assert chart(condition("c", {"text": "multiple myeloma, high risk"})).facts.dx.mm.value is True


def test_a_suspected_myeloma_is_unknown() -> None:
    assert chart(condition("c", {"text": "骨髓瘤待排"})).facts.dx.mm.reason == "suspected"
    assert chart(condition("c", {"text": "rule out myeloma"})).facts.dx.mm.reason == "suspected"


def test_an_old_fracture_on_the_problem_list_is_history() -> None:
    old = condition("f", coded(SNOMED, "409667007"), recorded=400, onsetDateTime=days_ago(400))
    facts = seen(chart(LUNG, old).facts)
    assert facts.pathological_fracture.current.value is False
    assert len(facts.sre) == 1


def test_lesions_are_entered_with_their_components() -> None:
    lesion = local(
        "l1",
        "bone-lesion",
        bodySite=coded(SNOMED, "71341001"),
        component=[
            {"code": coded(LOCAL, "lesion-type"), "valueCodeableConcept": coded(LOCAL, "osteolytic")},
            {"code": coded(LOCAL, "cortical-fraction"), "valueQuantity": quantity(60, "%", code="%")},
            {"code": coded(LOCAL, "lesion-size"), "valueQuantity": quantity("3.2", "cm", code="cm")},
            {"code": coded(LOCAL, "lesion-pain"), "valueInteger": 7},
            {"code": coded(LOCAL, "lesion-nature"), "valueString": "转移"},
            {"code": coded(LOCAL, "soft-tissue-mass"), "valueBoolean": False},
            {"code": coded(LOCAL, "lesion-trend"), "valueString": "somewhere"},
        ],
    )
    (found,) = chart(LUNG, lesion).facts.lesions
    assert (found.site.value, found.type.value, found.nature.value) == ("femur", "osteolytic", "metastasis")
    assert (found.cortical_fraction.value, found.size.value) == (Decimal(60), Decimal(32))
    assert found.pain.value == "severe"
    assert found.soft_tissue_mass.value is False
    assert not found.trend.is_known


def test_a_condition_of_a_bone_metastasis_is_a_lesion_but_no_count() -> None:
    facts = seen(chart(LUNG, condition("m", coded(SNOMED, "94602001"))).facts)
    assert [lesion.site.value for lesion in facts.lesions] == ["spine"]
    assert not facts.dx.bone_met_count.is_known


def test_the_escc_grade_without_its_letter_stays_open() -> None:
    fact = chart(local("e", "escc-grade", valueString="1")).facts.spine.escc
    assert fact.possible == ("1a", "1b", "1c")
    assert chart(local("e", "escc-grade", valueString="1c")).facts.spine.escc.value == "1c"


def test_facts_are_never_changed_by_the_order_of_prefetch_keys() -> None:
    keys = prefetch(LUNG, observation("ca", "2000-8", quantity(2.3, "mmol/L")))
    backwards = dict(reversed(list(keys.items())))
    assert read(keys) == read(backwards)
