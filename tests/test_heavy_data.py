"""More of one thing than any chart holds is refused before it is judged; what is allowed is read to the last piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fhir_mapping.delivery.notes import NAMED_AT_MOST
from fhir_mapping.delivery.selected import READ_AT_MOST
from fhir_mapping.draft_orders import MOST_DRAFTS, MOST_DRUGS
from fhir_mapping.lesions import MOST_ENTRIES, MOST_LESIONS
from hooks.configuration import load
from hooks.errors import Refused
from hooks.services import find_services
from hooks.views import Desk
from tests.wire import ATC, DAY, PATIENT, bundle, call_body, condition, observation, zoledronic_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hooks.views import Judged

LOCAL = "urn:oncobone:facts"
DESK = Desk.of(load({}, {"ONCOBONE_NOW": DAY}))


def judged(hook: str = "patient-view", **members: Any) -> Judged:
    """Judge one call."""
    body = call_body(hook, **members)
    return DESK.judge(msgspec.json.encode(body), find_services(DESK.services, f"oncobone-{hook}"))[1]


def with_key(key: str, resources: Iterable[dict[str, Any]]) -> Judged:
    """Judge a chart whose key holds these resources."""
    prefetch = call_body()["prefetch"] | {key: bundle(*resources)}
    return judged(prefetch=prefetch)


def bone(number: int) -> dict[str, Any]:
    return condition("C79.51", f"c-{number}")


def dose(number: int) -> dict[str, Any]:
    """An administration of zoledronic acid, one each day."""
    return {
        "resourceType": "MedicationAdministration",
        "id": f"a-{number}",
        "status": "completed",
        "medicationCodeableConcept": {"coding": [{"system": ATC, "code": "M05BA08"}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": f"{2000 + number // 336}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}",
        "dosage": {"dose": {"value": 4, "unit": "mg"}},
    }


def lesion(number: int, *, days: int = 1) -> dict[str, Any]:
    """An entry about a lesion of a bone of its own, or (with days) about one of a few, seen again."""
    return {
        "resourceType": "Observation",
        "id": f"l-{number}",
        "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": "bone-lesion"}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": f"2026-{number % days // 28 + 1:02}-{number % days % 28 + 1:02}",
        "bodySite": {"text": f"rib {number // days}"},
    }


def blood_count(number: int) -> dict[str, Any]:
    """A draft of no drug."""
    return {
        "resourceType": "ServiceRequest",
        "id": f"s-{number}",
        "status": "draft",
        "intent": "order",
        "code": {"text": "Complete blood count"},
        "subject": {"reference": f"Patient/{PATIENT}"},
    }


def drafts(*resources: dict[str, Any]) -> Judged:
    context = call_body("order-sign")["context"] | {"draftOrders": bundle(*resources)}
    return judged("order-sign", context=context)


@pytest.mark.parametrize(
    ("what", "most", "judge"),
    [
        ("besides results", READ_AT_MOST, lambda n: with_key("conditions", map(bone, range(n)))),
        ("entries about bone lesions", MOST_ENTRIES,
         lambda n: with_key("observations", (lesion(i, days=280) for i in range(n)))),
        ("bone lesions", MOST_LESIONS, lambda n: with_key("observations", map(lesion, range(n)))),
        ("entries in context.draftOrders", MOST_DRAFTS, lambda n: drafts(*map(blood_count, range(n)))),
        ("draft orders of drugs that rules know", MOST_DRUGS,
         lambda n: drafts(*(zoledronic_order(f"mr-{i}") for i in range(n)))),
    ],
    ids=["read", "lesion-entries", "lesions", "drafts", "drafted-drugs"],
)  # fmt: skip
def test_as_many_as_are_allowed_are_judged_and_one_more_is_refused_as_too_large(
    what: str, most: int, judge: Callable[[int], Judged]
) -> None:
    assert judge(most).assessment.in_scope
    with pytest.raises(Refused, match=f"More than {most} .*{what}") as refused:
        judge(most + 1)
    assert refused.value.status == 413


def test_results_are_not_counted_since_only_the_newest_of_each_kind_is_read() -> None:
    found = with_key("observations", (observation("2160-0", 1.0, "mg/dL", f"o-{n}") for n in range(READ_AT_MOST + 1)))
    assert found.assessment.facts.lab.creatinine.is_known


def test_of_each_reason_a_hundred_resources_are_named_and_the_others_counted() -> None:
    more = 7
    orders = []
    for number in range(NAMED_AT_MOST + more):
        order = zoledronic_order(f"mr-{number}") | {"status": "active"}
        orders.append(order | {"medicationCodeableConcept": {"text": "zoledronic acid"}})
    notes = with_key("medications", orders).mapped.notes
    reason = "drug-from-text: the drug was recognised by its name, not by a code"
    assert sum(note.reason == reason for note in notes) == NAMED_AT_MOST
    assert [note.reason for note in notes if note.resource == "prefetch"] == [f"{more} more resources: {reason}"]


def test_of_thousands_of_resources_in_two_versions_the_newer_ones_are_read() -> None:
    versions = [
        observation("2160-0", value, "mg/dL", f"o-{number}", day="2026-11-20")
        | {"meta": {"versionId": version, "lastUpdated": f"2026-11-2{version}T08:00:00Z"}}
        for version, value in (("1", 1.0), ("2", 2.0))
        for number in range(2000)
    ]
    found = with_key("observations", versions).assessment.facts.lab.creatinine
    assert found.value is not None
    assert round(found.value) == 177  # µmol/L: 2.0 mg/dL


def test_thousands_of_doses_make_one_course_for_each_pause_of_half_a_year() -> None:
    years = 9
    first = (2026 - 2000 - years) * 336
    pause = range(first + 2 * 336, first + 3 * 336)  # a year without a dose
    doses = [dose(number) for number in range(first, first + years * 336) if number not in pause]
    courses = with_key("medicationAdministrations", doses).assessment.facts.courses
    assert sorted(len(course.doses) for course in courses) == [2 * 336, (years - 3) * 336]
