"""The vignettes' facts as the parameters of the CQL libraries, and what the rules say of the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recommenders.assessing.assessment import seen_at
from recommenders.assessing.topics import TOPICS
from recommenders.ordering.duplicates import _together
from recommenders.patient.advice import Case
from recommenders.patient.bone_agents import waits_for_calcium
from recommenders.patient.courses import bma
from recommenders.patient.earlier_doses import day_of, days_since, given_before, last_dose, same_family
from recommenders.patient.explanations import explanations
from recommenders.patient.lesions import possible_sites
from recommenders.patient.myeloma_bone import examinations_read, stop_criteria
from recommenders.patient.myeloma_class import over_months
from recommenders.patient.myeloma_risk import has_relapsed
from recommenders.patient.scope import scope_of
from recommenders.vocabulary.facts import Finding, Reading
from recommenders.vocabulary.logic import Truth
from recommenders.vocabulary.records import DENOSUMAB
from tests.vignettes import Vignette

if TYPE_CHECKING:
    from recommenders.patient.advice import Advice
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Lesion, Order

Parameters = dict[str, Any]
FINEST = Decimal("0.00000001")
"""The step of CQL's decimals: an open end is the next number inside it."""

NOT_ROUNDED = frozenset({"lab.creatinine", "patient.weight", "patient.height", "lab.ca_total", "lab.albumin"})
"""What is calculated with before it is rounded."""
WHOLE = frozenset({"DOSE-003", "BP-001", "BP-002", "BP-010", "BP-020", "BP-021"})
"""Rules whose CQL has what makes them silent ("already protected") as well; of the others it has the finding alone."""


def number(reading: Reading, *, rounded: bool = True) -> dict[str, float] | None:
    """A reading as a closed interval; None where it is not known."""
    if not reading.is_known or reading.low is None or reading.high is None:
        return None
    low, high = reading.low, reading.high
    if rounded:
        low, high = reading._round(low), reading._round(high)
    low += FINEST if reading.low_open else 0
    high -= FINEST if reading.high_open else 0
    return {"low": float(low), "high": float(high)}


def plain(fact: Fact) -> Any:
    """A fact as CQL takes it."""
    if isinstance(fact, Finding):
        return fact.value if fact.is_known else None
    if not isinstance(fact, Reading):
        raise TypeError(fact.name)
    return number(fact, rounded=fact.name not in NOT_ROUNDED)


def facts_at(facts: Facts, *paths: str) -> Parameters:
    """The facts of these paths."""
    return {path: plain(facts.fact(path)) for path in paths}


# --- one order ------------------------------------------------------------------------------------------------


def of_an_order(case: Case, order: Order | None, told: Facts) -> Parameters:
    """What OncoBoneOrders is asked with; `told` are the facts before anything was calculated."""
    facts, recorded = case.cautious(), case.facts
    lab = facts.lab
    hypercalcaemia = facts.dx.hypercalcaemia_malignancy
    found = facts_at(
        facts,
        *("patient.age", "patient.weight", "patient.sex", "patient.pregnant", "lab.creatinine"),
        *("lab.creatinine_baseline", "lab.ca_total", "lab.albumin", "lab.ca_lln", "other.dialysis", "dx.bone_met"),
        *("dx.mm", "dx.smm", "dx.osteoporosis", "dx.giant_cell_tumour", "allergy.denosumab", "allergy.bisphosphonate"),
        "allergy.mesna",
    ) | {
        "lab.crcl": _told_clearance(lab.crcl, told),
        "lab.ca_corr": number(lab.ca_corr) if told.lab.ca_corr.is_known else None,
        "lab.creatinine_rise": number(lab.creatinine_rise) if told.lab.creatinine_rise.is_known else None,
        "lab.creatinine_is_contradictory": recorded.lab.creatinine.reason == "contradictory",
        "lab.ca_total_is_contradictory": recorded.lab.ca_total.reason == "contradictory",
        "dx.hypercalcaemia_malignancy": hypercalcaemia.value is True and "calculated" not in hypercalcaemia.flags,
        "scope.osteoporosis_only": scope_of(case).kind == "osteoporosis-order",
        "bma.any": case.once(bma).any.any().holds,
        "bma.any_denosumab": case.once(bma).any.includes(DENOSUMAB).holds,
        "allergy.ingredients": [drug for one in facts.allergies if not one.doubtful for drug in one.drugs],
        "allergy.ingredients_in_doubt": [drug for one in facts.allergies if one.doubtful for drug in one.drugs],
    }
    return found if order is None else found | _order(case, order)


def of_an_order_beside_others(case: Case, order: Order | None) -> Parameters:
    """What OncoBoneTogether is asked with."""
    together, drafts = _together(case), [draft for draft in case.facts.orders if draft.is_bma]
    found: Parameters = {
        "bma.together": sorted(together.chart.classes | {str(draft.drug) for draft in together.drafts}),
        "bma.maybe_together": sorted({course.drug for course in together.chart.possible}),
        "bma.list_is_whole": together.chart.listed.delivered,
        "drafts.records": [name for draft in drafts for name in (draft.reference, *draft.replaces)],
        "chart.orders": [
            {
                "drug": course.drug,
                "status": course.status,
                "interval_days": None if course.interval_days is None else float(course.interval_days),
                "records": list(course.resources),
            }
            for course in case.facts.courses
        ],
    }
    if order is None:
        return found
    place = case.facts.orders.index(order)
    others = [
        other
        for number, other in enumerate(case.facts.orders)
        if other is not order and not (other.at_hand and number > place)
    ]
    return found | {
        "order.drug": order.drug,
        "order.kinds": list(order.kinds),
        "order.loading": plain(order.loading),
        "order.starts_in_days": _starts_in_days(case, order),
        "drafts": [
            {"drug": other.drug, "loading": plain(other.loading), "starts_in_days": _starts_in_days(case, other)}
            for other in others
        ],
    }


def _starts_in_days(case: Case, order: Order) -> int | None:
    return None if order.starts is None else (order.starts - case.facts.as_of).days


def of_a_weight(case: Case, order: Order, told: Facts) -> Parameters:
    """What OncoBoneWeight is asked with."""
    return (
        of_an_order(case, order, told)
        | facts_at(case.facts, "patient.height")
        | {"order.dose_mg_m2": plain(order.dose_mg_m2)}
    )


def _told_clearance(clearance: Reading, told: Facts) -> dict[str, float] | None:
    """A clearance that the case tells; what follows from creatinine CQL calculates."""
    by_us = "calculated" in clearance.flags and "calculated" not in told.lab.crcl.flags
    return None if by_us else number(clearance)


def _order(case: Case, order: Order) -> Parameters:
    parts = ("dose_mg", "largest_dose_mg", "route", "interval_days", "infusion_min", "diluent_ml", "push", "loading")
    found = {f"order.{name}": plain(getattr(order, name)) for name in (*parts, "indication")}
    if order.infusion_min.value is not None:
        found["order.infusion_min"] = number(order.infusion_min, rounded=order.infusion_min.value >= 1)
    return found | {
        "order.drug": order.drug,
        "order.kinds": list(order.kinds),
        "order.product_mismatch": order.product_mismatch,
        "bma.given_before": given_before(case, same_family(order.drug)).holds,
        "bma.days_since_last_dose": number(days_since(last_dose(case, order.drug), day_of(case, order))),
    }


# --- one lesion -----------------------------------------------------------------------------------------------


def of_a_lesion(lesion: Lesion) -> Parameters:
    """What OncoBoneMirels is asked with."""
    parts = ("nature", "type", "cortical_fraction", "pain", "axial_cortical_mm")
    return {f"lesion.{name}": plain(getattr(lesion, name)) for name in parts} | {
        "lesion.site": list(possible_sites(lesion.site))
    }


# --- one patient ----------------------------------------------------------------------------------------------


def of_a_myeloma(case: Case, told: Facts) -> Parameters:
    """What OncoBoneMyeloma is asked with."""
    facts, lately = case.facts, case.once(over_months)
    lab = lately.lab
    return (
        facts_at(
            facts,
            *("patient.age", "patient.weight", "patient.sex", "dx.mm", "dx.smm", "dx.mgus", "dx.plasmacytoma"),
            *("dx.pcl", "dx.amyloidosis", "mm.m_protein", "mm.urine_m_protein", "mm.flcr", "mm.flc_involved"),
            *("mm.bmpc", "mm.mri_focal", "mm.lytic_lesions", "mm.plasmacytoma_biopsy", "mm.b2m", "mm.baseline_albumin"),
            *("mm.baseline_ldh", "cyto.del17p", "cyto.t4_14", "cyto.t14_16", "cyto.gain1q", "cyto.high_risk_riss"),
        )
        | facts_at(lately, "lab.ca_total", "lab.albumin", "lab.ca_uln", "lab.creatinine", "lab.egfr", "lab.hb")
        | {
            "lab.crcl": _told_clearance(lab.crcl, told),
            "lab.ca_corr": number(lab.ca_corr) if told.lab.ca_corr.is_known else None,
            "lab.hb_lower_limit": _edge(lab.hb.reference_low),
            "mm.baseline_ldh_upper_limit": _edge(facts.mm.baseline_ldh.reference_high),
            "mm.relapsed": has_relapsed(facts).holds,
            "mm.onset_is_known": facts.mm.onset_date.is_known,
        }
    )


def _edge(limit: Decimal | None) -> float | None:
    return None if limit is None else float(limit)


def of_a_start(case: Case, told: Facts) -> Parameters:
    """What OncoBoneProtection is asked with."""
    facts, drugs = case.facts, case.once(bma)
    return (
        of_a_myeloma(case, told)
        | facts_at(
            facts,
            *("status.life_expectancy", "dx.lung_cancer", "dx.other_solid_cancer", "dx.bone_met", "dx.osteoporosis"),
            *("dx.hypercalcaemia_malignancy", "onj.status", "mm.on_antimyeloma", "mm.pet_focal_active"),
            "mm.bone_metabolic_abnormal",
        )
        | {
            "lab.ca_corr_recent": number(facts.lab.ca_corr),
            "bma.current": drugs.current.any().holds,
            "bma.past": drugs.past.any().holds,
            "bma.stop_criteria": case.once(stop_criteria).met.holds,
            "lab.calcium_is_awaited": waits_for_calcium(case).holds,
            "mm.events_are_explained": case.once(explanations).all.holds,
            "mm.examination_is_unread": examinations_read(case).unknown,
        }
    )


# --- what the rules say ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One vignette as it is asked, and what the rules said of it: rule -> its advices."""

    vignette: Vignette
    case: Case
    said: dict[str, list[Advice]] = field(default_factory=dict)

    @property
    def questions(self) -> list[tuple[str, Parameters]]:
        """The libraries to be asked, each with its parameters."""
        told = self.vignette.facts
        orders = [*self.case.orders_at_hand, None]
        return [
            *(("OncoBoneOrders", of_an_order(self.case, order, told)) for order in orders),
            *(("OncoBoneTogether", of_an_order_beside_others(self.case, order)) for order in orders),
            *(("OncoBoneWeight", of_a_weight(self.case, order, told)) for order in self.case.orders_at_hand),
            *(("OncoBoneMirels", of_a_lesion(lesion)) for lesion in self.case.facts.lesions),
            ("OncoBoneMyeloma", of_a_myeloma(self.case, told)),
            ("OncoBoneProtection", of_a_start(self.case, told)),
        ]

    def holds(self, rule: str) -> Truth:
        """What a rule says: yes, no or unknown; of several orders or lesions yes where it is of one."""
        return any_of(
            False if advice.superseded else (advice.whole if rule in WHOLE else advice.because).holds
            for advice in self.said.get(rule, ())
        )


def ask(vignette: Vignette) -> Asked:
    """Hear all rules on one vignette."""
    case = Case(seen_at(vignette.facts, vignette.hook), vignette.hook, whole=True)
    asked = Asked(vignette, case)
    for topic in TOPICS:
        for advice in topic.rules(case):
            case.hear(advice, topic.guidance.rules[advice.rule].supersedes)
            asked.said.setdefault(advice.rule, []).append(advice)
    return asked


def any_of(truths: Iterable[Truth]) -> Truth:
    """Kleene's or."""
    found = set(truths)
    return True if True in found else None if None in found else False
