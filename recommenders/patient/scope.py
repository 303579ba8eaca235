"""Whether a patient, or an order at hand, is any of our business (specification §0.7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recommenders.patient.cancer import any_cancer
from recommenders.patient.derived import GUIDANCE
from recommenders.vocabulary.guidance import CHART_HOOKS
from recommenders.vocabulary.logic import Criterion, given
from recommenders.vocabulary.records import ONCOLOGIC

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.records import Order

OSTEOPOROSIS_ORDER_RULES: frozenset[str] = frozenset(
    {
        "DOSE-014",
        "DOSE-015",
        "DOSE-016",
        "DOSE-019",
        "DOSE-024",
        "DOSE-025",
        "DOSE-026",
        "DOSE-027",
        "DOSE-030",
        "DOSE-031",
    }
)
"""What is asked of an osteoporosis order of a patient without a diagnosis of ours: what the product itself forbids."""

DENTAL_ORDER_RULES: frozenset[str] = frozenset({"DOSE-031", "MON-013"})
"""What is asked of dental surgery of a patient without a diagnosis of ours who has an antiresorptive agent."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`kind` tells what brought the call into scope; `only` restricts the rules (None: all)."""

    kind: Literal["diagnosis", "order", "osteoporosis-order", "dental-order", "none"]
    only: frozenset[str] | None = None


def scope_of(case: Case) -> Scope:
    """Tell what brings this call into scope; `none` means no card at all."""
    facts, is_ours = case.facts, case.once(disease_of_ours)
    if facts.patient.deceased.value is True:
        return Scope("none")
    if case.hook in CHART_HOOKS:
        return Scope("diagnosis") if is_ours else Scope("none")
    at_hand = case.orders_at_hand
    if not at_hand:
        return Scope("none")
    if is_ours:
        return Scope("diagnosis")
    if any(is_oncologic(order) for order in at_hand):
        return Scope("order")
    if any(order.is_bma for order in at_hand):
        return Scope("osteoporosis-order", OSTEOPOROSIS_ORDER_RULES)
    if facts.courses.items and any("invasive-dental" in order.kinds for order in at_hand):
        return Scope("dental-order", DENTAL_ORDER_RULES)
    return Scope("none")


def disease_of_ours(case: Case) -> bool:
    """Tell whether a disease brings the patient into scope; to be asked for as `case.once(disease_of_ours)`."""
    facts, dx, limits = case.facts, case.facts.dx, case.limits(GUIDANCE)
    named = (dx.lung_cancer, dx.mm, dx.smm, dx.mgus, dx.plasmacytoma, dx.pcl, dx.osteosarcoma, dx.sts, dx.bone_met)
    # what the record contradicts is asked about: unknown for that reason is in scope
    told_twice = (dx.lung_cancer, dx.bone_met, dx.plasmacytoma, dx.pcl, dx.osteosarcoma, dx.sts)
    return (
        any(finding.criterion().yes for finding in (*named, facts.local.ortho_first_presentation))
        or any(finding.is_contradictory().yes for finding in told_twice)
        or codes_disagree(facts).yes
        or (any_cancer(facts) & (facts.lab.ca_corr > limits.hypercalcaemia)).yes
    )


def codes_disagree(facts: Facts) -> Criterion:
    """Tell whether the record contradicts itself on which plasma-cell disorder it is; never unknown."""
    dx = facts.dx
    classes = (dx.mm, dx.smm, dx.mgus)
    left_open = [fact for fact in classes if fact.reason == "suspected"]
    return given(len(left_open) > 1 or any(fact.reason == "contradictory" for fact in classes))


def is_oncologic(order: Order) -> bool:
    """Tell whether an order is in scope by itself: an oncologic BMA, ifosfamide, melphalan or a radionuclide."""
    if order.is_bma:
        return order.drug in ONCOLOGIC
    return any(kind in {"ifosfamide", "melphalan", "radionuclide"} for kind in order.kinds)
