"""Myeloma treatment: what trials and cohorts found, quoted as evidence; never a choice of drug or dose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase
from recommenders.patient.courses import bma
from recommenders.patient.melphalan import MelphalanOrder, melphalan_orders
from recommenders.patient.myeloma_class import may_have_plasma_cells, myeloma_class, plasma_cell_disorder
from recommenders.vocabulary.facts import Finding, Reading, known
from recommenders.vocabulary.guidance import ORDER_HOOKS, guidance
from recommenders.vocabulary.logic import Criterion, all_of, any_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Value

GUIDANCE = guidance("myeloma_treatment")


_BAD_MARKER = {
    "mm.pet_pretransplant": "pet-positive",
    "mm.mrd": "mrd-positive",
    "cyto.high_risk_riss": "high-risk",
}
"""Marker of the melphalan study -> the phrase for its bad result."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Which group of the melphalan study this patient would belong to (TX-010, TX-011)."""

    before_transplant: Criterion
    unfavourable: Criterion
    favourable: Criterion
    missing: tuple[Finding, ...]
    bad: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> tuple[Fill, ...]:
        """What puts the patient into the unfavourable group, each with its day."""
        return tuple(
            Phrase(_BAD_MARKER[finding.name], {"day": finding.date})
            if finding.date is not None
            else Phrase(f"{_BAD_MARKER[finding.name]}-undated")
            for finding in self.bad
        )

    @property
    def word(self) -> str:
        """`200`, `140` or `undetermined`."""
        return "200" if self.unfavourable.yes else "140" if self.favourable.yes else "undetermined"


def melphalan_tier(case: Case) -> Tier:
    """Work out the melphalan tier; to be asked for as `case.once(melphalan_tier)`."""
    facts = case.facts
    mm = facts.mm
    pet, mrd, high_risk = mm.pet_pretransplant, mm.mrd, facts.cyto.high_risk_riss
    return Tier(
        before_transplant=_before_transplant(case),
        # one bad marker is enough, so what is not known does not matter here; TX-012 asks for it
        unfavourable=documented(any_of((pet.is_("positive"), mrd.is_("positive"), high_risk))),
        favourable=all_of((pet.is_("negative"), mrd.is_("negative"), ~high_risk)),
        missing=tuple(finding for finding in (pet, mrd, high_risk) if not finding.is_known),
        bad=tuple(finding for finding in (pet, mrd, high_risk) if finding.value in {"positive", True}),
    )


def _before_transplant(case: Case) -> Criterion:
    """Tell whether a transplant is ahead; while an order is being signed, only high-dose melphalan says so."""
    mm = case.facts.mm
    if case.hook in ORDER_HOOKS:
        return any_of(melphalan.high_dose for melphalan in case.once(melphalan_orders))
    return documented(mm.phase.is_("pre-transplant")) | documented(mm.transplant_planned)


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    adult_myeloma = _adult_myeloma(case)
    yield from _evidence_of_first_line(case, adult_myeloma)
    yield from _before_a_transplant(case, adult_myeloma)
    for melphalan in case.once(melphalan_orders):
        yield _too_much_in_all(case, melphalan)
    yield from _evidence_of_bone_agents(case, adult_myeloma)


def _adult_myeloma(case: Case) -> Criterion:
    """Tell whether an adult has myeloma: none of the studies quoted here treated children."""
    limits = case.limits(GUIDANCE)
    child = documented(case.facts.patient.age < limits.adult_age)
    return (case.facts.dx.mm | case.once(myeloma_class).is_active_mm) & ~child


# --- evidence -----------------------------------------------------------------------------------------------


def _evidence_of_first_line(case: Case, myeloma: Criterion) -> Iterator[Advice]:
    facts, mm, cyto = case.facts, case.facts.mm, case.facts.cyto
    first_line = mm.phase.one_of("newly-diagnosed", "induction")
    phase: dict[str, Fill] = {"phase": Phrase(f"phase-{mm.phase.value}")} if first_line.yes else {}
    adverse = tuple(
        Phrase(key) for key, found in (("del17p", cyto.del17p), ("t4-14", cyto.t4_14)) if found.value is True
    )
    yield Advice(rule="TX-001", because=myeloma & first_line, unless=facts.meds.daratumumab.criterion(), fill=phase)
    yield Advice(rule="TX-002", because=myeloma & first_line & (cyto.del17p | cyto.t4_14), fill={"adverse": adverse})
    yield Advice(rule="TX-003", because=myeloma & first_line & cyto.gain1q)


def _evidence_of_bone_agents(case: Case, myeloma: Criterion) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    current = case.once(bma).current
    protected_or_asked_for = case.fired("BP-020") | current.any()
    severe_renal_impairment = (facts.lab.crcl < limits.severe_renal_impairment) | facts.other.dialysis
    agent: Fill = tuple(Phrase(f"drug-{drug}") for drug in sorted(current.classes)) or Phrase("no-agent")
    yield Advice(rule="TX-020", because=myeloma & protected_or_asked_for, fill={"agent": agent})
    yield Advice(rule="TX-021", because=myeloma & severe_renal_impairment & protected_or_asked_for)


# --- before a transplant ------------------------------------------------------------------------------------


def _before_a_transplant(case: Case, myeloma: Criterion) -> Iterator[Advice]:
    tier = case.once(melphalan_tier)
    at_transplant = myeloma & tier.before_transplant
    tier_200 = at_transplant & tier.unfavourable
    tier_140 = at_transplant & tier.favourable
    lower, reasons = _lower_dose_meant(case), _low_dose_reasons(case)
    new = _is_new(case)
    yield Advice(
        rule="TX-010",
        because=tier_200,
        holds={"lower-dose-fits": lower & given(bool(reasons))},
        fill={"tier_reason": tier.reasons, "low_dose_reason": reasons},
        new=new,
    )
    yield Advice(rule="TX-011", because=tier_140, new=new)
    yield Advice(
        rule="TX-012",
        because=at_transplant & ~documented(tier_200) & ~documented(tier_140),
        fill={"missing": tuple(Label(finding.name) for finding in tier.missing)},
    )
    for melphalan in case.once(melphalan_orders):
        yield _order_against_tier(case, melphalan, documented(tier_200), documented(tier_140), tier)


def _is_new(case: Case) -> Criterion:
    """Tell whether PET-CT, MRD or FISH is recent enough to be news."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    looked_at = (facts.mm.pet_pretransplant, facts.mm.mrd, facts.cyto.high_risk_riss)
    return any_of(finding.within(limits.tier_is_new, facts.as_of) for finding in looked_at)


def _lower_dose_meant(case: Case) -> Criterion:
    """Tell whether a lower melphalan dose is often meant: age, performance, kidneys; also where kidneys are unknown."""
    return any_of(_low_dose_signs(case).values()) | ~known(case.facts.lab.crcl)


def _low_dose_signs(case: Case) -> dict[str, Criterion]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    return {
        "reason-age": documented(facts.patient.age >= limits.older_age),
        "reason-dialysis": documented(facts.other.dialysis),
        "reason-ecog": documented(facts.status.ecog >= limits.frail_ecog),
        "reason-kidneys": documented(facts.lab.crcl < limits.weak_kidneys),
    }


def _low_dose_reasons(case: Case) -> tuple[Fill, ...]:
    facts = case.facts
    values: dict[str, Fill] = {
        "reason-age": facts.patient.age,
        "reason-ecog": facts.status.ecog,
        "reason-kidneys": facts.lab.crcl,
    }
    return tuple(
        Phrase(key, {"value": values[key]} if key in values else {})
        for key, sign in _low_dose_signs(case).items()
        if sign.yes
    )


def _order_against_tier(
    case: Case, melphalan: MelphalanOrder, tier_200: Criterion, tier_140: Criterion, tier: Tier
) -> Advice:
    """Say where an order stands, split doses added up; no dose is ever proposed, least of all a higher one."""
    limits = case.limits(GUIDANCE)
    above_any_study = any_of(figure > limits.melphalan_maximum for figure in melphalan.figures)
    in_all = melphalan.total_mg_m2
    below_200 = tier_200 & (in_all < limits.melphalan_200_from)
    above_140 = tier_140 & (in_all > limits.melphalan_140_to)
    lower, reasons = _lower_dose_meant(case), _low_dose_reasons(case)
    ordered = _highest(melphalan.figures) if above_any_study.yes else in_all
    shown: Fill = ordered.rounded if ordered.rounded is not None else ordered
    return Advice(
        rule="TX-013",
        because=melphalan.high_dose & any_of((below_200, above_140, above_any_study)),
        holds={
            "above-maximum": above_any_study,
            "lower-dose-fits": below_200 & lower,
            "above-140": above_140 & ~documented(above_any_study),
        },
        fill={
            "melphalan_ordered_mg_m2": shown,
            "melphalan_tier": Phrase(f"tier-{tier.word}"),
            "tier_reason": tier.reasons,
            "low_dose_reason": reasons or Phrase("reason-kidneys-unknown"),
        },
        order=melphalan.order.reference,
    )


def _too_much_in_all(case: Case, melphalan: MelphalanOrder) -> Advice:
    """Say when split doses add up to more than any study gave, although none does by itself (that is TX-013)."""
    limits = case.limits(GUIDANCE)
    alone = any_of(figure > limits.melphalan_maximum for figure in melphalan.figures)
    in_all = melphalan.total_mg_m2
    return Advice(
        rule="TX-014",
        because=given(melphalan.days > 1)
        & (melphalan.mg_m2 >= limits.melphalan_counted)
        & ~documented(alone)
        & (in_all > limits.melphalan_maximum),
        holds={"no-myeloma": ~documented(case.facts.dx.mm)},
        fill={
            "melphalan_total_mg_m2": in_all.rounded if in_all.rounded is not None else in_all,
            "melphalan_days": melphalan.days,
        },
        order=melphalan.order.reference,
    )


def _highest(figures: tuple[Reading, ...]) -> Reading:
    return max(figures, key=lambda figure: figure.high or Decimal(0))


def concerns(case: Case) -> bool:
    """Leave out charts in which nothing speaks of a plasma-cell disorder."""
    return may_have_plasma_cells(case)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
    found: dict[str, Value] = {}
    if not case.once(plasma_cell_disorder).no:
        tier = case.once(melphalan_tier)
        if ((case.facts.dx.mm | case.once(myeloma_class).is_active_mm) & tier.before_transplant).yes:
            found["melphalan_tier"] = tier.word
    ordered = [melphalan.mg_m2 for melphalan in case.once(melphalan_orders) if melphalan.mg_m2.rounded is not None]
    if ordered and (figure := _highest(tuple(ordered)).rounded) is not None:
        found["melphalan_ordered_mg_m2"] = figure
    return found
