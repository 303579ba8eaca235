"""Which bone-modifying agent may be started in this patient, and the orders that may be suggested for it."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from recommenders.patient.advice import Proposal, ProposedMedication
from recommenders.patient.courses import ZOLEDRONIC, bma, bma_orders, dosed_within
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.precautions import bare, both_supplements, is_minor, jaw_at_risk, recent_dental_check
from recommenders.patient.recency import windows
from recommenders.patient.renal import ibandronate_dose, zoledronic_dose
from recommenders.patient.services import ask_together, asked_lately
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, YES, Criterion, all_of, any_of, documented, given
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB, ONCOLOGIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("bone_protection")
PROPOSED: Mapping[str, int] = GUIDANCE.tables["proposed"]
"""What a suggested order contains; the prescriber can change it."""

# --- may one be started? ------------------------------------------------------------------------------------


def unsafe_to_start(case: Case) -> Criterion:
    """Tell whether the record forbids a start: jaw osteonecrosis, low calcium, a child; never unknown."""
    return case.once(_unsafe_to_start)


def _unsafe_to_start(case: Case) -> Criterion:
    facts, limits = case.facts, case.limits(GUIDANCE)
    return any_of(
        (
            documented(jaw_at_risk(facts)),
            documented(facts.lab.ca_corr < limits.hypocalcaemia),
            is_minor(case),
        )
    )


def start_pressed(case: Case) -> Criterion:
    """Tell whether a start is advised in this call, and more than considered; asked once these rules have spoken."""
    return case.once(_start_pressed)


def _start_pressed(case: Case) -> Criterion:
    return case.fired("BP-001") | case.fired("BP-002") | case.fired("BP-020")


def start_advised(case: Case) -> Criterion:
    """Tell whether a start is advised in this call, or may be considered."""
    return case.once(_start_advised)


def _start_advised(case: Case) -> Criterion:
    return start_pressed(case) | case.fired("BP-021")


def calcium_known_for_an_order(case: Case) -> Criterion:
    """Tell whether calcium is recent enough to sign an order of a bone agent on it; never unknown."""
    return case.once(_calcium_known)


def _calcium_known(case: Case) -> Criterion:
    return case.facts.lab.ca_total.within(windows("order", case.site)["lab.ca_total"], case.facts.as_of)


def waits_for_calcium(case: Case) -> Criterion:
    """Tell whether a start waits for nothing but a calcium that is already ordered; never unknown."""
    return ~calcium_known_for_an_order(case) & asked_lately(case, "calcium")


def agent_offered(case: Case) -> Criterion:
    """Tell whether at least one agent can be suggested here: calcium is known, and neither class is ruled out."""
    facts = case.facts
    allergic_to_both = facts.allergy.denosumab & facts.allergy.bisphosphonate
    return all_of(
        (
            calcium_known_for_an_order(case),
            ~documented(facts.patient.pregnant),
            ~documented(allergic_to_both),
            ~unsafe_to_start(case),
        )
    )


def on_osteoporosis_drug(case: Case) -> Criterion:
    """Tell whether an antiresorptive of osteoporosis strength is on record (it does not protect from SREs)."""
    return case.once(bma).any.includes((DENOSUMAB | BISPHOSPHONATES) - ONCOLOGIC)


def is_dose_for_cancer(case: Case, order: Order) -> Criterion:
    """Tell whether an order has the dose used against cancer, not against osteoporosis (BP-004)."""
    limits = case.limits(GUIDANCE)
    if order.drug in {"denosumab-120", "incadronate", "pamidronate"}:
        return YES
    if order.drug == "denosumab-unspecified":
        return order.dose_mg >= limits.oncologic_denosumab
    if order.drug == "zoledronic":
        return order.dose_mg >= limits.oncologic_zoledronic
    if order.drug == "ibandronate":
        return (order.dose_mg >= limits.oncologic_ibandronate) & order.route.is_("IV")
    return NO


# --- orders that may be suggested ---------------------------------------------------------------------------

ZOLEDRONIC_BUTTON = "zoledronic-acid"
DENOSUMAB_BUTTON = "denosumab"
SUPPLEMENTS_BUTTON = "supplements"


@cache  # made of closed lists: a few, for all patients
def denosumab(reasons: tuple[str, ...]) -> Proposal:
    """Give denosumab for cancer as one of the alternatives."""
    order = ProposedMedication(
        drug="denosumab",
        dose=Decimal(PROPOSED["denosumab_mg"]),
        route="SC",
        interval_days=PROPOSED["denosumab_interval_days"],
    )
    return Proposal(button=DENOSUMAB_BUTTON, items=(order,), alternative="agent", reasons=reasons)


def zoledronic_acid(case: Case, reasons: tuple[str, ...]) -> Iterator[Proposal]:
    """Give zoledronic acid, at the dose that the clearance allows, as one of the alternatives; else nothing."""
    dose = zoledronic_dose(case, case.facts.lab.crcl)
    if dose is None:
        return
    order = ProposedMedication(
        drug="zoledronic",
        dose=dose,
        route="IV",
        interval_days=PROPOSED["bisphosphonate_interval_days"],
        infusion_min=PROPOSED["infusion_minutes"],
    )
    fill: Mapping[str, Fill] = {"zoledronic_recommended_dose_mg": dose}
    yield Proposal(button=ZOLEDRONIC_BUTTON, items=(order,), alternative="agent", reasons=reasons, fill=fill)


def supplements(case: Case) -> Iterator[Proposal]:
    """Give calcium and vitamin D, where neither is taken and calcium is known to allow it."""
    both = both_supplements(case)
    if both and calcium_known_for_an_order(case).yes:
        yield Proposal(button=SUPPLEMENTS_BUTTON, items=both)


def dental_check(case: Case, button: str) -> Iterator[Proposal]:
    """Give a dental examination, unless there was one within 6 months or one is ordered."""
    if not (recent_dental_check(case) | asked_lately(case, "dental-examination")).yes:
        yield ask_together(button, "dental-examination")


def same_bisphosphonate(
    case: Case, button: str, interval_days: int | None = None, reasons: tuple[str, ...] = ()
) -> Iterator[Proposal]:
    """
    Give the bisphosphonate that is running once more, at another interval (None: the prescriber's to set).

    Nothing for denosumab (its rebound wants a plan), for two drugs at once, or where no dose can be worked out.
    """
    courses = case.once(bma).current.courses
    if len(courses) != 1:
        return
    running, crcl = courses[0], case.facts.lab.crcl
    if running.drug == "zoledronic" and (dose := zoledronic_dose(case, crcl)) is not None:
        order = ProposedMedication(
            drug="zoledronic",
            dose=dose,
            route="IV",
            interval_days=interval_days,
            infusion_min=PROPOSED["infusion_minutes"],
        )
    elif running.drug == "ibandronate" and running.dose_mg == ibandronate_dose(case, crcl) is not None:
        order = ProposedMedication(drug="ibandronate", dose=running.dose_mg, route="IV", interval_days=interval_days)
    elif running.drug == "incadronate" and running.dose_mg is not None:
        order = ProposedMedication(drug="incadronate", dose=running.dose_mg, route="IV", interval_days=interval_days)
    else:
        return
    yield Proposal(button=button, items=(order,), reasons=reasons)


# --- hypercalcaemia -----------------------------------------------------------------------------------------

CALCIUM = ("lab.ca_total", "dx.hypercalcaemia_malignancy")


def zoledronic_recently(case: Case) -> Criterion:
    """Tell whether zoledronic acid was given so lately that it is not to be repeated for hypercalcaemia."""
    return case.once(_zoledronic_recently)


def _zoledronic_recently(case: Case) -> Criterion:
    return dosed_within(case, ZOLEDRONIC, case.limits(GUIDANCE).hypercalcaemia_retreatment)


def denosumab_recently(case: Case) -> Criterion:
    """Tell whether denosumab was given so lately that it still acts."""
    return case.once(_denosumab_recently)


def _denosumab_recently(case: Case) -> Criterion:
    return dosed_within(case, DENOSUMAB, case.limits(GUIDANCE).denosumab_still_acts)


def kidneys_forbid_zoledronic_acid(case: Case) -> Criterion:
    """Tell whether creatinine is above 400 µmol/L, or dialysis is on record: then not even for hypercalcaemia."""
    return case.once(_kidneys_forbid)


def _kidneys_forbid(case: Case) -> Criterion:
    facts = case.facts
    return (facts.lab.creatinine > case.limits(GUIDANCE).hypercalcaemia_creatinine) | facts.other.dialysis


def zoledronic_acid_for_hypercalcaemia(case: Case, button: str) -> Iterator[Proposal]:
    """Give zoledronic acid once, where the label's limits and the site's precautions allow it; else nothing."""
    facts = case.facts
    if not kidneys_forbid_zoledronic_acid(case).no:
        return
    fits = all_of(
        (
            facts.patient.age >= case.limits(COMMON).adult_age,
            ~jaw_at_risk(facts),
            ~zoledronic_recently(case),
            ~denosumab_recently(case),
            given(not bma_orders(case)),
        )
    )
    if not fits.yes:
        return
    once = ProposedMedication(
        drug="zoledronic",
        dose=case.limits(GUIDANCE).hypercalcaemia_dose.value,
        route="IV",
        infusion_min=PROPOSED["infusion_minutes"],
        once=True,
        indication="hypercalcaemia",
    )
    yield Proposal(button=button, items=(once,), reasons=CALCIUM)


def months_on_treatment(case: Case) -> Mapping[str, Fill]:
    """Give the months for a sentence; a lower bound when older history was not delivered."""
    return {"bma_months": bare(case.once(bma).months)}
