"""A registry tells where a cancer has spread to by an Observation, and has no Condition for the bone metastasis."""

from __future__ import annotations

import pytest

from fhir_mapping.findings.spread import PLACES
from tests.fhir import LOINC, SNOMED, Json, chart, coded, condition, observation

REGISTRY = "http://registry.example/CodeSystem/distant-metastases"
YES_NO = "http://registry.example/CodeSystem/yes-no"
BREAST = condition("breast", coded("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "C50.4"))


def spread_to(place: Json, name: str = "spread", when: int = 2) -> Json:
    """Give an Observation of the place of a cancer's spread."""
    return observation(name, coded(SNOMED, "385421009"), when=when, valueCodeableConcept=place)


def distant_metastases(found: Json, place: str) -> Json:
    """Give an Observation that says whether there are metastases in a place."""
    site = coded(REGISTRY, place)
    return observation("m", coded(LOINC, "21907-1"), valueCodeableConcept=found, bodySite=site)


@pytest.mark.parametrize(
    "place",
    [
        coded(REGISTRY, "OSS"),
        coded(REGISTRY, "oss", "Knochen"),
        coded(SNOMED, "272673000", display="Bone structure (body structure)"),
        coded(SNOMED, "71341001"),
        {"text": "bone metastasis"},
        {"text": "骨转移"},
    ],
)
def test_a_spread_to_bone_is_a_bone_metastasis(place: Json) -> None:
    facts = chart(BREAST, spread_to(place)).facts
    assert facts.dx.bone_met.value is True
    assert facts.dx.metastatic.value is True


@pytest.mark.parametrize("letters", sorted(PLACES - {"OSS"}))
def test_a_spread_to_another_place_is_metastatic_and_none_of_bone(letters: str) -> None:
    facts = chart(BREAST, spread_to(coded(REGISTRY, letters))).facts
    assert facts.dx.bone_met.value is not True
    assert facts.dx.metastatic.value is True


@pytest.mark.parametrize(
    "place",
    [
        {"text": "bone"},
        {"text": "no bone metastasis"},
        {"text": "bone metastasis?"},
        coded(REGISTRY, "X9"),
        coded(SNOMED, "59441001", display="Structure of lymph node (body structure)"),
    ],
)
def test_a_place_that_is_not_told_plainly_says_nothing_and_is_noted(place: Json) -> None:
    mapped = chart(BREAST, spread_to(place))
    assert mapped.facts.dx.bone_met.value is not True
    assert mapped.facts.dx.metastatic.value is None
    assert "Observation/spread" in {note.resource for note in mapped.notes}


def test_bone_counts_though_a_later_place_was_told_after_it() -> None:
    told = chart(BREAST, spread_to(coded(REGISTRY, "OSS"), "bone", 90), spread_to(coded(REGISTRY, "BRA"), "brain", 2))
    assert told.facts.dx.bone_met.value is True


@pytest.mark.parametrize(("found", "value"), [("J", True), ("M1", True), ("pM1b", True), ("N", None), ("M0", None)])
def test_a_body_site_beside_yes_is_a_place_of_spread_and_beside_no_it_is_none(found: str, value: bool | None) -> None:
    facts = chart(BREAST, distant_metastases(coded(YES_NO, found), "OSS")).facts
    assert facts.dx.bone_met.value is value


def test_a_refuted_bone_metastasis_is_not_brought_back_by_a_registry() -> None:
    refuted = condition("no", coded(SNOMED, "94222008"), verification="refuted", recorded=1)
    assert chart(BREAST, refuted, spread_to(coded(REGISTRY, "OSS"), when=60)).facts.dx.bone_met.value is False


BONE = [coded(SNOMED, "272673000", display="Bone structure (body structure)")]
ANY_SPREAD = [coded(SNOMED, "128462008"), coded(REGISTRY, "M", display="Metastasis"), {"text": "转移"}]


@pytest.mark.parametrize("spread", ANY_SPREAD)
@pytest.mark.parametrize("site", [BONE, [{"text": "left femur"}], [coded(REGISTRY, "B", display="Bone part")]])
def test_a_metastasis_that_leaves_its_place_open_is_where_its_body_site_says(spread: Json, site: list[Json]) -> None:
    assert chart(BREAST, condition("m", spread, bodySite=site)).facts.dx.bone_met.value is True


@pytest.mark.parametrize("spread", ANY_SPREAD)
@pytest.mark.parametrize(
    "site", [[{"text": "liver"}], [coded(SNOMED, "59441001", display="Structure of lymph node")], [{"text": "?"}]]
)
def test_beside_a_site_that_is_no_bone_it_is_none_of_bone(spread: Json, site: list[Json]) -> None:
    assert chart(BREAST, condition("m", spread, bodySite=site)).facts.dx.bone_met.value is not True


@pytest.mark.parametrize(
    ("told", "standing"),
    [({"text": "No metastasis"}, "confirmed"), (ANY_SPREAD[0], "provisional"), (ANY_SPREAD[0], "refuted")],
)
def test_a_metastasis_that_is_denied_or_doubted_is_none_though_a_bone_is_its_site(told: Json, standing: str) -> None:
    one = condition("m", told, verification=standing, bodySite=BONE)
    assert chart(BREAST, one).facts.dx.bone_met.value is not True
