"""What is passed over has nothing to say, and one topic's fault never silences the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from recommenders.assessing import assessment
from recommenders.assessing.assessment import assess
from recommenders.assessing.topics import TOPICS
from recommenders.patient.advice import Case
from tests.vignettes import Vignette, load_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recommenders.patient.advice import Advice

CASES = load_all()


@pytest.mark.parametrize("vignette", CASES[::7], ids=str)
def test_passing_over_topics_changes_no_verdict_that_is_shown(vignette: Vignette) -> None:
    quick = assess(vignette.facts, vignette.hook)
    whole = assess(vignette.facts, vignette.hook, whole=True)
    for state in ("fired", "suppressed", "superseded", "undecided"):
        assert quick.of(state) == whole.of(state), state
    assert quick.values == whole.values


def test_a_topic_that_fails_is_named_and_the_others_still_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Case) -> Iterator[Advice]:
        raise ZeroDivisionError(case.hook)

    topics = tuple(replace(topic, rules=broken) if topic.name == "workup" else topic for topic in TOPICS)
    monkeypatch.setattr(assessment, "TOPICS", topics)
    case = next(
        case for case in CASES if case.topic == "bone_protection" and "BP-002" in case.expected.get("fires", ())
    )
    found = assess(case.facts, case.hook)
    assert found.failed == ("workup",)
    assert "BP-002" in found.of("fired")


def test_restricting_the_recommenders_leaves_the_verdicts_of_the_others_out() -> None:
    case = next(case for case in CASES if "BP-001" in case.expected.get("fires", ()))
    found = assess(case.facts, case.hook, recommenders=["workup-support"])
    assert {verdict.recommender for verdict in found.verdicts.values()} == {"workup-support"}


def test_a_section_says_only_the_rules_that_it_is_asked_for_by(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    forgotten: set[str] = set()

    def checked(case: Case, section: Callable[[Case], Iterable[Advice]], *rules: str) -> Iterator[Advice]:
        for advice in section(case):
            asked.add(advice.rule)
            if advice.rule not in rules:
                file = section.__module__.replace(".", "/") + ".py"
                forgotten.add(f'{file}: write "{advice.rule}" into case.asked({section.__name__}, …)')
            yield advice

    monkeypatch.setattr(Case, "asked", checked)
    for vignette in CASES:
        assess(vignette.facts, vignette.hook, whole=True)
    assert not forgotten, "\n".join(sorted(forgotten))
    assert {"BP-001", "BP-034", "MON-001", "SUPP-003"} <= asked
