"""What is passed over has nothing to say, and one topic's fault never silences the others."""

from __future__ import annotations

import random
from dataclasses import replace as replaced
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from recommenders.assessing import assessment
from recommenders.assessing.assessment import assess
from recommenders.assessing.safety import unsafe_because
from recommenders.assessing.topics import TOPICS
from recommenders.patient.advice import Case, ChartAlone, ProposedMedication
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.records import Order
from tests.test_laws import any_orders, drawn
from tests.vignettes import load_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.advice import Advice
    from recommenders.vocabulary.guidance import Hook
    from recommenders.vocabulary.logic import Logical

CASES = load_all()


def shown(found: Assessment) -> list[tuple[Any, ...]]:
    """What is told of each rule that is not certainly not met, with what it rests on."""
    return [
        (rule, verdict.state, verdict.voice, verdict.missing, [said(advice) for advice in verdict.advices])
        for rule, verdict in found.verdicts.items()
        if verdict.state != "not met"
    ]


def said(advice: Advice) -> tuple[Any, ...]:
    """What one advice says, its criteria by their answers."""
    holds = {name: criterion.holds for name, criterion in advice.holds.items()}
    return advice.truth, advice.fill, holds, advice.proposals, advice.values, advice.order, advice.about, advice.beside


@pytest.mark.parametrize("part", range(8))
def test_what_is_passed_over_changes_nothing_that_is_shown(part: int) -> None:
    for vignette in CASES[part::8]:
        hooks: set[Hook] = {vignette.hook, "order-sign" if vignette.facts.orders else "patient-view"}
        for hook in hooks:
            quick = assess(vignette.facts, hook)
            whole = assess(vignette.facts, hook, whole=True)
            assert quick.failed == whole.failed == ()
            assert shown(quick) == shown(whole), f"{vignette} at {hook}"
            assert quick.values == whole.values


@pytest.mark.parametrize("hook", ["patient-view", "order-sign"])
def test_of_patients_drawn_at_random_nothing_is_passed_over_that_would_speak(hook: Hook) -> None:
    for number in range(150):
        chance = random.Random(number)
        facts = drawn(chance)
        facts = replace(facts, orders=any_orders(chance)) if hook == "order-sign" else facts
        assert shown(assess(facts, hook)) == shown(assess(facts, hook, whole=True)), number


def objections(facts: Facts, hook: Hook) -> list[tuple[str, ...]]:
    """What speaks against each medication that is suggested of these facts, and against each that might be."""
    found = assess(facts, hook)
    proposed = [
        item for one in found.verdicts.values() for said in one.advices for p in said.proposals for item in p.items
    ]
    return [unsafe_because(item, found) for item in (*proposed, *MIGHT_BE)]


MIGHT_BE = (
    ProposedMedication(drug="denosumab", dose=Decimal(120), route="SC", interval_days=28),
    ProposedMedication(drug="denosumab", dose=Decimal(60), route="SC", interval_days=182),
    ProposedMedication(drug="zoledronic", dose=Decimal(4), route="IV", interval_days=28),
    ProposedMedication(drug="calcium-oral", dose=Decimal(500), route="PO", times_per_day=1),
)


@pytest.mark.parametrize("hook", ["patient-view", "order-sign"])
def test_suggestions_that_share_a_chart_are_judged_as_each_by_itself(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = [vignette.facts for vignette in CASES[::3]]
    for number in range(60):
        chance = random.Random(number)
        patients.append(replace(drawn(chance), orders=any_orders(chance) if hook == "order-sign" else ()))
    together = [objections(facts, hook) for facts in patients]
    assert {why for found in together for whys in found for why in whys} >= {"DOSE-010", "DOSE-014", "BP-011"}
    assert not any("unchecked" in whys for found in together for whys in found)
    monkeypatch.setattr(ChartAlone, "shared", lambda _, case, compute: compute(case))
    monkeypatch.setattr(Case, "may_hold", lambda *_: True)
    assert [objections(facts, hook) for facts in patients] == together


def test_what_hangs_on_the_orders_is_not_shared_between_suggestions() -> None:
    chart = ChartAlone(Facts(as_of=CASES[0].facts.as_of), "order-sign")
    orders = [(Order(reference=f"MedicationRequest/{number}"),) for number in range(2)]
    counted: list[str] = []

    def of_the_chart(case: Case) -> str:
        counted.append("chart")
        return str(case.facts.dx.mm.value)

    def of_the_orders(case: Case) -> str:
        return case.facts.orders[0].reference

    def of_what_was_said(case: Case) -> bool:
        return case.fired("BP-001").yes

    for drafted in orders:
        case = chart.with_orders(drafted)
        assert case.once(of_the_chart) == "False"
        assert case.once(of_the_orders) == drafted[0].reference
        assert not case.once(of_what_was_said)
    assert counted == ["chart"]


def test_a_topic_that_fails_is_named_and_the_others_still_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Case) -> Iterator[Advice]:
        raise ZeroDivisionError(case.hook)

    topics = tuple(replaced(topic, rules=broken) if topic.name == "workup" else topic for topic in TOPICS)
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


def test_a_section_says_only_the_rules_that_it_is_asked_for_by_and_none_holds_where_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[str] = set()
    forgotten: set[str] = set()

    def checked(
        case: Case,
        section: Callable[..., Iterable[Advice]],
        *rules: str,
        where: Callable[[], Logical] | None = None,
        of: Order | None = None,
    ) -> Iterator[Advice]:
        applies = True if where is None else where().criterion().holds
        file = section.__module__.replace(".", "/") + ".py"
        for advice in section(case) if of is None else section(case, of):
            asked.add(advice.rule)
            if advice.rule not in rules:
                forgotten.add(f'{file}: write "{advice.rule}" into case.asked({section.__name__}, …)')
            if (applies is False and not advice.because.no) or (applies is None and advice.because.yes):
                forgotten.add(f"{file}: {advice.rule} may hold where case.asked({section.__name__}, …) passes it over")
            yield advice

    monkeypatch.setattr(Case, "asked", checked)
    for vignette in CASES:
        assess(vignette.facts, vignette.hook, whole=True)
    assert not forgotten, "\n".join(sorted(forgotten))
    assert {"BP-001", "BP-034", "MON-001", "SUPP-003"} <= asked
