"""Left and right, and which entries speak of one lesion: from every place a chart may say it, to the verdict."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from recommenders.assessing.assessment import assess
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.records import Lesion
from tests.fhir import (
    ICD10_CM,
    LOCAL,
    LOINC,
    SNOMED,
    TODAY,
    Json,
    chart,
    coded,
    condition,
    days_ago,
    local,
    observation,
    procedure,
    quantity,
    reasons,
)

LEFT, RIGHT = "7771000", "24028007"
FEMUR = coded(SNOMED, "71341001", display="Bone structure of femur")
MYELOMA = condition("mm", coded(SNOMED, "109989006"), onsetDateTime="2026-01-10")
LUNG = condition("lung", coded(ICD10_CM, "C34.11"))
BONE = condition("bone", coded(SNOMED, "94222008"))
QUALIFIER = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
OLD_QUALIFIER = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality"
LOCATION_QUALIFIER = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-body-location-qualifier"


def qualified(site: Json, side: str, url: str = QUALIFIER) -> Json:
    """Give a body site with mCODE's extension for the side."""
    return site | {"extension": [{"url": url, "valueCodeableConcept": coded(SNOMED, side)}]}


def lesion(name: str, site: Json | None = None, *, when: int | str = 5, **parts: Any) -> Json:
    """Give an entered lesion: Mirels' items, each part a component."""
    components = []
    for code, value in parts.items():
        element = "valueQuantity" if isinstance(value, dict) else "valueString"
        components.append({"code": coded(LOCAL, code.replace("_", "-")), element: value})
    found = local(name, "bone-lesion", when=when, component=components)
    return found | ({"bodySite": site} if site else {})


def only(facts: Facts) -> Lesion:
    """Give the one lesion."""
    assert len(facts.lesions) == 1
    return facts.lesions.items[0]


# --- which side ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "side"),
    [
        (qualified(FEMUR, LEFT), "left"),
        (qualified(FEMUR, RIGHT, OLD_QUALIFIER), "right"),
        (qualified(FEMUR, RIGHT, LOCATION_QUALIFIER), "right"),
        ({"coding": [*FEMUR["coding"], {"system": SNOMED, "code": LEFT}]}, "left"),
        ({"coding": [{"system": SNOMED, "code": "719999999", "display": "Left femoral shaft"}]}, "left"),
        ({"text": "Left femur"}, "left"),
        ({"text": "femur, RIGHT"}, "right"),
        ({"text": "右侧股骨干"}, "right"),
        ({"text": "左股骨转子间"}, "left"),
        ({"text": "股骨（左）"}, "left"),
        ({"text": "bilateral femur"}, None),
        ({"text": "双侧股骨"}, None),
        ({"text": "left and right femur"}, None),
        (qualified(FEMUR | {"text": "right femur"}, LEFT), None),
        (FEMUR, None),
        (qualified({"text": "T5"}, LEFT), None),
        ({"text": "sternum, left part"}, None),
    ],
)
def test_the_side_of_a_lesion_is_read_wherever_a_body_site_tells_it(site: Json, side: str | None) -> None:
    assert only(chart(MYELOMA, lesion("l", site)).facts).side == side


def test_the_side_of_a_lesion_may_stand_in_its_own_component() -> None:
    assert only(chart(MYELOMA, lesion("l", lesion_site="左侧肱骨")).facts).side == "left"


def test_a_tumour_of_mcode_has_the_side_of_its_qualifier() -> None:
    structure = {
        "resourceType": "BodyStructure",
        "id": "b1",
        "location": FEMUR,
        "locationQualifier": [coded(SNOMED, RIGHT)],
        "patient": {"reference": "Patient/p1"},
    }
    assert only(chart(LUNG, structure).facts).side == "right"


@pytest.mark.parametrize(
    ("code", "bone", "side"),
    [
        (coded(SNOMED, "11309881000119104"), "femur", "right"),
        (coded(SNOMED, "11310001000119107"), "femur", "left"),
        (coded(SNOMED, "11304881000119103"), "tibia", "left"),
        (coded(ICD10_CM, "M84.551A"), "femur", "right"),
        (coded(ICD10_CM, "M84.552D"), "femur", "left"),
        (coded(ICD10_CM, "M84.521K"), "humerus", "right"),
        (coded(ICD10_CM, "M84.559A"), "femur-proximal", None),
        ({"text": "Pathological fracture of the left femoral neck"}, "femur-proximal", "left"),
        ({"text": "Pathological fracture of neck of right femur"}, "femur-proximal", "right"),
        ({"text": "左侧肱骨病理性骨折"}, "humerus", "left"),
        ({"text": "双侧股骨病理性骨折"}, "femur", None),
        ({"text": "Right lung cancer, pathological fracture of femur"}, "femur", None),
        ({"text": "右肺癌伴股骨病理性骨折"}, "femur", None),
    ],
)
def test_a_fracture_has_the_side_that_its_code_or_its_words_tell_of_the_bone(
    code: Json, bone: str | None, side: str | None
) -> None:
    facts = chart(MYELOMA, condition("f", code, onsetDateTime=days_ago(9), recorded=9)).facts
    assert facts.pathological_fracture.current.value is True
    assert facts.pathological_fracture.bone.value == bone
    assert facts.pathological_fracture.side.value == side
    (event,) = (one for one in facts.sre if one.type == "pathological-fracture")
    assert event.side == side


def test_a_fracture_has_the_side_of_its_body_site() -> None:
    broken = condition("f", coded(SNOMED, "268029009"), onsetDateTime=days_ago(9), bodySite=[qualified(FEMUR, LEFT)])
    fracture = chart(MYELOMA, broken).facts.pathological_fracture
    assert (fracture.bone.value, fracture.side.value) == ("femur", "left")


CANCER_REASON = [coded(SNOMED, "94222008")]


@pytest.mark.parametrize(
    ("told", "places"),
    [
        ({"bodySite": [qualified(FEMUR, LEFT)]}, [("femur", "left")]),
        ({"bodySite": [{"text": "right proximal femur"}]}, [("femur-proximal", "right")]),
        ({"bodySite": [qualified(FEMUR, LEFT), qualified(FEMUR, RIGHT)]}, [("femur", "left"), ("femur", "right")]),
        ({"bodySite": [FEMUR], "extension": qualified({}, RIGHT)["extension"]}, [("femur", "right")]),
        ({"code": coded(SNOMED, "20701002", "Intramedullary nailing of left femur")}, [("femur", "left")]),
        ({"code": {"text": "左股骨髓内钉内固定术"}}, [("femur", "left")]),
        ({"code": {"text": "双侧股骨髓内钉内固定术"}}, [("femur", None)]),
        ({"code": {"text": "Internal fixation of femur, metastasis of right lung cancer"}}, [("femur", None)]),
        ({"bodySite": [qualified(FEMUR, LEFT)], "code": {"text": "Internal fixation, right femur"}}, [("femur", None)]),
    ],
)
def test_surgery_has_the_bones_and_sides_that_it_names(told: Json, places: list[tuple[str, str | None]]) -> None:
    done = procedure("n", coded(SNOMED, "20701002"), when=3, reasonCode=CANCER_REASON) | told
    events = [one for one in chart(LUNG, BONE, done).facts.sre if one.type == "bone-surgery"]
    assert [(one.site, one.side) for one in events] == places
    assert all(one.fixation for one in events)


def test_a_hip_replacement_has_the_side_in_its_name() -> None:
    hip = procedure("h", coded(SNOMED, "179304004", "Left total hip replacement"), when=3, reasonCode=CANCER_REASON)
    (event,) = chart(LUNG, BONE, hip).facts.sre
    assert (event.site, event.side) == ("femur-proximal", "left")


def test_radiotherapy_of_both_sides_is_two_courses_and_of_one_side_is_one() -> None:
    sessions = [
        procedure(f"rt{number}", coded(SNOMED, "108290001"), when=20 - number, bodySite=[{"text": f"{side} femur"}])
        for number, side in enumerate(["left", "right", "left", "right"])
    ]
    events = [one for one in chart(LUNG, BONE, *sessions).facts.sre if one.type == "bone-radiotherapy"]
    assert sorted((str(one.side), len(one.resources)) for one in events) == [("left", 2), ("right", 2)]


# --- to the verdict -----------------------------------------------------------------------------------------


def fired(*resources: Json) -> tuple[str, ...]:
    """Give the rules that fire when the chart is opened."""
    return tuple(assess(chart(*resources).facts, "patient-view").of("fired"))


RISKY: Json = {
    "lesion_type": "osteolytic",
    "cortical_fraction": quantity(80, "%", code="%"),
    "lesion_pain": "severe",
    "lesion_nature": "myeloma",
}


def nailed(side: str, *, when: int = 2) -> Json:
    """Give the nailing of one femur for myeloma."""
    site = qualified(FEMUR, LEFT if side == "left" else RIGHT)
    return procedure("nail", coded(SNOMED, "20701002"), when=when, bodySite=[site], reasonCode=MYELOMA_REASON)


MYELOMA_REASON = [coded(SNOMED, "109989006")]


def test_nailing_the_left_femur_does_not_silence_the_threatened_right_one() -> None:
    threatened = lesion("l", qualified(FEMUR, RIGHT), **RISKY)
    assert {"MIRELS-004", "SURG-030"} <= {*fired(MYELOMA, threatened)}
    assert {"MIRELS-004", "SURG-030"} <= {*fired(MYELOMA, threatened, nailed("left"))}
    assert "MIRELS-004" not in fired(MYELOMA, threatened, nailed("right"))


def test_nailing_the_left_femur_does_not_silence_the_fracture_of_the_right_one() -> None:
    right = condition("f", coded(ICD10_CM, "M84.551A"), onsetDateTime=days_ago(9), recorded=9)
    assert "SURG-026" in fired(MYELOMA, right)
    assert "SURG-026" in fired(MYELOMA, right, nailed("left"))
    assert "SURG-026" not in fired(MYELOMA, right, nailed("right"))


def test_of_two_fractures_the_one_that_was_not_operated_on_is_judged() -> None:
    left = condition("left", coded(ICD10_CM, "M84.552A"), onsetDateTime=days_ago(20), recorded=20)
    right = condition("right", coded(ICD10_CM, "M84.551A"), onsetDateTime=days_ago(9), recorded=9)
    mapped = chart(MYELOMA, left, right, nailed("right"))
    assert mapped.facts.pathological_fracture.side.value == "left"
    assert "SURG-026" in fired(MYELOMA, left, right, nailed("right"))
    assert any("another current fracture" in reason for reason in reasons(mapped)["Condition/right"])
    assert chart(MYELOMA, left, right).facts.pathological_fracture.side.value == "right"


def test_a_minor_fracture_of_the_other_side_is_not_in_the_bone_of_the_lesion() -> None:
    myeloma_lesion = lesion("l", qualified(FEMUR, RIGHT), lesion_nature="myeloma")
    minor = {side: condition("f", {"text": f"minor fracture of the {side} femur"}) for side in ("left", "right")}
    assert chart(MYELOMA, myeloma_lesion, minor["right"]).facts.pathological_fracture.minor_bone.value is True
    assert chart(MYELOMA, myeloma_lesion, minor["left"]).facts.pathological_fracture.minor_bone.value is False


# --- one lesion or two --------------------------------------------------------------------------------------


def test_the_same_bone_and_side_on_two_days_is_one_lesion_and_the_newest_wins() -> None:
    old = lesion("old", {"text": "left femur"}, when=90, lesion_type="osteolytic", cortical_fraction=quantity(70, "%"))
    new = lesion("new", qualified(FEMUR, LEFT), when=5, cortical_fraction=quantity(30, "%"), lesion_pain="mild")
    found = only(chart(MYELOMA, old, new).facts)
    assert found.cortical_fraction.value == 30
    assert found.type.value == "osteolytic"
    assert found.type.date is not None
    assert (TODAY - found.type.date).days == 90  # each part keeps its own day, so an old one becomes stale by itself
    assert found.resources == ("Observation/new", "Observation/old")


def test_a_part_that_is_too_old_is_not_mixed_into_the_score_of_today() -> None:
    old = lesion("old", {"text": "left femur"}, when=200, lesion_type="osteolytic", cortical_fraction=quantity(80, "%"))
    new = lesion("new", {"text": "left femur"}, when=5, lesion_pain="severe", lesion_nature="myeloma")
    both = assess(chart(MYELOMA, old, new).facts, "patient-view")
    assert "MIRELS-004" not in both.of("fired")
    assert "mirels_total" not in both.values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "left femur"}, {"text": "right femur"}),
        ({"text": "left femur"}, {"text": "left humerus"}),
        ({"text": "T5"}, {"text": "T10"}),
        ({"text": "left rib 3"}, {"text": "left rib 8"}),
        (None, None),
    ],
)
def test_another_side_another_bone_or_another_level_is_another_lesion(one: Json | None, other: Json | None) -> None:
    assert len(chart(MYELOMA, lesion("a", one, when=90), lesion("b", other, when=5)).facts.lesions) == 2


def test_two_entries_of_one_day_are_two_lesions_and_then_nothing_is_joined() -> None:
    listed = [lesion("a", FEMUR, when=90), lesion("b", FEMUR, when=90), lesion("c", FEMUR, when=5)]
    assert len(chart(MYELOMA, *listed).facts.lesions) == 3


def test_entries_that_refer_to_the_first_one_are_that_lesion_whatever_their_site_says() -> None:
    first = lesion("first", {"text": "left femur"}, when=60, lesion_pain="severe")
    later = lesion("later", {"text": "left thigh bone"}, when=4, lesion_pain="none")
    later["focus"] = [{"reference": "https://ehr.example/fhir/Observation/first/_history/2"}]
    found = only(chart(MYELOMA, first, later).facts)
    assert (found.id, found.pain.value, found.side) == ("Observation/first", "none", "left")


def test_entries_with_one_identifier_are_one_lesion_over_time() -> None:
    number = [{"system": "http://hospital.example/lesions", "value": "L-1"}]
    old = lesion("old", {"text": "femur"}, when=60, lesion_pain="severe") | {"identifier": number}
    new = lesion("new", when=4, lesion_pain="mild") | {"identifier": number}
    found = only(chart(MYELOMA, old, new).facts)
    assert (found.pain.value, found.site.value) == ("mild", "femur")


def test_the_number_of_a_report_does_not_make_one_lesion_of_all_that_it_found() -> None:
    number = [{"system": "http://hospital.example/accession", "value": "A-77"}]
    one = lesion("a", {"text": "left femur"}, when=5) | {"identifier": number}
    other = lesion("b", {"text": "left humerus"}, when=5) | {"identifier": number}
    assert len(chart(MYELOMA, one, other).facts.lesions) == 2


def test_a_focus_on_the_cancer_does_not_make_one_lesion_of_all() -> None:
    about = [{"reference": "Condition/mm"}]
    one = lesion("a", {"text": "left femur"}, when=5) | {"focus": about}
    other = lesion("b", {"text": "left humerus"}, when=5) | {"focus": about}
    assert len(chart(MYELOMA, one, other).facts.lesions) == 2


def test_two_values_of_one_time_for_one_lesion_contradict() -> None:
    first = lesion("first", {"text": "left femur"}, when=60)
    one = lesion("a", when=4, cortical_fraction=quantity(30, "%")) | {"focus": [{"reference": "Observation/first"}]}
    other = lesion("b", when=4, cortical_fraction=quantity(70, "%")) | {"focus": [{"reference": "Observation/first"}]}
    share = only(chart(MYELOMA, first, one, other).facts).cortical_fraction
    assert share.reason == "contradictory"
    assert share.rivals == (Decimal(30), Decimal(70))


def test_a_newer_part_that_cannot_be_read_is_not_replaced_by_an_older_one() -> None:
    old = lesion("old", FEMUR, when=60, cortical_fraction=quantity(30, "%"))
    new = lesion("new", FEMUR, when=4, cortical_fraction=quantity(30, "mm"))
    assert only(chart(MYELOMA, old, new).facts).cortical_fraction.reason == "unit"


def test_the_newest_size_of_a_tumour_counts_and_the_older_one_is_named() -> None:
    structure = {
        "resourceType": "BodyStructure",
        "id": "b1",
        "location": qualified(FEMUR, LEFT),
        "patient": {"reference": "Patient/p1"},
    }

    def sized(name: str, when: int, centimetres: float) -> Json:
        longest = {"code": coded(LOINC, "33728-7"), "valueQuantity": quantity(centimetres, "cm", code="cm")}
        return observation(name, "21889-1", when=when, focus=[{"reference": "BodyStructure/b1"}], component=[longest])

    mapped = chart(LUNG, structure, sized("old", 90, 2.1), sized("new", 4, 3.4))
    assert only(mapped.facts).size.value == Decimal("34.0")
    assert only(mapped.facts).side == "left"
    assert reasons(mapped)["Observation/old"] == ("superseded by a newer result",)
    twice = chart(LUNG, structure, sized("a", 4, 2.1), sized("b", 4, 3.4))
    assert only(twice.facts).size.reason == "contradictory"


def test_the_size_of_the_lung_tumour_is_no_size_of_a_bone_lesion() -> None:
    longest = {"code": coded(LOINC, "33728-7"), "valueQuantity": quantity(4, "cm", code="cm")}
    mapped = chart(LUNG, observation("s", "21889-1", bodySite=coded(SNOMED, "39607008"), component=[longest]))
    assert not mapped.facts.lesions.items
    assert "not told to be in a bone" in reasons(mapped)["Observation/s"][0]


def test_a_metastasis_on_the_other_side_of_an_entered_lesion_is_a_lesion_of_its_own() -> None:
    entered = lesion("l", {"text": "left femoral shaft"}, lesion_nature="metastasis")
    left = condition("m", coded(SNOMED, "94222008"), bodySite=[qualified(FEMUR, LEFT)])
    right = condition("m", coded(SNOMED, "94222008"), bodySite=[qualified(FEMUR, RIGHT)])
    assert len(chart(LUNG, entered, left).facts.lesions) == 1
    assert {one.side for one in chart(LUNG, entered, right).facts.lesions} == {"left", "right"}


# --- nothing breaks -----------------------------------------------------------------------------------------

WHOLE: list[Json] = [
    lesion("l", qualified(FEMUR, LEFT), cortical_fraction=quantity(50, "%"), lesion_site="左股骨")
    | {
        "identifier": [{"system": "http://hospital.example/l", "value": "1"}],
        "focus": [{"reference": "Observation/q"}],
    },
    condition(
        "f",
        coded(ICD10_CM, "M84.551A"),
        onsetAge=quantity(60, "a", code="a"),
        bodySite=[qualified(FEMUR, LEFT)],
        evidence=[{"code": [{"text": "pathology"}], "detail": [{"reference": "DiagnosticReport/r"}]}],
    ),
    nailed("left"),
    observation("pain", "72514-3", valueString="7/10", bodySite={"text": "L2"}),
    observation("s", "97509-4", valueCodeableConcept={"text": "VGPR"}),
    {
        "resourceType": "BodyStructure",
        "id": "b",
        "location": FEMUR,
        "locationQualifier": [coded(SNOMED, LEFT)],
        "patient": {"reference": "Patient/p1"},
        "meta": {"security": [{"code": "MASKED"}]},
    },
]
ODD: list[Any] = [7, "", [None], {"a": 1}]


def _steps(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for name, part in inner for found in _steps(part, (*path, name)))]


def test_no_odd_element_of_a_place_breaks_the_reading() -> None:
    """Every element of these resources, one after the other, is replaced by every odd value."""
    for number, one in enumerate(WHOLE):
        for path in _steps(one):
            if not path or path[0] in {"resourceType", "subject", "patient"}:
                continue
            for odd in ODD:
                broken = copy.deepcopy(WHOLE[number])
                node: Any = broken
                for step in path[:-1]:
                    node = node[step]
                node[path[-1]] = odd
                assert chart(MYELOMA, broken, WHOLE[1 if number != 1 else 2]).facts.as_of == TODAY, (path, odd)


def test_a_lesion_added_in_our_form_is_another_one_than_that_of_the_same_bone_on_record() -> None:
    charted = lesion(
        "charted", qualified(FEMUR, LEFT), when=20, lesion_type="osteolytic", cortical_fraction=quantity(60, "%")
    )
    added = lesion("added", qualified(FEMUR, LEFT), when=1, lesion_type="osteogenic")
    assert len(chart(observations=[charted, added]).facts.lesions) == 1
    added["identifier"] = [{"system": "urn:oncobone:answers", "value": "a1"}]
    found = chart(observations=[charted, added]).facts.lesions
    assert {one.type.value for one in found} == {"osteolytic", "osteogenic"}
