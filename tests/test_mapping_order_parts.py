"""What the safety rules ask of an order beside its dose: push, seconds, product form, days; and allergies on record."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from fhir_mapping import allergies
from fhir_mapping.delivery.context import ReadingContext
from fhir_mapping.draft_orders import read_drafts
from fhir_mapping.medications import melphalan_given, read_medications, taken
from fhir_mapping.proposals import resource_for
from fhir_mapping.writing.parts import ProposalError
from recommenders.patient.advice import ChangedOrder
from recommenders.vocabulary.records import Allergy, Order

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CONTEXT = ReadingContext(patient_id="p1", now=NOW, timezone=dt.UTC, delivered=frozenset({"medications"}))


def medication(name: str, *, number: str = "d1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": number,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {"text": name},
        **more,
    }


def draft(name: str, text: str = "", **instruction: Any) -> Order:
    steps = [instruction | ({"text": text} if text else {})]
    resource = medication(name, dosageInstruction=steps)
    (order,) = read_drafts({"resourceType": "Bundle", "entry": [{"resource": resource}]}, None, context=CONTEXT).orders
    return order


# --- push and seconds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "push"),
    [
        ("4 mg IV push", True),
        ("4 mg slow IV push over 5 min", True),
        ("4 mg as a bolus", True),
        ("4mg 静推", True),
        ("4mg 静脉推注", True),
        ("4 mg IV over 15 min, never as a bolus", False),
        ("4mg静滴，不得静推", False),
        ("4 mg IV over 15 min", False),
        ("4mg 静脉滴注15分钟", False),
    ],
)
def test_a_push_is_read_and_a_warning_against_one_is_none(text: str, push: bool) -> None:
    assert draft("zoledronic acid", text).push.value is push


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("4 mg IV over 30 seconds", Decimal("0.5")), ("3 mg iv over 15 s", Decimal("0.25")), ("4mg 静注30秒", None)],
)
def test_seconds_are_a_part_of_a_minute(text: str, minutes: Decimal | None) -> None:
    found = draft("zoledronic acid", text).infusion_min.value
    assert found == minutes or (found is not None and minutes is not None and abs(found - minutes) < Decimal("0.001"))


def test_a_push_that_is_corrected_becomes_an_infusion() -> None:
    for text, word in (("4 mg IV push", "infusion"), ("4mg 静推", "静脉滴注")):
        sent = medication("zoledronic acid 4 mg", dosageInstruction=[{"text": text}])
        made = resource_for(
            ChangedOrder(order="MedicationRequest/d1", infusion_min=15),
            patient_id="p1",
            reasons=(),
            drafts={"MedicationRequest/d1": sent},
            intent="order",
            language="en",
            authored=None,
        )
        (step,) = made["dosageInstruction"]
        assert word in step["text"]
        assert "push" not in step["text"]
        (order,) = read_drafts({"resourceType": "Bundle", "entry": [{"resource": made}]}, None, context=CONTEXT).orders
        assert (order.push.value, order.infusion_min.value) == (False, Decimal(15))


@pytest.mark.parametrize(("text", "route"), [("intradermal", "ID"), ("皮内注射", "ID"), ("IV", "IV"), ("SC", "SC")])
def test_an_intradermal_route_is_read(text: str, route: str) -> None:
    assert draft("denosumab 120 mg", route={"text": text}).route.value == route


# --- product form and days ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("zoledronic acid 4 mg/5 mL concentrate", "concentrate"),
        ("zoledronic acid 4 mg/100 mL", "ready-to-use"),
        ("zoledronic acid", None),
        ("pamidronate 90 mg/10 mL", None),
    ],
)
def test_the_form_of_zoledronic_acid_is_that_of_its_strength(name: str, form: str | None) -> None:
    assert draft(name).product_form.value == form


@pytest.mark.parametrize(
    ("repeat", "days"),
    [
        ({"frequency": 1, "period": 1, "periodUnit": "d", "count": 2}, 2),
        ({"count": 1}, 1),
        ({"frequency": 1, "period": 4, "periodUnit": "wk"}, None),
        ({"frequency": 2, "period": 1, "periodUnit": "d", "count": 4}, None),
    ],
)
def test_the_days_of_a_daily_order_are_counted(repeat: dict[str, Any], days: int | None) -> None:
    assert draft("melphalan injection", timing={"repeat": repeat}).treatment_days.value == days


@pytest.mark.parametrize("name", ["Alendronate 70 mg", "阿仑膦酸钠 70mg", "risedronate 35 mg"])
def test_a_bisphosphonate_that_is_made_as_tablets_only_goes_by_mouth(name: str) -> None:
    assert draft(name).route.value == "PO"
    assert draft("pamidronate 90 mg").route.value == "IV"


# --- a later first day --------------------------------------------------------------------------------------


def later(sent: dict[str, Any]) -> dict[str, Any]:
    return resource_for(
        ChangedOrder(order="MedicationRequest/d1", starts=dt.date(2026, 12, 1)),
        patient_id="p1",
        reasons=(),
        drafts={"MedicationRequest/d1": sent},
        intent="order",
        language="en",
        authored=None,
    )


def test_a_draft_is_moved_to_its_day_and_reads_back_so() -> None:
    repeat = {"frequency": 1, "period": 4, "periodUnit": "wk"}
    made = later(medication("zoledronic acid", dosageInstruction=[{"text": "4 mg IV", "timing": {"repeat": repeat}}]))
    (order,) = read_drafts({"resourceType": "Bundle", "entry": [{"resource": made}]}, None, context=CONTEXT).orders
    assert (order.starts, order.interval_days.value) == (dt.date(2026, 12, 1), Decimal(28))
    assert made["dosageInstruction"][0]["text"].endswith("starting 2026-12-01")


@pytest.mark.parametrize(
    "timing",
    [
        {"event": ["2026-11-22", "2026-11-23"]},
        {"repeat": {"boundsPeriod": {"start": "2026-11-22", "end": "2026-12-22"}}},
        {"repeat": {"boundsDuration": {"value": 3, "unit": "mo"}}},
    ],
)
def test_a_draft_with_days_of_its_own_is_the_prescribers_to_move(timing: dict[str, Any]) -> None:
    with pytest.raises(ProposalError):
        later(medication("zoledronic acid", dosageInstruction=[{"text": "4 mg IV", "timing": timing}]))


# --- allergies, mesna, names --------------------------------------------------------------------------------


class _Item:
    def __init__(self, resource: dict[str, Any]) -> None:
        self.name, self._resource = "AllergyIntolerance/a1", resource

    def copy(self, *_: object) -> dict[str, Any]:
        return self._resource


class _Notes:
    def add(self, *_: object) -> None:
        """Nothing is asked of the notes here."""


def allergy(substance: str, **more: Any) -> Allergy | None:
    resource = {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": "Patient/p1"},
        "code": {"text": substance},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        **more,
    }
    reading = ReadingContext(patient_id="p1", now=NOW, timezone=dt.UTC)
    found = allergies.read([_Item(resource)], reading, _Notes())  # type: ignore[list-item, arg-type] # as much as is asked
    return found.records[0] if found.records else None


def manifested(*words: str) -> dict[str, Any]:
    return {"reaction": [{"manifestation": [{"text": word} for word in words]}]}


def test_an_allergy_keeps_the_words_of_its_record() -> None:
    found = allergy("pamidronate", recordedDate="2025-03-03", **manifested("urticaria"))
    assert found is not None
    assert (found.drugs, found.substance, found.reaction) == (("pamidronate",), "pamidronate", "urticaria")
    assert (found.day, found.intolerance, found.doubtful) == (dt.date(2025, 3, 3), False, False)


@pytest.mark.parametrize(
    ("more", "intolerance"),
    [
        (manifested("fever"), True),
        (manifested("Flu-like symptoms", "bone pain"), True),
        (manifested("发热"), True),
        (manifested("fever", "anaphylaxis"), False),
        (manifested("rash"), False),
        ({}, False),
        ({"type": "intolerance"}, True),
    ],
)
def test_an_acute_phase_reaction_alone_is_no_allergy(more: dict[str, Any], intolerance: bool) -> None:
    found = allergy("zoledronic acid", **more)
    assert found is not None
    assert found.intolerance is intolerance


@pytest.mark.parametrize(
    "more",
    [
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}},
        {"clinicalStatus": {"coding": [{"code": "resolved"}]}},
        {"category": ["food"]},
    ],
)
def test_what_is_no_allergy_to_a_drug_is_not_kept(more: dict[str, Any]) -> None:
    assert allergy("denosumab", **more) is None


def test_an_unconfirmed_allergy_is_doubtful_and_melphalan_is_kept_too() -> None:
    found = allergy("melphalan", verificationStatus={"coding": [{"code": "unconfirmed"}]})
    assert found is not None
    assert (found.drugs, found.doubtful) == (("melphalan",), True)


@pytest.mark.parametrize(("status", "mesna"), [("active", True), ("on-hold", False), ("completed", False)])
def test_mesna_on_hold_protects_no_bladder(status: str, mesna: bool) -> None:
    order = medication("mesna", number="m1", status=status, authoredOn="2026-11-20")
    read = read_medications([order], context=CONTEXT)
    assert read.changes["meds.mesna"].value is mesna  # type: ignore[attr-defined] # a finding


def test_a_drug_that_is_taken_keeps_its_name() -> None:
    order = medication("itraconazole 200 mg", number="m1", status="active", authoredOn="2026-11-20")
    (one,) = taken(read_medications([order], context=CONTEXT), ())
    assert "itraconazole" in one.name
    assert "cyp3a4_inhibitor" in one.classes


def test_melphalan_that_was_given_or_stands_ordered_is_kept_with_its_day() -> None:
    given = {
        "resourceType": "MedicationAdministration",
        "id": "a1",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-21",
        "medicationCodeableConcept": {"text": "melphalan injection"},
        "dosage": {"dose": {"value": 280, "unit": "mg"}},
    }
    tablets = medication(
        "melphalan 2 mg tablet", number="m2", status="active", authoredOn="2026-11-20",
        dosageInstruction=[{"route": {"text": "PO"}, "doseAndRate": [{"doseQuantity": {"value": 10, "unit": "mg"}}]}],
    )  # fmt: skip
    found = melphalan_given(read_medications([given, tablets], context=CONTEXT))
    assert [(dose.date, dose.mg) for dose in found] == [(dt.date(2026, 11, 21), Decimal(280))]
