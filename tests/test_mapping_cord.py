"""What reports, the problem list and entries say of the spinal cord and of the stability of the spine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fhir import LOINC, Json, chart, coded, condition, days_ago, local, observation, quantity, report
from tests.test_mapping_places import lesion

SPINE_MRI = coded(LOINC, "24968-0", display="MR Lumbar spine")


@pytest.mark.parametrize(
    ("conclusion", "present"),
    [
        ("T8 metastasis with epidural mass. Spinal cord compression.", True),
        ("The spinal cord is compressed at T8.", True),
        ("T8椎体转移瘤，脊髓受压。", True),
        ("马尾神经受压", True),
        ("No cord compression.", False),
        ("未见脊髓受压", False),
        ("Cord compression cannot be excluded.", None),
        ("硬膜囊受压。", None),
        ("L3 metastasis.", None),
    ],
)
def test_a_report_that_says_cord_compression_says_so(conclusion: str, present: bool | None) -> None:
    found = chart(report("r", SPINE_MRI, when=3, conclusion=conclusion)).facts.spine.reported_compression
    assert found.value is present
    assert found.is_known is (present is not None)


def test_the_newest_report_of_the_cord_counts_and_is_quoted() -> None:
    old = report("old", SPINE_MRI, when=20, conclusion="T8: spinal cord compression.")
    new = report("new", SPINE_MRI, when=2, conclusion="After surgery no cord compression.")
    assert chart(old, new).facts.spine.reported_compression.value is False
    told = chart(old).facts.spine.reported_compression
    assert told.sent == "t8: spinal cord compression"
    assert told.resources == ("DiagnosticReport/old",)


@pytest.mark.parametrize(
    ("said", "weak"),
    [
        ("New leg weakness", True),
        ("Weakness of both legs", True),
        ("双下肢无力3天", True),
        ("双下肢瘫痪", True),
        ("No leg weakness", None),
        ("Arm weakness", None),
    ],
)
def test_new_weakness_of_the_legs_is_read_from_the_problem_list(said: str, weak: bool | None) -> None:
    facts = chart(condition("w", {"text": said}, onsetDateTime=days_ago(2), recorded=2)).facts
    assert facts.clin.leg_weakness.value is weak


def test_paraplegia_and_cauda_equina_are_a_compression_of_the_cord() -> None:
    for said, event in (("Paraplegia", False), ("Cauda equina syndrome", True), ("脊髓压迫", True)):
        facts = chart(condition("p", {"text": said}, onsetDateTime=days_ago(2), recorded=2)).facts
        assert facts.spine.neuro_deficit.value is True
        # a paraplegia does not tell what caused it: an alarm, and no skeletal-related event
        assert [one.type for one in facts.sre] == (["spinal-cord-compression"] if event else [])


def charted(name: str, value: Json) -> Json:
    return observation("s", {"text": name}, value) if "value" in value else observation("s", {"text": name}) | value


@pytest.mark.parametrize("name", ["SINS", "SINS评分", "Spinal instability neoplastic score"])
@pytest.mark.parametrize("value", [{"valueInteger": 13}, {"valueString": "13分"}, quantity(13, "{score}")])
def test_a_charted_instability_score_is_read(name: str, value: Json) -> None:
    assert chart(charted(name, value)).facts.spine.sins.value == 13


def test_a_charted_fracture_score_is_read_and_an_impossible_one_is_not() -> None:
    assert chart(charted("Mirels score", quantity(10, "{score}"))).facts.local.mirels_charted.value == 10
    assert not chart(charted("Mirels score", quantity(40, "{score}"))).facts.local.mirels_charted.is_known


def test_the_items_of_both_scores_are_parts_of_a_lesion() -> None:
    parts: dict[str, Any] = {
        "vertebral_collapse": ">50%",
        "pain_mechanical": "mechanical",
        "posterolateral_involvement": "bilateral",
        "axial_cortical_mm": quantity(3.5, "cm", code="cm"),
    }
    (found,) = chart(
        lesion("l", {"text": "胸10"}, **parts), local("a", "spinal-alignment", valueString="后凸")
    ).facts.lesions
    assert (found.collapse.value, found.pain_mechanical.value, found.posterolateral.value, found.level) == (
        "over-half",
        "mechanical",
        "bilateral",
        "T10",
    )
    assert found.axial_cortical_mm.value == 35
