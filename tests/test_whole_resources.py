"""
Whatever FHIR R4 gives a resource type may be told of a resource: none of it breaks a call off.

The sample requests hold what a rule needs. What an EHR sends holds much else (how much to dispense, who asserted it),
and each element by itself, all at once, and any of them by chance must be read, or left aside by name.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mapping.delivery.resources import readable
from fhir_mapping.delivery.shapes import ELEMENTS, MODELS
from fhir_mapping.terms import exact
from fhir_mapping.terms.exact import ResourceFaultError
from hooks.application import create_app
from hooks.configuration import load
from hooks.replay.patients import KEY_OF
from tests.test_mapping_usual import ODD, places
from tests.whole_resources import elements, resource
from tests.wire import ATC, DAY, ICD10_CM, LOINC, bundle, call_body

if TYPE_CHECKING:
    from flask.testing import FlaskClient

BERLIN = dt.timezone(dt.timedelta(hours=1))
KINDS = sorted(ELEMENTS)


def named(system: str, code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


ZOLEDRONIC = {"medicationCodeableConcept": named(ATC, "M05BA08", "zoledronic acid")}
OURS: dict[str, list[dict[str, Any]]] = {
    "Condition": [{"code": named(ICD10_CM, code, code)} for code in ("C34.11", "C79.51", "C90.00", "D47.2")],
    "Observation": [{"code": named(LOINC, code, code)} for code in ("2160-0", "17861-6", "33358-3", "29463-7")],
    "MedicationRequest": [ZOLEDRONIC],
    "MedicationAdministration": [ZOLEDRONIC],
    "MedicationStatement": [ZOLEDRONIC],
    "MedicationDispense": [ZOLEDRONIC],
    "Procedure": [{"code": {"text": "vertebroplasty of T8"}}, {"code": {"text": "bone scan"}}],
    "ServiceRequest": [{"code": {"text": "PET-CT"}}, {"code": {"text": "dental extraction"}}],
    "DiagnosticReport": [{"code": {"text": "MRI of the spine"}}],
    "AllergyIntolerance": [{"code": named(ATC, "M05BX04", "denosumab")}],
}
"""What makes a resource of each type one that rules read."""


def one_of_ours(kind: str, dice: random.Random, names: frozenset[str] | None = None) -> dict[str, Any]:
    return resource(kind, dice, names, **dice.choice(OURS.get(kind, [{}])))


def both_ways(told: dict[str, Any]) -> list[object]:
    """Give the copy that is read of a resource, taken at once and made part by part; or what is wrong with it."""
    read: list[object] = []
    for at_once in (True, False):
        sent, neat = exact.neatly(json.dumps(told).encode())
        try:
            read.append(readable(sent, BERLIN, neat=neat and at_once))
        except ResourceFaultError as error:
            read.append(str(error))
    return read


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_here_is_fhir(kind: str) -> None:
    for seed in range(20):
        MODELS[kind].model_validate(resource(kind, random.Random(seed)))


@pytest.mark.parametrize("kind", KINDS)
def test_each_element_by_itself_is_read_both_ways_alike(kind: str) -> None:
    for name in elements(kind):
        for seed in range(8):
            told = one_of_ours(kind, random.Random(seed), frozenset({name}))
            at_once, part_by_part = both_ways(told)
            assert repr(at_once) == repr(part_by_part), told


@given(st.sampled_from(KINDS), st.integers(min_value=0))
@settings(max_examples=600, deadline=None)
def test_any_elements_together_are_read_both_ways_alike(kind: str, seed: int) -> None:
    told = one_of_ours(kind, random.Random(seed))
    at_once, part_by_part = both_ways(told)
    assert repr(at_once) == repr(part_by_part), told


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app(load({}, {"ONCOBONE_NOW": DAY})).test_client()


def drafts(dice: random.Random) -> dict[str, Any]:
    kinds = ("MedicationRequest", "ServiceRequest")
    return bundle(*(one_of_ours(kind, dice) | {"id": f"draft-{kind}", "status": "draft"} for kind in kinds))


@given(seed=st.integers(min_value=0), hook=st.sampled_from(("patient-view", "order-sign")))
@settings(max_examples=150, deadline=None)
def test_a_chart_of_such_resources_is_answered(client: FlaskClient, seed: int, hook: str) -> None:
    dice = random.Random(seed)
    body = call_body(hook)
    body["prefetch"]["patient"] = resource("Patient", dice, gender="female", birthDate="1960-03-01") | {"id": "p-1"}
    for kind, key in KEY_OF.items():
        if kind != "Patient":
            several = [one_of_ours(kind, dice) | {"id": f"{kind}-{number}"} for number in range(3)]
            body["prefetch"][key]["entry"] += bundle(*several)["entry"]
    if hook == "order-sign":
        body["context"]["draftOrders"] = drafts(dice)
    check_answered(client, body)


@given(seed=st.integers(min_value=0))
@settings(max_examples=150, deadline=None)
def test_a_chart_in_which_anything_may_be_odd_is_answered(client: FlaskClient, seed: int) -> None:
    dice = random.Random(seed)
    body = call_body()
    for kind, key in KEY_OF.items():
        if kind != "Patient":
            odd = json.loads(json.dumps(one_of_ours(kind, dice)))
            for _ in range(dice.randrange(1, 4)):
                holder, member = dice.choice(places(odd))
                holder[member] = copy.deepcopy(dice.choice(ODD))
            body["prefetch"][key]["entry"] += bundle(odd)["entry"]
    check_answered(client, body)


def check_answered(client: FlaskClient, body: dict[str, Any]) -> None:
    hook = body["hook"]
    answered = client.post(f"/cds-services/oncobone-{hook}", json=body)
    assert answered.status_code == 200, answered.get_json()
    assert not answered.get_json()["extension"]["org.oncobone.evaluation"].get("failed")
