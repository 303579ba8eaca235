"""What is asked: only what would decide something, the most decisive first, and nothing that is known."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from hooks.dossier.form.questions import ASKABLE, NAMES, QUESTIONS, SPANS, known_names, option_label
from recommenders.assessing.assessment import assess
from recommenders.assessing.decisive import (
    LESION,
    NEW_LESION,
    SIDE,
    Item,
    decisive,
    fact_at,
    possible_answers,
    with_answers,
)
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import exactly, replace, stated
from recommenders.vocabulary.records import Lesion, Lesions

if TYPE_CHECKING:
    from recommenders.assessing.assessment import Assessment
    from recommenders.assessing.decisive import Decisive
    from recommenders.vocabulary.facts import Fact

TODAY = dt.date(2026, 11, 22)
BLANK = Facts(as_of=TODAY)


def lung(**more: Any) -> Facts:
    """Lung cancer with bone metastases."""
    return BLANK.with_facts(
        {
            "dx.lung_cancer": stated(BLANK.dx.lung_cancer, True, resources=("Condition/c1",)),
            "dx.bone_met": stated(BLANK.dx.bone_met, True, resources=("Condition/c2",)),
        }
        | more
    )


def femur(**parts: Any) -> Lesion:
    """A lytic lesion of the femoral shaft that hurts moderately; its share of cortex is not known."""
    blank = Lesion(id="Observation/l1", date=TODAY - dt.timedelta(5))
    words = {"site": "femur-other", "type": "osteolytic", "pain": "moderate", "nature": "metastasis"} | parts
    facts: dict[str, Any] = {name: stated(getattr(blank, name), word, date=blank.date) for name, word in words.items()}
    return replace(blank, **facts)


def ranked(facts: Facts, **more: Any) -> list[Decisive]:
    """What would be asked."""
    return decisive(assess(facts, "patient-view"), facts, "patient-view", ASKABLE, **more)


def order(facts: Facts) -> list[str]:
    """Its paths."""
    return [one.item.path for one in ranked(facts)]


def assessed(facts: Facts, answers: dict[Item, Fact]) -> Assessment:
    """The assessment with these answers."""
    return assess(with_answers(facts, answers), "patient-view")


def outcome(found: Assessment, rule: str) -> object:
    verdict = found.verdicts.get(rule)
    return None if verdict is None else (verdict.state, verdict.indicator)


def test_each_thing_asked_would_decide_a_rule_and_the_rule_is_named() -> None:
    facts = replace(lung(), lesions=Lesions((femur(),)))
    before = assess(facts, "patient-view")
    for one in ranked(facts):
        assert one.rules or one.helps
        for rule in one.rules[:1]:
            answers = possible_answers(one.item, before.facts, [Decimal("33.3"), Decimal("66.7"), Decimal(3)], ())
            answers += possible_answers(one.item, before.facts, [], ASKABLE[one.item.path])
            found = (assessed(facts, {one.item: answer}) for answer in answers)
            assert {outcome(after, rule) for after in found} - {outcome(before, rule)}, (one.item, rule)


def test_the_share_of_cortex_decides_mirels_and_comes_before_a_mere_indication() -> None:
    facts = replace(lung(), lesions=Lesions((femur(),)))
    found = {one.item.path: one for one in ranked(facts)}
    assert "MIRELS-004" in found[f"{LESION}.cortical_fraction"].rules
    assert found[f"{LESION}.cortical_fraction"].item.lesion == "Observation/l1"
    assert order(facts).index(f"{LESION}.cortical_fraction") < order(facts).index("local.long_pfs_expected")


def test_what_is_known_inside_its_window_is_not_asked_and_one_day_later_it_is() -> None:
    window = 90
    for days, asked in ((window - 1, False), (window, False), (window + 1, True)):
        known = exactly(BLANK.status.life_expectancy, 6, date=TODAY - dt.timedelta(days), resources=("Observation/o",))
        facts = lung(**{"status.life_expectancy": known})
        assert ("status.life_expectancy" in order(facts)) is asked, days


def test_an_examination_that_is_too_long_ago_is_asked_for_again() -> None:
    on_treatment = lung(**{"status.life_expectancy": exactly(BLANK.status.life_expectancy, 12, date=TODAY)})
    assert "dental.last_exam" in order(on_treatment)
    examined = replace(BLANK.dental.last_exam, date=TODAY - dt.timedelta(30), reason=None)
    assert "dental.last_exam" not in order(on_treatment.with_facts({"dental.last_exam": examined}))


def test_a_chart_without_lesions_is_asked_for_one() -> None:
    items = [one.item for one in ranked(lung())]
    assert Item(f"{LESION}.site", NEW_LESION) in items
    assert not any(item.lesion and item.lesion != NEW_LESION for item in items)


def test_nobody_is_asked_for_a_laboratory_result() -> None:
    assert not {path for path in ASKABLE if path.startswith(("lab.", "meds.", "dx.mm", "patient."))}
    assert "lab.creatinine" not in NAMES


def test_out_of_scope_nothing_is_asked() -> None:
    assert ranked(BLANK) == []


def test_where_no_answer_is_tried_the_open_rules_alone_give_the_order() -> None:
    facts = replace(lung(), lesions=Lesions((femur(),)))
    found = ranked(facts, most_tries=0)
    assert found
    assert all(not one.tried and not one.rules and one.helps for one in found)


def test_every_item_has_its_turn_before_any_has_a_second() -> None:
    facts = replace(lung(), lesions=Lesions((femur(),)))
    whole = ranked(facts)
    found = ranked(facts, most_tries=len(whole) + 2)
    assert len([one for one in found if one.rules]) > len(found) // 3


def test_the_same_chart_gives_the_same_questions() -> None:
    facts = replace(lung(), lesions=Lesions((femur(), replace(femur(), id="Observation/l2"))))
    assert ranked(facts) == ranked(facts)


def test_answers_go_to_their_lesion_and_a_new_one_is_added() -> None:
    facts = replace(lung(), lesions=Lesions((femur(), replace(femur(), id="Observation/l2"))))
    pain = Item(f"{LESION}.pain", "Observation/l2")
    site = Item(f"{LESION}.site", NEW_LESION)
    after = with_answers(facts, {pain: stated(Lesion().pain, "severe"), site: stated(Lesion().site, "rib")})
    assert [lesion.pain.value for lesion in after.lesions] == [None, "moderate", "severe"]
    assert fact_at(after, site).value == "rib"  # type: ignore[attr-defined] # a Finding


def test_edges_are_tried_just_under_and_just_over() -> None:
    fact = BLANK.status.life_expectancy
    answers = possible_answers(Item("status.life_expectancy"), BLANK, [Decimal(3)], ["1"])
    assert [answer.low for answer in answers] == [Decimal("2.9"), Decimal("3.1")]  # type: ignore[attr-defined] # Readings
    assert all(answer.is_known for answer in answers)
    assert not fact.is_known


@pytest.mark.parametrize("path", list(QUESTIONS))
def test_every_question_can_be_put_and_answered_in_both_languages(path: str) -> None:
    question = QUESTIONS[path]
    for language in ("en", "zh-CN"):
        assert question.wording.text(language).endswith(
            ("?", "？", "）", "）？"[-1], "0 (none) to 10 (worst imaginable)?")
        )
        labels = [option_label(path, option, language) for option in question.options]
        assert len(set(labels)) == len(labels)
        if language == "zh-CN":
            codes = [one for one, text in zip(question.options, labels, strict=True) if text == one]
            assert all(code in {"CT", "sCR", "CR", "VGPR", "PR", "MR", "SD", "PD"} or code.isdigit() for code in codes)
    for companion in question.companions:
        assert companion in QUESTIONS
    if question.kind in {"score", "count", "number", "span"}:
        assert question.low is not None
        assert question.high is not None
        assert question.tries
    assert question.spec.kind == {"date": "moment", "yes-no": "finding", "word": "finding"}.get(
        question.kind, "reading"
    )
    if question.kind in {"word", "yes-no"}:
        assert (question.kind == "word") == bool(question.spec.words)


def test_the_offered_spans_meet_without_gap_or_overlap_at_the_sources_limit() -> None:
    under, from_three = SPANS["under-3"], SPANS["3-to-6"]
    assert (under.high, under.high_open) == (Decimal(3), True)
    assert (from_three.low, from_three.low_open) == (Decimal(3), False)


@pytest.mark.parametrize("given", [None, "status.ecog", 7, {"a": 1}, [["status.ecog"]], [7, None]])
def test_an_app_context_of_another_shape_names_nothing(given: object) -> None:
    assert known_names(given) == frozenset()


def test_an_app_context_names_only_facts_that_are_asked_here() -> None:
    assert known_names(["status.ecog", "lab.creatinine", "<b>", SIDE.name]) == {"status.ecog", SIDE.name}
