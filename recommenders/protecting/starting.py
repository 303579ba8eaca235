"""Starting and stopping a bone-modifying agent, whatever the disease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Proposal, ProposedService
from recommenders.patient.bone_agents import start_advised, start_pressed
from recommenders.patient.checklist import CheckItem, calcium_and_creatinine, electrolytes, imaging
from recommenders.patient.courses import GUIDANCE as COURSES
from recommenders.patient.courses import ZOLEDRONIC, bma, bma_orders, days_since_dose, first_dose
from recommenders.patient.myeloma_bone import smouldering_verdicts
from recommenders.patient.myeloma_class import myeloma_class
from recommenders.patient.myeloma_risk import high_by_mayo
from recommenders.patient.precautions import is_minor, kidneys_failing
from recommenders.patient.services import not_asked_lately
from recommenders.protecting.parts import GUIDANCE
from recommenders.vocabulary.guidance import CHART_HOOKS
from recommenders.vocabulary.logic import NO, Criterion, all_of, documented, given
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB, ONCOLOGIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case


def starting(case: Case) -> Iterator[Advice]:
    """BP-008 and BP-009: what belongs to a start that is advised or being ordered."""
    yield Advice(rule="BP-008", because=start_advised(case))
    yield from checklist(case)


def starting_in_myeloma(case: Case) -> Iterator[Advice]:
    """BP-032 and BP-036: kidneys and high risk, where a start is advised in a plasma-cell disorder."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    start_in_myeloma = case.fired("BP-020") | case.fired("BP-021")

    active_myeloma = dx.mm | case.once(myeloma_class).is_active_mm
    weak_kidneys = (facts.lab.crcl < limits.reduced_clearance) | facts.other.dialysis
    failing = kidneys_failing(case)
    yield Advice(
        rule="BP-032",
        because=all_of(
            (active_myeloma, ~is_minor(case), weak_kidneys, start_in_myeloma | drugs.current.includes(BISPHOSPHONATES)),
        ),
        holds={
            "zoledronic-acid-unsuitable": failing & drugs.current.includes(ZOLEDRONIC),
            "no-start-advised": ~documented(case.fired("BP-020")),
            "kidneys-failing": failing,
        },
    )

    high_risk = dx.mm | (dx.smm & (case.once(smouldering_verdicts).imwg | high_by_mayo(case)))
    yield Advice(rule="BP-036", because=start_in_myeloma & high_risk, unless=drugs.current.any())


def checklist(case: Case) -> Iterator[Advice]:
    """
    BP-009: what is still missing before a first dose, advised or being ordered.

    At an order calcium and creatinine have rules of their own (DOSE-010, DOSE-011).
    """
    if case.hook in CHART_HOOKS:
        items = (imaging(case), *calcium_and_creatinine(case), *electrolytes(case))
        yield _checklist(case, start_advised(case), items, only_smouldering=~documented(start_pressed(case)))
    for order in bma_orders(case):
        yield _checklist(case, first_dose(case, order), (imaging(case), *electrolytes(case)), order=order.reference)


def _checklist(
    case: Case,
    first_dose_ahead: Criterion,
    items: tuple[CheckItem, ...],
    *,
    only_smouldering: Criterion = NO,
    order: str | None = None,
) -> Advice:
    missing = [item for item in items if not item.there.yes and not_asked_lately(case, item.tests)]
    tests = not_asked_lately(case, dict.fromkeys(test for item in missing for test in item.tests))
    names = tuple(item.name for item in missing)
    proposals = (Proposal(button="tests", items=tuple(ProposedService(service=test) for test in tests)),)
    return Advice(
        rule="BP-009",
        because=first_dose_ahead,
        unless=given(not missing),
        holds={"only-smouldering": only_smouldering},
        fill={"items": names},
        proposals=proposals if tests else (),
        order=order,
    )


def stopping_denosumab(case: Case) -> Iterator[Advice]:
    """BP-034: stopping or spacing denosumab."""
    drugs, limits = case.once(bma), case.limits(COURSES)

    on_denosumab = drugs.current.includes({"denosumab-120"})
    told_to_stop_or_space = case.fired("BP-023") | case.fired("BP-026") | case.fired("BP-006")
    denosumab_before = drugs.past.includes(DENOSUMAB)
    since = days_since_dose(case, ONCOLOGIC & DENOSUMAB)
    another_being_ordered = given(any(order.drug not in DENOSUMAB for order in bma_orders(case)))
    unprotected = ~drugs.any.any() & ~another_being_ordered
    yield Advice(
        rule="BP-034",
        because=(on_denosumab & told_to_stop_or_space)
        | (denosumab_before & (since > limits.current_after_last_dose) & unprotected),
        holds={
            "long-ago": ~documented(on_denosumab) & (since > limits.course_gap),
            "spacing-advised": on_denosumab & told_to_stop_or_space,
            "stopped": ~documented(on_denosumab),
        },
    )
