"""Of two findings about the same thing the graver one speaks: the table of precedence, pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recommenders.assessing.assessment import Verdict
from recommenders.assessing.settling import precedence, settle
from recommenders.assessing.speaking import Utterance
from recommenders.assessing.topics import TOPICS
from recommenders.patient.advice import Advice
from recommenders.vocabulary.logic import YES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.vocabulary.guidance import Voice

PAIRS = sorted(precedence().items())
IDS = [f"{graver} over {lesser}" for (graver, lesser), _ in PAIRS]
ONE: Mapping[str, tuple[str, str]] = {
    "order": ("MedicationRequest/1", "MedicationRequest/2"),
    "bone": ("femur/left", "femur/right"),
}


INFO = {rule: (topic, info) for topic in TOPICS for rule, info in topic.guidance.rules.items()}


def said(rule: str, voice: Voice, *, order: str | None = None, bone: str | None = None) -> Utterance:
    advice = Advice(rule=rule, because=YES, order=order, about=bone)
    topic, info = INFO[rule]
    verdict = Verdict(
        rule=rule,
        info=info,
        topic=topic,
        recommender=info.recommender,
        state="fired",
        advices=(advice,),
        hook="order-sign",
    )
    return Utterance(verdict=verdict, advice=advice, hook="order-sign", voice=voice)


def rules_said(*utterances: Utterance) -> list[str]:
    return [one.rule for one in settle(utterances).said]


@pytest.mark.parametrize(("pair", "subject"), PAIRS, ids=IDS)
def test_of_the_same_thing_the_graver_speaks_alone(pair: tuple[str, str], subject: str) -> None:
    graver, lesser = pair
    first = ONE.get(subject, (None, None))[0]
    about = {"order": first} if subject == "order" else {"bone": first} if subject == "bone" else {}
    one, other = said(graver, "task", **about), said(lesser, "task", **about)
    same_problem = one.problem == other.problem or subject != "problem"
    assert rules_said(other, one) == ([graver] if same_problem else [lesser, graver])
    assert rules_said(one, other) == ([graver] if same_problem else [graver, lesser])


@pytest.mark.parametrize(("pair", "subject"), PAIRS, ids=IDS)
def test_a_finding_never_silences_a_louder_one(pair: tuple[str, str], subject: str) -> None:
    graver, lesser = pair
    assert lesser in rules_said(said(graver, "task"), said(lesser, "alert"))


@pytest.mark.parametrize(("pair", "subject"), [one for one in PAIRS if one[1] in ONE], ids=str)
def test_of_two_orders_or_two_bones_both_speak(pair: tuple[str, str], subject: str) -> None:
    first, second = ONE[subject]
    name = "order" if subject == "order" else "bone"
    utterances = said(pair[0], "alert", **{name: first}), said(pair[1], "task", **{name: second})
    assert rules_said(*utterances) == [*pair]


@pytest.mark.parametrize(("pair", "subject"), PAIRS, ids=IDS)
def test_what_is_reference_silences_nothing(pair: tuple[str, str], subject: str) -> None:
    assert rules_said(said(pair[0], "reference"), said(pair[1], "reference")) == [*pair]


def test_a_pair_of_one_problem_can_stand_on_one_card() -> None:
    """A row "problem" between rules of two problems would never do anything."""
    for (graver, lesser), subject in PAIRS:
        if subject == "problem":
            assert problems(graver) & problems(lesser), f"{graver} and {lesser} never stand on one card"


def problems(rule: str) -> set[str]:
    _, info = INFO[rule]
    return {info.problem, *(variant.problem for variant in info.variants if variant.problem)}
