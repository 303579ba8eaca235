"""Order safety: dose, route, interval, kidneys, calcium and duplicates of what is being ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.ordering.before_a_dose import kidneys_and_calcium_known
from recommenders.ordering.denosumab import denosumab, denosumab_and_weak_kidneys, kidneys_weak
from recommenders.ordering.duplicates import same_drug_twice, several_agents, two_agents
from recommenders.ordering.every_agent import allergic, child_or_pregnancy, overdosed, pushed, too_early, wrong_route
from recommenders.ordering.extreme_weight import extreme_weight
from recommenders.ordering.other_agents import ibandronate, incadronate, incadronate_maximum, without_dosing_rule
from recommenders.ordering.parts import GUIDANCE, WITHOUT_DOSING_RULE, ZOLEDRONIC
from recommenders.ordering.teeth import dental_surgery
from recommenders.ordering.zoledronic import zoledronic
from recommenders.patient.earlier_doses import last_dose
from recommenders.patient.order_intent import intent_of
from recommenders.patient.renal import ibandronate_dose, zoledronic_dose
from recommenders.patient.scope import scope_of
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from decimal import Decimal

    from recommenders.patient.advice import Advice, Case, Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.records import Order

__all__ = ["GUIDANCE", "concerns", "rules", "values"]

BY_DRUG: Mapping[str, Callable[[Case, Order], Iterable[Advice]]] = {
    **dict.fromkeys(sorted(DENOSUMAB), denosumab),
    **dict.fromkeys(sorted(ZOLEDRONIC), zoledronic),
    "ibandronate": ibandronate,
    "incadronate": incadronate,
    **dict.fromkeys(sorted(WITHOUT_DOSING_RULE), without_dosing_rule),
}
"""What is asked of one agent only."""

HARMS_A_FETUS = frozenset({"bma", "ifosfamide", "melphalan"})


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case, order by order."""
    for order in case.orders_at_hand:
        yield from _of_one_order(case, order)
    yield from case.asked(denosumab_and_weak_kidneys, "DOSE-013", where=lambda: kidneys_weak(case))
    yield from case.asked(two_agents, "DOSE-014", "DOSE-015", "DOSE-016", where=lambda: several_agents(case))


def _of_one_order(case: Case, order: Order) -> Iterator[Advice]:
    if order.is_bma:
        if (of_this_drug := BY_DRUG.get(order.drug or "")) is not None:
            yield from of_this_drug(case, order)
        yield from kidneys_and_calcium_known(case, order)
        yield from case.asked(too_early, "DOSE-017", of=order)
        yield from case.asked(overdosed, "DOSE-019", of=order)
        yield from case.asked(wrong_route, "DOSE-025", of=order)
        yield from case.asked(same_drug_twice, "DOSE-027", of=order)
    if HARMS_A_FETUS.intersection(order.kinds):
        yield from case.asked(child_or_pregnancy, "DOSE-021", of=order)
    if "invasive-dental" in order.kinds:
        yield from case.asked(dental_surgery, "DOSE-031", of=order)
    yield from case.asked(allergic, "DOSE-024", of=order)
    yield from case.asked(pushed, "DOSE-026", of=order)
    yield from case.asked(extreme_weight, "DOSE-032", of=order)


def concerns(case: Case) -> bool:
    """Leave out charts in which no bone-modifying agent was ever ordered or given."""
    return bool(case.facts.courses.items) or not case.facts.courses.delivered


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11), whether or not a rule fires."""
    if case.once(scope_of).only is not None:  # an osteoporosis order by itself: oncologic doses do not apply
        return {}
    facts = case.cautious()
    found: dict[str, Value | None] = {
        "zoledronic_recommended_dose_mg": _recommended_zoledronic(case, facts),
        "ibandronate_recommended_dose_mg": ibandronate_dose(case, facts.lab.crcl),
        "incadronate_max_dose_mg": incadronate_maximum(case),
        "days_since_last_bma": _days_since_last_bma(case),
    }
    if facts.lab.crcl.rounded is not None and facts.lab.crcl.is_known:
        found["crcl_ml_min"] = facts.lab.crcl.rounded
    return {key: value for key, value in found.items() if value is not None}


def _recommended_zoledronic(case: Case, facts: Facts) -> Decimal | None:
    drafts = [order for order in case.orders_at_hand if order.drug in ZOLEDRONIC]
    if drafts and all(intent_of(case, order).elsewhere.yes for order in drafts):
        return None
    return zoledronic_dose(case, facts.lab.crcl)


def _days_since_last_bma(case: Case) -> int | None:
    for order in case.orders_at_hand:
        if order.is_bma and (last := last_dose(case, order.drug)) is not None:
            return (case.facts.as_of - last.dose.date).days
    if not case.facts.courses.items:
        return None
    newest = max(
        (last.dose.date for drug in DENOSUMAB | BISPHOSPHONATES if (last := last_dose(case, drug)) is not None),
        default=None,
    )
    return None if newest is None else (case.facts.as_of - newest).days
