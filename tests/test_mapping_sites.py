"""Which bone, side and level a name or code means, in both languages; and which names of places are no bone."""

from __future__ import annotations

import datetime as dt
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mapping.delivery.context import ReadingContext
from fhir_mapping.places.levels import LARGEST
from fhir_mapping.places.sites import Place, place_in, place_of, places_in
from recommenders.vocabulary.bones import PAIRED, Bone, bone_of, same_bone
from tests.fhir import (
    LOCAL,
    NOW,
    PATIENT_ID,
    SNOMED,
    Json,
    chart,
    coded,
    condition,
    days_ago,
    local,
    procedure,
    service_request,
)

CONTEXT = ReadingContext(patient_id=PATIENT_ID, now=NOW, timezone=dt.UTC)
LUNG = condition("lung", {"text": "Lung cancer"})
LETTERS = {"C": ("cervical", "颈"), "T": ("thoracic", "胸"), "L": ("lumbar", "腰")}
ORDINAL = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", 10: "tenth", 12: "twelfth"}
HAN = "零一二三四五六七八九十"


def key(said: str) -> str | None:
    place = place_in(said)
    return place.bone.key if place.is_bone else None


# --- bones --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "bone"),
    [
        ("Left femur", "femur/left"),
        ("左股骨转子间", "femur-pertrochanteric/left"),
        ("右股骨粗隆间", "femur-pertrochanteric/right"),
        ("neck of right femur", "femur-proximal/right"),
        ("股骨（左）", "femur/left"),
        ("left distal femur", "femur-other/left"),
        ("右侧髂骨", "pelvis/right"),
        ("left iliac bone", "pelvis/left"),
        ("left 5th rib", "rib/left/5"),
        ("右第8肋骨", "rib/right/8"),
        ("3 ribs", "rib"),
        ("胸骨", "sternum"),
        ("骶1", "sacrum"),
        ("thoracolumbar spine", "spine"),
        ("胸腰椎", "spine"),
        ("lumbar spine 8 Gy in one fraction", "spine-lumbar"),
        ("腰椎 8Gy/1次", "spine-lumbar"),
        ("SBRT lumbar spine 24 Gy in 2 fractions", "spine-lumbar"),
        ("左肱骨髓内钉内固定", "humerus/left"),
        ("right lung cancer, femur metastasis", "femur"),
        ("femur lesion with soft-tissue mass", "femur"),
        ("左股骨骨转移伴软组织肿块", "femur/left"),
        ("ORIF left femur with iliac crest bone graft", "femur/left"),
        ("T8椎体转移瘤，硬膜外软组织肿块形成", "spine-thoracic/T8"),
        ("multiple bone metastases", "bone"),
    ],
)
def test_a_bone_is_read_with_its_side_and_level(said: str, bone: str) -> None:
    assert key(said) == bone


@pytest.mark.parametrize(
    ("said", "bones"),
    [
        ("T10 vertebra and left femur", {"spine-thoracic/T10", "femur/left"}),
        ("胸椎T8、T9、腰椎L2多发骨转移", {"spine-thoracic/T8,T9", "spine-lumbar/L2"}),
        ("右肱骨、左股骨", {"humerus/right", "femur/left"}),
    ],
)
def test_each_of_several_bones_is_read(said: str, bones: set[str]) -> None:
    assert {place.bone.key for place in places_in(said)} == bones


@pytest.mark.parametrize(
    "said",
    [
        "left femoral artery",
        "左股动脉",
        "femoral vein",
        "pelvic lymph nodes",
        "盆腔淋巴结",
        "cervical lymph node",
        "锁骨上淋巴结",
        "right supraclavicular lymph node",
        "胸骨旁淋巴结",
        "internal iliac vessels",
        "腰大肌",
        "肋间肌",
        "skeletal muscle",
        "骨骼肌",
        "radial nerve",
        "坐骨神经",
        "vertebral artery",
        "spinal cord",
        "脊髓",
        "paraspinal soft tissue",
        "椎旁软组织",
        "skin of chest wall",
        "胸腔积液",
        "盆腔",
        "pelvic cavity",
        "L4/5 intervertebral disc",
        "L3/4椎间盘",
        "bone marrow",
        "骨髓",
        "soft tissue of left thigh",
        "CT abdomen and pelvis",
    ],
)
def test_a_place_word_inside_the_name_of_something_soft_is_no_bone(said: str) -> None:
    place = place_in(said)
    assert (place.site, place.is_bone, place.side, place.level) == (None, False, None, None)


@pytest.mark.parametrize(
    "said", ["PD-L1", "T2-weighted", "T2加权", "cT2N1M0", "C1D8", "vitamin D3", "骨科会诊", "S1", ""]
)
def test_what_only_reads_like_a_level_is_no_place(said: str) -> None:
    assert places_in(said) == ()


@given(
    noun=st.sampled_from(["lymph node", "artery", "vein", "nerve", "muscle", "soft tissue"]),
    place=st.sampled_from(["femoral", "iliac", "cervical", "lumbar", "sacral", "humeral", "tibial", "intercostal"]),
    side=st.sampled_from(["", "left ", "right "]),
)
def test_no_soft_tissue_of_any_place_is_a_bone(noun: str, place: str, side: str) -> None:
    assert place_in(f"{side}{place} {noun}").is_bone is False
    assert place_in(f"metastasis in {side}{place} {noun}").is_bone is False
    beside = place_in(f"{side}{place} {noun} and left humerus")
    assert beside.bone.key == "humerus/left"


# --- levels -------------------------------------------------------------------------------------------------

levels = st.sampled_from(sorted(LETTERS)).flatmap(
    lambda letter: st.integers(1, LARGEST[letter]).map(lambda number: (letter, number))
)


def ways(letter: str, number: int) -> list[str]:
    """Give a vertebra as it is written in charts."""
    english, han = LETTERS[letter]
    numeral = HAN[number] if number <= 10 else "十" + HAN[number - 10]
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number, "th")
    found = [
        f"{letter}{number}",
        f"{letter.lower()}{number}",
        f"{letter}-{number}",
        f"{letter}{number} vertebra",
        f"{letter}{number} vertebral body",
        f"{number}{suffix} {english} vertebra",
        f"{english} vertebra {number}",
        f"{letter}{number}椎体",
        f"{han}{number}",
        f"{han}{number}椎体",
        f"{han}椎{number}",
        f"第{number}{han}椎",
        f"第{numeral}{han}椎",
        f"{han}{numeral}椎",
        f"metastasis of {letter}{number}, painful",
        f"{han}{number}椎体骨转移",
    ]
    found += [f"{ORDINAL[number]} {english} vertebra"] if number in ORDINAL else []
    return found + ([f"D{number}", f"Th{number}"] if letter == "T" else [])


@given(levels)
def test_a_vertebra_is_the_same_however_it_is_written(level: tuple[str, int]) -> None:
    letter, number = level
    assert {key(said) for said in ways(letter, number)} == {f"spine-{LETTERS[letter][0]}/{letter}{number}"}


@given(levels, levels)
def test_two_vertebrae_are_one_bone_only_at_one_level(one: tuple[str, int], other: tuple[str, int]) -> None:
    for said, also in zip(ways(*one), reversed(ways(*other)), strict=False):
        assert same_bone(place_in(said).bone, place_in(also).bone) is (one == other)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("T8-T10", "T8-T10"),
        ("T8-10", "T8-T10"),
        ("胸8至胸10", "T8-T10"),
        ("腰3/4", "L3,L4"),
        ("T12-L2", "T12-L2"),
        ("胸12、腰1椎体", "T12,L1"),
        ("T13", None),
        ("L9", None),
    ],
)
def test_several_levels_are_read_and_impossible_ones_are_none(said: str, level: str | None) -> None:
    assert place_in(said).level == level


# --- sides --------------------------------------------------------------------------------------------------

NAMES = {
    "femur": ("femur", "股骨"),
    "humerus": ("humerus", "肱骨"),
    "tibia": ("tibia", "胫骨"),
    "pelvis": ("iliac bone", "髂骨"),
    "scapula": ("scapula", "肩胛骨"),
}


@given(site=st.sampled_from(sorted(NAMES)), side=st.sampled_from(["left", "right"]))
def test_a_side_goes_with_its_bone_and_swaps_with_it(site: str, side: str) -> None:
    english, han = NAMES[site]
    character = {"left": "左", "right": "右"}[side]
    other = {"left": "right", "right": "left"}[side]
    for said in (
        f"{side} {english}",
        f"{english}, {side}",
        f"{character}{han}",
        f"{character}侧{han}",
        f"{han}（{character}）",
    ):
        assert key(said) == f"{site}/{side}", said
        swapped = said.replace(side, other).replace(character, {"左": "右", "右": "左"}[character])
        assert key(swapped) == f"{site}/{other}", swapped
        assert same_bone(place_in(said).bone, place_in(swapped).bone) is False
    assert same_bone(place_in(english).bone, Bone(site, side)) is None  # type: ignore[arg-type]


def test_the_order_in_which_bones_are_told_changes_nothing() -> None:
    parts = ["left femur", "T10", "right humerus"]
    read = {frozenset(place.bone.key for place in places_in(", ".join(order))) for order in permutations(parts)}
    assert read == {frozenset({"femur/left", "spine-thoracic/T10", "humerus/right"})}


@given(st.text(max_size=60))
def test_any_text_is_read_without_a_fault(said: str) -> None:
    for place in places_in(said):
        assert place.side is None or place.site in PAIRED
        assert bone_of(place.bone.key).site == (place.site or "bone")


# --- codes and words together -------------------------------------------------------------------------------

FEMUR, BONE_STRUCTURE, VERTEBRAL_COLUMN = "71341001", "272673000", "421060004"


@pytest.mark.parametrize(
    ("site", "bone"),
    [
        (coded(SNOMED, "7610001"), "spine-thoracic/T10"),
        (coded(SNOMED, VERTEBRAL_COLUMN, "T10"), "spine-thoracic/T10"),
        (coded(SNOMED, BONE_STRUCTURE, "left femur"), "femur/left"),
        (coded(SNOMED, FEMUR, "Left femoral shaft"), "femur-other/left"),
        (coded(SNOMED, FEMUR, "right humerus"), "femur/right"),
        (coded(LOCAL, "spine-lumbar"), "spine-lumbar"),
        ({"text": "spine-thoracic/T10"}, "spine-thoracic/T10"),
    ],
)
def test_words_make_a_code_more_exact_and_never_another_bone(site: Json, bone: str) -> None:
    place = place_of(site, CONTEXT)
    assert place.is_bone
    assert place.bone.key == bone


def test_a_code_of_something_soft_is_no_bone_whatever_stands_beside_it() -> None:
    assert place_of(coded(SNOMED, "59441001", "lymph node beside the left femur"), CONTEXT) == Place(None, False)


# --- one reader, whatever names the bone --------------------------------------------------------------------

STRUCTURE: Json = {
    "resourceType": "BodyStructure",
    "id": "b1",
    "location": {"text": "胸10椎体"},
    "patient": {"reference": f"Patient/{PATIENT_ID}"},
}


def lesion_of(**more: Any) -> Json:
    return local("l", "bone-lesion", when=5, component=[]) | more


def test_lesion_radiotherapy_operation_order_and_body_structure_name_the_same_vertebra() -> None:
    level: Json = {"text": "第10胸椎"}
    facts = chart(
        LUNG,
        lesion_of(bodySite=level),
        procedure("rt", {"text": "Radiotherapy of T10, 8 Gy/1 f"}),
        procedure("op", {"text": "Laminectomy"}, bodySite=[{"text": "D10"}]),
        service_request("mri", {"text": "MRI spine"}, bodySite=[{"text": "胸10"}]),
    ).facts
    (lesion,) = facts.lesions
    bones = [lesion.bone, *(event.bone for event in facts.sre), *(one.bone for one in facts.requested)]
    assert {bone.key for bone in bones} == {"spine-thoracic/T10"}
    assert chart(LUNG, STRUCTURE).facts.lesions.items[0].bone.key == "spine-thoracic/T10"


def test_a_procedure_may_refer_to_the_body_structure_it_was_done_on() -> None:
    about = {
        "url": "http://hl7.org/fhir/StructureDefinition/procedure-targetBodyStructure",
        "valueReference": {"reference": "BodyStructure/b1"},
    }
    facts = chart(LUNG, STRUCTURE, procedure("op", {"text": "Laminectomy"}, extension=[about])).facts
    assert [event.bone.key for event in facts.sre] == ["spine-thoracic/T10"]


# --- operations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "bone"),
    [
        ("Prophylactic fixation of left femur", "femur/left"),
        ("Hemiarthroplasty, right hip", "femur-proximal/right"),
        ("Left proximal femoral replacement", "femur-proximal/left"),
        ("左股骨髓内钉内固定术", "femur/left"),
        ("右侧人工股骨头置换术", "femur-proximal/right"),
        ("T10 laminectomy", "spine-thoracic/T10"),
        ("胸10椎板减压术", "spine-thoracic/T10"),
        ("Posterior spinal instrumentation T8-T12", "spine-thoracic/T8-T12"),
        ("Laminectomy", "spine"),
        ("PVP, 腰3椎体成形术", "spine-lumbar/L3"),
    ],
)
def test_an_operation_in_words_is_one_of_that_bone_without_any_reason(said: str, bone: str) -> None:
    (event,) = chart(LUNG, procedure("op", {"text": said})).facts.sre
    assert (event.type, event.bone.key, event.is_sre) == ("bone-surgery", bone, False)


@pytest.mark.parametrize(
    "said",
    [
        "Removal of internal fixation, left femur",
        "左股骨内固定取出术",
        "Laparoscopic cholecystectomy",
        "Resection of left lung",
        "No laminectomy performed",
        "Resection of metastasis of liver",
    ],
)
def test_what_takes_an_operation_back_or_is_of_no_bone_is_none(said: str) -> None:
    assert chart(LUNG, procedure("op", {"text": said})).facts.sre == ()


def test_an_operation_for_arthrosis_deals_with_the_bone_and_is_no_skeletal_event() -> None:
    fracture = condition("f", {"text": "左股骨病理性骨折"}, onsetDateTime=days_ago(40), recorded=40)
    hip = procedure("op", {"text": "Left total hip replacement"}, when=3, reasonCode=[{"text": "osteoarthritis"}])
    facts = chart(LUNG, fracture, hip).facts
    assert [one.type for one in facts.skeletal_events] == ["pathological-fracture"]
    assert [one.bone.key for one in facts.sre if one.type == "bone-surgery"] == ["femur-proximal/left"]


@pytest.mark.parametrize(
    ("said", "site", "side", "level"),
    [
        ("L femur", "femur", "left", None),
        ("R humerus", "humerus", "right", None),
        ("L5", "spine-lumbar", None, "L5"),
        ("右第8后肋", "rib", "right", "8"),
        ("左股骨上段", "femur-proximal", "left", None),
    ],
)
def test_a_side_in_one_letter_and_a_rib_by_its_part_are_read(
    said: str, site: str, side: str | None, level: str | None
) -> None:
    place = place_in(said)
    assert (place.site, place.side, place.level) == (site, side, level)


@pytest.mark.parametrize("said", ["sacral ulcer", "骶尾部压疮", "sacral wound"])
def test_a_sore_over_a_bone_is_no_bone(said: str) -> None:
    assert place_in(said).is_bone is not True
