"""Of bones of which nothing is told the lists on surgery say the same for everybody, and are made once."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommenders.assessing.assessment import seen_at
from recommenders.patient import surgery
from recommenders.patient.advice import Case
from recommenders.vocabulary.dictionary import BLANK, DICTIONARY, Facts
from recommenders.vocabulary.facts import Fact, Finding, Reading, exactly, replace, stated
from recommenders.vocabulary.records import Event, Lesion, Lesions, Study
from tests.test_laws import DAY, drawn

is_told = surgery._is_told_of_bones
of_bones = surgery._of_bones
of_untold_bones = surgery._of_untold_bones


def said_of_bones(case: Case) -> str:
    """What is said of the bones of a case, with the whole tree of conditions and the facts behind them."""
    return repr(of_bones(case))


def known(path: str) -> Fact:
    """Give a fact that is known: the answer furthest from silence."""
    fact, spec = BLANK.fact(path), DICTIONARY[path]
    common: dict[str, Any] = {"date": DAY, "resources": ("Observation/one",)}
    if isinstance(fact, Reading):
        return exactly(fact, Decimal(9), **common)
    if isinstance(fact, Finding):
        return stated(fact, spec.words[-1] if spec.words else True, **common)
    return replace(fact, reason=None, **common)


def without_bones(facts: Facts) -> Facts:
    """Give the facts as they are where nothing is told of bones."""
    silent = {path: BLANK.fact(path) for path in ("status.life_expectancy", "status.fit_for_surgery")}
    silent |= {path: BLANK.fact(path) for path in ("dx.bone_met_count", "clin.nerve_compression")}
    groups = {name: getattr(BLANK, name) for name in ("local", "spine", "pathological_fracture")}
    return replace(facts.with_facts(silent), lesions=Lesions(), sre=(), studies=(), **groups)


@pytest.mark.parametrize("path", DICTIONARY)
def test_what_is_said_of_bones_rests_on_no_fact_that_is_not_looked_at(path: str) -> None:
    facts = Facts(as_of=DAY).with_facts({path: known(path)})
    if not is_told(facts):
        assert said_of_bones(Case(facts, "patient-view")) == repr(of_untold_bones(DAY))


@given(st.integers(0, 2**32), st.sampled_from(["patient-view", "order-sign"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_of_any_patient_of_whose_bones_nothing_is_told_the_shared_answer_is_the_own_one(
    seed: int, hook: Any, is_cut: bool
) -> None:
    facts = without_bones(seen_at(drawn(random.Random(seed)), hook))
    cut = frozenset({"conditions", "procedures", "observations"}) if is_cut else frozenset()
    facts = replace(facts, cut=cut, unavailable=cut)
    assert not is_told(facts)
    assert said_of_bones(Case(facts, hook)) == repr(of_untold_bones(DAY))


def test_a_site_with_limits_of_its_own_and_another_day_have_their_own_answer() -> None:
    day = DAY.replace(year=DAY.year + 1)
    own = {"windows.lab.creatinine": Decimal(3)}
    case = Case(Facts(as_of=DAY), "patient-view", own, guidance_day=day)
    assert said_of_bones(case) == repr(of_untold_bones(day, *own.items()))


@pytest.mark.parametrize(
    "told",
    [
        {"lesions": Lesions((Lesion(),))},
        {"lesions": Lesions(whole=False)},
        {"sre": (Event(type="spinal-cord-compression"),)},
        {"studies": (Study(modality="xray", date=None),)},
    ],
)
def test_whatever_is_told_of_bones_is_looked_at(told: dict[str, Any]) -> None:
    assert is_told(replace(Facts(as_of=DAY), **told))
    assert not is_told(Facts(as_of=DAY))


def test_an_answer_that_is_narrowed_down_or_unknown_for_another_reason_is_told() -> None:
    grade = replace(BLANK.spine.escc, possible=("1a", "1b"))
    assert is_told(Facts(as_of=DAY).with_facts({"spine.escc": grade}))
    assert is_told(
        Facts(as_of=DAY).with_facts(
            {"status.fit_for_surgery": replace(known("status.fit_for_surgery"), reason="stale")}
        )
    )
