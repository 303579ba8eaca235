"""The medication lists: which drugs are current, and the courses of bone-modifying agents."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mapping.delivery.context import ReadingContext
from fhir_mapping.medications import FINDINGS, Medications, read_medications
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.records import Course

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
SNOMED = "http://snomed.info/sct"
HCPCS = "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes"
UCUM = "http://unitsofmeasure.org"
TODAY = dt.date(2026, 11, 22)
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}


def context(*, delivered: tuple[str, ...] = ("medications",), truncated: tuple[str, ...] = ()) -> ReadingContext:
    return ReadingContext(
        patient_id="p1",
        now=NOW,
        timezone=dt.UTC,
        delivered=frozenset(delivered),
        truncated=frozenset(truncated),
    )


def coded(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def mg(value: Any, unit: str = "mg") -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def ago(days: int) -> str:
    return (TODAY - dt.timedelta(days)).isoformat()


def day(days: int) -> dt.date:
    return TODAY - dt.timedelta(days)


COUNT = iter(range(100000))


def request(medication: dict[str, Any], *, status: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": f"mr-{next(COUNT)}",
        "status": status,
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": medication,
    } | more


def administration(medication: dict[str, Any], when: str, *, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"ma-{next(COUNT)}",
        "status": status,
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": medication,
        "effectiveDateTime": when,
    } | more


def statement(medication: dict[str, Any], *, status: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationStatement",
        "id": f"ms-{next(COUNT)}",
        "status": status,
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": medication,
    } | more


def read(*resources: dict[str, Any], reading: ReadingContext | None = None, **more: Any) -> Medications:
    return read_medications(resources, context=reading or context(), **more)


def fact(found: Medications, path: str) -> Any:
    return found.changes[path]


def reasons(found: Medications) -> set[str]:
    return {note.reason.partition(":")[0] for note in found.notes}


def only(found: Medications) -> Course:
    (course,) = found.courses.items
    return course


ZOLEDRONIC = coded(RXNORM, "77655", "zoledronic acid")
XGEVA = coded(RXNORM, "1046402")
DENOSUMAB = coded(ATC, "M05BX04")
CALCIUM_D3 = coded(RXNORM, "1310948")

# --- silence ------------------------------------------------------------------------------------------------


def test_silence_in_a_delivered_list_is_no_and_without_a_list_unknown() -> None:
    delivered = read()
    assert {fact(delivered, path).value for path in FINDINGS.values()} == {False}
    assert delivered.courses.delivered
    absent = read(reading=context(delivered=()))
    assert {fact(absent, path).reason for path in FINDINGS.values()} == {"not-delivered"}
    assert not absent.courses.delivered


def test_what_is_not_found_in_a_truncated_list_may_still_be_taken() -> None:
    found = read(reading=context(truncated=("medications",)))
    assert fact(found, "meds.opioid").reason == "not-delivered"
    assert not found.courses.delivered


def test_every_change_names_a_fact_of_the_dictionary_in_its_own_name() -> None:
    blank = Facts(as_of=TODAY)
    for path, found in read(request(CALCIUM_D3)).changes.items():
        assert found.name == blank.fact(path).name
    assert blank.with_facts(read(request(CALCIUM_D3)).changes).meds.calcium.value is True


# --- classes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("medication", "paths"),
    [
        (CALCIUM_D3, {"meds.calcium", "meds.vitd"}),
        ({"text": "钙尔奇D"}, {"meds.calcium", "meds.vitd"}),
        (coded(ATC, "A12AA04"), {"meds.calcium"}),
        (coded(ATC, "A11CC04"), {"meds.vitd"}),
        ({"text": "骨化三醇"}, {"meds.vitd"}),
        (coded(RXNORM, "904462"), {"meds.vitd"}),
        (coded(ATC, "M05BB08"), {"meds.calcium", "meds.vitd"}),
        (coded(RXNORM, "3264"), {"meds.glucocorticoid"}),
        (coded(ATC, "H02AB06"), {"meds.glucocorticoid"}),
        (coded(ATC, "H02AX99"), {"meds.glucocorticoid"}),
        (coded(RXNORM, "309692", "Dexamethasone ophthalmic"), set()),
        ({"text": "地塞米松滴眼液"}, set()),
        ({"text": "dexamethasone 0.1% eye drops"}, set()),
        (coded(ATC, "L01FG01"), {"meds.antineoplastic", "meds.antiangiogenic"}),
        ({"text": "安罗替尼"}, {"meds.antineoplastic", "meds.antiangiogenic"}),
        (coded(ATC, "L01EX02"), {"meds.antineoplastic", "meds.antiangiogenic", "meds.cyp3a4_inhibitor"}),
        (coded(ATC, "L01FF02"), {"meds.antineoplastic", "meds.ici"}),
        (coded(ATC, "L01FC01"), {"meds.antineoplastic", "meds.daratumumab", "mm.on_antimyeloma"}),
        ({"text": "来那度胺"}, {"meds.antineoplastic", "mm.on_antimyeloma"}),
        ({"text": "环磷酰胺"}, {"meds.antineoplastic"}),
        ({"text": "异环磷酰胺"}, {"meds.antineoplastic", "meds.ifosfamide"}),
        (coded(RXNORM, "352384"), {"meds.antineoplastic", "meds.ifosfamide", "meds.mesna"}),
        (coded(ATC, "V03AF01"), {"meds.mesna"}),
        (coded(ATC, "R05CB05"), set()),
        (coded(ATC, "J01GB03"), {"meds.nephrotoxic"}),
        (coded(ATC, "C03AA03"), {"meds.thiazide"}),
        (coded(ATC, "C03BA11"), {"meds.thiazide"}),
        ({"text": "氢氯噻嗪片 25mg"}, {"meds.thiazide"}),
        (coded(ATC, "L01XA01"), {"meds.antineoplastic", "meds.nephrotoxic"}),
        (coded(ATC, "M01AE01"), {"meds.nsaid"}),
        (coded(ATC, "M01AC01"), {"meds.nsaid"}),
        ({"text": "Diclofenac gel"}, set()),
        ({"text": "双氯芬酸滴眼液"}, set()),
        (coded(ATC, "N02BE01"), {"meds.acetaminophen"}),
        (coded(ATC, "N02AA01"), {"meds.opioid"}),
        (coded(RXNORM, "857002"), {"meds.opioid", "meds.acetaminophen"}),
        (coded(RXNORM, "858770"), {"meds.opioid", "meds.nsaid"}),
        (coded(RXNORM, "857121"), {"meds.opioid"}),
        (coded(ATC, "R05DA04"), set()),
        (coded(ATC, "N07BC02"), set()),
        (coded(RXNORM, "6813"), {"meds.opioid"}),
        ({"text": "Buprenorphine/naloxone"}, set()),
        (coded(ATC, "J02AC01"), {"meds.cyp3a4_inhibitor"}),
        ({"text": "Grapefruit juice"}, {"meds.cyp3a4_inhibitor"}),
        ({"text": "Ketoconazole shampoo"}, set()),
        (coded(ATC, "J04AB02"), {"meds.cyp3a4_inducer"}),
        ({"text": "St. John's wort"}, {"meds.cyp3a4_inducer"}),
        ({"text": "葡萄糖酸钙注射液"}, set()),
        ({"text": "calcium acetate"}, set()),
        ({"text": "亚叶酸钙"}, set()),
        (coded(ATC, "V10BX01"), {"plan.radionuclide"}),
        ({"text": "strontium ranelate"}, set()),
        (coded(RXNORM, "2531369"), set()),
        (coded(RXNORM, "29046", "lisinopril"), set()),
    ],
)
def test_a_current_drug_belongs_to_exactly_its_classes(medication: dict[str, Any], paths: set[str]) -> None:
    found = read(request(medication))
    wanted = {"meds.radionuclide_planned" if path == "plan.radionuclide" else path for path in paths}
    told = {*FINDINGS.values(), "meds.radionuclide_planned"}
    assert {path for path in told if fact(found, path).value is True} == wanted


def test_calcium_into_a_vein_corrects_and_does_not_supplement() -> None:
    gluconate = coded(ATC, "A12AA03")
    into_a_vein = [{"route": coded(SNOMED, "47625008"), "doseAndRate": [{"doseQuantity": mg(1, "g")}]}]
    by_mouth = [{"route": coded(SNOMED, "26643006")}]
    assert fact(read(request(gluconate, dosageInstruction=into_a_vein)), "meds.calcium").value is False
    assert fact(read(request(gluconate, dosageInstruction=by_mouth)), "meds.calcium").value is True


@pytest.mark.parametrize(("dose", "is_nsaid"), [(75, False), (100, False), (101, True), (500, True), (None, False)])
def test_low_dose_aspirin_is_no_analgesic(dose: int | None, is_nsaid: bool) -> None:
    instruction = [{"doseAndRate": [{"doseQuantity": mg(dose)}]}] if dose else []
    found = read(request(coded(RXNORM, "1191", "aspirin"), dosageInstruction=instruction))
    assert fact(found, "meds.nsaid").value is is_nsaid


# --- what is current ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "value", "reason"),
    [
        (request(CALCIUM_D3), True, None),
        (request(CALCIUM_D3, status="on-hold"), True, None),
        (request(CALCIUM_D3, status="completed"), False, None),
        (request(CALCIUM_D3, status="stopped"), False, None),
        (request(CALCIUM_D3, status="cancelled"), False, "cancelled"),
        (request(CALCIUM_D3, status="entered-in-error"), False, "entered-in-error"),
        (request(CALCIUM_D3, status="draft"), False, "draft-outside-the-call"),
        (request(CALCIUM_D3, status="unknown"), None, "status-unknown"),
        (request(CALCIUM_D3, doNotPerform=True), False, "prohibited"),
        (request(CALCIUM_D3, intent="plan"), False, "not-an-order"),
        (request(CALCIUM_D3, intent="proposal"), False, "not-an-order"),
        (request(CALCIUM_D3, intent="option", reportedBoolean=True), False, "not-an-order"),
        (request(CALCIUM_D3, intent="instance-order"), True, None),
        (statement(CALCIUM_D3), True, None),
        (statement(CALCIUM_D3, status="intended"), False, "intended"),
        (statement(CALCIUM_D3, status="completed"), False, None),
        (statement(CALCIUM_D3, status="not-taken"), False, "not-taken"),
    ],
)
def test_status_and_intent_decide_whether_a_drug_is_current(
    resource: dict[str, Any], value: bool | None, reason: str | None
) -> None:
    found = read(resource)
    assert fact(found, "meds.calcium").value is value
    if reason is not None:
        assert reason in reasons(found)


def test_a_patients_own_list_counts_for_calcium_and_vitamin_d_and_is_flagged() -> None:
    found = read(request(CALCIUM_D3, intent="plan", reportedBoolean=True))
    for path in ("meds.calcium", "meds.vitd"):
        assert fact(found, path).value is True
        assert "reported" in fact(found, path).flags


def test_a_patients_own_list_makes_a_bone_agent_a_question_and_mesna_nothing() -> None:
    found = read(
        request(XGEVA, intent="plan", reportedBoolean=True, authoredOn=ago(10)),
        request(coded(ATC, "V03AF01"), intent="plan", reportedBoolean=True),
    )
    assert only(found).status == "reported"
    assert only(found).doses == ()
    assert fact(found, "meds.mesna").value is False


def test_a_newer_statement_that_it_is_not_taken_beats_the_order() -> None:
    older = request(CALCIUM_D3, authoredOn=ago(30))
    denied = statement(CALCIUM_D3, status="not-taken", dateAsserted=ago(2))
    assert fact(read(older, denied), "meds.calcium").value is False
    newer = request(CALCIUM_D3, authoredOn=ago(1))
    assert fact(read(newer, denied), "meds.calcium").value is True


def test_a_dispensed_supply_counts_while_it_lasts() -> None:
    def dispense(days_ago: int, supply: int | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "resourceType": "MedicationDispense",
            "id": "d",
            "status": "completed",
            "medicationCodeableConcept": CALCIUM_D3,
            "whenHandedOver": ago(days_ago),
        }
        return made | ({"daysSupply": {"value": supply, "unit": "d"}} if supply else {})

    assert fact(read(dispense(10, 30)), "meds.calcium").value is True
    assert fact(read(dispense(40, 30)), "meds.calcium").value is False
    assert fact(read(dispense(10, None)), "meds.calcium").value is None


def test_a_recent_infusion_without_an_order_may_be_part_of_a_treatment_that_goes_on() -> None:
    nivolumab = coded(ATC, "L01FF01")
    assert fact(read(administration(nivolumab, ago(56))), "meds.ici").value is None
    assert fact(read(administration(nivolumab, ago(57))), "meds.ici").value is False
    assert fact(read(administration(nivolumab, ago(0))), "meds.ici").value is True
    ended = read(administration(nivolumab, ago(10)), request(nivolumab, status="completed", authoredOn=ago(60)))
    assert fact(ended, "meds.ici").value is False


def test_mesna_given_in_an_earlier_cycle_protects_nobody_today() -> None:
    found = read(administration(coded(ATC, "V03AF01"), ago(21)))
    assert fact(found, "meds.mesna").value is False


def test_antimyeloma_treatment_now_and_before() -> None:
    bortezomib = coded(ATC, "L01XG01")
    found = read(request(bortezomib, status="completed", authoredOn=ago(400)), administration(bortezomib, ago(380)))
    assert fact(found, "mm.on_antimyeloma").value is False
    assert fact(found, "mm.ever_antimyeloma").value is True
    assert fact(found, "mm.antimyeloma_start").date == day(400)
    assert fact(read(), "mm.ever_antimyeloma").value is False
    dexamethasone = read(request(coded(RXNORM, "3264")))
    assert fact(dexamethasone, "mm.on_antimyeloma").value is False


def test_a_standing_service_request_for_a_radionuclide_is_a_plan() -> None:
    planned = {"resourceType": "ServiceRequest", "id": "s", "status": "active", "code": {"text": "锶-89治疗"}}
    assert fact(read(planned), "meds.radionuclide_planned").value is True
    assert fact(read(planned | {"status": "completed"}), "meds.radionuclide_planned").value is False


# --- amounts a day ------------------------------------------------------------------------------------------


def taken(medication: dict[str, Any], dose: dict[str, Any], repeat: dict[str, Any]) -> dict[str, Any]:
    return request(
        medication, dosageInstruction=[{"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": dose}]}]
    )


TABLET = {"value": 1, "unit": "{tablet}", "system": UCUM, "code": "{tablet}"}


@pytest.mark.parametrize(
    ("medication", "dose", "repeat", "amount"),
    [
        ({"text": "Calcium 500 mg"}, mg(500), DAILY, 500),
        ({"text": "Calcium 600 mg tablet"}, TABLET, DAILY | {"frequency": 2}, 1200),
        ({"text": "碳酸钙片 (元素钙300mg)"}, {"value": 2, "unit": "片"}, DAILY, 600),
        (coded(RXNORM, "1895"), mg("0.5", "g"), DAILY, 500),
        (coded(RXNORM, "282465"), TABLET, DAILY, None),
        ({"text": "calcium carbonate 1250 mg"}, mg(1250), DAILY, None),
        ({"text": "Calcium 500 mg"}, mg(500), {}, None),
    ],
)
def test_calcium_is_counted_as_calcium_and_never_as_its_salt(
    medication: dict[str, Any], dose: dict[str, Any], repeat: dict[str, Any], amount: int | None
) -> None:
    assert fact(read(taken(medication, dose, repeat)), "meds.calcium_daily").value == amount


@pytest.mark.parametrize(
    ("medication", "dose", "repeat", "amount"),
    [
        ({"text": "vitamin D3"}, {"value": 400, "unit": "IU"}, DAILY, 400),
        ({"text": "vitamin D3"}, {"value": 2800, "code": "[iU]", "system": UCUM}, DAILY | {"periodUnit": "wk"}, 400),
        (CALCIUM_D3, TABLET, DAILY, 800),
        ({"text": "维生素D 400单位 胶囊"}, {"value": 2, "unit": "粒"}, DAILY, 800),
        (coded(ATC, "A11CC04"), mg("0.25", "ug"), DAILY, None),
    ],
)
def test_vitamin_d_is_counted_in_units_a_day(
    medication: dict[str, Any], dose: dict[str, Any], repeat: dict[str, Any], amount: int | None
) -> None:
    assert fact(read(taken(medication, dose, repeat)), "meds.vitd_daily").value == amount


def test_a_sum_with_an_untold_part_is_at_least_what_is_told() -> None:
    told = taken({"text": "Calcium 500 mg"}, mg(500), DAILY)
    found = fact(read(told, request({"text": "calcium carbonate"})), "meds.calcium_daily")
    assert (found < 500).no
    assert (found < 600).unknown
    assert "at-least" in found.flags


def test_mesna_is_summed_and_a_tablet_is_noticed() -> None:
    infusion = {"route": coded(SNOMED, "47625008")}
    first = request(
        coded(ATC, "V03AF01"),
        dosageInstruction=[
            infusion
            | {
                "timing": {"repeat": {"frequency": 1, "period": 24, "periodUnit": "h"}},
                "doseAndRate": [{"doseQuantity": mg(400)}],
            }
        ],
    )
    tablets = request(
        {"text": "Mesna 400 mg tablet"},
        dosageInstruction=[{"timing": {"repeat": DAILY | {"frequency": 2}}, "doseAndRate": [{"doseQuantity": TABLET}]}],
    )
    found = read(first, tablets)
    assert fact(found, "meds.mesna_daily").value == 1200
    assert fact(found, "meds.mesna_oral").value is True
    assert fact(read(first), "meds.mesna_oral").value is False
    assert fact(read(request(coded(ATC, "V03AF01"))), "meds.mesna_oral").value is None


# --- courses ------------------------------------------------------------------------------------------------


def test_the_last_dose_is_the_last_administration_and_not_the_order_or_what_was_not_done() -> None:
    found = read(
        request(ZOLEDRONIC, status="completed", authoredOn=ago(40)),
        *(administration(ZOLEDRONIC, ago(days)) for days in (98, 70, 12)),
        administration(ZOLEDRONIC, ago(0), status="not-done"),
    )
    course = only(found)
    assert course.last_dose is not None
    assert course.last_dose.date == day(12)
    assert [dose.kind for dose in course.doses] == ["administration"] * 3
    assert course.started == day(98)
    assert "not-done" in reasons(found)


def test_administration_order_and_bill_within_three_days_are_one_dose() -> None:
    billed = {
        "resourceType": "Procedure",
        "id": "bill",
        "status": "completed",
        "code": coded(HCPCS, "J3489"),
        "performedDateTime": ago(27),
        "extension": [{"url": "http://e.org/quantity", "valueInteger": 4}],
    }
    course = only(
        read(
            request(ZOLEDRONIC, status="completed", authoredOn=ago(31)),
            administration(ZOLEDRONIC, ago(30)),
            billed,
        )
    )
    (dose,) = course.doses
    assert (dose.date, dose.kind) == (day(30), "administration")
    assert dose.mg == 4
    assert "Procedure/bill" in dose.resources


@pytest.mark.parametrize(
    ("quantity", "drug"), [(120, "denosumab-120"), (60, "denosumab-60"), (None, "denosumab-unspecified")]
)
def test_the_quantity_on_a_bill_tells_the_denosumab_product(quantity: int | None, drug: str) -> None:
    billed: dict[str, Any] = {
        "resourceType": "Procedure",
        "id": "b",
        "status": "completed",
        "code": coded("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "J0897"),
        "performedPeriod": {"start": ago(20), "end": ago(20)},
    }
    if quantity:
        billed["extension"] = [{"url": "urn:x:units", "valueQuantity": {"value": quantity}}]
    course = only(read(billed))
    assert course.drug == drug
    assert course.doses[0].kind == "billed"
    assert course.status == "completed"


def test_the_date_of_an_order_is_the_weakest_kind_of_dose() -> None:
    course = only(read(request(XGEVA, authoredOn=ago(20))))
    assert course.status == "active"
    assert [(dose.kind, dose.date) for dose in course.doses] == [("order-date", day(20))]


@pytest.mark.parametrize(
    "more",
    [
        {"dosageInstruction": [{"timing": {"event": ["2026-12-01"]}}]},
        {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"start": "2026-11-29"}}}}]},
    ],
)
def test_an_order_written_today_for_next_week_is_no_dose(more: dict[str, Any]) -> None:
    course = only(read(request(XGEVA, authoredOn=ago(0), **more)))
    assert course.doses == ()
    assert course.started is None


def test_an_order_on_hold_gives_no_dose() -> None:
    course = only(read(request(XGEVA, status="on-hold", authoredOn=ago(20))))
    assert course.status == "on-hold"
    assert course.doses == ()


def test_listed_days_in_the_past_are_doses() -> None:
    events = [{"timing": {"event": [ago(56), ago(28), "2026-12-20"]}}]
    course = only(read(request(ZOLEDRONIC, authoredOn=ago(60), dosageInstruction=events)))
    assert [(dose.kind, dose.date) for dose in course.doses] == [("event", day(56)), ("event", day(28))]


def test_a_supply_that_began_counts_before_the_date_of_the_order() -> None:
    order = request(
        XGEVA, status="completed", authoredOn=ago(40), dispenseRequest={"validityPeriod": {"start": ago(35)}}
    )
    assert [(dose.kind, dose.date) for dose in only(read(order)).doses] == [("dispense-start", day(35))]
    given_later = read(order, administration(XGEVA, ago(30)))
    assert [dose.kind for dose in only(given_later).doses] == ["administration"]


def test_renewed_orders_are_one_course_and_a_gap_of_more_than_six_months_starts_another() -> None:
    orders = [request(XGEVA, status="completed", authoredOn=ago(days)) for days in (400, 220, 40)]
    assert only(read(*orders)).started == day(400)
    apart = [request(XGEVA, status="completed", authoredOn=ago(days)) for days in (400, 216, 40)]
    first, second = read(*apart).courses.items
    assert (first.started, second.started) == (day(400), day(216))


def test_an_order_that_continues_another_belongs_to_it_whatever_the_gap() -> None:
    old = request(XGEVA, status="completed", authoredOn=ago(500))
    new = request(XGEVA, authoredOn=ago(20), priorPrescription={"reference": f"MedicationRequest/{old['id']}"})
    course = only(read(old, new))
    assert course.started == day(500)
    assert course.status == "active"


def test_a_dose_without_amount_takes_the_class_of_its_order() -> None:
    order = request(XGEVA, authoredOn=ago(60))
    given_dose = administration(
        DENOSUMAB, ago(30), request={"reference": f"http://e.org/fhir/MedicationRequest/{order['id']}"}
    )
    course = only(read(order, given_dose))
    assert course.drug == "denosumab-120"
    assert course.last_dose is not None
    assert course.last_dose.date == day(30)


def test_two_strengths_of_denosumab_are_two_courses() -> None:
    found = read(request(XGEVA, authoredOn=ago(30)), request(coded(RXNORM, "993456"), authoredOn=ago(100)))
    assert {course.drug for course in found.courses} == {"denosumab-120", "denosumab-60"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [("active", "active"), ("stopped", "stopped"), ("completed", "completed"), ("unknown", "unknown")],
)
def test_a_course_has_the_status_of_its_newest_order(status: str, expected: str) -> None:
    found = read(
        request(XGEVA, status="completed", authoredOn=ago(90)), request(XGEVA, status=status, authoredOn=ago(20))
    )
    assert only(found).status == (expected if status != "unknown" else "completed")
    alone = read(request(XGEVA, status=status, authoredOn=ago(20)))
    assert only(alone).status == expected


def test_dose_and_interval_of_the_order_are_kept() -> None:
    instruction = [
        {
            "timing": {"repeat": {"frequency": 1, "period": 4, "periodUnit": "wk"}},
            "doseAndRate": [{"doseQuantity": mg(120)}],
        }
    ]
    course = only(read(request(DENOSUMAB, authoredOn=ago(20), dosageInstruction=instruction)))
    assert (course.drug, course.dose_mg, course.interval_days) == ("denosumab-120", Decimal(120), Decimal(28))


def test_a_truncated_history_is_told() -> None:
    found = read(administration(XGEVA, ago(100)), reading=context(truncated=("medicationAdministrations",)))
    assert only(found).truncated


def test_weekly_alendronate_is_no_oncologic_course() -> None:
    assert only(read(request(coded(ATC, "M05BA04")))).drug == "other-bisphosphonate"


def test_ifosfamide_in_the_history_is_not_cyclophosphamide() -> None:
    found = read(request({"text": "异环磷酰胺"}, status="completed", authoredOn=ago(100)))
    (entry,) = found.entries
    assert entry.product.drugs == ("ifosfamide",)
    assert entry.standing == "past"
    assert fact(found, "meds.ifosfamide").value is False


# --- what is not used is named ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (request(coded(RXNORM, "29046", "lisinopril 10 MG")), "unmapped"),
        (request({"text": "Melphalan flufenamide"}), "look-alike"),
        (request({}), "no-drug"),
        (request({}, medicationReference={"reference": "Medication/gone"}), "unresolved-medication"),
        (request(coded(RXNORM, "999999999", "zoledronic acid 4 MG")), "unmapped-code"),
        (request({"text": "zoledronic acid or pamidronate"}), "ambiguous-name"),
        (administration(ZOLEDRONIC, ago(-3)), "future-dated"),
        (administration(ZOLEDRONIC, "soon"), "no-date"),
        (administration(ZOLEDRONIC, ago(1), status="on-hold"), "on-hold"),
    ],
)
def test_what_is_not_used_or_needs_a_remark_is_named(resource: dict[str, Any], reason: str) -> None:
    assert reason in reasons(read(resource))


def test_odd_resources_are_named_and_harm_nothing() -> None:
    odd: list[dict[str, Any]] = [
        {"resourceType": "MedicationRequest"},
        {"resourceType": "MedicationRequest", "status": 5, "intent": [], "medicationCodeableConcept": "x"},
        {"resourceType": "MedicationAdministration", "status": "completed", "dosage": "x"},
        {"resourceType": "MedicationDispense", "status": "completed", "daysSupply": "x"},
        {"resourceType": "Procedure", "code": 3},
        {"resourceType": "Observation", "id": "o"},
        {},
    ]
    found = read(*odd, request(XGEVA, authoredOn=ago(5)))
    assert only(found).drug == "denosumab-120"


# --- laws ---------------------------------------------------------------------------------------------------

SOME = [
    request(XGEVA, status="completed", authoredOn=ago(300)),
    request(XGEVA, authoredOn=ago(100)),
    administration(XGEVA, ago(90)),
    administration(XGEVA, ago(62)),
    administration(ZOLEDRONIC, ago(400)),
    request(CALCIUM_D3, intent="plan", reportedBoolean=True),
    taken({"text": "Calcium 500 mg"}, mg(500), DAILY),
    statement(coded(ATC, "N02AA01"), status="not-taken", dateAsserted=ago(3)),
    request(coded(ATC, "N02AA01"), authoredOn=ago(10)),
]


@settings(max_examples=60, deadline=None)
@given(st.permutations(SOME))
def test_the_order_in_which_resources_arrive_changes_nothing(arranged: list[dict[str, Any]]) -> None:
    usual, other = read(*SOME), read(*arranged)
    assert usual.changes == other.changes
    assert usual.courses == other.courses


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=8))
def test_every_administration_is_in_some_course_once(days: list[int]) -> None:
    found = read(*(administration(XGEVA, ago(number)) for number in days))
    dates = [dose.date for course in found.courses for dose in course.doses]
    assert sorted(dates) == sorted({day(number) for number in days})
