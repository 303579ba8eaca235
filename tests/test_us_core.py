"""What we send, and the samples where they claim it, hold what US Core 6.1 asks for."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from hooks.reference import samples
from hooks.services import services_of
from hooks.settings import Settings
from hooks.views import Desk
from tests import us_core
from tests.test_proposals import MEDICATIONS, SERVICES, write
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Item

PROFILE_OF = {"MedicationRequest": "us-core-medicationrequest", "ServiceRequest": "us-core-servicerequest"}
HOOKS = tuple(service.hook for service in services_of(Settings()))


def found_in(resource: Any) -> list[str]:
    profile = PROFILE_OF[resource["resourceType"]]
    return [*us_core.faults(resource, profile), *us_core.unsaid(resource, profile)]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("item", [*MEDICATIONS, *SERVICES], ids=str)
def test_every_order_that_can_be_suggested_conforms(item: Item, language: str) -> None:
    for intent in ("order", "proposal"):
        order = write(item, language, intent=intent, requester="Practitioner/d1")
        assert found_in(json.loads(json.dumps(order, default=float))) == []


def sent(user: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every resource on a button, over all sample patients and hooks: sample, action, resource."""
    desk = Desk.of(Settings.model_validate({"now": DAY}))
    for sample in samples.samples():
        for service in desk.services:
            body = samples.request_for(sample.name, service.hook)
            body["context"]["userId"] = user
            judged = desk.judge(json.dumps(body).encode(), [service])[1]
            for card in desk.words(service, judged, "en")["cards"]:
                for suggestion in card.get("suggestions", ()):
                    for action in suggestion["actions"]:
                        if "resource" in action:
                            yield sample.name, action["type"], action["resource"]


@pytest.mark.parametrize("user", ["Practitioner/d1", "PractitionerRole/r1", "Patient/p1"])
def test_what_is_sent_for_the_samples_conforms_whoever_asks(user: str) -> None:
    count = 0
    for name, kind, resource in sent(user):
        if kind == "create":
            assert found_in(resource) == [], name
            count += 1
    assert count > 20


def test_a_corrected_draft_conforms_where_the_draft_did() -> None:
    body = samples.request_for("zoledronic-order-crcl-45")
    (entry,) = body["context"]["draftOrders"]["entry"]
    entry["resource"]["requester"] = {"reference": "Practitioner/d1"}
    assert list(us_core.faults(entry["resource"], "us-core-medicationrequest")) == []
    desk = Desk.of(Settings.model_validate({"now": DAY}))
    service = next(one for one in desk.services if one.hook == "order-sign")
    _, judged = desk.judge(json.dumps(body).encode(), [service])
    changed = [
        action["resource"]
        for card in desk.words(service, judged, "en")["cards"]
        for suggestion in card.get("suggestions", ())
        for action in suggestion["actions"]
        if action["type"] == "update"
    ]
    assert changed
    for resource in changed:
        assert list(us_core.faults(resource, "us-core-medicationrequest")) == []


CLAIMS = [
    (sample.name, url, resource)
    for sample in samples.samples()
    for resource in sample.resources
    for url in resource.get("meta", {}).get("profile", ())
]


def test_the_samples_claim_what_they_are() -> None:
    claimed = {url.removeprefix(us_core.URL).partition("|")[0] for _, url, _ in CLAIMS}
    assert claimed == set(us_core.PROFILES) - set(PROFILE_OF.values())
    assert len(CLAIMS) > 150


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CLAIMS}))
def test_a_sample_conforms_where_it_claims_to(name: str) -> None:
    for of, url, resource in CLAIMS:
        if of == name:
            profile, _, version = url.removeprefix(us_core.URL).partition("|")
            assert version == us_core.VERSION
            assert list(us_core.faults(resource, profile)) == [], resource["id"]


def test_the_check_finds_what_is_broken() -> None:
    order = write(MEDICATIONS[0], intent="order", requester="Practitioner/d1")
    for path in ("status", "intent", "subject", "medicationCodeableConcept", "requester"):
        broken = copy.deepcopy(order)
        del broken[path]
        assert list(us_core.faults(broken, "us-core-medicationrequest")), path
    assert list(us_core.faults(order | {"status": "planned"}, "us-core-medicationrequest"))
    assert us_core.unsaid({"resourceType": "ServiceRequest"}, "us-core-servicerequest") == ["authoredOn", "code.text"]
    for profile, resource in {url.removeprefix(us_core.URL).partition("|")[0]: one for _, url, one in CLAIMS}.items():
        for path in us_core.PROFILES[profile]["required"]:
            broken = {key: value for key, value in resource.items() if key not in path.split(".")[0].split("|")}
            assert list(us_core.faults(broken, profile)), (profile, path)
