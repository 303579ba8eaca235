"""Draft orders: which are at hand, for what, with which dose, however an EHR writes them."""

from __future__ import annotations

import datetime as dt
import itertools
import tomllib
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mapping.delivery.context import ReadingContext, WrongPatientError
from fhir_mapping.draft_orders import Drafts, read_drafts, with_drafted
from fhir_mapping.elements import infusions, intervals
from fhir_mapping.medications import read_medications
from fhir_mapping.service_orders import fractionation
from fhir_mapping.terms.codes import shipped_rows
from fhir_mapping.terms.drug_names import DRUGS, KNOWN_CONCEPTS, mentions
from fhir_mapping.terms.drugs import identify
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import exactly
from recommenders.vocabulary.records import Order

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
TODAY = dt.date(2026, 11, 22)
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
ALL_KEYS = frozenset({"medications", "medicationAdministrations", "procedures", "serviceRequests"})


def context(**more: Any) -> ReadingContext:
    delivered = more.pop("delivered", ALL_KEYS)
    return ReadingContext(patient_id="p1", now=NOW, timezone=dt.UTC, delivered=delivered, **more)


def sized(*, bsa: str | None = None, weight: str | None = None) -> ReadingContext:
    blank = Facts(as_of=TODAY).patient
    more: dict[str, Any] = {}
    if bsa:
        more["bsa"] = exactly(blank.bsa, bsa, date=TODAY)
    if weight:
        more["weight"] = exactly(blank.weight, weight, date=TODAY)
    return context(**more)


def coded(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {"coding": [coding]}


def mg(value: Any, unit: str = "mg") -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def dosage(
    dose: dict[str, Any] | None = None,
    *,
    text: str | None = None,
    repeat: dict[str, Any] | None = None,
    route: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    made: dict[str, Any] = dict(more)
    if text:
        made["text"] = text
    if repeat:
        made["timing"] = {"repeat": repeat}
    if route:
        made["route"] = coded(SNOMED, route)
    if dose:
        made["doseAndRate"] = [{"doseQuantity": dose}]
    return made


def request(medication: dict[str, Any] | None, *dosages: dict[str, Any], number: str | None = "d1", **more: Any) -> Any:
    made: dict[str, Any] = {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
    }
    if number:
        made["id"] = number
    if medication is not None:
        made["medicationCodeableConcept"] = medication
    if dosages:
        made["dosageInstruction"] = list(dosages)
    return made | more


def service(code: dict[str, Any], number: str = "s1", **more: Any) -> Any:
    return {
        "resourceType": "ServiceRequest",
        "id": number,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "code": code,
    } | more


def bundle(*resources: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


def read(*resources: Any, selections: list[str] | None = None, reading: ReadingContext | None = None) -> Drafts:
    return read_drafts(bundle(*resources), selections, context=reading or context())


def only(*resources: Any, reading: ReadingContext | None = None) -> Order:
    (order,) = read(*resources, reading=reading).orders
    return order


def reasons(drafts: Drafts) -> set[str]:
    return {note.reason.partition(":")[0] for note in drafts.notes}


ZOLEDRONIC = coded(RXNORM, "77655", "zoledronic acid")
DENOSUMAB = coded(RXNORM, "993449", "Denosumab")
EVERY_4_WEEKS = {"frequency": 1, "period": 4, "periodUnit": "wk"}
IV, SC, PO = "47625008", "34206005", "26643006"


# --- the drug -----------------------------------------------------------------------------------------------


def test_120_mg_written_for_the_60_mg_product_is_a_120_mg_order_with_a_mismatch() -> None:
    drafts = read(
        request(
            None,
            dosage(mg(120), route=SC, repeat=EVERY_4_WEEKS),
            contained=[{"resourceType": "Medication", "id": "m", "code": coded(RXNORM, "993456")}],
            medicationReference={"reference": "#m"},
        )
    )
    (order,) = drafts.orders
    assert order.drug == "denosumab-120"
    assert order.product_mismatch
    assert "product-dose-mismatch" in reasons(drafts)
    assert order.interval_days.value == 28


def test_an_order_told_in_one_line_of_text_is_read_and_flagged() -> None:
    drafts = read(
        request(coded(RXNORM, "1156253", "zoledronic acid Injectable Product"), dosage(text="4 mg IV over 15 min q4w"))
    )
    (order,) = drafts.orders
    assert order.drug == "zoledronic"
    assert order.dose_mg.value == 4
    assert order.route.value == "IV"
    assert order.infusion_min.value == 15
    assert order.interval_days.value == 28
    assert order.from_text
    assert "from-text" in reasons(drafts)


SAME_ORDER = {
    "RxNorm, mg": request(
        ZOLEDRONIC, dosage(mg(4), route=IV, repeat=EVERY_4_WEEKS | {"duration": 15, "durationUnit": "min"})
    ),
    "ATC, g": request(
        coded(ATC, "M05BA08"),
        dosage(
            mg("0.004", "g"),
            route=IV,
            repeat={"frequency": 1, "period": 28, "periodUnit": "d", "duration": "0.25", "durationUnit": "h"},
        ),
    ),
    "SNOMED, ug": request(coded(SNOMED, "395926009"), dosage(mg(4000, "ug"), text="IV over 15 minutes every 4 weeks")),
    "micro sign": request(
        coded(SNOMED, "395926009"), dosage({"value": 4000, "unit": "µg"}, text="IV over 15 minutes q4w")
    ),
    "name only": request({"text": "Zoledronic Acid"}, dosage(text="4 mg IV in 100 mL over 15 min every 28 days")),
    "Chinese": request({"text": "唑来膦酸注射液"}, dosage(text="4mg 静脉滴注15分钟 每4周一次")),
    "Chinese, full width": request({"text": "唑来膦酸"}, dosage(text="４ｍｇ　静滴１５分钟，每四周１次")),
    "bag, by rate": request(
        ZOLEDRONIC,
        {
            "text": "in 100 mL of 0.9% sodium chloride, IV, q4w",
            "doseAndRate": [
                {"doseQuantity": mg(4), "rateQuantity": {"value": 400, "unit": "mL/h", "system": UCUM, "code": "mL/h"}}
            ],
        },
    ),
}


@pytest.mark.parametrize("name", SAME_ORDER)
def test_the_same_order_in_other_codes_units_and_languages_is_the_same_order(name: str) -> None:
    order = only(SAME_ORDER[name])
    assert (order.kinds, order.drug) == (("bma",), "zoledronic")
    assert order.dose_mg.value == 4
    assert order.largest_dose_mg.value == 4
    assert order.route.value == "IV"
    assert order.interval_days.rounded == 28
    assert order.infusion_min.rounded == 15


DENOSUMAB_CLASSES = [
    (DENOSUMAB, 120, "denosumab-120", False),
    (DENOSUMAB, 60, "denosumab-60", False),
    (DENOSUMAB, 108, "denosumab-120", False),
    (DENOSUMAB, 107, "denosumab-unspecified", False),
    (DENOSUMAB, None, "denosumab-unspecified", False),
    ({"text": "安加维"}, None, "denosumab-120", False),
    ({"text": "普罗力 60mg"}, None, "denosumab-60", False),
    ({"text": "Wyost"}, None, "denosumab-120", False),
    ({"text": "Stoboclo"}, 120, "denosumab-120", True),
    (coded(RXNORM, "1046402"), 60, "denosumab-60", True),
    (coded(RXNORM, "1046402"), 1200, "denosumab-120", False),
    (coded(RXNORM, "2747255"), None, "denosumab-120", False),
]


@pytest.mark.parametrize(("medication", "dose", "drug", "mismatch"), DENOSUMAB_CLASSES)
def test_the_denosumab_strength_is_told_by_dose_and_product_together(
    medication: dict[str, Any], dose: int | None, drug: str, mismatch: bool
) -> None:
    order = only(request(medication, dosage(mg(dose) if dose else None, route=SC)))
    assert (order.drug, order.product_mismatch) == (drug, mismatch)


ZOLEDRONIC_CLASSES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    (ZOLEDRONIC, dosage(mg(4)), {}, "zoledronic"),
    (ZOLEDRONIC, dosage(mg("3.3")), {}, "zoledronic"),
    (ZOLEDRONIC, dosage(mg(5)), {}, "zoledronic-5"),
    (ZOLEDRONIC, dosage(mg(40)), {}, "zoledronic"),
    (coded(RXNORM, "705875"), dosage(), {}, "zoledronic-5"),
    (coded(RXNORM, "351945"), dosage(), {}, "zoledronic"),
    ({"text": "密固达"}, dosage(), {}, "zoledronic-5"),
    (ZOLEDRONIC, dosage(repeat={"frequency": 1, "period": 1, "periodUnit": "a"}), {}, "zoledronic-5"),
    (ZOLEDRONIC, dosage(), {"reasonCode": [{"text": "osteoporosis"}]}, "zoledronic-5"),
    (ZOLEDRONIC, dosage(), {}, "zoledronic"),
]


@pytest.mark.parametrize(("medication", "instruction", "more", "drug"), ZOLEDRONIC_CLASSES)
def test_zoledronic_acid_4_mg_and_5_mg_are_told_apart(
    medication: dict[str, Any], instruction: dict[str, Any], more: dict[str, Any], drug: str
) -> None:
    assert only(request(medication, instruction, **more)).drug == drug


@pytest.mark.parametrize(
    ("medication", "instruction", "drug", "route"),
    [
        (coded(RXNORM, "904932"), dosage(mg(150)), "ibandronate-oral", "PO"),
        (coded(RXNORM, "904946"), dosage(mg(50)), "ibandronate", "PO"),
        (
            coded(RXNORM, "904946"),
            dosage({"value": 1, "unit": "{tablet}", "system": UCUM, "code": "{tablet}"}),
            "ibandronate",
            "PO",
        ),
        (coded(RXNORM, "1659718"), dosage(mg(6), route=IV), "ibandronate", "IV"),
        ({"text": "伊班膦酸钠"}, dosage(text="6mg 静滴"), "ibandronate", "IV"),
        ({"text": "ibandronate"}, dosage(mg(150), route=PO), "ibandronate-oral", "PO"),
    ],
)
def test_ibandronate_tablets_are_not_the_infusion(
    medication: dict[str, Any], instruction: dict[str, Any], drug: str, route: str
) -> None:
    order = only(request(medication, instruction))
    assert (order.drug, order.route.value) == (drug, route)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("异环磷酰胺", ["ifosfamide"]),
        ("环磷酰胺", ["cyclophosphamide"]),
        ("zolpidem", []),
        ("mesalamine", []),
        ("美沙拉秦", []),
        ("美司钠", ["mesna"]),
        ("Melphalan flufenamide", []),
        ("MELphalan", ["melphalan"]),
        ("risedronate", ["other-bisphosphonate"]),
        ("ibandronate", ["ibandronate"]),
        ("daratumumab", ["daratumumab"]),
        ("tislelizumab", ["ici"]),
        ("zoledronic acid", ["zoledronic"]),
        ("Zoledronate", ["zoledronic"]),
        ("亚叶酸钙", []),
        ("calcium folinate", []),
        ("atorvastatin calcium", []),
        ("Calcium 600 mg + vitamin D3 400 IU", ["calcium", "vitamin-d"]),
        ("碳酸钙D3片", ["calcium-vitamin-d"]),
        ("liposomal doxorubicin", ["doxorubicin-liposomal"]),
        ("strontium ranelate", []),
        ("sodium chloride", []),
    ],
)
def test_look_alike_names_are_kept_apart(name: str, found: list[str]) -> None:
    assert [mention.key for mention in mentions(name) if mention.kind == "drug"] == found


def test_every_drug_concept_of_the_code_table_has_its_place() -> None:
    drugs = {
        concept
        for concept, kinds, *_ in shipped_rows()
        if ("MedicationStatement" in kinds or "MedicationAdministration|Claim" in kinds)
        and not concept.startswith("status.")
    }
    assert drugs == KNOWN_CONCEPTS


def test_every_name_of_the_drug_table_finds_its_own_drug() -> None:
    table = tomllib.loads(files("fhir_mapping.terms").joinpath("drugs.toml").read_text("utf-8"))
    for key, row in table["drugs"].items():
        for name in row["names"]:
            if not name.startswith("re:"):
                said = name.replace("*", "ate" if name[0].isascii() else "")
                assert [mention.key for mention in mentions(said)] == [key], name
    assert set(table["drugs"]) == set(DRUGS)


def test_a_display_that_names_another_drug_leaves_the_drug_of_a_draft_untold() -> None:
    drafts = read(request(coded(RXNORM, "77655", "amlodipine 5 MG Oral Tablet"), dosage(mg(4))))
    assert drafts.orders[0].drug is None
    assert drafts.orders[0].kinds == ("other",)
    assert "display-mismatch" in reasons(drafts)


def test_in_the_history_the_code_is_kept_and_the_display_only_noted() -> None:
    found = identify([coded(RXNORM, "77655", "amlodipine 5 MG Oral Tablet")])
    assert found.drugs == ("zoledronic",)
    assert "display-mismatch" in found.reasons


@pytest.mark.parametrize(
    "medication",
    [
        coded(RXNORM, "1046402", "Xgeva 120 MG per 1.7 ML Injection"),
        coded(f"{RXNORM}/", "1046402"),
        coded("urn:oid:2.16.840.1.113883.6.88", "1046402"),
        coded("https://www.nlm.nih.gov/research/umls/rxnorm|2026", " 1046402 "),
        {"coding": [{"system": RXNORM, "code": 1046402}]},
        {"coding": {"system": RXNORM, "code": "1046402"}},
        {"coding": [{"system": "urn:local", "code": "X1"}, {"system": RXNORM, "code": "1046402"}]},
        {"coding": [{}], "text": "Xgeva"},
        {"text": "XGEVA 120 mg/1.7 mL"},
    ],
)
def test_a_product_is_known_however_its_coding_is_wrapped(medication: dict[str, Any]) -> None:
    order = only(request(medication, dosage({"value": 1, "unit": "vial"}, route=SC)))
    assert order.drug == "denosumab-120"
    assert order.dose_mg.value == 120


def test_a_medication_is_found_in_the_bundle_and_through_the_context_and_by_display() -> None:
    medication = {"resourceType": "Medication", "id": "med-1", "code": coded(RXNORM, "993449")}
    by_reference = request(None, dosage(mg(120)), medicationReference={"reference": "Medication/med-1"})
    placed = {"resourceType": "Bundle", "entry": [{"resource": by_reference}, {"resource": medication}]}
    assert read_drafts(placed, None, context=context()).orders[0].drug == "denosumab-120"

    elsewhere = context(resolve=lambda name, _: medication if name == "Medication/med-1" else None)
    assert read_drafts(bundle(by_reference), None, context=elsewhere).orders[0].drug == "denosumab-120"

    shown = request(None, dosage(mg(120)), medicationReference={"reference": "Medication/x", "display": "Denosumab"})
    assert only(shown).drug == "denosumab-120"

    urn = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": request(None, dosage(mg(120)), medicationReference={"reference": "urn:uuid:1"})},
            {"fullUrl": "urn:uuid:1", "resource": medication},
        ],
    }
    assert read_drafts(urn, None, context=context()).orders[0].drug == "denosumab-120"


def test_a_medication_that_cannot_be_resolved_is_a_note_and_no_drug() -> None:
    drafts = read(request(None, dosage(mg(120)), medicationReference={"reference": "Medication/unknown"}))
    assert drafts.orders[0].drug is None
    assert "unresolved-medication" in reasons(drafts)


def test_shapes_of_fhir_r5_that_senders_use_already_are_read() -> None:
    later = request(None, dosage(mg(120))) | {"medication": {"concept": coded(RXNORM, "993449")}}
    assert only(later).drug == "denosumab-120"


def test_a_draft_without_a_medication_yet_is_silent() -> None:
    drafts = read(request(None))
    assert drafts.orders[0].drug is None
    assert "unresolved-medication" not in reasons(drafts)


def test_ingredients_strengths_and_saline_of_a_medication_are_read() -> None:
    medication = {
        "resourceType": "Medication",
        "id": "m",
        "form": {"text": "infusion"},
        "ingredient": [
            {
                "itemCodeableConcept": coded(RXNORM, "77655"),
                "strength": {
                    "numerator": mg(4),
                    "denominator": {"value": 5, "unit": "mL", "system": UCUM, "code": "mL"},
                },
            },
            {
                "itemCodeableConcept": {"text": "0.9% sodium chloride"},
                "strength": {"numerator": {"value": 100, "unit": "mL"}, "denominator": {"value": 1}},
            },
        ],
    }
    order = only(
        request(
            None,
            dosage({"value": 5, "unit": "mL", "system": UCUM, "code": "mL"}, route=IV),
            contained=[medication],
            medicationReference={"reference": "#m"},
        )
    )
    assert order.drug == "zoledronic"
    assert order.dose_mg.value == 4
    assert order.diluent_ml.value == 100


# --- the dose -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (mg(4), "4"),
        (mg("0.004", "g"), "4"),
        (mg(4000, "ug"), "4"),
        ({"value": 4000, "unit": "μg"}, "4"),
        ({"value": 4000, "unit": "mcg"}, "4"),
        ({"value": 4, "unit": "毫克"}, "4"),
        ({"value": "4", "unit": "MG"}, "4"),
        ({"value": 5, "unit": "mL"}, None),
        ({"value": 4}, None),
        ({"value": 4, "unit": "something"}, None),
        ({"value": "four", "unit": "mg"}, None),
        ({"value": True, "unit": "mg"}, None),
        ({"value": -4, "unit": "mg"}, None),
        ({"value": 1e300, "unit": "mg"}, None),
        ({"value": 4, "unit": "mg", "comparator": "<"}, None),
    ],
)
def test_a_dose_quantity_is_converted_or_unknown_never_guessed(quantity: dict[str, Any], expected: str | None) -> None:
    order = only(request(ZOLEDRONIC, dosage(quantity)))
    assert order.dose_mg.value == (None if expected is None else Decimal(expected))
    if expected is None:
        assert order.dose_mg.reason == "unit"


def test_a_dose_range_is_an_interval() -> None:
    order = only(request(ZOLEDRONIC, {"doseAndRate": [{"doseRange": {"low": mg(3), "high": mg(4)}}]}))
    assert [order.dose_mg.low, order.dose_mg.high] == [3, 4]


def test_a_dose_per_square_metre_needs_the_body_surface() -> None:
    melphalan = request(coded(ATC, "L01AA03"), dosage(mg(200, "mg/m2"), route=IV))
    unknown = only(melphalan)
    assert unknown.dose_mg.value is None
    assert unknown.dose_mg.lacks == ("patient.bsa",)
    assert unknown.dose_mg_m2.value == 200
    known = only(melphalan, reading=sized(bsa="1.8"))
    assert known.dose_mg.value == 360
    assert known.kinds == ("melphalan", "antineoplastic")


def test_a_dose_per_kilogram_needs_the_weight() -> None:
    order = request({"text": "pamidronate"}, dosage(mg("1.5", "mg/kg")))
    assert only(order).dose_mg.lacks == ("patient.weight",)
    assert only(order, reading=sized(weight="60")).dose_mg.value == 90


def test_millilitres_of_a_known_strength_are_the_labelled_dose() -> None:
    xgeva = only(
        request(coded(RXNORM, "1046402"), dosage({"value": Decimal("1.7"), "unit": "mL", "system": UCUM, "code": "mL"}))
    )
    assert xgeva.dose_mg.value == 120  # 1.7 mL x 70 mg/mL is 119 by arithmetic
    prolia = only(request(coded(RXNORM, "993456"), dosage({"value": 1, "unit": "mL"})))
    assert prolia.dose_mg.value == 60


def test_ordered_goes_before_calculated_and_two_ordered_doses_are_unknown() -> None:
    typed = {
        "doseAndRate": [
            {
                "type": coded("http://terminology.hl7.org/CodeSystem/dose-rate-type", "calculated"),
                "doseQuantity": mg(3),
            },
            {"type": coded("http://terminology.hl7.org/CodeSystem/dose-rate-type", "ordered"), "doseQuantity": mg(4)},
        ]
    }
    assert only(request(ZOLEDRONIC, typed)).dose_mg.value == 4
    two = {"doseAndRate": [{"doseQuantity": mg(3)}, {"doseQuantity": mg(40)}]}
    order = only(request(ZOLEDRONIC, two))
    assert order.dose_mg.reason == "contradictory"
    assert order.largest_dose_mg.value == 40  # an overdose stays in sight


def test_the_limit_per_administration_is_no_dose() -> None:
    order = only(request(ZOLEDRONIC, {"maxDosePerAdministration": mg(4)}))
    assert order.dose_mg.value is None


def test_the_first_step_is_the_dose_at_hand_and_the_largest_is_kept() -> None:
    steps = [
        dosage(mg(6), sequence=2, repeat=EVERY_4_WEEKS),
        dosage(mg(60), sequence=3, repeat=EVERY_4_WEEKS),
        dosage(mg(4), sequence=1, repeat={"count": 1}),
    ]
    order = only(request(coded(ATC, "M05BA06"), *steps))
    assert order.dose_mg.value == 4
    assert order.largest_dose_mg.value == 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4 mg", 4),
        ("120mg皮下注射", 120),
        ("zoledronic acid 4 mg/5 mL, give 4 mg", 4),
        ("70 mg/mL", None),
        ("4 mg or 40 mg", None),
        ("4000 µg", 4),
        ("0.004 g", 4),
        ("see protocol", None),
    ],
)
def test_a_dose_in_text_counts_when_it_is_the_only_one(text: str, expected: int | None) -> None:
    assert only(request(ZOLEDRONIC, dosage(text=text))).dose_mg.value == expected


def test_a_text_that_contradicts_the_structured_dose_is_noted() -> None:
    drafts = read(request(ZOLEDRONIC, dosage(mg(4), text="40 mg IV")))
    assert drafts.orders[0].dose_mg.value == 4
    assert "text-differs-from-dose" in reasons(drafts)


# --- timing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timing", "days"),
    [
        ({"repeat": {"frequency": 1, "period": 4, "periodUnit": "wk"}}, 28),
        ({"repeat": {"frequency": 1, "period": 1, "periodUnit": "mo"}}, 28),
        ({"repeat": {"period": 21, "periodUnit": "d"}}, 21),
        ({"repeat": {"frequency": 2, "period": 1, "periodUnit": "wk"}}, Decimal("3.5")),
        ({"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon", "thu"]}}, Decimal("3.5")),
        ({"code": {"text": "Q4W"}}, 28),
        ({"code": coded("http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation", "QD")}, 1),
        ({"code": coded("http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation", "MO")}, 28),
        ({"event": ["2026-11-23", "2026-12-21", "2027-01-18"]}, 28),
        ({"repeat": {"count": 1}}, None),
        ({"repeat": {"period": "x", "periodUnit": "wk"}}, None),
        ({}, None),
    ],
)
def test_the_interval_is_read_from_structure(timing: dict[str, Any], days: Decimal | int | None) -> None:
    order = only(request(ZOLEDRONIC, {"timing": timing, "doseAndRate": [{"doseQuantity": mg(4)}]}))
    assert order.interval_days.value == days


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("q4w", (28, 28)),
        ("q 4 weeks", (28, 28)),
        ("every 28 days", (28, 28)),
        ("every four weeks", (28, 28)),
        ("q3-4w", (21, 28)),
        ("每3-4周", (21, 28)),
        ("每4周一次", (28, 28)),
        ("每四周", (28, 28)),
        ("每28天", (28, 28)),
        ("每月", (28, 28)),
        ("monthly", (28, 28)),
        ("每6个月", (168, 168)),
        ("每年一次", (365, 365)),
        ("once daily", (1, 1)),
        ("每日一次", (1, 1)),
        ("q12h", (Decimal("0.5"), Decimal("0.5"))),
        ("every 4 weeks prn", None),
        ("IV", None),
    ],
)
def test_the_interval_is_read_from_text_in_both_languages(text: str, days: tuple[Any, Any] | None) -> None:
    assert intervals.text_interval(text) == days


def test_an_order_to_be_given_when_needed_has_no_interval() -> None:
    order = only(request(ZOLEDRONIC, dosage(mg(4), repeat=EVERY_4_WEEKS, asNeededBoolean=True)))
    assert not order.interval_days.is_known


@pytest.mark.parametrize(
    ("instruction", "minutes"),
    [
        (dosage(mg(4), repeat={"duration": 15, "durationUnit": "min"}), (15, 15)),
        (dosage(mg(4), repeat={"duration": 15, "durationMax": 30, "durationUnit": "min"}), (15, 30)),
        (dosage(mg(4), repeat={"duration": 2, "durationUnit": "h"}), (120, 120)),
        (dosage(mg(4), text="over 15 min"), (15, 15)),
        (dosage(mg(4), text="infuse over 2 hours"), (120, 120)),
        (dosage(mg(4), text="IV drip over 2-4 h"), (120, 240)),
        (dosage(mg(4), text="静滴15分钟"), (15, 15)),
        (dosage(mg(4), text="静脉滴注2～4小时"), (120, 240)),
        (dosage(mg(4), text="滴注时间不少于15分钟"), (15, 1440)),
        (dosage(mg(4), text="over at least 15 minutes"), (15, 1440)),
        (dosage(mg(4), text="observe for 30 minutes"), None),
        (
            {
                "doseAndRate": [
                    {
                        "doseQuantity": mg(4),
                        "rateRatio": {
                            "numerator": {"value": 100, "unit": "mL"},
                            "denominator": {"value": 15, "unit": "min"},
                        },
                    }
                ]
            },
            (15, 15),
        ),
        (
            {
                "doseAndRate": [
                    {
                        "doseQuantity": mg(4),
                        "rateRatio": {
                            "numerator": {"value": 400, "unit": "mL"},
                            "denominator": {"value": 1, "unit": "h"},
                        },
                    }
                ]
            },
            None,
        ),
        (
            {
                "text": "in 100 ml NS",
                "doseAndRate": [{"doseQuantity": mg(4), "rateQuantity": {"value": 400, "unit": "mL/h"}}],
            },
            (15, 15),
        ),
        ({"doseAndRate": [{"doseQuantity": mg(4), "rateQuantity": {"value": 400, "unit": "mL/h"}}]}, None),
    ],
)
def test_the_infusion_time_is_read_from_duration_rate_or_text(
    instruction: dict[str, Any], minutes: tuple[int, int] | None
) -> None:
    found = only(request(ZOLEDRONIC, instruction)).infusion_min
    assert (found.low, found.high) == (minutes or (None, None))


@pytest.mark.parametrize(
    ("instruction", "route"),
    [
        (dosage(mg(4), route=IV), "IV"),
        (dosage(mg(4), route=SC), "SC"),
        ({"route": {"text": "ivgtt"}}, "IV"),
        ({"route": {"text": "皮下注射"}}, "SC"),
        ({"route": {"text": "SubQ"}}, "SC"),
        ({"route": coded(SNOMED, "78421000")}, "IM"),
        ({"route": {"text": "intrathecal"}}, "other"),
        (dosage(mg(4), text="静滴"), "IV"),
        (dosage(mg(4), text="PO daily"), "PO"),
    ],
)
def test_the_route_is_read_from_code_or_words(instruction: dict[str, Any], route: str) -> None:
    assert only(request(ZOLEDRONIC, instruction)).route.value == route


def test_a_missing_route_is_taken_from_the_product_only_when_it_leaves_no_choice() -> None:
    assert only(request(DENOSUMAB, dosage(mg(120)))).route.flags == ("from-product",)
    assert not only(request(coded(ATC, "M05BA06"), dosage(mg(6)))).route.is_known


@pytest.mark.parametrize(
    ("text", "millilitres"),
    [
        ("4 mg in 100 mL over 15 min", (100, 100)),
        ("溶于0.9%氯化钠 500-1000ml", (500, 1000)),
        ("0.9%氯化钠注射液100ml", (100, 100)),
        ("100 mL of 0.9% sodium chloride", (100, 100)),
        ("生理盐水 500ml 静滴", (500, 500)),
        ("4 mg IV", None),
    ],
)
def test_the_saline_is_read_from_text(text: str, millilitres: Any) -> None:
    assert infusions.text_diluent(text) == millilitres


def test_loading_is_daily_for_at_most_three_days_or_said() -> None:
    ibandronate = coded(ATC, "M05BA06")
    three = dosage(mg(6), route=IV, repeat={"frequency": 1, "period": 1, "periodUnit": "d", "count": 3})
    assert only(request(ibandronate, three)).loading.value is True
    four = dosage(mg(6), route=IV, repeat={"frequency": 1, "period": 1, "periodUnit": "d", "count": 4})
    assert only(request(ibandronate, four)).loading.value is False
    assert only(request(ibandronate, dosage(text="6 mg IV daily x 3 days"))).loading.value is True
    assert only(request(ibandronate, dosage(text="负荷剂量 6mg 静滴"))).loading.value is True
    assert only(request(ibandronate, dosage(mg(6), repeat=EVERY_4_WEEKS))).loading.value is False


@pytest.mark.parametrize(
    ("instructions", "daily"),
    [
        ([dosage(mg(400), repeat={"frequency": 1, "period": 4, "periodUnit": "h"})], 2400),
        ([dosage(mg(400), repeat={"frequency": 3, "period": 1, "periodUnit": "d"})], 1200),
        ([dosage(mg(400), text="IV at 0, 4 and 8 h")], 1200),
        ([dosage(mg(400), text="静注，0、4、8小时")], 1200),
        ([dosage(mg(400), repeat={"timeOfDay": ["08:00:00", "12:00:00", "16:00:00"]})], 1200),
        ([dosage(mg(400)), dosage(mg(800)), dosage(mg(800))], 2000),
        (
            [
                {
                    "timing": {"event": ["2026-11-22T08:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T16:00:00Z"]},
                    "doseAndRate": [{"doseQuantity": mg(400)}],
                }
            ],
            1200,
        ),
        ([dosage(mg(1200, "mg/d"))], 1200),
        ([dosage(mg(400), repeat={"frequency": 1, "period": 3, "periodUnit": "wk"})], 400),
        ([dosage(mg(400))], None),
    ],
)
def test_mesna_is_added_up_over_a_day(instructions: list[dict[str, Any]], daily: int | None) -> None:
    order = only(request({"text": "mesna"}, *instructions))
    assert order.daily_mg.value == daily


# --- why ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "indication"),
    [
        ({"reasonCode": [coded(SNOMED, "94222008")]}, "bone-metastasis"),
        ({"reasonCode": {"text": "hypercalcemia of malignancy"}}, "hypercalcaemia"),
        ({"reasonCode": [{"text": "高钙血症"}]}, "hypercalcaemia"),
        ({"reasonCode": [{"text": "低钙血症"}]}, "other"),
        ({"reasonCode": [{"text": "?hypercalcaemia"}]}, "other"),
        ({"reasonCode": [{"text": "no hypercalcaemia"}]}, "other"),
        ({"reasonCode": [{"text": "Paget disease of bone"}]}, "paget"),
        ({"reasonCode": [{"text": "骨质疏松"}]}, "osteoporosis"),
        ({"reasonCode": [{"text": "hypercalcaemia"}, {"text": "bone metastases"}]}, "bone-metastasis"),
        ({"reasonCode": [coded("http://hl7.org/fhir/sid/icd-10-cm", "C90.00")]}, "myeloma"),
        ({"reasonCode": [{"text": "back pain"}]}, "other"),
        ({"reasonCode": []}, None),
        ({"reasonCode": [{}]}, None),
        ({}, None),
    ],
)
def test_the_indication_is_what_the_order_states(more: dict[str, Any], indication: str | None) -> None:
    found = only(request(ZOLEDRONIC, dosage(mg(4)), **more)).indication
    assert found.value == indication
    assert found.is_known is (indication is not None)


@pytest.mark.parametrize(
    ("status", "indication"),
    [
        ({}, "hypercalcaemia"),
        ({"verificationStatus": {"coding": [{"code": "confirmed"}]}}, "hypercalcaemia"),
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}}, None),
        ({"verificationStatus": {"coding": [{"code": "provisional"}]}}, None),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, None),
    ],
)
def test_a_condition_speaks_for_an_order_only_while_it_stands(status: dict[str, Any], indication: str | None) -> None:
    condition = {"resourceType": "Condition", "id": "c1", "code": coded("http://hl7.org/fhir/sid/icd-10-cm", "E83.52")}
    resolving = context(resolve=lambda name, _: condition | status if name == "Condition/c1" else None)
    order = only(request(ZOLEDRONIC, dosage(mg(4)), reasonReference=[{"reference": "Condition/c1"}]), reading=resolving)
    assert order.indication.value == indication


# --- which drafts are at hand -------------------------------------------------------------------------------

IFOSFAMIDE = request(coded(ATC, "L01AA06"), dosage(mg(2000)), number="ifo")
MESNA = request(
    coded(ATC, "V03AF01"),
    dosage(mg(400), route=IV, repeat={"frequency": 3, "period": 1, "periodUnit": "d"}),
    number="mes",
)


def at_hand(drafts: Drafts) -> list[str]:
    return [order.reference for order in drafts.orders if order.at_hand]


def test_only_the_selected_drafts_are_at_hand_and_the_others_are_background() -> None:
    mesna_only = read(IFOSFAMIDE, MESNA, selections=["MedicationRequest/mes"])
    assert at_hand(mesna_only) == ["MedicationRequest/mes"]
    ifosfamide_only = read(IFOSFAMIDE, MESNA, selections=["MedicationRequest/ifo"])
    assert at_hand(ifosfamide_only) == ["MedicationRequest/ifo"]
    changes = with_drafted(read_medications([], context=context()), ifosfamide_only, context=context())
    assert getattr(changes["meds.mesna"], "value", None) is True


def test_at_order_sign_every_draft_is_at_hand_and_needs_no_id() -> None:
    drafts = read(request(ZOLEDRONIC, number=None), request(DENOSUMAB, number=None))
    assert at_hand(drafts) == ["MedicationRequest#0", "MedicationRequest#1"]
    assert not any(order.has_id for order in drafts.orders)
    assert set(drafts.raw) == {"MedicationRequest#0", "MedicationRequest#1"}


def test_one_order_sent_twice_counts_once_and_two_orders_under_one_id_count_as_two() -> None:
    twice = read(IFOSFAMIDE, dict(IFOSFAMIDE))
    assert at_hand(twice) == ["MedicationRequest/ifo"]
    assert "order-sent-twice" in reasons(twice)
    assert "same-id-twice" not in reasons(twice)
    two = read(IFOSFAMIDE, MESNA | {"id": IFOSFAMIDE["id"]})
    assert at_hand(two) == ["MedicationRequest/ifo", "MedicationRequest#1"]
    assert "same-id-twice" in reasons(two)


def test_a_selection_that_no_draft_answers_to_is_noted_and_a_single_draft_is_taken() -> None:
    one = read(IFOSFAMIDE, selections=["MedicationRequest/other"])
    assert at_hand(one) == ["MedicationRequest/ifo"]
    assert "selection-not-among-drafts" in reasons(one)
    two = read(IFOSFAMIDE, MESNA, selections=["MedicationRequest/other"])
    assert at_hand(two) == []


def test_no_selection_at_all_puts_nothing_at_hand() -> None:
    assert at_hand(read(IFOSFAMIDE, selections=[])) == []


@pytest.mark.parametrize(
    ("identity", "url", "selection"),
    [
        ("a\u2011b", None, "MedicationRequest/a\u2011b"),
        (None, "http://ehr.example/fhir/MedicationRequest/9", "MedicationRequest/9"),
        ("9", None, "http://ehr.example/fhir/MedicationRequest/9"),
        (None, "urn:uuid:5", "urn:uuid:5"),
    ],
)
def test_selections_are_matched_by_id_by_full_url_and_in_absolute_form(
    identity: str | None, url: str | None, selection: str
) -> None:
    entry: dict[str, Any] = {"resource": request(ZOLEDRONIC, number=identity)}
    if url:
        entry["fullUrl"] = url
    placed = {"resourceType": "Bundle", "entry": [entry, {"resource": MESNA}]}
    (first, second) = read_drafts(placed, [selection], context=context()).orders
    assert (first.at_hand, second.at_hand) == (True, False)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"status": "entered-in-error"}, "entered-in-error"),
        ({"status": "cancelled"}, "cancelled"),
        ({"doNotPerform": True}, "prohibited"),
    ],
)
def test_what_is_not_to_be_given_is_no_draft(more: dict[str, Any], reason: str) -> None:
    drafts = read(request(ZOLEDRONIC, dosage(mg(4)), **more))
    assert drafts.orders == ()
    assert reason in reasons(drafts)


def test_an_active_order_in_the_bundle_counts_and_every_intent_is_accepted() -> None:
    assert only(request(ZOLEDRONIC, status="active", intent="plan")).drug == "zoledronic"
    assert only(request(ZOLEDRONIC, intent="proposal")).drug == "zoledronic"


def test_other_types_are_noted_and_supporting_ones_are_silent() -> None:
    drafts = read(
        {"resourceType": "NutritionOrder", "id": "n", "patient": {"reference": "Patient/p1"}},
        {"resourceType": "Medication", "id": "m"},
    )
    assert drafts.orders == ()
    assert [note.resource for note in drafts.notes] == ["NutritionOrder/n"]


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p2"},
        {"reference": "http://ehr.example/fhir/Patient/p2"},
        {"reference": "Patient/p2/_history/1"},
        "Patient/p2",
    ],
)
def test_a_draft_for_another_patient_is_refused_with_the_place_and_no_id(subject: Any) -> None:
    with pytest.raises(WrongPatientError) as refused:
        read(request(ZOLEDRONIC), request(DENOSUMAB, subject=subject, number="d2"))
    assert "draftOrders.entry[1].resource.subject" in str(refused.value)
    assert "p2" not in str(refused.value)


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "https://ehr.example/fhir/Patient/p1"},
        {"reference": "Patient/p1/_history/3"},
        {"display": "somebody"},
        None,
    ],
)
def test_this_patient_in_other_words_is_accepted(subject: Any) -> None:
    assert only(request(ZOLEDRONIC, subject=subject)).drug == "zoledronic"


def test_a_urn_that_stands_for_the_patient_in_the_bundle_is_accepted() -> None:
    placed = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:77", "resource": {"resourceType": "Patient", "id": "p1"}},
            {"resource": request(ZOLEDRONIC, subject={"reference": "urn:uuid:77"})},
        ],
    }
    assert len(read_drafts(placed, None, context=context()).orders) == 1
    placed["entry"][0]["resource"]["id"] = "p2"  # type: ignore[index] # a dict of this test
    with pytest.raises(WrongPatientError):
        read_drafts(placed, None, context=context())


def test_what_an_order_replaces_is_told() -> None:
    order = only(request(ZOLEDRONIC, priorPrescription={"reference": "http://e.org/MedicationRequest/old/_history/2"}))
    assert order.replaces == ("MedicationRequest/old",)


def test_a_draft_that_the_ehr_saved_already_is_a_draft_and_no_therapy_beside_it() -> None:
    saved = request(ZOLEDRONIC, dosage(mg(4)), status="active", authoredOn="2026-11-22")
    drafts = read(saved)
    names = {order.reference for order in drafts.orders}
    assert read_medications([saved], context=context(), drafted=names).courses.items == ()
    other = request(ZOLEDRONIC, dosage(mg(4)), number="another")
    assert read_medications([other], context=context(), drafted=names).courses.items == ()


# --- odd input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draft",
    [
        request(ZOLEDRONIC, category={"text": "x"}, dosageInstruction=dosage(mg(4))),
        request(ZOLEDRONIC, dosageInstruction="4 mg"),
        request(ZOLEDRONIC, dosageInstruction=[None, 3, "x", dosage(mg(4))]),
        request({"coding": [{}]}),
        request({"coding": None}),
        request({}),
        request(ZOLEDRONIC, note="x", reasonCode="y", reasonReference=[{}], priorPrescription="z"),
        request(ZOLEDRONIC, {"timing": "q4w", "route": 3, "doseAndRate": {"doseQuantity": mg(4)}}),
        request(ZOLEDRONIC, {"timing": {"repeat": [1]}, "doseAndRate": [{"doseQuantity": [mg(4)]}]}),
        request(ZOLEDRONIC, {"timing": {"repeat": {"period": 0, "periodUnit": "wk", "frequency": 0}}}),
        request(ZOLEDRONIC, contained="x", medicationReference={"reference": "#gone"}),
        {"resourceType": "MedicationRequest"},
        {"resourceType": "ServiceRequest", "code": "x"},
        {"resourceType": "MedicationRequest", "id": 5, "status": 7, "subject": "nobody"},
    ],
)
def test_odd_drafts_are_read_as_far_as_they_go(draft: Any) -> None:
    if draft.get("subject") == "nobody":
        with pytest.raises(WrongPatientError):
            read(draft)
    else:
        assert len(read(draft).orders) == 1


def test_a_bundle_with_odd_entries_is_read() -> None:
    placed = {"resourceType": "Bundle", "entry": [None, {}, {"resource": None}, {"resource": request(ZOLEDRONIC)}]}
    drafts = read_drafts(placed, None, context=context())
    assert len(drafts.orders) == 1
    assert "entry-without-resource" in reasons(drafts)
    assert read_drafts({}, None, context=context()).orders == ()
    assert read_drafts({"entry": "x"}, None, context=context()).orders == ()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**12) | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "coding",
                    "text",
                    "timing",
                    "repeat",
                    "doseAndRate",
                    "doseQuantity",
                    "value",
                    "unit",
                    "route",
                    "reference",
                    "period",
                    "periodUnit",
                    "frequency",
                    "event",
                    "rateQuantity",
                    "rateRatio",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(medication=JUNK, instruction=JUNK, reason=JUNK, note=JUNK)
def test_no_draft_makes_the_reading_fail(medication: Any, instruction: Any, reason: Any, note: Any) -> None:
    draft = request(
        None, medicationCodeableConcept=medication, dosageInstruction=instruction, reasonCode=reason, note=note
    )
    odd_service = service({}, bodySite=instruction, reasonCode=medication, note=note) | {"code": reason}
    assert len(read(draft, odd_service).orders) == 2


@settings(max_examples=60, deadline=None)
@given(st.decimals("0.001", "999", places=3))
def test_grams_milligrams_and_micrograms_of_the_same_dose_are_the_same_order(dose: Decimal) -> None:
    written = [mg(dose), mg(dose / 1000, "g"), mg(dose * 1000, "ug"), {"value": dose * 1000, "unit": "mcg"}]
    orders = [only(request(DENOSUMAB, dosage(quantity))) for quantity in written]
    assert {order.dose_mg.value for order in orders} == {dose}
    assert len({order.drug for order in orders}) == 1


def test_the_order_of_the_drafts_does_not_change_what_they_say() -> None:
    drafts = [IFOSFAMIDE, MESNA, request(ZOLEDRONIC, dosage(mg(4)), number="z")]
    readings = [
        {order.reference: order for order in read(*arranged).orders} for arranged in itertools.permutations(drafts)
    ]
    assert all(found == readings[0] for found in readings)


# --- services -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "more", "kind"),
    [
        (coded(SNOMED, "443271005"), {}, "pet-ct"),
        (coded("http://www.ama-assn.org/go/cpt", "78815"), {}, "pet-ct"),
        ({"text": "PET/CT 全身"}, {}, "pet-ct"),
        ({"text": "椎体成形术"}, {}, "osteoplasty"),
        (coded(SNOMED, "401226007"), {}, "osteoplasty"),
        ({"text": "骨活检"}, {}, "bone-biopsy"),
        ({"text": "Bone biopsy, L3"}, {}, "bone-biopsy"),
        ({"text": "Bone marrow biopsy"}, {}, "other"),
        ({"text": "骨髓活检"}, {}, "other"),
        (coded(SNOMED, "55162003"), {}, "invasive-dental"),
        ({"text": "拔牙"}, {}, "invasive-dental"),
        ({"text": "Dental implant"}, {}, "invasive-dental"),
        ({"text": "Cardiac implant check"}, {}, "other"),
        (coded(SNOMED, "34043003"), {}, "dental"),
        ({"text": "锶-89治疗"}, {}, "radionuclide"),
        ({"text": "Strontium-89 therapy"}, {}, "radionuclide"),
        (coded("http://loinc.org", "17861-6"), {}, "laboratory"),
        ({"text": "MRI spine"}, {}, "imaging"),
        ({"text": "骨科会诊"}, {}, "consultation"),
        ({"text": "Radiotherapy 8 Gy/1 f"}, {"bodySite": [coded(SNOMED, "71341001")]}, "bone-radiotherapy"),
        (coded(SNOMED, "33195004"), {"bodySite": [coded(SNOMED, "39607008")]}, "other"),
        ({"text": "胸椎放疗 30Gy/10次"}, {}, "bone-radiotherapy"),
        (coded(SNOMED, "395096001"), {"reasonCode": [{"text": "bone metastasis"}]}, "bone-radiotherapy"),
        ({"text": "Radiotherapy"}, {}, "other"),
        (coded(SNOMED, "1163157007"), {"bodySite": [coded(SNOMED, "71341001")]}, "other"),
    ],
)
def test_a_service_order_is_of_its_kind(code: dict[str, Any], more: dict[str, Any], kind: str) -> None:
    assert only(service(code, **more)).kinds[0] == kind


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("8 Gy/1 f", (8, 1)),
        ("8 Gy x 1", (8, 1)),
        ("30 Gy in 10 fractions", (30, 10)),
        ("30Gy/10次", (30, 10)),
        ("30Gy 分10次", (30, 10)),
        ("3000 cGy / 10 fx", (30, 10)),
        ("10 x 3 Gy", (30, 10)),
        ("single fraction 8 Gy", (8, 1)),
        ("8Gy单次", (8, 1)),
        ("30 Gy", (None, None)),
        ("8 Gy/1 f or 30 Gy/10 f", (None, None)),
        ("palliative", (None, None)),
    ],
)
def test_dose_and_fractions_are_read_together_or_not_at_all(text: str, scheme: tuple[Any, Any]) -> None:
    assert fractionation(text) == scheme


def test_radiotherapy_without_a_site_is_noted() -> None:
    assert "radiotherapy-site-not-told" in reasons(read(service({"text": "Radiotherapy"})))


def test_stereotactic_treatment_and_the_site_are_told() -> None:
    order = only(service({"text": "SBRT lumbar spine 24 Gy in 2 fractions"}))
    assert order.rt_stereotactic
    assert order.site == "spine-lumbar"
    assert [order.rt_dose_gy, order.rt_fractions] == [24, 2]


@pytest.mark.parametrize(
    ("reason", "indication"),
    [
        ("staging", "staging"),
        ("bone metastasis screening", "screening"),
        ("骨转移筛查", "screening"),
        ("全身分期", "staging"),
        ("pain", "other"),
    ],
)
def test_the_purpose_of_a_pet_ct_is_told(reason: str, indication: str) -> None:
    assert only(service(coded(SNOMED, "443271005"), reasonCode=[{"text": reason}])).indication.value == indication


# --- drafted counts as current ------------------------------------------------------------------------------


def test_drafted_calcium_and_vitamin_d_count_with_their_daily_amounts() -> None:
    daily = {"frequency": 1, "period": 1, "periodUnit": "d"}
    drafts = read(
        request({"text": "Calcium 500 mg tablet"}, dosage(mg(500), route=PO, repeat=daily), number="ca"),
        request({"text": "Vitamin D3"}, dosage({"value": 400, "unit": "IU"}, route=PO, repeat=daily), number="vd"),
    )
    assert [order.kinds for order in drafts.orders] == [("calcium",), ("vitamin-d",)]
    changes: Any = with_drafted(read_medications([], context=context()), drafts, context=context())
    assert changes["meds.calcium"].value is True
    assert changes["meds.calcium_daily"].value == 500
    assert changes["meds.vitd_daily"].value == 400


def test_a_drafted_extraction_is_a_planned_one() -> None:
    drafts = read(service(coded(SNOMED, "55162003")))
    changes: Any = with_drafted(read_medications([], context=context()), drafts, context=context())
    assert changes["dental.invasive_planned"].value is True


def test_a_drafted_bone_agent_is_an_order_and_no_therapy_yet() -> None:
    drafts = read(request(ZOLEDRONIC, dosage(mg(4))), IFOSFAMIDE)
    before = read_medications([], context=context())
    assert with_drafted(before, drafts, context=context()) == before.changes


def test_ifosfamide_packed_with_mesna_counts_as_both_without_an_amount() -> None:
    drafts = read(request(coded(RXNORM, "900173"), dosage(mg(3000))))
    (order,) = drafts.orders
    assert order.kinds == ("ifosfamide", "mesna", "antineoplastic")
    assert order.drug == "ifosfamide"
    changes: Any = with_drafted(read_medications([], context=context()), drafts, context=context())
    assert changes["meds.mesna"].value is True
    assert not changes["meds.mesna_daily"].is_known
